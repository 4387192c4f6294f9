"""What the asyncio clients of `asyncio_scenarios.py` connect to: a server of the `websockets` library, and one by hand.

    python asyncio_site.py PORT RAW_PORT

Run by the Python of the peers' environment; it imports nothing of ours. The paths of the first are those of `handle`; the
second does what no library would, see `ANSWERS` and `AFTER`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LONG_ENOUGH = 20.0


async def handle(connection: Any) -> None:
    target = urlsplit(connection.request.path)
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    if target.path == "/count":
        for number in range(3):
            await connection.send(str(number))
        if "code" in query:
            await connection.close(int(query["code"]), query.get("reason", ""))
        else:
            await connection.close(None, "")
    elif target.path == "/fragments":
        await connection.send(["a", "", "ö", "b"])
        await connection.send([b"c", b"\xff", b"d" * 100_000])
        await connection.send(["e"])
    elif target.path == "/ping":
        latency = await (await connection.ping())
        await connection.send("pong" if latency >= 0 else "odd")
    elif target.path == "/big":
        await connection.send("x" * int(query["size"]))
    async for message in connection:
        if target.path == "/types":
            await connection.send(f"{type(message).__name__} {message!r}")
        elif target.path != "/sink":
            await connection.send(message)


def choose(_: Any, offered: Any) -> Any:
    return "b" if "b" in offered else None


# --- by hand ----------------------------------------------------------------------------------------------------------


def agreement(head: bytes, *fields: str, accept: str | None = None) -> bytes:
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split()[-1]
    value = accept or base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {value}", *fields, "", ""]).encode()


def plain(status: str, *fields: str, body: bytes = b"no") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body


def without(text: bytes, name: bytes) -> bytes:
    return b"\r\n".join(line for line in text.split(b"\r\n") if not line.lower().startswith(name))


# What is answered to a handshake, by path.
ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    "/head": lambda head: plain("400 Look at it", body=head),
    "/401": lambda head: plain("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'),
    "/404": lambda head: plain("404 Nothing Here", "X-A: 1", "X-A: 2"),
    "/500": lambda head: plain("500 Internal Server Error"),
    "/200": lambda head: plain("200 OK"),
    "/no-length": lambda head: b"HTTP/1.1 403 Forbidden\r\n\r\nuntil the end",
    "/chunked": lambda head: b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "/large-body": lambda head: plain("403 Forbidden", body=b"x" * 60_000),
    "/nothing": lambda head: b"",
    "/cut": lambda head: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web",
    "/garbage": lambda head: b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
    "/bad-field": lambda head: b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n",
    "/no-upgrade": lambda head: without(agreement(head), b"upgrade"),
    "/other-upgrade": lambda head: agreement(head).replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "/no-connection": lambda head: without(agreement(head), b"connection"),
    "/other-connection": lambda head: agreement(head).replace(b"Connection: Upgrade", b"Connection: close"),
    "/no-accept": lambda head: without(agreement(head), b"sec-websocket-accept"),
    "/wrong-accept": lambda head: agreement(head, accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "/two-accepts": lambda head: agreement(head, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "/extension": lambda head: agreement(head, "Sec-WebSocket-Extensions: x-other"),
    "/bad-deflate": lambda head: agreement(head, "Sec-WebSocket-Extensions: permessage-deflate; a=b"),
    "/deflate": lambda head: agreement(head, "Sec-WebSocket-Extensions: permessage-deflate"),
    "/subprotocol": lambda head: agreement(head, "Sec-WebSocket-Protocol: other"),
    "/subprotocols": lambda head: agreement(head, "Sec-WebSocket-Protocol: a, b"),
    "/302": lambda head: plain("302 Found", "Location: /head"),
    "/307-loop": lambda head: plain("307 Temporary Redirect", "Location: /307-loop"),
    "/301-nowhere": lambda head: plain("301 Moved Permanently"),
    "/302-http": lambda head: plain("302 Found", "Location: http://localhost/"),
}


def frame(opcode: int, payload: bytes = b"", bits: int = 0x80) -> bytes:
    assert len(payload) < 65536
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([bits | opcode]) + size + payload


async def read_frame(reader: Reader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    key = await reader.readexactly(4)
    return first & 0x0F, bytes(byte ^ key[at % 4] for at, byte in enumerate(await reader.readexactly(size)))


async def until_close(reader: Reader, writer: Writer) -> None:
    """Wait for the client's Close frame, and answer it unless something like it was sent before."""
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == 8:
            with contextlib.suppress(ConnectionError):
                writer.write(frame(8, payload))
            return


