"""One request through every door, against drivetrain's own server on loopback, in clear and over verified TLS.

Run it with `make demo`. Each door sends its request twice: the second row shows whether the connection was used again.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests
import trustme

from drivetrain.compat import urllib_api
from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import AsyncClient, Client, Headers, Server, Stream

BODY = b"drivetrain says hello. " * 100


class Row(NamedTuple):
    """What one request through one door showed."""

    door: str
    version: str
    tls: str
    status: int
    size: int
    reused: str
    seconds: float


class Target(NamedTuple):
    """A server to send to."""

    url: str
    ca_file: str
    connections: Callable[[], int]


def hello(_: Server, stream: Stream) -> None:
    """Answer every request with the same body."""
    stream.get_headers()
    stream.write_headers(Headers([(":status", "200"), ("content-type", "text/plain")]), end_stream=False)
    stream.write_body_from_string(BODY)


@contextmanager
def servers() -> Iterator[list[Target]]:
    """Our server twice, plain and TLS, with a certificate made on the spot."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    accepted = {"http": 0, "https": 0}

    def counting(scheme: str) -> Callable[[Server, Stream], None]:
        seen: set[tuple[str | None, int | None]] = set()

        def handler(server: Server, stream: Stream) -> None:
            seen.add(stream.peername()[1:])
            accepted[scheme] = len(seen)
            hello(server, stream)

        return handler

    with tempfile.TemporaryDirectory() as folder:
        ca_file = str(Path(folder) / "ca.pem")
        authority.cert_pem.write_to_path(ca_file)
        with Server(counting("http")) as plain, Server(counting("https"), context=context) as secure:
            yield [
                Target(f"http://localhost:{plain.localname().port}/", ca_file, lambda: accepted["http"]),
                Target(f"https://localhost:{secure.localname().port}/", ca_file, lambda: accepted["https"]),
            ]


class Result(NamedTuple):
    """What a door tells of a response."""

    version: str
    status: int
    body: bytes


def measure(door: str, target: Target, send: Callable[[], Result]) -> Iterator[Row]:
    """Send twice and tell, from the server's side, whether the second request came over the first one's connection."""
    for turn in range(2):
        before = target.connections()
        started = time.perf_counter()
        result = send()
        seconds = time.perf_counter() - started
        if result.body != BODY:
            raise SystemExit(f"{door} got a wrong body from {target.url}")
        reused = "yes" if target.connections() == before else "no"
        if turn == 1 and reused == "no":
            raise SystemExit(f"{door} did not use its connection to {target.url} again")
        tls = "verified" if target.url.startswith("https") else "-"
        yield Row(door, result.version, tls, result.status, len(result.body), reused, seconds)


def native(target: Target) -> Iterator[Row]:
    """`drivetrain.engine.Client`."""
    with Client(verify=target.ca_file) as client:

        def send() -> Result:
            response = client.get(target.url)
            return Result(response.http_version, response.status, response.content)

        yield from measure("native", target, send)


def native_asyncio(target: Target) -> Iterator[Row]:
    """`drivetrain.engine.AsyncClient`."""
    loop = asyncio.new_event_loop()
    client = AsyncClient(verify=target.ca_file)

    def send() -> Result:
        response = loop.run_until_complete(client.get(target.url))
        return Result(response.http_version, response.status, response.content)

    try:
        yield from measure("native asyncio", target, send)
    finally:
        loop.run_until_complete(client.close())
        loop.close()


def requests_with_adapter(target: Target) -> Iterator[Row]:
    """`requests.Session` with the engine mounted."""
    with requests.Session() as session:
        session.mount("http://", EngineAdapter())
        session.mount("https://", EngineAdapter())

        def send() -> Result:
            response = session.get(target.url, verify=target.ca_file)
            return Result(f"{response.raw.version / 10}", response.status_code, response.content)

        yield from measure("requests + adapter", target, send)


def urlopen(target: Target) -> Iterator[Row]:
    """`drivetrain.compat.urllib_api.urlopen`, with a context that trusts the demo's authority."""
    context = ssl.create_default_context(cafile=target.ca_file)

    def send() -> Result:
        with urllib_api.urlopen(target.url, timeout=10, context=context) as response:
            return Result(f"{response.version / 10}", response.status, response.read())

    yield from measure("urlopen", target, send)


def show(rows: list[Row]) -> None:
    """Print the table."""
    cells = [("door", "HTTP", "TLS", "status", "bytes", "reused", "time")]
    cells += [
        (row.door, row.version, row.tls, str(row.status), str(row.size), row.reused, f"{row.seconds * 1000:.2f} ms")
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(7)]
    for number, line in enumerate(cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def main() -> int:
    """Send, check and print; exit status 0 when every door got its answer."""
    rows: list[Row] = []
    with servers() as targets:
        for door in (native, native_asyncio, requests_with_adapter, urlopen):
            for target in targets:
                rows += door(target)
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
