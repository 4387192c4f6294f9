"""One request through every door, against drivetrain's own server on loopback.

The server is there three times: in clear, and over verified TLS speaking HTTP/1.1 only and speaking HTTP/2 as well. No door is
told which version to use. A second table shows what the native client does as a user agent: proxies, HSTS, cookies; a third
one WebSockets, natively and by the API of websockets.

Run it with `make demo`. Each door sends its request twice: the second row shows whether the connection was used again.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import requests
import trustme
from small_proxies import PASSWORD, USER, running

from drivetrain.compat import urllib_api
from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.compat.websockets_api.asyncio.client import connect as connect_asyncio
from drivetrain.compat.websockets_api.sync.client import connect as connect_sync
from drivetrain.engine import (
    AsyncClient,
    AsyncWebSocket,
    Client,
    H2Limits,
    Headers,
    Response,
    Server,
    Stream,
    WebSocket,
    tls,
)

BODY = b"drivetrain says hello. " * 100
NUMBERS = {10: "1.0", 11: "1.1", 20: "2"}  # as http.client and urllib3 number the versions


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
    """A server to send to, the version it is expected to be spoken to in, and how many clients connected to it so far."""

    url: str
    version: str
    ca_file: str
    connections: Callable[[], int]
    certificate: trustme.LeafCert


def hello(_: Server, stream: Stream) -> None:
    """Answer every request with the same body."""
    stream.get_headers()
    stream.write_headers(Headers([(":status", "200"), ("content-type", "text/plain")]), end_stream=False)
    stream.write_body_from_string(BODY)


class Counter:
    """A handler that answers every request, and counts the connections they come over."""

    def __init__(self) -> None:
        self._seen: set[tuple[str | None, int | None]] = set()

    def __call__(self, server: Server, stream: Stream) -> None:
        """Serve one request."""
        self._seen.add(stream.peername()[1:])
        hello(server, stream)

    def connections(self) -> int:
        """How many there were."""
        return len(self._seen)


@contextmanager
def servers() -> Iterator[list[Target]]:
    """Our server three times, with a certificate made on the spot."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ca_file = str(Path(folder) / "ca.pem")
        authority.cert_pem.write_to_path(ca_file)
        for alpn in ((), ("http/1.1",), ("h2", "http/1.1")):
            context = None
            if alpn:
                context = tls.new_server_context(alpn=alpn)
                certificate.configure_cert(context)
            counter = Counter()
            server = stack.enter_context(Server(counter, context=context))
            url = f"{'https' if alpn else 'http'}://localhost:{server.localname().port}/"
            targets.append(Target(url, "2" if "h2" in alpn else "1.1", ca_file, counter.connections, certificate))
        yield targets


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
        if result.version != target.version:
            raise SystemExit(f"{door} spoke HTTP/{result.version} to {target.url}, not HTTP/{target.version}")
        reused = "yes" if target.connections() == before else "no"
        if turn == 1 and reused == "no":
            raise SystemExit(f"{door} did not use its connection to {target.url} again")
        security = "verified" if target.url.startswith("https") else "-"
        yield Row(door, result.version, security, result.status, len(result.body), reused, seconds)


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
            return Result(NUMBERS[response.raw.version], response.status_code, response.content)

        yield from measure("requests + adapter", target, send)


def urlopen(target: Target) -> Iterator[Row]:
    """`drivetrain.compat.urllib_api.urlopen`, with a context that trusts the demo's authority."""
    context = ssl.create_default_context(cafile=target.ca_file)

    def send() -> Result:
        with urllib_api.urlopen(target.url, timeout=10, context=context) as response:
            return Result(NUMBERS[response.version], response.status, response.read())

    yield from measure("urlopen", target, send)


def remembering(_: Server, stream: Stream) -> None:
    """Set a cookie and HSTS, and answer with the cookies that came."""
    request = stream.get_headers()
    fields = [(":status", "200"), ("set-cookie", "visits=1; Secure"), ("strict-transport-security", "max-age=60")]
    stream.write_headers(Headers(fields), end_stream=False)
    stream.write_body_from_string((request and request.get("cookie")) or "nothing")


