"""Sending and receiving."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from tests.peers.websockets_sync.base import Library, Site, cause_of, facts, scenario, tried

# --- messages -----------------------------------------------------------------------------------------------------------

MESSAGES: dict[str, Any] = {
    "text": "Ça va ? 👋",
    "empty text": "",
    "bytes": b"\x00\xff",
    "empty bytes": b"",
    "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"abcdef")[1:4],
    "list of text": ["a", "", "bc"],
    "list of bytes": [b"a", bytearray(b"b"), memoryview(b"c")],
    "empty list": [],
    "tuple": ("x",),
    "large text": "ä" * 100_000,
    "large bytes": bytes(range(256)) * 1000,
}


@scenario
def echo_of_everything(lib: Library, site: Site) -> Any:
    found = {}
    for compression in ("deflate", None):
        with lib.client.connect(site.base + "/echo", compression=compression, proxy=None) as websocket:
            for name, message in MESSAGES.items():
                websocket.send(message)
                websocket.send("end")
                found[compression, name] = [websocket.recv(10)]
                while found[compression, name][-1] != "end":
                    found[compression, name].append(websocket.recv(10))
            found[compression, "extensions"] = [extension.name for extension in websocket.protocol.extensions]
    return found


@scenario
def types_as_told(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/types", proxy=None) as websocket:
        for message, text in [("a", None), ("a", False), ("a", True), (b"b", None), (b"b", True), (b"b", False)]:
            websocket.send(message, text=text)
            found.append((message, text, websocket.recv(10)))
        for message, text in [(["a", "b"], False), ([b"a", b"b"], True), (iter(["c"]), None)]:
            websocket.send(message, text=text)
            found.append((text, websocket.recv(10)))
    return found


@scenario
def decoded_as_told(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        for message in ("täxt", "täxt".encode()):
            for decode in (None, True, False):
                websocket.send(message)
                found.append(websocket.recv(10, decode))
                websocket.send(message)
                found.append(websocket.recv(timeout=10, decode=decode))
    return found


@scenario
def bytes_that_are_no_text(lib: Library, site: Site) -> Any:
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        websocket.send(b"\xff\xfe")
        return tried(websocket.recv, 10, True), facts(websocket), cause_of(websocket.recv)


@scenario
def refused_messages(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        for message in ({"a": "b"}, 1, None, object()):
            found.append(tried(websocket.send, message)[1][:2])
        websocket.send("still open")
        found.append(websocket.recv(10))
        found.append(facts(websocket))
    return found


@scenario
def messages_that_break_off(lib: Library, site: Site) -> Any:
    def failing() -> Iterator[str]:
        yield "a"
        raise ValueError("no more")

    found = []
    for message in (["a", b"b"], [b"a", "b"], [1], ["a", 1], failing()):
        websocket = lib.open(site.base + "/echo")
        found.append((tried(websocket.send, message), facts(websocket), tried(websocket.recv, 10)))
        websocket.close()
    return found


@scenario
def another_send_during_fragments(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:

        def parts() -> Iterator[str]:
            yield "a"
            found.append(tried(websocket.send, "b"))
            found.append(tried(websocket.send, b"b"))
            found.append(tried(websocket.send, ["b"]))
            websocket.ping()
            websocket.pong("p")
            yield "c"

        websocket.send(parts())
        found.append(websocket.recv(10))
        websocket.send("after")
        found.append(websocket.recv(10))
    return found


@scenario
def closing_during_fragments(lib: Library, site: Site) -> Any:
    def parts() -> Iterator[str]:
        yield "a"
        websocket.close()
        yield "b"

    with site.raw("notes") as base:
        websocket = lib.open(base + "/")
        outcome = tried(websocket.send, parts())
    return outcome, facts(websocket), site.take()


@scenario
def frames_as_they_are_sent(lib: Library, site: Site) -> Any:
    found = []
    for compression in ("deflate", None):
        with (
            site.raw("notes") as base,
            lib.client.connect(base + "/", proxy=None, compression=compression) as websocket,
        ):
            for message in MESSAGES.values():
                websocket.send(message)
            websocket.ping("ping")
            websocket.pong("pong")
        found.append(site.take())
    return found


# --- receiving ----------------------------------------------------------------------------------------------------------


@scenario
def time_limits(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        found.append(tried(websocket.recv, 0.2))
        found.append(tried(websocket.recv, timeout=0.12))
        found.append(tried(websocket.recv, timeout=0)[1][:2])
        found.append(tried(websocket.recv, timeout=-1)[1][:2])
        websocket.send("late")
        found.append(websocket.recv(10))
    return found


@scenario
def fragments_joined(lib: Library, site: Site) -> Any:
    with lib.client.connect(site.base + "/fragments", proxy=None) as websocket:
        return [websocket.recv(10), websocket.recv(10), websocket.recv(10, decode=False)]


@scenario
def fragments_one_by_one(lib: Library, site: Site) -> Any:
    with lib.client.connect(site.base + "/fragments", proxy=None) as websocket:
        return [
            list(websocket.recv_streaming()),
            list(websocket.recv_streaming(decode=True)),
            list(websocket.recv_streaming(decode=False)),
        ]


@scenario
def a_stream_of_whole_messages(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/echo", proxy=None, compression=None) as websocket:
        for name in ("text", "empty text", "bytes", "large bytes", "large text"):
            websocket.send(MESSAGES[name])
            found.append(list(websocket.recv_streaming()))
        websocket.send(MESSAGES["list of text"])
        found.append(list(websocket.recv_streaming()))
    return found


@scenario
def a_stream_not_read_to_its_end(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/fragments", proxy=None) as websocket:
        stream = websocket.recv_streaming()
        found.append(next(stream))
        found.append(tried(websocket.recv, 10))
        found.append(tried(next, websocket.recv_streaming()))
        found.append(list(stream))
        found.append(websocket.recv(10))
        stream = websocket.recv_streaming()
        found.append(next(stream))
        stream.close()
        found.append(tried(websocket.recv, 10))
    return found


@scenario
def two_receive(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        ready = threading.Event()

        def first() -> None:
            ready.set()
            found.append(websocket.recv(10))

        thread = threading.Thread(target=first)
        thread.start()
        ready.wait(10)
        # It may not have got there yet: then it is this one that waits, and is told in time.
        other = tried(websocket.recv, 0.3)
        while other[1][0] == "TimeoutError":
            other = tried(websocket.recv, 0.3)
        streamed = tried(next, websocket.recv_streaming())
        websocket.send("for the first")
        thread.join(10)
        return found, other, streamed


@scenario
def iteration_to_the_end(lib: Library, site: Site) -> Any:
    found = {}
    for code in (1000, 1001, 1011, 3000, 4999):
        with lib.client.connect(f"{site.base}/count?code={code}&reason=b%C3%BDe", proxy=None) as websocket:
            messages: list[Any] = []
            found[code] = (tried(lambda w, m: m.extend(w), websocket, messages), messages, facts(websocket))
    return found
