"""docs/lua-http.md forgets no name of lua-http's manual, and every counterpart it tells exists, in both colours."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import drivetrain.engine as engine
from drivetrain.engine.backends.memory import MemoryBackend
from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "lua-http.md").read_text(encoding="utf-8")
NAMES = Path(__file__).with_name("lua_names.txt").read_text(encoding="utf-8")

NOT_YET = "not yet"
LANGUAGE = "the language: "
# A class and its face for the other colour: what the one has, the other must have.
FACES = {
    "H1Connection": "H1ConnectionFace",
    "H1Stream": "H1StreamFace",
    "H2Connection": "H2ConnectionFace",
    "H2Stream": "H2StreamFace",
    "Server": "AsyncServer",
    "WebSocket": "AsyncWebSocket",
    "Socks": "AsyncSocks",
}
# Modules whose names all have a counterpart, for good.
WHOLE = (
    "connection",
    "stream",
    "http.bit",
    "http.client",
    "http.cookie",
    "http.h1_connection",
    "http.h1_reason_phrases",
    "http.h1_stream",
    "http.h2_connection",
    "http.h2_error",
    "http.h2_stream",
    "http.headers",
    "http.hpack",
    "http.hsts",
    "http.proxies",
    "http.request",
    "http.socks",
    "http.tls",
    "http.util",
    "http.version",
    "http.websocket",
    "http.zlib",
)


class Entry(NamedTuple):
    """A row of the page."""

    module: str
    name: str
    counterpart: str
    remark: str

    @property
    def paths(self) -> list[str]:
        """Where the counterparts are, dotted below the engine."""
        return [] if self.counterpart.startswith((NOT_YET, LANGUAGE)) else re.findall(r"`([\w.]+)`", self.counterpart)


def entries_of(page: str) -> list[Entry]:
    found = []
    module = ""
    for line in page.splitlines():
        if line.startswith("## "):
            module = line[3:].strip()
        elif line.startswith("| `"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            name, counterpart, remark = cells
            found.append(Entry(module, name.strip("`"), counterpart, remark))
    return found


def names_of(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(module, name) for module, _, name in (line.partition("\t") for line in lines)]


ENTRIES = entries_of(PAGE)


# --- looking counterparts up ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples() -> dict[type, Any]:
    """Objects of the classes whose attributes are made by the constructor."""
    near, _ = MemoryBackend().pipe()
    connection = engine.H1Connection(near, MemoryBackend())
    stream = connection.new_stream()
    connection2 = engine.H2Connection(near, MemoryBackend())
    return {
        engine.H1Connection: connection,
        engine.H1Stream: stream,
        engine.H1ConnectionFace: engine.H1ConnectionFace(connection, engine.run_blocking),
        engine.H1StreamFace: engine.H1StreamFace(stream, engine.run_blocking),
        engine.H2Connection: connection2,
        engine.H2Stream: connection2.new_stream(),
        engine.H2ConnectionFace: engine.H2ConnectionFace(connection2, engine.run_blocking),
        engine.H2StreamFace: engine.H2StreamFace(connection2.new_stream(), engine.run_blocking),
        engine.Request: engine.Request.from_uri("http://example.com/"),
        engine.CookieStore: engine.CookieStore(),
        engine.HstsStore: engine.HstsStore(),
    }


def look_up(path: str, samples: dict[type, Any]) -> Any:
    """What a dotted path below the engine leads to.

    Raises:
        AttributeError: nowhere.
    """
    found: Any = engine
    for part in path.split("."):
        if isinstance(found, type) and not hasattr(found, part) and found in samples:
            found = samples[found]
        if inspect.ismodule(found) and not hasattr(found, part):
            try:
                importlib.import_module(f"{found.__name__}.{part}")
            except ModuleNotFoundError as error:
                raise AttributeError(f"{found.__name__} has no {part}") from error
        found = getattr(found, part)
    return found


def in_other_colour(path: str) -> str | None:
    name, dot, rest = path.partition(".")
    return f"{FACES[name]}{dot}{rest}" if name in FACES else None


def parameters(thing: Any) -> list[str]:
    return list(inspect.signature(thing).parameters) if callable(thing) and not isinstance(thing, type) else []


def faults(entry: Entry, samples: dict[type, Any]) -> Iterator[str]:
    for path in entry.paths:
        try:
            counterpart = look_up(path, samples)
        except AttributeError as error:
            yield f"{path}: {error}"
            continue
        # An operation that takes a time limit there takes one here, or the page says what it does instead.
        if re.search(r"\btimeout\)", entry.name) and "timeout" not in parameters(counterpart):
            if "timeout" not in entry.remark:
                yield f"{path} takes no timeout"
        other = in_other_colour(path)
        if other is not None:
            try:
                twin = look_up(other, samples)
            except AttributeError as error:
                yield f"{path} is there, but {other} is not: {error}"
                continue
            if parameters(twin) != parameters(counterpart):
                yield f"{path} and {other} differ in their parameters"


# --- the page ---------------------------------------------------------------------------------------------------------


def test_no_name_is_forgotten_or_told_twice() -> None:
    told = Counter((entry.module, entry.name) for entry in ENTRIES)
    wanted = Counter(names_of(NAMES))
    assert sorted((wanted - told).elements()) == []
    assert sorted((told - wanted).elements()) == []


def test_the_list_is_the_whole_manual() -> None:
    names = names_of(NAMES)
    assert len(names) == len(set(names)) == 319
    assert len({module for module, _ in names}) == 25


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.paths], ids=lambda e: f"{e.module} {e.name}")
def test_a_counterpart_exists(entry: Entry, samples: dict[type, Any]) -> None:
    assert list(faults(entry, samples)) == []


def test_every_row_says_something() -> None:
    unclear = [
        e for e in ENTRIES if not e.paths and e.counterpart != NOT_YET and not e.counterpart.startswith(LANGUAGE)
    ]
    assert unclear == []


@pytest.mark.parametrize("module", WHOLE)
def test_nothing_is_missing_from_a_finished_module(module: str) -> None:
    rows = [entry for entry in ENTRIES if entry.module == module]
    assert rows
    assert [entry.name for entry in rows if entry.counterpart == NOT_YET] == []


def test_internal_counterparts_are_marked() -> None:
    public = set(engine.__all__)
    hidden = [e for e in ENTRIES if e.paths and any(path.partition(".")[0] not in public for path in e.paths)]
    assert [entry.name for entry in hidden if not entry.remark.startswith("internal")] == []


# --- the checks themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "counterpart", "remark", "expected"),
    [
        ("f()", "`util.no_such_name`", "", ["util.no_such_name"]),
        ("f()", "`no_module.name`", "", ["no_module.name"]),
        ("f()", "`util.is_ip`, `H1Stream.nothing`", "", ["H1Stream.nothing"]),
        ("f(timeout)", "`H1Connection.onidle`", "", ["takes no timeout"]),
        ("f()", "`H1Connection.remember`", "", ["is there, but H1ConnectionFace.remember is not"]),
    ],
)
def test_a_wrong_counterpart_is_found(
    name: str, counterpart: str, remark: str, expected: list[str], samples: dict[type, Any]
) -> None:
    found = list(faults(Entry("stream", name, counterpart, remark), samples))
    assert len(found) == len(expected)
    assert all(text in line for text, line in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("name", "counterpart", "remark"),
    [
        ("f()", "`H1Stream.state`", ""),
        ("f()", "`connection.dial.secure`", "internal"),
        ("f(timeout)", "`H1Connection.close`", "no timeout: it never waits"),
        ("f(timeout)", NOT_YET, ""),
        ("band(a, b)", f"{LANGUAGE}`a & b`", ""),
    ],
)
def test_a_right_counterpart_passes(name: str, counterpart: str, remark: str, samples: dict[type, Any]) -> None:
    assert list(faults(Entry("stream", name, counterpart, remark), samples)) == []


def test_a_row_is_read_with_its_bars() -> None:
    (entry,) = entries_of(
        "## stream\n\n| lua-http | x | y |\n| --- | --- | --- |\n| `f(a\\|b)` | `x.y`, `z` | a \\| b |\n"
    )
    assert entry == Entry("stream", "f(a|b)", "`x.y`, `z`", "a | b")
    assert entry.paths == ["x.y", "z"]
