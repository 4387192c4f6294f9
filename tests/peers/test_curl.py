"""curl and ab as clients of our servers, both colours."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import AsyncServer, Headers, Server
from tests.support.certificates import Certificates
from tests.support.peers import find_program

pytestmark = pytest.mark.peers


def echo(_: Server, stream: Any) -> None:
    """Answer with method, path and body."""
    request = stream.get_headers()
    body = stream.get_body_as_string()
    stream.write_headers(Headers([(":status", "200"), ("content-type", "text/plain")]), end_stream=False)
    stream.write_body_from_string(f"{request[':method']} {request[':path']} ".encode() + body)


async def async_echo(_: AsyncServer, stream: Any) -> None:
    request = await stream.get_headers()
    body = await stream.get_body_as_string()
    await stream.write_headers(Headers([(":status", "200"), ("content-type", "text/plain")]), end_stream=False)
    await stream.write_body_from_string(f"{request[':method']} {request[':path']} ".encode() + body)


@contextmanager
def blocking_server(**options: Any) -> Iterator[Any]:
    with Server(echo, **options) as server:
        yield server.localname()


@contextmanager
def asyncio_server(**options: Any) -> Iterator[Any]:
    """An AsyncServer on a loop in a thread of its own."""
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        async with AsyncServer(async_echo, **options) as server:
            found.update(loop=asyncio.get_running_loop(), stop=asyncio.Event(), address=server.localname())
            ready.set()
            await found["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found["address"]
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(10)


colours = pytest.mark.parametrize("serve", [blocking_server, asyncio_server], ids=["blocking", "asyncio"])


def curl(*arguments: str) -> str:
    command = [find_program("curl", "curl"), "--silent", "--show-error", "--fail", "--max-time", "20", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@colours
def test_get(serve: Any) -> None:
    with serve() as address:
        assert curl(f"http://127.0.0.1:{address.port}/a?b") == "GET /a?b "


@colours
def test_tls_with_a_verified_certificate(serve: Any, certificates: Certificates) -> None:
    with serve(context=certificates.server_context()) as address:
        assert curl("--cacert", str(certificates.ca_file), f"https://localhost:{address.port}/") == "GET / "


@colours
def test_unix_socket(serve: Any, short_tmp_path: Path) -> None:
    path = short_tmp_path / "socket"
    with serve(path=str(path)):
        assert curl("--unix-socket", str(path), "http://localhost/x") == "GET /x "


@colours
def test_post_with_length_and_chunked(serve: Any) -> None:
    with serve() as address:
        url = f"http://127.0.0.1:{address.port}/p"
        assert curl("--data", "k=v", url) == "POST /p k=v"
        assert curl("--data", "k=v", "--header", "Transfer-Encoding: chunked", url) == "POST /p k=v"


@colours
def test_a_large_upload_after_100_continue(serve: Any, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"y" * 3_000_000)
    with serve() as address:
        url = f"http://127.0.0.1:{address.port}/l"
        answer = curl("--verbose", "--data-binary", f"@{file}", "--header", "Expect: 100-continue", url)
        assert answer == "POST /l " + "y" * 3_000_000


@colours
def test_one_connection_for_several_requests(serve: Any) -> None:
    with serve() as address:
        url = f"http://127.0.0.1:{address.port}/"
        written = curl("--write-out", "%{num_connects};", url + "1", url + "2", url + "3")
        assert written == "GET /1 1;GET /2 0;GET /3 0;"


@colours
def test_http_1_0(serve: Any) -> None:
    with serve() as address:
        assert curl("--http1.0", f"http://127.0.0.1:{address.port}/old") == "GET /old "


@colours
def test_head(serve: Any) -> None:
    with serve() as address:
        assert curl("--head", f"http://127.0.0.1:{address.port}/h").startswith("HTTP/1.1 200 OK")


@colours
def test_ab_finds_no_failed_request(serve: Any) -> None:
    with serve() as address:
        command = [find_program("ab", "apache2-utils"), "-q", "-k", "-n", "500", "-c", "10"]
        url = f"http://127.0.0.1:{address.port}/ab"
        report = subprocess.run([*command, url], check=True, capture_output=True, text=True, timeout=60).stdout
        assert "Complete requests:      500" in report
        assert "Failed requests:        0" in report
        assert "Non-2xx" not in report
