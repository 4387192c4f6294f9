"""What `send` puts on the wire and what `recv` makes of what comes, with a server whose every byte is written by hand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivetrain.compat.websockets_api.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
)
from drivetrain.compat.websockets_api.protocol import Side, State
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.sync.client import ClientConnection, connect
from tests.protocol.websocket_support import close_payload, frame
from tests.support.servers import RawServer
from tests.support.websocket_raw import RawFrame, accept_raw, read_frame, saying

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def opened(server: RawServer, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/", **{"legacy": True, "proxy": None, "compression": None, **options})


def frames_sent_by(use: Callable[[ClientConnection], object]) -> list[RawFrame]:
    """The frames up to the Close frame that `use` makes a client send."""
    frames: list[RawFrame] = []

    def handler(sock: socket.socket) -> None:
        accept_raw(sock)
        while not frames or frames[-1].opcode != CLOSE:
            frames.append(read_frame(sock))
        sock.sendall(frame(CLOSE, frames[-1].payload))

    with RawServer(handler) as server, opened(server) as websocket:
        use(websocket)
    return frames[:-1]


# --- sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        ("ä", None, RawFrame(TEXT, "ä".encode())),
        ("ä", False, RawFrame(BINARY, "ä".encode())),
        ("ä", True, RawFrame(TEXT, "ä".encode())),
        (b"ab", None, RawFrame(BINARY, b"ab")),
        (bytearray(b"ab"), None, RawFrame(BINARY, b"ab")),
        (memoryview(b"abc")[1:], None, RawFrame(BINARY, b"bc")),
        (b"ab", True, RawFrame(TEXT, b"ab")),
        (b"ab", False, RawFrame(BINARY, b"ab")),
        ("", None, RawFrame(TEXT, b"")),
        (b"", None, RawFrame(BINARY, b"")),
    ],
)
def test_a_message_is_a_frame(message: Any, text: bool | None, expected: RawFrame) -> None:
    assert frames_sent_by(lambda websocket: websocket.send(message, text=text)) == [expected]


@pytest.mark.parametrize(
    ("message", "text", "kind"),
    [
        (["a", "b"], None, TEXT),
        ((part for part in ("a", "b")), None, TEXT),
        (["a", "b"], False, BINARY),
        ([b"a", b"b"], None, BINARY),
        ([bytearray(b"a"), memoryview(b"b")], None, BINARY),
        ([b"a", b"b"], True, TEXT),
    ],
)
def test_an_iterable_is_a_message_in_fragments(message: Any, text: bool | None, kind: int) -> None:
    assert frames_sent_by(lambda websocket: websocket.send(message, text)) == [
        RawFrame(kind, b"a", fin=False),
        RawFrame(CONT, b"b", fin=False),
        RawFrame(CONT, b""),
    ]


def test_fragments_of_bytes_may_part_a_character() -> None:
    def use(websocket: ClientConnection) -> None:
        websocket.send(["ä".encode()[:1], "ä".encode()[1:]], text=True)

    frames = frames_sent_by(use)
    assert b"".join(sent.payload for sent in frames) == "ä".encode()
    assert frames[0].opcode == TEXT


def test_nothing_is_sent_of_an_empty_iterable() -> None:
    assert frames_sent_by(lambda websocket: websocket.send([])) == []


@pytest.mark.parametrize("message", [{"a": "b"}, 1, None, object()])
def test_what_is_no_message_is_refused(message: Any) -> None:
    def use(websocket: ClientConnection) -> None:
        with pytest.raises(TypeError, match="data "):
            websocket.send(message)
        websocket.send("still open")

    assert frames_sent_by(use) == [RawFrame(TEXT, b"still open")]


@pytest.mark.parametrize(("message", "error"), [("\ud800", UnicodeEncodeError), (b"\xff", UnicodeDecodeError)])
def test_text_that_is_none_is_refused(message: Any, error: type[Exception]) -> None:
    def use(websocket: ClientConnection) -> None:
        with pytest.raises(error):
            websocket.send(message, text=True)
        websocket.send("still open")

    assert frames_sent_by(use) == [RawFrame(TEXT, b"still open")]


@pytest.mark.parametrize(
    ("message", "error"),
    [(["a", b"b"], TypeError), ([b"a", "b"], TypeError), ([1], TypeError), ([b"\xff"], UnicodeDecodeError)],
)
def test_a_message_that_cannot_be_completed_closes_the_connection(message: Any, error: type[Exception]) -> None:
    def use(websocket: ClientConnection) -> None:
        with pytest.raises(error):
            websocket.send(message, text=True)
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.send("b")
        assert str(caught.value) == "sent 1011 (internal error) error in fragmented message; no close frame received"
        assert websocket.close_code == 1006

    assert len(frames_sent_by(use)) == (1 if message[0] in ("a", b"a") else 0)


def test_control_frames_go_between_fragments_and_messages_do_not() -> None:
    def use(websocket: ClientConnection) -> None:
        def parts() -> Iterator[str]:
            yield "a"
            with pytest.raises(ConcurrencyError, match="already running send"):
                websocket.send("b")
            with pytest.raises(ConcurrencyError, match="already running send"):
                websocket.send(["b"])
            websocket.ping("ping")
            websocket.pong("pong")

        websocket.send(parts())
        websocket.send("b")

    assert frames_sent_by(use) == [
        RawFrame(TEXT, b"a", fin=False),
        RawFrame(PING, b"ping"),
        RawFrame(PONG, b"pong"),
        RawFrame(CONT, b""),
        RawFrame(TEXT, b"b"),
    ]


# --- receiving --------------------------------------------------------------------------------------------------------


def test_messages_are_of_the_type_they_were_sent_as_unless_told_otherwise() -> None:
    data = b"".join(frame(kind, "ä") for kind in (TEXT, BINARY) for _ in range(3))
    with RawServer(saying(data)) as server, opened(server) as websocket:
        assert [websocket.recv(10, decode) for decode in (None, True, False)] == ["ä", "ä", "ä".encode()]
        assert [websocket.recv(10, decode) for decode in (None, True, False)] == ["ä".encode(), "ä", "ä".encode()]


@pytest.mark.parametrize("streaming", [False, True])
def test_bytes_that_are_to_be_text_and_are_none_close_the_connection(streaming: bool) -> None:
    with RawServer(saying(frame(BINARY, b"a\xff"))) as server, opened(server) as websocket:
        with pytest.raises(ConnectionClosedError, match="invalid start byte at position") as caught:
            list(websocket.recv_streaming(decode=True)) if streaming else websocket.recv(decode=True)
        assert isinstance(caught.value.__cause__, UnicodeDecodeError)
        assert caught.value.sent is not None
        assert (caught.value.sent.code, caught.value.rcvd) == (1007, None)


@pytest.mark.parametrize(("timeout", "said"), [(0.05, "0.1s"), (0, "0.0s"), (-1, "-1.0s")])
def test_a_limit_of_time(timeout: float, said: str) -> None:
    with RawServer(saying(b"")) as server, opened(server) as websocket:
        with pytest.raises(TimeoutError) as caught:
            websocket.recv(timeout)
        assert type(caught.value) is TimeoutError
        assert str(caught.value) == f"timed out in {said}"
        assert websocket.state is State.OPEN


def test_what_came_of_a_message_is_kept() -> None:
    go_on = threading.Event()

    def handler(sock: socket.socket) -> None:
        accept_raw(sock)
        sock.sendall(frame(TEXT, "begin", fin=False))
        assert go_on.wait(10)
        sock.sendall(frame(CONT, "ning"))
        assert read_frame(sock).opcode == CLOSE

    with RawServer(handler) as server, opened(server, close_timeout=0.1) as websocket:
        with pytest.raises(TimeoutError):
            websocket.recv(0.05)
        go_on.set()
        assert websocket.recv(10) == "beginning"


def test_frames_are_given_one_by_one() -> None:
    message = frame(TEXT, "a", fin=False) + frame(PING) + frame(CONT, "b" * 100_000, fin=False) + frame(CONT, "c")
    data = message * 2 + frame(BINARY, b"whole") + frame(BINARY, "ä".encode()[:1], fin=False) + frame(CONT, b"\xa4")
    with RawServer(saying(data)) as server, opened(server) as websocket:
        assert list(websocket.recv_streaming()) == ["a", "b" * 100_000, "c"]
        assert list(websocket.recv_streaming(decode=False)) == [b"a", b"b" * 100_000, b"c"]
        assert list(websocket.recv_streaming()) == [b"whole"]
        assert "".join(websocket.recv_streaming(decode=True)) == "ä"


def test_nothing_else_is_received_in_the_middle_of_a_stream() -> None:
    data = frame(TEXT, "a", fin=False) + frame(CONT, "b") + frame(TEXT, "after")
    with RawServer(saying(data)) as server, opened(server) as websocket:
        stream = websocket.recv_streaming()
        assert next(stream) == "a"
        with pytest.raises(ConcurrencyError, match="cannot call recv while"):
            websocket.recv(1)
        with pytest.raises(ConcurrencyError, match="cannot call recv_streaming while"):
            next(websocket.recv_streaming())
        assert list(stream) == ["b"]
        assert websocket.recv(10) == "after"


def test_a_stream_that_is_interrupted_by_the_end() -> None:
    def cut(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_WR)

    with RawServer(saying(frame(TEXT, "a", fin=False), then=cut)) as server, opened(server) as websocket:
        stream = websocket.recv_streaming()
        assert next(stream) == "a"
        with pytest.raises(ConnectionClosedError, match="no close frame received or sent") as caught:
            next(stream)
        assert isinstance(caught.value.__cause__, EOFError)


def test_a_stream_of_a_closed_connection() -> None:
    with RawServer(saying(frame(CLOSE, close_payload(1000)))) as server, opened(server) as websocket:
        for _ in range(2):
            with pytest.raises(ConnectionClosedOK):
                next(websocket.recv_streaming())
        with pytest.raises(ConnectionClosedOK):
            websocket.recv()


def test_before_the_handshake_there_is_nothing() -> None:
    websocket = ClientConnection(None, ProtocolView(Side.CLIENT))
    websocket.pending_legacy_warning = False
    assert (websocket.state, websocket.local_address, websocket.latency) == (State.CONNECTING, None, 0.0)
    with pytest.raises(InvalidState):
        websocket.recv()
    websocket.close()
    websocket.close_socket()
    assert websocket.state is State.CLOSED
