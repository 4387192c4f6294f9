"""What the engine does not send: the original sends it all the same, or raises what programs expect of it."""

from __future__ import annotations

import array
import socket
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.request import Request

import pytest

import drivetrain.compat
from drivetrain.compat import urllib_api
from drivetrain.compat.urllib_api import EngineHandler
from drivetrain.engine import Client
from drivetrain.engine.errors import InvalidHeader
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder
from tests.support.servers import RawServer


def with_field(name: Any, value: Any) -> Callable[[str], Request]:
    return lambda url: Request(url, headers={name: value})


def with_method(method: str) -> Callable[[str], Request]:
    return lambda url: Request(url, method=method)


def with_data(data: Any, **headers: Any) -> Callable[[str], Request]:
    return lambda url: Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})


ASKED: dict[str, Callable[[str], Any]] = {
    "a line break": with_field("X", "a\r\nB: c"),
    "a folded value": with_field("X", "a\r\n b"),
    "NUL": with_field("X", "a\0b"),
    "a blank in a name": with_field("X Y", "z"),
    "a colon in a name": with_field("X:", "z"),
    "a name of nothing": with_field("", "z"),
    "a name beyond ASCII": with_field("é", "z"),
    "a name in bytes": with_field(b"X", "z"),
    "a value beyond Latin-1": with_field("X", "€"),
    "None": with_field("X", None),
    "a fraction": with_field("X", 1.5),
    "a list": with_field("X", ["a"]),
    "a whole number": with_field("X", 5),
    "bytes": with_field("X", b"\xff"),
    "a method of two words": with_method("A B"),
    "a method of two lines": with_method("A\r\nB"),
    "a method beyond ASCII": with_method("É"),
    "text": with_data("text"),
    "a number": with_data(5),
    "keys": with_data({b"a": b"b"}),
    "texts": with_data(["a"]),
    "more than announced": with_data(b"abc", Content_Length="2"),
    "announced in bytes": with_data(b"abc", Content_Length=b"3"),
    "a path beyond ASCII": lambda url: f"{url}/é",
    "a blank in the path": lambda url: f"{url}/a b",
    "a blank in the host": lambda url: url.replace("127", "1 27"),
    "a host of no labels": lambda url: url.replace("127.0.0.1", "."),
    "a host with an empty label": lambda url: url.replace("127.0.0.1", "a..b"),
    "a long label": lambda url: url.replace("127.0.0.1", f"{'a' * 64}.test"),
    "a host beyond Latin-1": lambda url: url.replace("127.0.0.1", "☃.test"),
    "a signed port": lambda url: url.replace("127.0.0.1:", "127.0.0.1:+"),
    "no number for a port": lambda url: f"{url}x/",
}


def outcome(opened: Callable[..., Any], make: Callable[[str], Any], **options: Any) -> Any:
    """What comes of it, and what the server got."""
    recorder = Recorder()
    with RawServer(recorder, tolerate=(OSError, AssertionError)) as server:
        try:
            with opened(make(server.url), **{"timeout": 5, **options}) as response:
                ended: Any = response.read()
        except Exception as error:
            text = str(error).replace(str(server.port), "port")
            ended = type(error), text, type(getattr(error, "reason", None))
        urllib_api.close_connections()
        heads = [request.head.replace(b"Connection: close\r\n", b"") for request in recorder.all]
        port = str(server.port).encode()
    return ended, [head.replace(port, b"port") for head in heads], [request.body for request in recorder.all]


@pytest.mark.parametrize("make", ASKED.values(), ids=ASKED)
def test_what_comes_of_it(make: Callable[[str], Any]) -> None:
    expected = outcome(urllib.request.urlopen, make)
    assert outcome(urllib_api.urlopen, make) == expected
    with drivetrain.compat.installed("urllib"):
        assert outcome(urllib.request.urlopen, make) == expected


@pytest.mark.parametrize("timeout", [0, 0.0, True, "5", (1, 2), 1e300, float("inf"), object()])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the original's sockets
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_timeouts(timeout: Any) -> None:
    found = [outcome(module.urlopen, str, timeout=timeout)[0] for module in (urllib.request, urllib_api)]
    assert found[0] == found[1]


def test_a_default_timeout_of_nothing(library: Library) -> None:
    socket.setdefaulttimeout(0)
    try:
        with pytest.raises(OSError) as caught:  # on some systems it is not even begun
            library.urlopen("http://127.0.0.1:9/")
    finally:
        socket.setdefaulttimeout(None)
    assert not isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("pieces", [[bytearray(b"a"), memoryview(b"bc")], [array.array("b", b"abc")], (b"a", b"bc")])
def test_pieces_of_other_kinds(library: Library, pieces: Any) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        for data in (pieces, iter(pieces)):
            assert library.get(Request(server.url, data)) == b"ok"
    assert [request.body for request in recorder.all] == [b"abc"] * 2


def test_an_error_of_the_programs_own_is_not_taken_for_one(ours: Library) -> None:
    def pieces() -> Any:
        calls.append(1)
        yield b"a"
        raise ValueError("mine")

    calls: list[int] = []
    with RawServer(Recorder(), tolerate=(OSError, AssertionError)) as server, pytest.raises(ValueError, match="mine"):
        ours.urlopen(server.url, pieces())
    assert calls == [1]


def test_a_client_of_the_callers_is_as_strict_as_ever() -> None:
    with RawServer(Recorder()) as server, Client(proxies=False) as client:
        opener = urllib_api.build_opener(EngineHandler(client=client))
        with pytest.raises(InvalidHeader):
            opener.open(Request(server.url, headers={"X Y": "z"}))
