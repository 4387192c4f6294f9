"""What holds for every test: a clean environment, a certificate authority to trust, nothing left running."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.peers import Nginx

# Variables by which a developer's machine could change what a request does.
SCRUBBED = (
    *(f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "FTP", "ALL", "NO", "WS", "WSS")),
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
    "REQUEST_METHOD",  # makes urllib distrust HTTP_PROXY, as under CGI
)


def pytest_collection_finish() -> None:
    """Take the ten thousand collected tests out of the sight of the garbage collector.

    Tests that collect garbage to find what was left open would look through all of them, each time.
    """
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """No proxies, no trust store, no netrc but those a test sets up itself (with `monkeypatch`)."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SCRUBBED:
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        patch.setenv("NETRC", os.devnull)
        yield


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread which would keep the interpreter from ending."""
    before = set(threading.enumerate())
    yield
    new = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in new:
        thread.join(1.0)
    left = [thread.name for thread in new if thread.is_alive()]
    if left:
        pytest.fail(f"threads left running: {', '.join(left)}", pytrace=False)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority made for this run, with a server certificate for localhost, 127.0.0.1 and ::1 and a client's."""
    return Certificates.create(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Nginx]:
    """Debian's nginx, plain and TLS, for tests marked `peers`."""
    with Nginx(tmp_path_factory.mktemp("nginx"), certificates) as server:
        yield server


@pytest.fixture
def short_tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder with a short name: the path of a UNIX-domain socket has room for about 100 bytes."""
    return tmp_path_factory.mktemp("s")
