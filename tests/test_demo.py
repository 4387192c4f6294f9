"""The demo runs, and shows what it is there to show."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"
DOORS = ("native", "native asyncio", "requests + adapter", "urlopen")
SIGHTS = (("1.1", "-"), ("1.1", "verified"), ("2", "verified"))


def tables(text: str) -> list[tuple[str, list[str]]]:
    """The header and the lines of each."""
    found = []
    for table in text.split("\n\n"):
        header, _, *lines = table.splitlines()
        found.append((header, lines))
    return found


def test_what_it_shows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEMO.parent))  # as when it is run as a script
    assert runpy.run_path(str(DEMO))["main"]() == 0
    (header, lines), (agent_header, agent_lines), (talk_header, talk_lines) = tables(capsys.readouterr().out)
    assert header.split() == ["door", "HTTP", "TLS", "status", "bytes", "reused", "time"]
    rows = [line.rsplit(maxsplit=7) for line in lines]
    assert [(row[0], row[1], row[2], row[3], row[5]) for row in rows] == [
        (door, version, tls, "200", reused) for door in DOORS for version, tls in SIGHTS for reused in ("no", "yes")
    ]
    assert agent_header.split(maxsplit=5) == ["user", "agent", "HTTP", "TLS", "status", "seen by the other side"]
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in agent_lines]
    told = [(cell[0], cell[1], cell[2], cell[3], cell[4].partition("localhost")[0]) for cell in cells]
    assert told == [
        ("HTTP proxy", "1.1", "-", "200", "proxy: GET http://"),
        ("HTTP proxy, tunnel", "2", "verified", "200", "proxy: CONNECT "),
        ("SOCKS 5, password", "2", "verified", "200", "proxy: "),
        ("cookie round trip", "2", "verified", "200", "server: nothing, then visits=1"),
        ("HSTS", "2", "verified", "200", "server: TLS from the first byte, asked for http"),
    ]
    assert cells[2][4].endswith(" for demo")
    assert talk_header.split() == ["WebSocket", "HTTP", "TLS", "compressed", "echoed", "connection", "round", "trip"]
    talks = [line.rsplit(maxsplit=7)[:6] for line in talk_lines]
    assert talks == [
        [door, version, tls, "yes", "2300", "shared" if version == "2" else "own"]
        for door in ("native", "native asyncio", "websockets sync", "websockets asyncio")
        for version, tls in SIGHTS
    ]
