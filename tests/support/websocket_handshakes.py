"""Requests that servers of `websockets` and of ours must answer alike, and what is compared of the answers."""

from __future__ import annotations

import re
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.peers import Peer
from tests.support.websocket_peers import PROGRAMS, peers_python
from tests.support.websocket_programs.handshakes import CONFIGURATIONS

__all__ = ["CASES", "HandshakeServers", "ask"]

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
# "hello" as text, and a Close with code 1000, each under a mask of zeros.
FRAMES = (b"\x81\x85\0\0\0\0hello", b"\x88\x82\0\0\0\0\x03\xe8")
OURS = "drivetrain.compat.websockets_api"


def request(*fields: str, path: str = "/", start: str = "") -> bytes:
    """A handshake, of which `fields` (name and value) replace those of the same name; a name alone removes it."""
    usual = ["Host: localhost", "Connection: Upgrade", "Upgrade: websocket", KEY, VERSION]
    named = {field.partition(":")[0].lower() for field in fields}
    kept = [field for field in usual if field.partition(":")[0].lower() not in named]
    lines = [start or f"GET {path} HTTP/1.1", *kept, *(field for field in fields if ":" in field)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def fields(count: int) -> list[str]:
    return [f"X-{number}: {number}" for number in range(count)]


def basic(token: str) -> str:
    return f"Authorization: {token}"


_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
_MANY = "Sec-WebSocket-Extensions: foo, permessage-deflate; server_max_window_bits=9, permessage-deflate"

# Configuration -> name -> bytes.
CASES: dict[str, dict[str, bytes]] = {
    "plain": {
        "usual": request(),
        "query": request(path="/a%20b?c=d&e"),
        "absolute": request(path="http://localhost/x"),
        "no path": request(path="x"),
        "star": request(start="OPTIONS * HTTP/1.1"),
        "fragment": request(path="/a#b"),
        "no Host": request("Host"),
        "two Hosts": request("Host: a", "Host: b"),
        "odd Host": request("Host: a b"),
        "more Connection": request("Connection: keep-alive, Upgrade"),
        "two Connections": request("Connection: keep-alive", "Connection: UPGRADE"),
        "no Connection": request("Connection"),
        "other Connection": request("Connection: keep-alive"),
        "empty Connection": request("Connection: "),
        "malformed Connection": request("Connection: Upgrade;"),
        "no Upgrade": request("Upgrade"),
        "other Upgrade": request("Upgrade: h2c"),
        "two Upgrades": request("Upgrade: websocket, h2c"),
        "versioned Upgrade": request("Upgrade: websocket/13"),
        "capital Upgrade": request("Upgrade: WebSocket"),
        "malformed Upgrade": request("Upgrade: websocket /"),
        "browser": request("Connection: keep-alive", "Upgrade", KEY.partition(":")[0], VERSION.partition(":")[0]),
        "no key": request("Sec-WebSocket-Key"),
        "two keys": request(KEY, KEY),
        "short key": request("Sec-WebSocket-Key: c2hvcnQ="),
        "no base64": request("Sec-WebSocket-Key: ****************"),
        "odd base64": request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"),
        "foreign key": request("Sec-WebSocket-Key: é"),
        "empty key": request("Sec-WebSocket-Key: "),
        "no version": request("Sec-WebSocket-Version"),
        "two versions": request(VERSION, VERSION),
        "old version": request("Sec-WebSocket-Version: 8"),
        "post": request("Content-Length: 0", start="POST / HTTP/1.1"),
        "head": request(start="HEAD / HTTP/1.1"),
        "connect": request(start="CONNECT localhost:80 HTTP/1.1"),
        "lower case": request(start="get / HTTP/1.1"),
        "length of zero": request("Content-Length: 0"),
        "two lengths of zero": request("Content-Length: 0", "Content-Length: 0"),
        "HTTP/1.0": request(start="GET / HTTP/1.0"),
        "origin": request("Origin: https://b.example"),
        "two origins": request("Origin: https://a.example", "Origin: https://b.example"),
        "subprotocols": request("Sec-WebSocket-Protocol: chat"),
        "malformed subprotocols": request("Sec-WebSocket-Protocol: a b"),
        "deflate": request(_DEFLATE),
        "deflate, windows": request(f"{_DEFLATE}; client_max_window_bits"),
        "deflate, small windows": request(f"{_DEFLATE}; client_max_window_bits=9; server_max_window_bits=9"),
        "deflate, 8 bits": request(f"{_DEFLATE}; server_max_window_bits=8; client_max_window_bits=8"),
        "deflate, no takeover": request(f"{_DEFLATE}; server_no_context_takeover; client_no_context_takeover"),
        "deflate, unknown": request(f"{_DEFLATE}; what"),
        "deflate, twice": request(f"{_DEFLATE}; server_no_context_takeover; server_no_context_takeover"),
        "deflate, no value": request(f"{_DEFLATE}; server_max_window_bits"),
        "deflate, quoted": request(f'{_DEFLATE}; client_max_window_bits="10"'),
        "deflate, bad value": request(f"{_DEFLATE}; client_max_window_bits=16"),
        "several extensions": request(_MANY),
        "two fields of extensions": request("Sec-WebSocket-Extensions: foo", _DEFLATE),
        "malformed extensions": request("Sec-WebSocket-Extensions: a;;b"),
        "foreign value": request("X-Name: é"),
        "blanks": request("Upgrade: \t websocket \t "),
        "128 fields": request(*fields(123)),
        "129 fields": request(*fields(124)),
        "a long field": request("X: " + "x" * 8187),
        "a longer field": request("X: " + "x" * 8188),
        "a very long field": request("X: " + "x" * 9000),
        "a long target": request(path="/" + "x" * 8176),
        "a longer target": request(path="/" + "x" * 8177),
        "a very long target": request(path="/" + "x" * 9000),
        # What is no HTTP as they understand it ends without an answer.
        "garbage": b"hello world\r\n\r\n",
        "two words": b"GET /\r\n\r\n",
        "bare line ends": request().replace(b"\r\n", b"\n"),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/1.2": request(start="GET / HTTP/1.2"),
        "blank in the target": request(path="/a b"),
        "no colon": request().replace(b"Host: ", b"Host "),
        "blank before the colon": request("Host : localhost"),
        "folded": request("X: a\r\n b"),
        "no name": request().replace(b"Host:", b":"),
        "control character": request("X: a\x00b"),
        "a body": request("Content-Length: 5", start="POST / HTTP/1.1"),
        "chunks": request("Transfer-Encoding: chunked", start="POST / HTTP/1.1"),
        "no length": request("Content-Length: x"),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    },
    "origins": {
        "the name": request("Origin: https://a.example"),
        "the pattern": request("Origin: https://abc.test"),
        "more than the pattern": request("Origin: https://abc.test.example"),
        "another": request("Origin: https://b.example"),
        "none": request(),
        "two": request("Origin: https://a.example", "Origin: https://a.example"),
    },
    "one_origin": {"the name": request("Origin: https://a.example"), "none": request(), "empty": request("Origin: ")},
    "subprotocols": {
        "the second": request("Sec-WebSocket-Protocol: superchat"),
        "both": request("Sec-WebSocket-Protocol: superchat, chat"),
        "two fields": request("Sec-WebSocket-Protocol: superchat", "Sec-WebSocket-Protocol: chat"),
        "none": request(),
        "another": request("Sec-WebSocket-Protocol: other"),
    },
    "choosing": {
        "none": request(),
        "two": request("Sec-WebSocket-Protocol: a, b"),
        "refused": request("Sec-WebSocket-Protocol: refused"),
        "broken": request("Sec-WebSocket-Protocol: broken"),
    },
    "uncompressed": {"deflate": request(_DEFLATE)},
    "windows": {
        "deflate": request(_DEFLATE),
        "larger": request(f"{_DEFLATE}; server_max_window_bits=12"),
        "smaller": request(f"{_DEFLATE}; server_max_window_bits=9; client_max_window_bits=12"),
    },
    "requiring": {
        "deflate": request(_DEFLATE),
        "windows": request(f"{_DEFLATE}; client_max_window_bits"),
        "the second offer": request(f"{_DEFLATE}, permessage-deflate; client_max_window_bits=8"),
    },
    "nameless": {"usual": request(), "refused": request("Upgrade")},
    "named": {"usual": request(), "refused": request("Upgrade")},
    "answering": {
        name: request(path=f"/{name}", start=start)
        for name, start in {"ok": "", "odd": "", "empty": "", "forced": "", "fail": "", "nothing": ""}.items()
    }
    | {"plain ok": b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n", "old ok": b"GET /ok HTTP/1.0\r\n\r\n"},
    "rewriting": {name: request(path=f"/{name}") for name in ("replaced", "bare", "fail", "nothing")}
    | {"refused": request("Upgrade", path="/nothing"), "failed": request("Upgrade", path="/fail")},
    "passwords": {
        "none": request(),
        "right": request(basic("Basic dXNlcjpwYXNz")),
        "lower case": request(basic("basic dXNlcjpwYXNz")),
        "foreign": request(basic("Basic b3RoZXI6d8O2cmQ=")),
        "wrong": request(basic("Basic dXNlcjp3cm9uZw==")),
        "unknown": request(basic("Basic bm9ib2R5OnBhc3M=")),
        "other scheme": request(basic("Bearer token")),
        "no base64": request(basic("Basic ****")),
        "no colon": request(basic("Basic dXNlcg==")),
    },
    "checking": {"right": request(basic("Basic dXNlcjpwYXNz")), "wrong": request(basic("Basic dXNlcjp3cm9uZw=="))},
}


class HandshakeServers(Peer):
    """The servers of `websocket_programs/handshakes.py`."""

    port_count = len(CONFIGURATIONS)

    def __init__(self, folder: Path, colour: str, *, ours: bool) -> None:
        super().__init__(folder)
        python, package = (sys.executable, OURS) if ours else (peers_python(), "websockets")
        self._start = [python, str(PROGRAMS / "handshakes.py"), package, colour]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        return [*self._start, *map(str, self.ports)]

    def port_of(self, configuration: str) -> int:
        """Where the server of a configuration listens."""
        return self.ports[CONFIGURATIONS.index(configuration)]

    def logged(self) -> Counter[str]:
        """What it logged about handshakes, how often.

        Ends of connections are left out: those that saw whether it listens have one, too.
        """
        lines = (self.folder / "output.log").read_text(encoding="utf-8").splitlines()
        others = ("websockets.server INFO server ", "websockets.server INFO connection closed")
        return Counter(line for line in lines if not line.startswith(others))


def ask(port: int, data: bytes) -> bytes:
    """Send something and return all that comes back, but for what differs from one moment or version to the next.

    On a WebSocket a message is sent, and a Close when its echo has come.
    """
    answer = b""
    frames: Iterator[bytes] = iter(())
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        sock.sendall(data)
        try:
            while more := sock.recv(65536):
                if not answer and more.startswith(b"HTTP/1.1 101 "):
                    frames = iter(FRAMES)
                answer += more
                sock.sendall(next(frames, b""))
        except ConnectionResetError:
            answer += b"<reset>"
    answer = re.sub(rb"\r\nDate: [A-Z][a-z]{2}, [^\r]+ GMT\r\n", b"\r\nDate: now\r\n", answer)
    # How much was read when it was too much depends on the system.
    answer = re.sub(rb"read \d{4,5} bytes", b"read so many bytes", answer)
    return re.sub(rb"(Server: Python/3\.)\d+ websockets/[0-9.]+", rb"\1x websockets", answer)
