"""A tiny HTTP proxy and a tiny SOCKS 5 server for the demo: a thread for each connection, and no more than the demo asks for."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

__all__ = ["PASSWORD", "USER", "Listener", "running"]

USER, PASSWORD = "demo", "open sesame"


class Listener(socketserver.ThreadingTCPServer):
    """Serves on a loopback port of the system's choice; `asked` tells what for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), handler)


class HttpProxy(socketserver.StreamRequestHandler):
    """CONNECT, and requests without a body for an http URI."""

    server: Listener

    def handle(self) -> None:
        """Serve one connection, and close it."""
        method, target, _ = self.rfile.readline().decode("latin-1").split(" ")
        fields = []
        while (field := self.rfile.readline()) != b"\r\n":
            fields.append(field)
        self.server.asked.append(f"{method} {target}")
        where = urlsplit(target if "//" in target else f"//{target}")
        with socket.create_connection((where.hostname or "", where.port or 80)) as origin:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                kept = [field for field in fields if not field.lower().startswith((b"proxy-", b"connection:"))]
                head = f"{method} {where.path or '/'} HTTP/1.1\r\nConnection: close\r\n".encode("latin-1")
                origin.sendall(head + b"".join(kept) + b"\r\n")
            relay(self.connection, origin)


class SocksProxy(socketserver.StreamRequestHandler):
    """SOCKS 5 with user name and password (RFC 1928, RFC 1929), for hosts given by name."""

    server: Listener

    def handle(self) -> None:
        """Serve one connection, and close it."""
        _, count = self.rfile.read(2)
        self.rfile.read(count)
        self.wfile.write(b"\x05\x02")  # user name and password, please
        _, length = self.rfile.read(2)
        user = self.rfile.read(length).decode()
        password = self.rfile.read(self.rfile.read(1)[0]).decode()
        if (user, password) != (USER, PASSWORD):
            self.wfile.write(b"\x01\x01")
            return
        self.wfile.write(b"\x01\x00")
        host = self.rfile.read(self.rfile.read(5)[4]).decode()
        port = int.from_bytes(self.rfile.read(2), "big")
        self.server.asked.append(f"{host}:{port} for {user}")
        with socket.create_connection((host, port)) as origin:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            relay(self.connection, origin)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until one side ends."""
    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until there is nothing more to come."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side is gone


@contextmanager
def running() -> Iterator[tuple[Listener, Listener]]:
    """The HTTP proxy and the SOCKS server, each in a thread of its own."""
    listeners = Listener(HttpProxy), Listener(SocksProxy)
    threads = [threading.Thread(target=listener.serve_forever, args=(0.05,)) for listener in listeners]
    for thread in threads:
        thread.start()
    try:
        yield listeners
    finally:
        for listener, thread in zip(listeners, threads, strict=True):
            listener.shutdown()
            listener.server_close()
            thread.join()
