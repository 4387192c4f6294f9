"""`fp` of a response: what programs find below it."""

from __future__ import annotations

import io
import weakref

import pytest

from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.certificates import Certificates
from tests.support.servers import RawServer

LINES = b"one\ntwo\nthree"


def test_the_socket(library: Library) -> None:
    with RawServer(Recorder((response(LINES),))) as server, library.urlopen(server.url) as got:
        sock = got.fp.raw._sock
        assert sock.getpeername() == ("127.0.0.1", server.port)
        assert len(sock.getsockname()) == 2
        assert sock.family.value == 2 if library.keeps is False else sock.family == 2
        assert sock.fileno() == got.fp.raw.fileno() == got.fileno() >= 0
        assert not hasattr(sock, "getpeercert")
        assert got.read() == LINES
        assert got.fp is None


def test_the_certificate(library: Library, certificates: Certificates) -> None:
    options = {"context": certificates.client_context()}
    with (
        RawServer(Recorder(), context=certificates.server_context()) as server,
        library.urlopen(f"https://localhost:{server.port}/", **options) as got,
    ):
        sock = got.fp.raw._sock
        assert sock.getpeercert()["subjectAltName"]
        assert sock.version() == "TLSv1.3"


def test_reading() -> None:
    from drivetrain.compat.urllib_api import urlopen

    with RawServer(Recorder((response(LINES),))) as server:
        with urlopen(server.url) as got:
            file = got.fp
            assert file is got.fp
            assert isinstance(file, io.BufferedIOBase)
            assert (file.readable(), file.closed, file.fileno()) == (True, False, got.fileno())
            assert file.peek(1)[:3] == b"one"
            assert (file.readline(), file.readline(1), file.readline(None)) == (b"one\n", b"t", b"wo\n")
            buffer = bytearray(2)
            assert (file.readinto(buffer), buffer, file.read1(1), file.read(None)) == (2, b"th", b"r", b"ee")
            assert file.closed
        with urlopen(server.url) as got:
            assert io.BufferedReader(got.fp).read() == LINES  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["fp", "socket", "shutdown"])
def test_closing(ours: Library, way: str) -> None:
    with RawServer(Recorder((response(LINES),))) as server:
        got = ours.urlopen(server.url)
        sock = got.fp.raw._sock
        assert got.read(1) == b"o"
        if way == "fp":
            got.fp.close()
            assert got.closed
        elif way == "socket":
            sock.close()
        else:
            sock.shutdown(2)
            assert sock.fileno() == got.fileno() >= 0
            got.close()
        assert sock.fileno() == -1
        got.close()


def test_it_keeps_no_response_alive(ours: Library) -> None:
    with RawServer(Recorder((response(LINES),))) as server:
        got = ours.urlopen(server.url)
        assert got.fp.read(1) == b"o"
        gone = weakref.ref(got)
        del got
        assert gone() is None
        file = ours.urlopen(server.url).fp
        assert file.read() == LINES
