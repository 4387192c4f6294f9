"""HTTP/2 clients of other people against our servers, both colours: curl, nghttp and h2load."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine.tls import new_server_context
from tests.peers.test_curl import asyncio_server, blocking_server
from tests.support.certificates import Certificates
from tests.support.peers import find_program

pytestmark = pytest.mark.peers

colours = pytest.mark.parametrize("serve", [blocking_server, asyncio_server], ids=["blocking", "asyncio"])
VERSION = ("--write-out", " over %{http_version}")


def run(program: str, package: str, *arguments: str) -> str:
    command = [find_program(program, package), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def curl(*arguments: str) -> str:
    return run("curl", "curl", "--silent", "--show-error", "--fail", "--max-time", "20", *arguments)


def nghttp(*arguments: str) -> str:
    return run("nghttp", "nghttp2-client", "--timeout=20", *arguments)


def h2load(*arguments: str) -> str:
    return run("h2load", "nghttp2-client", *arguments)


def tls_options(certificates: Certificates) -> dict[str, Any]:
    return {"context": new_server_context((certificates.server_file, certificates.server_key))}


@colours
class TestCurl:
    def test_each_way_to_http_2(self, serve: Any) -> None:
        with serve() as address:
            url = f"http://127.0.0.1:{address.port}/a?b"
            assert curl("--http1.1", *VERSION, url) == "GET /a?b  over 1.1"
            assert curl("--http2", *VERSION, url) == "GET /a?b  over 2"
            assert curl("--http2-prior-knowledge", *VERSION, url) == "GET /a?b  over 2"

    def test_tls(self, serve: Any, certificates: Certificates) -> None:
        ca = ("--cacert", str(certificates.ca_file))
        with serve(**tls_options(certificates)) as address:
            url = f"https://localhost:{address.port}/t"
            assert curl(*ca, *VERSION, url) == "GET /t  over 2"
            assert curl(*ca, "--http1.1", *VERSION, url) == "GET /t  over 1.1"
            assert curl(*ca, "--no-alpn", *VERSION, url) == "GET /t  over 1.1"

    def test_bodies(self, serve: Any, tmp_path: Path) -> None:
        file = tmp_path / "large"
        file.write_bytes(b"y" * 3_000_000)
        with serve() as address:
            url = f"http://127.0.0.1:{address.port}/l"
            # curl does offer an upgrade with a body, and takes the answer over HTTP/1.1.
            assert curl("--http2", "--data", "k=v", *VERSION, url) == "POST /l k=v over 1.1"
            for fields in ((), ("--header", "Expect: 100-continue")):
                answer = curl("--http2-prior-knowledge", "--data-binary", f"@{file}", *fields, url)
                assert answer == "POST /l " + "y" * 3_000_000

    def test_one_connection_for_requests_at_once(self, serve: Any, certificates: Certificates) -> None:
        with serve(**tls_options(certificates)) as address:
            urls = [f"https://localhost:{address.port}/{number}" for number in range(20)]
            written = curl(
                *("--cacert", str(certificates.ca_file), "--parallel", "--parallel-max", "20"),
                *("--write-out", "%{num_connects},%{http_version};", *urls),
            )
            facts = re.findall(r"(\d),(\d(?:\.\d)?);", written)
            assert [version for _, version in facts] == ["2"] * 20
            assert sum(int(connects) for connects, _ in facts) < 20


@colours
class TestNghttp:
    def test_prior_knowledge_and_upgrade(self, serve: Any) -> None:
        with serve() as address:
            url = f"http://127.0.0.1:{address.port}/n"
            assert nghttp(url) == "GET /n "
            log = nghttp("--upgrade", "--verbose", url)
            assert "HTTP Upgrade success" in log
            assert "recv (stream_id=1) :status: 200" in log
            assert nghttp("--upgrade", url) == "GET /n "

    def test_many_frames_of_all_kinds(self, serve: Any, tmp_path: Path) -> None:
        file = tmp_path / "large"
        file.write_bytes(b"z" * 300_000)
        with serve() as address:
            url = f"http://127.0.0.1:{address.port}/n"
            odd = ("--padding=100", "--window-bits=12", "--connection-window-bits=16", "--header-table-size=0")
            trailed = nghttp("--data", str(file), "--trailer=x-after: the body", "--continuation", *odd, url)
            assert trailed == "POST /n " + "z" * 300_000
            assert nghttp("--multiply=50", *odd, url) == "GET /n " * 50

    def test_tls(self, serve: Any, certificates: Certificates) -> None:
        with serve(**tls_options(certificates)) as address:
            log = nghttp("--verbose", "--no-verify-peer", f"https://localhost:{address.port}/n")
            assert "negotiated protocol: h2" in log
            assert ":status: 200" in log


@colours
class TestH2load:
    def test_no_request_fails(self, serve: Any, certificates: Certificates) -> None:
        for options, scheme in (({}, "http"), (tls_options(certificates), "https")):
            with serve(**options) as address:
                report = h2load("-n", "2000", "-c", "4", "-m", "50", f"{scheme}://localhost:{address.port}/")
                assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in report
                assert "2xx" in report

    def test_uploads(self, serve: Any, tmp_path: Path) -> None:
        file = tmp_path / "body"
        file.write_bytes(b"u" * 100_000)
        with serve() as address:
            url = f"http://127.0.0.1:{address.port}/"
            report = h2load("-n", "200", "-c", "2", "-m", "20", "--data", str(file), url)
            assert "200 succeeded, 0 failed, 0 errored, 0 timeout" in report