def user_agent(plain: Target, secure: Target) -> Iterator[tuple[str, ...]]:
    """What the native client does beyond sending: a row for each, with what the other side saw of it."""

    def row(what: str, response: Response, saw: str) -> tuple[str, ...]:
        if response.status != 200 or not saw:
            raise SystemExit(f"{what} did not work")
        security = "verified" if response.connection.tls_version else "-"
        return what, response.http_version, security, str(response.status), saw

    with running() as (http_proxy, socks_proxy):
        with Client(verify=secure.ca_file, proxies=f"http://127.0.0.1:{http_proxy.server_address[1]}") as client:
            for what, target in (("HTTP proxy", plain), ("HTTP proxy, tunnel", secure)):
                response = client.get(target.url)
                yield row(what, response, f"proxy: {http_proxy.asked[-1]}")
        socks = f"socks5h://{USER}:{quote(PASSWORD)}@127.0.0.1:{socks_proxy.server_address[1]}"
        with Client(verify=secure.ca_file, proxies=socks) as client:
            response = client.get(secure.url)
            yield row("SOCKS 5, password", response, f"proxy: {socks_proxy.asked[-1]}")
    context = tls.new_server_context(alpn=("h2", "http/1.1"))
    secure.certificate.configure_cert(context)
    with Server(remembering, context=context) as server, Client(verify=secure.ca_file, proxies=False) as client:
        url = f"https://localhost:{server.localname().port}/"
        before = client.get(url).text
        response = client.get(url)
        yield row("cookie round trip", response, f"server: {before}, then {response.text}")
        response = client.get(url.replace("https:", "http:"))
        upgraded = response.url == url and response.connection.tls_version is not None
        yield row("HSTS", response, "server: TLS from the first byte, asked for http" if upgraded else "")


def echoing(_: Server, stream: Stream) -> None:
    """Send back what comes on a WebSocket; answer other requests as ever."""
    request = stream.get_headers()
    websocket = None if request is None else WebSocket.from_stream(stream, request, compression=True)
    if websocket is None:
        stream.write_headers(Headers([(":status", "200")]), end_stream=False)
        stream.write_body_from_string(BODY)
        return
    websocket.accept(protocols=("demo",))
    with websocket:
        for message in websocket:
            websocket.send(message)


def websocket_native(url: str, ca_file: str) -> Iterator[tuple[str, ...]]:
    """`Client.websocket`, beside a request of the same client."""
    with Client(verify=ca_file, proxies=False) as client:
        client.get(url.replace("ws", "http", 1))
        with client.websocket(url, ["demo"], compression=True, timeout=10) as websocket:
            started = time.perf_counter()
            websocket.send(BODY)
            echoed = websocket.receive(10)
            seconds = time.perf_counter() - started
            shared = client.statistics.users == 1
        yield websocket_row("native", websocket, echoed, shared, seconds)


def websocket_asyncio(url: str, ca_file: str) -> Iterator[tuple[str, ...]]:
    """`AsyncClient.websocket`, likewise."""

    async def talk() -> tuple[str, ...]:
        async with AsyncClient(verify=ca_file, proxies=False) as client:
            await client.get(url.replace("ws", "http", 1))
            async with client.websocket(url, ["demo"], compression=True, timeout=10) as websocket:
                started = time.perf_counter()
                await websocket.send(BODY)
                echoed = await websocket.receive(10)
                seconds = time.perf_counter() - started
                shared = client.statistics.users == 1
            return websocket_row("native asyncio", websocket, echoed, shared, seconds)

    yield asyncio.run(talk())


def websocket_row(
    door: str, websocket: WebSocket | AsyncWebSocket, echoed: str | bytes | None, shared: bool, seconds: float
) -> tuple[str, ...]:
    """What one WebSocket showed. Over HTTP/2 it must have shared the connection of a request, over HTTP/1.1 it cannot."""
    over_http2 = websocket.version == 2.0
    if echoed != BODY or websocket.protocol != "demo" or websocket.close_code != 1000 or shared != over_http2:
        raise SystemExit(f"the WebSocket of {door} did not work over HTTP/{websocket.version}")
    security = "verified" if websocket.request is not None and websocket.request.get(":scheme") == "https" else "-"
    compressed = "yes" if websocket.deflate else "no"
    connection = "shared" if shared else "own"
    return (
        door,
        "2" if over_http2 else "1.1",
        security,
        compressed,
        str(len(echoed)),
        connection,
        f"{seconds * 1000:.2f} ms",
    )


