"""Our own server in a process of its own, for machines without nginx: `python -m bench.own_server CERTIFICATE KEY LARGE`.

Prints its ports as JSON (HTTP/1.1 in clear and over TLS, then HTTP/2 likewise) and serves until its input ends: /small
(100 bytes), /large (the file LARGE), /upload (reads all).
"""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from typing import Any

from drivetrain.engine import Headers, Server

__all__ = ["main"]

SMALL = b"0123456789" * 10
IDLE = 300.0  # seconds: a contender's connection waits while the others have their turns


def answer(stream: Any, length: int) -> None:
    """Send the head of an answer with a body of that length."""
    headers = Headers()
    headers.append(":status", "200")
    headers.append("content-length", str(length))
    headers.append("content-type", "application/octet-stream")
    stream.write_headers(headers, False)


def main() -> None:
    """Serve."""
    certificate, key, large = map(Path, sys.argv[1:])

    def handle(_: Server, stream: Any) -> None:
        path = stream.get_headers().get(":path")
        if path == "/large":
            answer(stream, large.stat().st_size)
            with large.open("rb") as file:
                stream.write_body_from_file(file)
            return
        if path == "/upload":
            for _ in stream.each_chunk():
                pass
        answer(stream, len(SMALL))
        stream.write_chunk(SMALL, True)

    def secure(*protocols: str) -> Server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(list(protocols))
        return Server(handle, intra_stream_timeout=IDLE, context=context)

    with Server(handle, intra_stream_timeout=IDLE) as plain, secure("http/1.1") as tls, secure("h2") as h2:
        ports = [server.localname().port for server in (plain, tls, plain, h2)]
        print(json.dumps(ports), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
