"""Proxies of our own, for what the ones in Debian do not do: TLS to the proxy, any answer, and a record of what was asked.

Wherever a client wants to go, it is led to 127.0.0.1 and the port it names, so that tests can use made-up names.
"""

from __future__ import annotations

import base64
import selectors
import socket
import ssl
import struct
from typing import Any

from tests.support.servers import RawServer, read_exactly, read_head

__all__ = ["ConnectProxy", "SocksProxy", "relay"]

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
CHALLENGE = (
    b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 9\r\n\r\n'
    b"go away!\n"
)


def relay(client: Any, origin: socket.socket) -> None:
    """Pass bytes both ways until one side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, origin)
        selector.register(origin, selectors.EVENT_READ, client)
        while True:
            for key, _ in selector.select():
                source: Any = key.fileobj
                data = source.recv(65536)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(65536)
                if not data:
                    return
                key.data.sendall(data)


class ConnectProxy(RawServer):
    """An HTTP proxy that knows CONNECT, and plain requests without a body.

    Args:
        credentials: "user:password", for Basic; without them everybody may.
        answer: what to say to CONNECT in the place of a tunnel.
        rest: sent in one piece with the 200, before anything the origin says.
        closes: whether the connection is closed after a 407.
        options: of `RawServer`: `context` for TLS, `path` for a UNIX-domain socket.

    Attributes:
        heads: every request head that came.
    """

    def __init__(
        self,
        *,
        credentials: str | None = None,
        answer: bytes | None = None,
        rest: bytes = b"",
        closes: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(self._handle, **{"tolerate": (OSError,), **options})
        self.heads: list[bytes] = []
        self._answer = answer
        self._rest = rest
        self._closes = closes
        self._wanted = None if credentials is None else b"Basic " + base64.b64encode(credentials.encode())

    def _handle(self, connection: Any) -> None:
        while head := read_head(connection):
            self.heads.append(head)
            if self._wanted is not None and b"Proxy-Authorization: " + self._wanted not in head:
                connection.sendall(CHALLENGE)
                if self._closes:
                    return
                continue
            method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
            if method == b"CONNECT":
                if self._answer is not None:
                    connection.sendall(self._answer)
                    return
                with socket.create_connection(("127.0.0.1", int(target.rpartition(b":")[2])), 10) as origin:
                    connection.sendall(ESTABLISHED + self._rest)
                    relay(connection, origin)
                return
            self._forward(connection, head, target)

    def _forward(self, connection: Any, head: bytes, target: bytes) -> None:
        authority, slash, path = target.removeprefix(b"http://").partition(b"/")
        lines = [line for line in head.split(b"\r\n")[1:] if not line.lower().startswith(b"proxy-")]
        lines.insert(0, head.split(b" ", 1)[0] + b" " + (slash + path or b"/") + b" HTTP/1.1")
        with socket.create_connection(("127.0.0.1", int(authority.rpartition(b":")[2] or 80)), 10) as origin:
            origin.sendall(b"\r\n".join(lines))
            relay(connection, origin)


class SocksProxy(RawServer):
    """A SOCKS server, version 4, 4a and 5.

    Args:
        credentials: user name and password for SOCKS 5; without them everybody may.
        refusals: SOCKS 5 reply codes by host: these are refused.
        options: of `RawServer`.

    Attributes:
        asked: (version, host, port) of each request.
        users: what each client said who it is.
    """

    def __init__(
        self, *, credentials: tuple[bytes, bytes] | None = None, refusals: dict[str, int] | None = None, **options: Any
    ) -> None:
        super().__init__(self._handle, **{"tolerate": (OSError,), **options})
        self.asked: list[tuple[int, str, int]] = []
        self.users: list[tuple[bytes, ...]] = []
        self._credentials = credentials
        self._refusals = refusals or {}

    def _handle(self, connection: socket.socket) -> None:
        first = connection.recv(1)
        if not first:
            return  # somebody who thought better of it
        if first[0] == 4:
            self._handle_4(connection)
        elif self._authenticate(connection):
            self._handle_5(connection)

    def _authenticate(self, connection: socket.socket) -> bool:
        methods = read_exactly(connection, read_exactly(connection, 1)[0])
        if self._credentials is None:
            connection.sendall(b"\x05\x00")
            return True
        if 2 not in methods:
            connection.sendall(b"\x05\xff")
            return False
        connection.sendall(b"\x05\x02")
        assert read_exactly(connection, 1) == b"\x01"
        user = read_exactly(connection, read_exactly(connection, 1)[0])
        password = read_exactly(connection, length) if (length := read_exactly(connection, 1)[0]) else b""
        self.users.append((user, password))
        good = (user, password) == self._credentials
        connection.sendall(b"\x01" + (b"\x00" if good else b"\x01"))
        return good

    def _handle_5(self, connection: socket.socket) -> None:
        version, command, _, kind = read_exactly(connection, 4)
        assert (version, command) == (5, 1)
        if kind == 3:
            host = read_exactly(connection, read_exactly(connection, 1)[0]).decode("ascii")
        elif kind == 1:
            host = socket.inet_ntop(socket.AF_INET, read_exactly(connection, 4))
        else:
            host = socket.inet_ntop(socket.AF_INET6, read_exactly(connection, 16))
        (port,) = struct.unpack("!H", read_exactly(connection, 2))
        self.asked.append((5, host, port))
        code = self._refusals.get(host, 0)
        reply = b"\x05%c\x00\x01\x7f\x00\x00\x01\x00\x50" % code
        if code:
            connection.sendall(reply)
            return
        with socket.create_connection(("127.0.0.1", port), 10) as origin:
            connection.sendall(reply)
            relay(connection, origin)

    def _handle_4(self, connection: socket.socket) -> None:
        command, port, packed = struct.unpack("!BH4s", read_exactly(connection, 7))
        assert command == 1
        self.users.append((_until_nul(connection),))
        host = socket.inet_ntop(socket.AF_INET, packed)
        if packed[:3] == b"\0\0\0" and packed[3]:
            host = _until_nul(connection).decode("ascii")
        self.asked.append((4, host, port))
        if host in self._refusals:
            connection.sendall(b"\x00%c" % self._refusals[host] + bytes(6))
            return
        with socket.create_connection(("127.0.0.1", port), 10) as origin:
            connection.sendall(b"\x00\x5a" + bytes(6))
            relay(connection, origin)


def _until_nul(connection: socket.socket) -> bytes:
    text = b""
    while (byte := connection.recv(1)) not in (b"\0", b""):
        text += byte
    return text
