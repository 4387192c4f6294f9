"""The blocking faces of streams and connections: every method of the engine's classes, driven."""

from __future__ import annotations

import inspect
import io
from typing import Any

import pytest

from drivetrain.engine import (
    H1Connection,
    H1ConnectionFace,
    H1Stream,
    H1StreamFace,
    Headers,
    Request,
    Server,
)
from tests.faces.site import Site


def public(kind: type) -> dict[str, Any]:
    return {name: inspect.getattr_static(kind, name) for name in dir(kind) if name[:1] != "_"}


# For coroutines of the engine only: they take deadlines or belong to the machinery between streams.
INTERNAL = {
    "Stream": {"read_head", "read_piece", "write_head", "write_piece", "cut_off", "take_whole_body"},
}


class TestSurface:
    def test_every_method_of_a_stream(self) -> None:
        missing = {
            name
            for name, member in public(H1Stream).items()
            if callable(member) and name not in INTERNAL["Stream"] and not hasattr(H1StreamFace, name)
        }
        assert missing == set()

    @pytest.mark.parametrize(("face", "core"), [(H1StreamFace, H1Stream), (H1ConnectionFace, H1Connection)])
    def test_same_parameters_and_no_coroutines(self, face: type, core: type) -> None:
        compared = 0
        for name, member in public(face).items():
            twin = public(core).get(name)
            if not inspect.isfunction(member) or not inspect.isfunction(twin):
                continue
            assert not inspect.iscoroutinefunction(member), name
            ours, theirs = inspect.signature(member).parameters, inspect.signature(twin).parameters
            assert list(ours)[1:] == list(theirs)[1:], name
            assert [p.default for p in ours.values()] == [p.default for p in theirs.values()], name
            assert member.__doc__, name
            compared += 1
        assert compared > 15


class TestStream:
    def test_reading(self, site: Site) -> None:
        _, stream = Request.from_uri(site.url + "/chunks?count=26&size=2").go(10)
        assert stream.get_body_chars(3) == b"AAB"
        assert stream.get_body_until("D", plain=True) == b"BCC"
        assert stream.unget(b"x")
        assert stream.get_next_chunk() == b"x"
        assert stream.get_next_chunk() == b"D"
        chunks = iter(stream.each_chunk())
        assert next(chunks) == b"EE"
        sink = io.BytesIO()
        assert stream.save_body_to_file(sink) == 42
        assert stream.get_next_chunk() is None
        trailers = stream.get_headers()
        assert trailers is not None
        assert trailers.get("x-checksum") == "abc"
        assert stream.get_headers() is None
        assert stream.state == "closed"
        assert stream.version == 1.1

    def test_as_file(self, site: Site) -> None:
        _, stream = Request.from_uri(site.url + "/chunks?count=26&size=2").go(10)
        with stream.get_body_as_file() as file:
            assert file.read(4) == b"AABB"

    def test_facts(self, site: Site) -> None:
        _, stream = Request.from_uri(site.url + "/chunks?count=2").go(10)
        port = site.server.localname().port
        connection = stream.connection
        assert stream.peername().port == connection.peername().port == port
        assert stream.localname() == connection.localname()
        assert stream.checktls() is connection.checktls() is None
        assert (connection.type, connection.version) == ("client", 1.1)
        assert connection.pollfd()
        assert connection.events() == "r"
        assert stream.max_header_lines > 0
        stream.max_header_lines = 50
        assert stream.core.max_header_lines == 50
        stream.get_body_as_string()

    def test_writing(self) -> None:
        def handler(server: Server, stream: Any) -> None:
            headers = stream.get_headers()
            if headers.get(":path") == "/continue":
                stream.write_continue()
            stream.write_headers(Headers([(":status", "200")]), False)
            if headers.get(":path") == "/file":
                stream.write_body_from_file(io.BytesIO(b"0123456789"), 4)
            else:
                stream.write_body_from_string("grün")

        with Server(handler) as server:
            url = f"http://127.0.0.1:{server.localname().port}"
            for path, body in (("/", "grün".encode()), ("/file", b"0123"), ("/continue", "grün".encode())):
                _, stream = Request.from_uri(url + path).go(10)
                assert stream.get_body_as_string() == body

    def test_pipelining_by_hand(self, site: Site) -> None:
        _, first = Request.from_uri(site.url + "/chunks?count=2").go(10)
        connection = first.connection
        second = connection.new_stream()
        request = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/chunks?count=3")]
        second.write_headers(Headers(request), True)
        assert first.get_body_as_string() == b"AB"
        headers = second.get_headers()
        assert headers is not None
        assert headers.get(":status") == "200"
        assert second.get_body_as_string() == b"ABC"
