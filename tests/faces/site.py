"""A site on our own server, whose paths say how it is to answer."""

from __future__ import annotations

import gzip
import json
import ssl
import zlib
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

from drivetrain.engine import Headers, Server, Stream

__all__ = ["Site", "Target"]


class Target:
    """A request as a page sees it."""

    def __init__(self, stream: Stream[Any], headers: Headers) -> None:
        self.stream = stream
        self.headers = headers
        path, _, query = headers.get(":path", "").partition("?")
        self.path = path
        self.query = dict(parse_qsl(query, keep_blank_values=True))

    def answer(self, status: int, body: bytes, *fields: tuple[str, str]) -> None:
        length = [("content-length", str(len(body)))]
        self.stream.write_headers(Headers([(":status", str(status)), *fields, *length]), False)
        self.stream.write_chunk(body, True)


class Site:
    """Pages: `/echo` tells in JSON what it got; for the others see the methods.

    Attributes:
        errors: what reached the server's `onerror`.
    """

    def __init__(self, context: ssl.SSLContext | None = None, **options: Any) -> None:
        self.errors: list[tuple[BaseException, str]] = []
        self.scheme = "http" if context is None else "https"
        self.server = Server(self._handle, onerror=self._note, context=context, **options)

    def __enter__(self) -> Site:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close(1.0)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.localname().port}"

    def _note(self, server: Any, error: BaseException, context: str) -> None:
        self.errors.append((error, context))

    def _handle(self, server: Server, stream: Stream[Any]) -> None:
        headers = stream.get_headers()
        assert headers is not None
        target = Target(stream, headers)
        page = getattr(self, "page_" + target.path.strip("/").partition("/")[0].replace("-", "_"), None)
        if page is None:
            target.answer(404, b"no such page")
        else:
            page(target)

    def page_echo(self, target: Target) -> None:
        body = target.stream.get_body_as_string()
        told = {
            "method": target.headers.get(":method"),
            "path": target.headers.get(":path"),
            "authority": target.headers.get(":authority"),
            "fields": [[name, value] for name, value in target.headers if name[:1] != ":"],
            "body": body.decode("latin-1"),
        }
        target.answer(200, json.dumps(told).encode(), ("content-type", "application/json"))

    def page_length(self, target: Target) -> None:
        """How many bytes came, and a sum of them."""
        length, sum_ = 0, 0
        for chunk in target.stream.each_chunk():
            length += len(chunk)
            sum_ = zlib.adler32(chunk, sum_)
        target.answer(200, f"{length} {sum_}".encode())

    def page_status(self, target: Target) -> None:
        """The status of the query's `code`."""
        code = int(target.query["code"])
        if code in (204, 304):
            target.stream.write_headers(Headers([(":status", str(code))]), True)
        else:
            target.answer(code, b"" if target.headers.get(":method") == "HEAD" else b"as you like")

    def page_chunks(self, target: Target) -> None:
        """`count` chunks of `size` bytes, and a trailer section."""
        stream = target.stream
        stream.write_headers(Headers([(":status", "200"), ("content-type", "text/plain")]), False)
        for number in range(int(target.query["count"])):
            stream.write_chunk(bytes([65 + number % 26]) * int(target.query.get("size", "1")))
        stream.write_headers(Headers([("x-checksum", "abc")]), True)

    def page_coded(self, target: Target) -> None:
        """`x` 100,000 times, in the content coding of the query's `coding`; `cut` bytes of it are missing."""
        coding = target.query["coding"]
        plain = b"x" * 100_000
        data = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
        data = data[: len(data) - int(target.query.get("cut", "0"))]
        if "corrupt" in target.query:
            data = data[:20] + b"\xff" * 20 + data[40:]
        if target.headers.get(":method") == "HEAD":
            fields = [(":status", "200"), ("content-encoding", coding), ("content-length", str(len(data)))]
            target.stream.write_headers(Headers(fields), True)
        else:
            target.answer(200, data, ("content-encoding", coding))

    def page_early(self, target: Target) -> None:
        """103 twice, then the answer."""
        for number in "12":
            target.stream.write_headers(Headers([(":status", "103"), ("link", f"</{number}>; rel=preload")]), False)
        target.answer(200, b"late")

    def page_text(self, target: Target) -> None:
        """The query's `hex` as bytes, with its `type`."""
        target.answer(200, bytes.fromhex(target.query["hex"]), ("content-type", target.query.get("type", "text/plain")))

    def page_redirect(self, target: Target) -> None:
        """To the query's `to`, with status `code` and a body of `size` bytes."""
        body = b"r" * int(target.query.get("size", "10"))
        target.stream.get_body_as_string()
        target.answer(int(target.query.get("code", "302")), body, ("location", target.query["to"]))

    def page_loop(self, target: Target) -> None:
        """To the same place with a higher number."""
        number = int(target.query.get("n", "0")) + 1
        target.answer(302, b"", ("location", f"/loop?n={number}"))