async def pause(seconds: float) -> None:
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


async def for_long(reader: Reader, writer: Writer) -> None:
    """Hang: take what comes and say nothing, also when the client has ended."""
    await pause(LONG_ENOUGH)


async def reset(reader: Reader, writer: Writer) -> None:
    await reader.readexactly(1)
    writer.get_extra_info("socket").setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER: the system says RST
    writer.transport.abort()


async def echo_close_late(reader: Reader, writer: Writer) -> None:
    while (await read_frame(reader))[0] != 8:
        pass
    await pause(0.2)
    writer.write(frame(1, b"last words") + frame(8, b"\x03\xe8bye"))


async def pong_the_second(reader: Reader, writer: Writer) -> None:
    """Answer every other Ping."""
    count = 0
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == 9:
            count += 1
            if count % 2 == 0:
                writer.write(frame(10, payload))
        elif opcode == 8:
            writer.write(frame(8, payload))
            return


# What is said after the agreement, and what is done then.
AFTER: dict[str, tuple[bytes, Callable[[Reader, Writer], Awaitable[None]] | None]] = {
    "/eof": (b"", None),
    "/text-eof": (frame(1, b"hello"), None),
    "/half-frame": (frame(1, b"hello") + b"\x81\x05he", None),
    "/reset": (b"", reset),
    "/hang": (b"", for_long),
    "/close-hang": (frame(8, b"\x03\xe8"), for_long),
    "/close-1000": (frame(8, b"\x03\xe8bye"), until_close),
    "/close-empty": (frame(8), until_close),
    "/late": (b"", echo_close_late),
    "/pings": (frame(9, b"1") + frame(9, b"2") + frame(1, b"after"), until_close),
    "/pong-second": (b"", pong_the_second),
    "/fragments-ping": (frame(1, b"a", 0) + frame(9) + frame(0, b"b"), until_close),
    "/open-fragment": (frame(1, b"a", 0), until_close),
    "/rsv": (frame(1, b"a", 0xC0), until_close),
    "/opcode": (frame(3, b"a"), until_close),
    "/masked": (b"\x81\x81abcda", until_close),
    "/continuation": (frame(0, b"a"), until_close),
    "/interrupted": (frame(1, b"a", 0) + frame(1, b"b"), until_close),
    "/control-fragment": (frame(9, b"a", 0), until_close),
    "/control-long": (frame(9, b"a" * 126), until_close),
    "/bad-utf8": (frame(1, b"\xff"), until_close),
    "/close-bad-code": (frame(8, b"\x03\xe7"), until_close),
    "/close-short": (frame(8, b"\x03"), until_close),
    "/close-bad-utf8": (frame(8, b"\x03\xe8\xff"), until_close),
    "/too-big": (frame(1, b"x" * 2000), until_close),
    "/too-big-later": (frame(1, b"x" * 900, 0) + frame(0, b"x" * 900), until_close),
}


async def by_hand(reader: Reader, writer: Writer) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        if path == "/silent":
            await for_long(reader, writer)
        elif path in ANSWERS:
            writer.write(ANSWERS[path](head))
        else:
            data, then = AFTER[path]
            writer.write(agreement(head) + data)
            if then is not None:
                await then(reader, writer)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def main(port: int, raw_port: int) -> None:
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    raw = await asyncio.start_server(by_hand, "127.0.0.1", raw_port)
    async with raw, serve(handle, "127.0.0.1", port, select_subprotocol=choose, max_size=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
