"""What programs written for `websockets` rely on in the asyncio client, beside what is in the other modules."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from typing import Any

import pytest

from drivetrain.compat.websockets_api.asyncio.client import connect
from drivetrain.compat.websockets_api.asyncio.network import to_error_of_loop
from drivetrain.compat.websockets_api.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidProxyMessage,
    InvalidStatus,
)
from drivetrain.engine.errors import ConnectError
from tests.compat.websockets_api.asyncio.support import by_hand, frame, opened, raw, run, serving
from tests.support.websocket_raw import accept_raw, read_until_close


def closed_port() -> tuple[socket.socket, int]:
    """A port on which nobody listens, as long as the socket is open."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


async def fault_of(attempt: connect) -> Exception:
    with pytest.raises(Exception) as caught:
        await attempt
    return caught.value


# --- sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_fragments_of_text_as_bytes_may_end_in_the_middle_of_a_character(is_async: bool) -> None:
    async def items(parts: list[bytes]) -> Any:
        for part in parts:
            yield part

    async def main() -> None:
        async with opened() as websocket:
            parts = [b"a\xc3", b"\xa4\xf0\x9f", b"", b"\x98", bytearray(b"\x80z")]
            await websocket.send(items(parts) if is_async else parts, text=True)  # type: ignore[arg-type]
            assert await websocket.recv() == "aä😀z"

    run(main())


def test_text_as_bytes_that_ends_in_the_middle_of_a_character_is_refused() -> None:
    async def main() -> None:
        async with opened() as websocket:
            with pytest.raises(UnicodeDecodeError):
                await websocket.send([b"a", b"\xc3"], text=True)
            with pytest.raises(ConnectionClosedError) as caught:
                await websocket.recv()
            assert caught.value.sent is not None
            assert caught.value.sent.code == 1011

    run(main())


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_closed_connection_is_freed_at_once() -> None:
    async def main() -> None:
        async with serving() as served:
            gc.collect()
            gc.disable()
            try:
                async with connect(served.uri, proxy=None) as websocket:
                    await websocket.send("x" * 100_000)
                    await websocket.recv()
                found = weakref.ref(websocket), weakref.ref(websocket.protocol)
                del websocket
                for _ in range(5):
                    await asyncio.sleep(0)
                assert [each() for each in found] == [None, None]
            finally:
                gc.enable()

    run(main())


# --- opening ----------------------------------------------------------------------------------------------------------


def test_values_of_header_fields_may_be_numbers() -> None:
    async def main() -> None:
        async with serving() as served:
            fields: dict[str, Any] = {"X-Count": 5, "X-Ratio": 0.5}
            async with connect(served.uri, proxy=None, additional_headers=fields):
                pass
            assert served.requests[0].get("x-count") == "5"
            assert served.requests[0].get("x-ratio") == "0.5"

    run(main())


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("127.0.0.2", None), "127.0.0.2"),
        (("127.0.0.2", 0), "127.0.0.2"),
        (("", 0), "127.0.0.1"),
        ((None, 0), "127.0.0.1"),
    ],
)
def test_a_local_address_may_leave_things_open(address: Any, host: str) -> None:
    async def main() -> None:
        async with serving(host="127.0.0.1") as served:
            uri = served.uri.replace("localhost", "127.0.0.1")
            async with connect(uri, proxy=None, local_addr=address) as websocket:
                assert websocket.local_address[0] == host

    run(main())


def test_a_refused_connection_names_the_address() -> None:
    async def main() -> None:
        holder, port = closed_port()
        with holder:
            fault = await fault_of(connect(f"ws://127.0.0.1:{port}", proxy=None))
            through = await fault_of(connect("ws://localhost", proxy=f"http://127.0.0.1:{port}"))
        for exc in (fault, through):
            assert type(exc) is ConnectionRefusedError
            assert str(exc).endswith(f"] Connect call failed ('127.0.0.1', {port})")
            assert exc.errno is not None

    run(main())


def test_several_addresses_that_refuse_are_all_named() -> None:
    errors = [ConnectionRefusedError(111, "no"), ConnectionRefusedError(111, "no")]
    lost = ConnectError(111, "cannot connect")
    lost.failures = ((("::1", 9, 0, 0), errors[0]), (("127.0.0.1", 9), errors[1]))
    fault = to_error_of_loop(errors[1], lost)
    assert isinstance(fault, OSError)
    assert str(fault) == (
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0), "
        "[Errno 111] Connect call failed ('127.0.0.1', 9)"
    )


@pytest.mark.parametrize("size", [10, 65536])
def test_a_server_that_ends_the_tls_handshake_resets_the_connection(size: int) -> None:
    """Where it leaves something unread, the system cuts the connection."""

    async def main(uri: str) -> None:
        fault = await fault_of(connect(uri.replace("ws:", "wss:"), proxy=None))
        assert type(fault) is ConnectionResetError

    with raw(lambda connection: connection.recv(size)) as uri:
        run(main(uri))


@pytest.mark.parametrize(
    "answer", [b"garbage\r\n\r\n", b"HTTP/1.1 403 No\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 4", b""]
)
def test_what_is_no_answer_of_a_proxy_is_an_error_of_the_proxy(answer: bytes) -> None:
    def proxy(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    async def main(uri: str) -> None:
        fault = await fault_of(connect("ws://localhost", proxy=uri.replace("ws:", "http:")))
        assert type(fault) is InvalidProxyMessage
        assert str(fault) == "did not receive a valid HTTP response from proxy"

    with raw(proxy) as uri:
        run(main(uri))


def test_redirects_are_looked_for_in_answers_only() -> None:
    class Watched(connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            assert isinstance(exc, InvalidStatus)
            seen.append(exc.response.status_code)
            return super().process_redirect(exc)

    seen: list[int] = []

    async def main(uri: str) -> None:
        holder, port = closed_port()
        with holder:
            assert type(await fault_of(Watched(f"ws://127.0.0.1:{port}", proxy=None))) is ConnectionRefusedError
        assert type(await fault_of(Watched(uri, proxy=None))) is InvalidStatus

    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    with raw(refuse) as uri:
        run(main(uri))
    assert seen == [403]


def test_a_window_of_eight_bits_is_no_reason_to_fail() -> None:
    def handler(connection: socket.socket) -> None:
        accept_raw(connection, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=8")
        connection.sendall(frame(1, b"hi"))
        read_until_close(connection)

    async def main(uri: str) -> None:
        async with connect(uri, proxy=None) as websocket:
            assert await websocket.recv() == "hi"
            assert [extension.name for extension in websocket.protocol.extensions] == ["permessage-deflate"]

    with raw(handler) as uri:
        run(main(uri))


# --- the end ----------------------------------------------------------------------------------------------------------


def test_text_that_is_none_says_once_what_is_wrong() -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None) as websocket:
            with pytest.raises(ConnectionClosed) as caught:
                await websocket.recv()
        cause = caught.value.__cause__
        assert isinstance(cause, UnicodeDecodeError)
        assert str(cause) == "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte"
        assert (cause.start, cause.end, cause.reason) == (2, 3, "invalid start byte")

    with raw(by_hand(frame(1, b"ab\xff"))) as uri:
        run(main(uri))