def websockets_sync(url: str, ca_file: str) -> Iterator[tuple[str, ...]]:
    """`connect` of the websockets API for threads; over HTTP/2 by a client of the engine, of which websockets knows nothing."""
    with ExitStack() as stack:
        options = websockets_options(url, ca_file)
        if options.pop("over_http2"):
            client = options["client"] = stack.enter_context(Client(verify=ca_file, proxies=False))
            client.get(url.replace("ws", "http", 1))
        with connect_sync(url, subprotocols=["demo"], **options) as websocket:
            started = time.perf_counter()
            websocket.send(BODY)
            echoed = websocket.recv(timeout=10)
            seconds = time.perf_counter() - started
            shared = "client" in options and client.statistics.users == 1
        yield websockets_row("websockets sync", url, websocket, echoed, shared, seconds)


def websockets_asyncio(url: str, ca_file: str) -> Iterator[tuple[str, ...]]:
    """`connect` of the websockets API for asyncio, likewise."""

    async def talk() -> tuple[str, ...]:
        options = websockets_options(url, ca_file)
        async with AsyncClient(verify=ca_file, proxies=False) as client:
            if options.pop("over_http2"):
                options["client"] = client
                await client.get(url.replace("ws", "http", 1))
            async with connect_asyncio(url, subprotocols=["demo"], **options) as websocket:
                started = time.perf_counter()
                await websocket.send(BODY)
                echoed = await websocket.recv()
                seconds = time.perf_counter() - started
                shared = "client" in options and client.statistics.users == 1
            return websockets_row("websockets asyncio", url, websocket, echoed, shared, seconds)

    yield asyncio.run(talk())


def websockets_options(url: str, ca_file: str) -> dict[str, Any]:
    """Keyword arguments for `connect`, and whether this is the server that speaks HTTP/2."""
    context = ssl.create_default_context(cafile=ca_file) if url.startswith("wss") else None
    return {"ssl": context, "proxy": None, "over_http2": url.endswith("?2")}


def websockets_row(
    door: str, url: str, websocket: Any, echoed: str | bytes, shared: bool, seconds: float
) -> tuple[str, ...]:
    """What one WebSocket of the websockets API showed."""
    over_http2 = websocket.core.version == 2.0
    ended = (websocket.subprotocol, websocket.close_code)
    if echoed != BODY or ended != ("demo", 1000) or not shared == over_http2 == url.endswith("?2"):
        raise SystemExit(f"the WebSocket of {door} did not work with {url}")
    version, connection = ("2", "shared") if over_http2 else ("1.1", "own")
    security = "verified" if url.startswith("wss") else "-"
    compressed = "yes" if websocket.protocol.extensions else "no"
    return door, version, security, compressed, str(len(echoed)), connection, f"{seconds * 1000:.2f} ms"


def websockets() -> Iterator[tuple[str, ...]]:
    """A WebSocket of every door to each kind of server: a row for each."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    limits = H2Limits(enable_connect_protocol=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ca_file = str(Path(folder) / "ca.pem")
        authority.cert_pem.write_to_path(ca_file)
        urls = []
        for alpn in ((), ("http/1.1",), ("h2", "http/1.1")):
            context = tls.new_server_context(alpn=alpn) if alpn else None
            if context is not None:
                certificate.configure_cert(context)
            server = stack.enter_context(Server(echoing, context=context, h2_limits=limits))
            query = "?2" if "h2" in alpn else ""
            urls.append(f"{'wss' if alpn else 'ws'}://localhost:{server.localname().port}/{query}")
        for door in (websocket_native, websocket_asyncio, websockets_sync, websockets_asyncio):
            for url in urls:
                yield from door(url, ca_file)


def show(rows: list[Row]) -> None:
    """Print the table of the doors."""
    cells = [
        (row.door, row.version, row.tls, str(row.status), str(row.size), row.reused, f"{row.seconds * 1000:.2f} ms")
        for row in rows
    ]
    show_table([("door", "HTTP", "TLS", "status", "bytes", "reused", "time"), *cells])


def show_table(cells: list[tuple[str, ...]]) -> None:
    """Print lines in columns, the first one as the header."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
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
        agent = list(user_agent(targets[0], targets[-1]))
    talks = list(websockets())
    show(rows)
    print()
    show_table([("user agent", "HTTP", "TLS", "status", "seen by the other side"), *agent])
    print()
    show_table([("WebSocket", "HTTP", "TLS", "compressed", "echoed", "connection", "round trip"), *talks])
    return 0


if __name__ == "__main__":
    sys.exit(main())
