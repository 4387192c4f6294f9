"""The interactive client, as `python -m drivetrain.compat.websockets_api` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from drivetrain.compat.websockets_api import cli
from drivetrain.compat.websockets_api.version import version
from tests.compat.websockets_api.server_support import serving
from tests.support.certificates import Certificates

COMMAND = [sys.executable, "-m", "drivetrain.compat.websockets_api"]


def converse(*words: str, typed: list[str]) -> tuple[str, int]:
    """Type lines, each when what the one before has brought was shown, then end the input; returns what was said."""
    with subprocess.Popen(
        [*COMMAND, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        said = program.stdout.readline()
        for line in typed:
            program.stdin.write(f"{line}\n")
            program.stdin.flush()
            while line != "end" and not said.endswith("< bell\\x07\n"):
                said += program.stdout.readline()
            said += "\n"
        rest, _ = program.communicate(timeout=20)
        return said + rest, program.returncode


async def shout(websocket: Any) -> None:
    async for message in websocket:
        if message == "end":
            await websocket.close(4001, "over")
        else:
            await websocket.send(message)
            await websocket.send(b"\x00\xff")
            await websocket.send("bell\x07")


def visible(text: str) -> str:
    return re.sub(r"\x1b(?:[78]|\[[ABLK])", "", text)


def test_what_is_typed_is_sent_and_what_comes_is_shown() -> None:
    with serving("asyncio", shout) as served:
        uri = f"ws://127.0.0.1:{served.port}/room"
        said, status = converse(uri, typed=["one", "twö", "end"])
    assert status == 0, said
    said = visible(said)
    assert said.startswith(f"Connected to {uri}.\n")
    assert said.count("< (binary) 00ff\n") == 2
    assert said.count("< bell\\x07\n") == 2
    assert "< one\n" in said
    assert "< twö\n" in said
    assert said.endswith("Connection closed: 4001 (private use) over.\n")


def test_the_end_of_the_input_closes() -> None:
    with serving("asyncio", shout) as served:
        said, status = converse(f"ws://127.0.0.1:{served.port}/", typed=["one"])
    assert status == 0, said
    assert visible(said).endswith("Connection closed: 1000 (OK).\n")


def test_a_certificate_is_verified_unless_told_otherwise(certificates: Certificates) -> None:
    with serving("asyncio", shout, ssl=certificates.server_context()) as served:
        uri = f"wss://127.0.0.1:{served.port}/"
        said, status = converse(uri, typed=[])
        assert status == 1
        assert said.startswith(f"Failed to connect to {uri}: ")
        assert "certificate verify failed" in said
        said, status = converse("--insecure", uri, typed=[])
        assert status == 0, said
        assert said.startswith(f"Connected to {uri}.\n")


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["ws://127.0.0.1:1/"])
    assert ended.value.code == 1
    assert capsys.readouterr().out.startswith("Failed to connect to ws://127.0.0.1:1/: ")


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [(["--version"], 0, f"websockets {version}\n"), (["--help"], 0, "usage: websockets"), ([], 2, "usage: websockets")],
)
def test_without_connecting(words: list[str], status: int, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == status
    assert capsys.readouterr().out.startswith(expected)
