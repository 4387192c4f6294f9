"""lua-http's `http.request`: objects to edit, send, send again and turn into the next hop."""

from __future__ import annotations

import io
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import Headers, Request, errors
from drivetrain.engine.faces import request as module
from tests.faces.site import Site
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, answering, read_exactly, read_head, read_until_eof

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def told_by(request: Request) -> dict[str, Any]:
    headers, stream = request.go(10)
    assert headers.get(":status") == "200"
    told = json.loads(stream.get_body_as_string())
    told["fields"] = {name.lower(): value for name, value in told["fields"]}
    return told  # type: ignore[no-any-return]


class TestMaking:
    def test_from_uri(self) -> None:
        request = Request.from_uri("https://us%40er:p%20w@example.com:8443/p?q#f")
        assert (request.host, request.port, request.tls) == ("example.com", 8443, True)
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", "example.com:8443"), (":path", "/p?q")]
        assert list(request.headers)[:4] == pseudo
        flags = {name: never for name, _, never in request.headers.each()}
        assert flags["authorization"]
        assert request.headers.get("authorization") == "Basic dXNAZXI6cCB3"
        assert (request.follow_redirects, request.max_redirects, request.expect_100_timeout) == (True, 5, 1.0)
        with pytest.raises(errors.InvalidURL):
            Request.from_uri("example.com")

    def test_to_uri(self) -> None:
        request = Request.from_uri("http://us%40er:p%3Aw@example.com/p?q")
        assert request.to_uri() == "http://example.com/p?q"
        assert request.to_uri(with_userinfo=True) == "http://us%40er:p%3Aw@example.com/p?q"
        request.headers.upsert(":path", "/other")
        assert request.to_uri() == "http://example.com/other"
        request.headers.upsert("authorization", "Bearer x")
        assert request.to_uri(True) == "http://example.com/other"

    def test_new_connect(self) -> None:
        request = Request.new_connect("http://u:p@proxy:3128", "example.com:443")
        assert (request.host, request.port, request.tls) == ("proxy", 3128, False)
        assert list(request.headers)[:2] == [(":method", "CONNECT"), (":authority", "example.com:443")]
        assert request.headers.get("proxy-authorization") == "Basic dTpw"
        assert request.to_uri() == "http://proxy:3128"
        assert request.to_uri(True) == "http://u:p@proxy:3128"

    def test_clone(self) -> None:
        request = Request.from_uri("http://h/")
        request.set_body("x")
        request.ctx = ssl.create_default_context()
        clone = request.clone()
        clone.headers.upsert(":method", "PUT")
        clone.host = "other"
        assert request.headers.get(":method") == "GET"
        assert request.host == "h"
        assert clone.ctx is request.ctx
        assert clone.body == "x"


