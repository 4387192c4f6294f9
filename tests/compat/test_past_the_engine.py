"""Nothing goes past the engine: every door, redirect, proxy, retry and passthrough, watched in a process of its own.

`past_the_engine` is that process; here are the servers, and what must have come of it. The originals are used too, so that it is
known what the watch sees, and that the outcomes are theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.compat.requests_api.support import OK, answer, read_body
from tests.house.tree import ROOT
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import RawServer, read_head, read_until_eof

BASIC = "Basic bWU6c2VjcmV0"  # me:secret


class Site:
    """What the servers have, by path."""

    def __init__(self) -> None:
        self.secure = ""
        self.busy = 0
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        while head := read_head(connection):
            read_body(connection, head.lower())
            path = head.split(b" ")[1].decode()
            if path == "/hang-up":
                return
            if path == "/silent":
                read_until_eof(connection)
                return
            connection.sendall(self.answer(path, head.decode("latin-1")))

    def answer(self, path: str, head: str) -> bytes:
        if path == "/redirect":
            return answer(b"", "Location: /ok", "Set-Cookie: a=b", status="302 Found")
        if path == "/to-https":
            return answer(b"", f"Location: {self.secure}/ok", status="302 Found")
        if path == "/busy":
            with self._lock:
                self.busy += 1
                return answer(b"", status="503 Busy") if self.busy % 3 else OK
        if path == "/missing":
            return answer(b"nothing", status="404 Not Found")
        if path == "/large":
            return answer(b"x" * 100_000)
        if path == "/basic" and BASIC not in head:
            return answer(b"", 'WWW-Authenticate: Basic realm="r"', status="401 Unauthorized")
        if path == "/digest" and "Authorization: Digest " not in head:
            return answer(b"", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"', status="401 Unauthorized")
        return OK


def fingerprint_of(certificates: Certificates) -> str:
    pem = certificates.server_file.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What the program said."""
    folder = tmp_path_factory.mktemp("past")
    certificates = Certificates.create(folder)
    site = Site()
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    unix = os.path.join(folder, "s")
    with ExitStack() as stack:

        def start(server: RawServer) -> RawServer:
            return stack.enter_context(server)

        tolerate: Any = (OSError, AssertionError)
        plain = start(RawServer(site, tolerate=tolerate))
        secure = start(RawServer(site, context=certificates.server_context(), tolerate=tolerate))
        start(RawServer(site, path=unix))
        site.secure = f"https://localhost:{secure.port}"
        at = {
            "http": f"http://localhost:{plain.port}",
            "https": site.secure,
            "ca": str(certificates.ca_file),
            "cert": str(certificates.client_file),
            "fingerprint": fingerprint_of(certificates),
            "proxy": start(ConnectProxy()).url,
            "secure proxy": f"https://localhost:{start(ConnectProxy(context=certificates.server_context())).port}",
            "refusing proxy": start(ConnectProxy(answer=refusal)).url,
            "socks": f"socks5h://127.0.0.1:{start(SocksProxy()).port}",
            "unix": unix,
        }
        ran = subprocess.run(
            [sys.executable, "-m", "tests.compat.past_the_engine", json.dumps(at)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert "Traceback" not in ran.stderr
        yield json.loads(ran.stdout)


def ways(found: dict[str, dict[str, Any]], door: str) -> dict[str, dict[str, Any]]:
    """What was found of one door, by the way."""
    return {key.partition(": ")[2]: value for key, value in found.items() if key.partition(": ")[0] == door}


DOORS = {
    "mounted": "requests",
    "requests_api": "requests",
    "installed": "requests",
    "urllib_api": "urllib.request",
    "urllib.request, installed": "urllib.request",
}
# What the originals cannot, or only with another library.
BEYOND = {"http by socks", "https by socks", "socket"}


def test_what_the_watch_sees(found: dict[str, dict[str, Any]]) -> None:
    for door in set(DOORS.values()):
        for way, value in ways(found, door).items():
            assert any(event.startswith("socket.connect from ") for event in value["past"]) or way in BEYOND, (
                door,
                way,
            )
        seen = {event for value in ways(found, door).values() for event in value["past"]}
        assert {"http.client.connect", "http.client.send"} < seen


@pytest.mark.parametrize("door", DOORS)
def test_nothing_goes_past_the_engine(found: dict[str, dict[str, Any]], door: str) -> None:
    assert {way: value["past"] for way, value in ways(found, door).items() if value["past"]} == {}


@pytest.mark.parametrize("door", DOORS)
def test_the_outcome_is_that_of_the_original(found: dict[str, dict[str, Any]], door: str) -> None:
    ours, theirs = ways(found, door), ways(found, DOORS[door])
    assert set(theirs) <= set(ours)
    assert {way: ours[way]["outcome"] for way in theirs if way not in BEYOND} == {
        way: value["outcome"] for way, value in theirs.items() if way not in BEYOND
    }
    for way in BEYOND & ours.keys():
        assert re.fullmatch("200 ok", ours[way]["outcome"]), way


def test_functions(found: dict[str, dict[str, Any]]) -> None:
    for door in ("requests.get, installed", "requests_api.get"):
        assert ways(found, door) == {"get": {"outcome": "200 ok", "past": []}}