class TestBodies:
    def test_lengths_and_expectations(self) -> None:
        request = Request.from_uri("http://h/")
        request.set_body("grün")
        assert request.headers.get("content-length") == "5"
        assert not request.headers.has("expect")
        request.set_body(bytes(1025))
        assert request.headers.get("content-length") == "1025"
        assert request.headers.get("expect") == "100-continue"
        request.set_body(b"")
        assert (request.headers.get("content-length"), request.headers.has("expect")) == ("0", False)
        request.set_body(iter([b"x"]))
        assert (request.headers.has("content-length"), request.headers.get("expect")) == (False, "100-continue")

    def test_sent_twice(self, site: Site) -> None:
        request = Request.from_uri(site.url + "/echo")
        request.headers.upsert(":method", "PUT")
        for body in ("text", b"x" * 5000, io.BytesIO(b"from a file"), [b"a", b"b"]):
            request.set_body(body)
            first, second = told_by(request), told_by(request)
            assert first["body"] == second["body"] != ""

    def test_a_file_is_sent_from_its_start(self, site: Site, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"0123456789")
        with (tmp_path / "f").open("rb") as file:
            file.seek(5)
            request = Request.from_uri(site.url + "/echo")
            request.headers.upsert(":method", "PUT")
            request.set_body(file)
            assert told_by(request)["body"] == "0123456789" == told_by(request)["body"]

    def test_a_pipe_is_sent_chunked(self, site: Site) -> None:
        reader, writer = os.pipe()
        os.write(writer, b"piped")
        os.close(writer)
        request = Request.from_uri(site.url + "/echo")
        request.headers.upsert(":method", "PUT")
        with os.fdopen(reader, "rb") as file:
            request.set_body(file)
            assert told_by(request)["body"] == "piped"

    def test_an_iterator_is_sent_once(self, site: Site) -> None:
        request = Request.from_uri(site.url + "/echo")
        request.headers.upsert(":method", "PUT")
        request.set_body(iter([b"a", b"b"]))
        clone = request.clone()
        assert told_by(request)["body"] == "ab"
        for spent in (request, clone):
            with pytest.raises(errors.BodyNotReplayable):
                spent.go(10)
        request.set_body(iter([b"c"]))
        assert told_by(request)["body"] == "c"

    def test_an_async_body_needs_go_async(self) -> None:
        async def body() -> Any:
            yield b"x"

        request = Request.from_uri("http://127.0.0.1:9/")
        request.set_body(body())
        with pytest.raises(TypeError):
            request.go(1)

    def test_expectation_is_waited_for(self) -> None:
        def handler(sock: socket.socket) -> None:
            head = read_head(sock)
            assert b"expect: 100-continue" in head
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert read_exactly(sock, 2000) == bytes(2000)
            sock.sendall(OK)
            read_until_eof(sock)

        with RawServer(handler) as server:
            request = Request.from_uri(server.url)
            request.headers.upsert(":method", "PUT")
            request.set_body(bytes(2000))
            request.expect_100_timeout = 30
            _, stream = request.go(10)
            assert stream.get_body_as_string() == b"ok"
            module._BLOCKING.pool.close_idle()

    def test_but_not_for_ever(self) -> None:
        def handler(sock: socket.socket) -> None:
            read_head(sock)
            assert read_exactly(sock, 2000) == bytes(2000)
            sock.sendall(OK)
            read_until_eof(sock)

        with RawServer(handler) as server:
            request = Request.from_uri(server.url)
            request.headers.upsert(":method", "PUT")
            request.set_body(bytes(2000))
            request.expect_100_timeout = 0.02
            _, stream = request.go(10)
            assert stream.get_body_as_string() == b"ok"
            module._BLOCKING.pool.close_idle()


class TestGoing:
    def test_headers_are_editable(self, site: Site) -> None:
        request = Request.from_uri(site.url + "/echo")
        request.headers.upsert(":path", "/echo?edited")
        request.headers.append("x-mine", "1")
        request.headers.upsert("user-agent", "me")
        told = told_by(request)
        assert told["path"] == "/echo?edited"
        assert (told["fields"]["x-mine"], told["fields"]["user-agent"]) == ("1", "me")

    def test_host_and_port_are_where_it_goes(self, site: Site) -> None:
        request = Request.from_uri("http://elsewhere.example/echo")
        request.host, request.port = "127.0.0.1", site.server.localname().port
        assert told_by(request)["authority"] == "elsewhere.example"

    def test_the_connection_is_pooled_when_read(self) -> None:
        with RawServer(answering(OK, OK, OK)) as server:
            for _ in range(3):
                headers, stream = Request.from_uri(server.url).go(10)
                assert headers.get("content-length") == "2"
                assert stream.state != "closed"
                assert stream.get_body_as_string() == b"ok"
                assert stream.state == "closed"
            assert server.connections == 1
            module._BLOCKING.pool.close_idle()

    def test_and_closed_when_shut_down_before(self, site: Site) -> None:
        before = module._BLOCKING.pool.statistics().in_use
        _, stream = Request.from_uri(site.url + "/chunks?count=300000&size=100").go(10)
        assert stream.get_next_chunk()
        stream.shutdown()
        _, stream = Request.from_uri(site.url + "/status?code=204").go(10)
        assert module._BLOCKING.pool.statistics().in_use == before

    def test_version(self) -> None:
        heads = []

        def handler(sock: socket.socket) -> None:
            heads.append(read_head(sock))
            sock.sendall(OK)

        with RawServer(handler) as server:
            request = Request.from_uri(server.url)
            request.version = 1.0
            _, stream = request.go(10)
            assert stream.get_body_as_string() == b"ok"
        assert heads[0].startswith(b"GET / HTTP/1.0\r\n")

    def test_tls_context(self, certificates: Certificates) -> None:
        with Site(certificates.server_context()) as site:
            request = Request.from_uri(site.url + "/echo")
            with pytest.raises(errors.CertificateError):
                request.go(10)
            request.ctx = certificates.client_context()
            assert told_by(request)["method"] == "GET"
            module._BLOCKING.pool.close_idle()

    def test_timeout(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            request = Request.from_uri(f"http://127.0.0.1:{silent.getsockname()[1]}/")
            with pytest.raises(errors.ReadTimeout):
                request.go(0.05)

    def test_connect(self) -> None:
        def proxy(sock: socket.socket) -> None:
            assert read_head(sock).startswith(b"CONNECT example.com:443 HTTP/1.1\r\n")
            sock.sendall(b"HTTP/1.1 200 Fine\r\n\r\n")
            assert read_exactly(sock, 4) == b"ping"
            sock.sendall(b"pong")
            read_until_eof(sock)

        with RawServer(proxy) as server:
            headers, stream = Request.new_connect(server.url, "example.com:443").go(10)
            assert headers.get(":status") == "200"
            stream.write_chunk(b"ping")
            assert stream.get_body_chars(4) == b"pong"
            stream.shutdown()


class TestRedirects:
    def test_followed(self, site: Site) -> None:
        told = told_by(Request.from_uri(site.url + "/redirect?to=/echo"))
        assert told["fields"]["referer"] == site.url + "/redirect?to=/echo"

    def test_not_followed(self, site: Site) -> None:
        request = Request.from_uri(site.url + "/redirect?to=/echo")
        request.follow_redirects = False
        headers, stream = request.go(10)
        assert headers.get(":status") == "302"
        stream.get_body_as_string()
        following = request.handle_redirect(headers)
        assert following.to_uri() == site.url + "/echo"
        assert following.max_redirects == 4
        assert not following.follow_redirects

    def test_too_many(self, site: Site) -> None:
        request = Request.from_uri(site.url + "/loop")
        request.max_redirects = 2
        with pytest.raises(errors.TooManyRedirects):
            request.go(10)

    def test_methods(self) -> None:
        request = Request.from_uri("http://h/")
        request.headers.upsert(":method", "POST")
        request.set_body("x")

        def following(status: str) -> Request:
            return request.handle_redirect(Headers([(":status", status), ("location", "/n")]))

        for status in ("301", "302", "303"):
            assert following(status).headers.get(":method") == "GET"
            assert following(status).body is None
            assert not following(status).headers.has("content-length")
        for status in ("307", "308"):
            assert following(status).headers.get(":method") == "POST"
            assert following(status).body == "x"
        request.post301 = request.post302 = True
        assert following("301").headers.get(":method") == following("302").headers.get(":method") == "POST"

    def test_what_is_set_by_hand_survives_relative_redirects(self) -> None:
        request = Request.from_uri("http://h/a")
        request.host, request.port, request.sendname = "10.0.0.1", 81, "name"
        near = request.handle_redirect(Headers([(":status", "302"), ("location", "b")]))
        assert (near.host, near.port, near.sendname, near.to_uri()) == ("10.0.0.1", 81, "name", "http://h/b")
        far = request.handle_redirect(Headers([(":status", "302"), ("location", "https://o/b")]))
        assert (far.host, far.port, far.sendname, far.tls, far.to_uri()) == ("o", 443, True, True, "https://o/b")

    def test_credentials(self) -> None:
        request = Request.from_uri("http://u:p@h/")
        request.headers.append("cookie", "a=b")
        near = request.handle_redirect(Headers([(":status", "302"), ("location", "/b")]))
        assert near.headers.get("authorization") == request.headers.get("authorization")
        far = request.handle_redirect(Headers([(":status", "302"), ("location", "http://o/")]))
        assert not far.headers.has("authorization")
        assert not far.headers.has("cookie")
        told = request.handle_redirect(Headers([(":status", "302"), ("location", "http://x:y@o/")]))
        assert told.to_uri(True) == "http://x:y@o/"

    @pytest.mark.parametrize(
        "fields",
        [
            [(":status", "302")],
            [(":status", "200"), ("location", "/")],
            [(":status", "304"), ("location", "/")],
            [(":status", "302"), ("location", "ftp://h/")],
            [(":status", "302"), ("location", "http://[x/")],
        ],
    )
    def test_what_is_none(self, fields: list[tuple[str, str]]) -> None:
        with pytest.raises(errors.RedirectError):
            Request.from_uri("http://h/").handle_redirect(Headers(fields))
