"""Requests through both clients: methods, bodies, headers, retries, early answers."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import os
import socket
import threading
import tracemalloc
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain import engine
from drivetrain.engine import Client, H1Limits, Headers, PoolLimits, Timeouts, errors
from drivetrain.engine.wire.decoders import accepted_codings
from tests.faces.colours import Clients
from tests.faces.site import Site
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, answering, read_exactly, read_head, read_until_eof

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def fields_of(told: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in told["fields"]}


class TestMethods:
    @pytest.mark.parametrize("method", ["get", "options", "post", "put", "patch", "delete"])
    def test_each_has_a_door(self, clients: Clients, site: Site, method: str) -> None:
        response = getattr(clients(), method)(site.url + "/echo")
        assert response.status == 200
        assert response.json()["method"] == method.upper() == response.method

    def test_head_has_no_body(self, clients: Clients, site: Site) -> None:
        client = clients()
        response = client.head(site.url + "/status?code=200")
        assert (response.status, response.content) == (200, b"")
        assert client.get(site.url + "/echo").connection.reused

    def test_any_method(self, clients: Clients, site: Site) -> None:
        assert clients().request("BREW", site.url + "/echo").json()["method"] == "BREW"

    @pytest.mark.parametrize("method", ["GET / HTTP/1.1\r\nX: y\r\n\r\n", "G T", "", "GET\r\n"])
    def test_a_method_that_is_no_token_is_refused(self, clients: Clients, site: Site, method: str) -> None:
        with pytest.raises(errors.EngineError):
            clients().request(method, site.url + "/echo")

    def test_facts_of_an_answer(self, clients: Clients, site: Site) -> None:
        client = clients()
        response = client.get(site.url + "/echo?a=1#part")
        assert (response.status, response.reason, response.http_version) == (200, "OK", "1.1")
        assert response.url == site.url + "/echo?a=1#part"
        assert response.headers.get("content-type") == "application/json"
        assert response.headers.get(":status") == "200"
        assert response.request_headers.get(":path") == "/echo?a=1"
        assert response.history == []
        assert not response.is_error
        info = response.connection
        assert (info.peer.host, info.peer.port) == ("127.0.0.1", site.server.localname().port)
        assert info.tls_version is info.cipher is info.alpn is info.ssl_object is None
        assert not info.reused
        assert client.get(site.url + "/echo").connection.reused
        timings = response.timings
        assert timings.total is not None
        assert timings.time_to_head is not None
        assert 0 <= timings.time_to_head <= timings.total

    def test_facts_outlive_the_connection(self, clients: Clients, site: Site) -> None:
        client = clients()
        response = client.get(site.url + "/echo", headers={"connection": "close"})
        assert client.statistics.open == 0
        assert response.connection.peer.port == site.server.localname().port

    def test_an_http_1_0_server(self, clients: Clients) -> None:
        with RawServer(lambda sock: (read_head(sock), sock.sendall(b"HTTP/1.0 200 Fine\r\n\r\nbody"))) as server:
            client = clients()
            response = client.get(server.url)
            assert (response.http_version, response.reason, response.content) == ("1.0", "Fine", b"body")
            assert client.statistics.open == 0

    def test_version_1_0_can_be_pinned(self, clients: Clients) -> None:
        heads: list[bytes] = []

        def handler(sock: socket.socket) -> None:
            heads.append(read_head(sock))
            sock.sendall(OK)

        with RawServer(handler) as server:
            assert clients(version=1.0).get(server.url).text == "ok"
        assert heads[0].startswith(b"GET / HTTP/1.0\r\n")

    @pytest.mark.parametrize("url", ["", "/path", "ftp://host/", "http://", "http://a b/", "ws://host/"])
    def test_what_is_no_url_is_refused(self, clients: Clients, url: str) -> None:
        with pytest.raises(errors.InvalidURL):
            clients().get(url)

    def test_a_closed_client_refuses(self, clients: Clients, site: Site) -> None:
        client = clients()
        with client:
            assert client.get(site.url + "/echo").status == 200
        with pytest.raises(errors.ClosedError):
            client.get(site.url + "/echo")

    def test_refused_connection(self, clients: Clients) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(errors.ConnectError):
                clients().get(f"http://127.0.0.1:{unused.getsockname()[1]}/")

    def test_unix_socket(self, clients: Clients, short_tmp_path: Path) -> None:
        path = str(short_tmp_path / "s")
        with Site(path=path) as unix:
            response = clients(unix_socket=path).get("http://anywhere.example/echo")
            assert response.json()["authority"] == "anywhere.example"
            assert unix.errors == []

    def test_a_socket_that_was_connected_before(self, clients: Clients, site: Site) -> None:
        with socket.create_connection(("127.0.0.1", site.server.localname().port)) as sock:
            client = clients(sock=sock)
            response = client.get("http://anywhere.example/echo")
            assert response.json()["authority"] == "anywhere.example"
            assert response.connection.local.port == sock.getsockname()[1]
            assert client.get("http://anywhere.example/echo").connection.reused
            with pytest.raises(errors.ConnectError, match="used or closed before"):
                client.get("http://elsewhere.example/echo")

    def test_no_default_headers(self, clients: Clients, site: Site) -> None:
        told = clients(default_headers=False, headers={"X-Own": "1"}).get(site.url + "/echo").json()
        assert set(fields_of(told)) - {"host", ":method", ":path", ":scheme", ":authority"} == {"x-own"}

    def test_resolver_map(self, clients: Clients, site: Site) -> None:
        port = site.server.localname().port
        client = clients(resolver={"nowhere.example": "127.0.0.1"})
        assert client.get(f"http://nowhere.example:{port}/echo").json()["authority"] == f"nowhere.example:{port}"


class TestTls:
    def test_verified(self, clients: Clients, certificates: Certificates) -> None:
        with Site(certificates.server_context(["http/1.1"])) as site:
            response = clients(verify=certificates.ca_file).get(site.url + "/echo")
            assert response.status == 200
            assert response.connection.tls_version == "TLSv1.3"
            assert response.connection.alpn == "http/1.1"
            assert response.connection.cipher
            assert response.connection.ssl_object.getpeercert()

    def test_untrusted(self, clients: Clients, certificates: Certificates) -> None:
        with Site(certificates.server_context()) as site:
            with pytest.raises(errors.CertificateError):
                clients().get(site.url + "/echo")
            assert clients(verify=False).get(site.url + "/echo").status == 200

    def test_a_ready_context_excludes_verify(self, clients: Clients, certificates: Certificates) -> None:
        with pytest.raises(errors.UsageError):
            clients(ssl_context=certificates.client_context(), verify=False)


class TestBodies:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [(b"bytes", "bytes"), (bytearray(b"array"), "array"), (memoryview(b"view"), "view"), (b"", "")],
    )
    def test_bytes(self, clients: Clients, site: Site, content: Any, expected: str) -> None:
        told = clients().post(site.url + "/echo", content=content).json()
        assert told["body"] == expected
        assert fields_of(told)["content-length"] == str(len(expected))

    def test_text(self, clients: Clients, site: Site) -> None:
        told = clients().post(site.url + "/echo", content="grün").json()
        assert told["body"].encode("latin-1").decode() == "grün"
        assert fields_of(told)["content-type"] == "text/plain; charset=utf-8"

    def test_file_from_its_position(self, clients: Clients, site: Site, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")
        with path.open("rb") as file:
            file.seek(4)
            told = clients().post(site.url + "/echo", content=file).json()
        assert told["body"] == "456789"
        assert fields_of(told)["content-length"] == "6"
        assert "transfer-encoding" not in fields_of(told)

    def test_pipe_goes_out_chunked(self, clients: Clients, site: Site) -> None:
        reader, writer = os.pipe()
        os.write(writer, b"from a pipe")
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            told = clients().post(site.url + "/echo", content=file).json()
        assert told["body"] == "from a pipe"
        assert fields_of(told)["transfer-encoding"] == "chunked"
        assert "content-length" not in fields_of(told)

    def test_iterables(self, clients: Clients, site: Site) -> None:
        client = clients()
        for content in ([b"a", b"", b"b"], (b"a", b"b"), clients.pieces([b"a", b"b"])):
            told = client.post(site.url + "/echo", content=content).json()
            assert told["body"] == "ab"
            assert fields_of(told)["transfer-encoding"] == "chunked"

    def test_iterable_of_known_length(self, clients: Clients, site: Site) -> None:
        content = clients.pieces([b"ab", b"cd"])
        told = clients().post(site.url + "/echo", content=content, headers={"content-length": "4"}).json()
        assert told["body"] == "abcd"
        assert "transfer-encoding" not in fields_of(told)

    def test_iterable_that_keeps_no_promise(self, clients: Clients, site: Site) -> None:
        client = clients()
        for pieces in ([b"abc"], [b"abc", b"def"]):
            with pytest.raises(errors.LocalProtocolError):
                client.post(site.url + "/echo", content=clients.pieces(pieces), headers={"content-length": "4"})
        assert client.statistics.open == 0

    def test_wrong_colour_is_refused_before_anything_is_sent(self, clients: Clients) -> None:
        other = Clients("blocking" if clients.colour == "asyncio" else "asyncio")
        wrong = other.pieces([b"a"])
        with RawServer(answering(OK)) as server:
            client = clients()
            for bad in (wrong, io.StringIO("text"), {"a": "mapping"}, 17, object()):
                with pytest.raises(TypeError):
                    client.post(server.url, content=bad)
            assert server.connections == 0
        other.close()

    def test_an_error_of_the_body_comes_through(self, clients: Clients, site: Site) -> None:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                raise OSError("disk on fire")

            read1 = read

        client = clients()
        with pytest.raises(OSError, match="disk on fire"):
            client.post(site.url + "/echo", content=Broken(b"x" * 10))
        assert client.statistics.open == 0

    def test_json(self, clients: Clients, site: Site) -> None:
        told = clients().post(site.url + "/echo", json={"a": [1, None, "ü"]}).json()
        assert json.loads(told["body"].encode("latin-1")) == {"a": [1, None, "ü"]}
        assert fields_of(told)["content-type"] == "application/json"
        with pytest.raises(ValueError):
            clients().post(site.url + "/echo", json=float("nan"))

    def test_form(self, clients: Clients, site: Site) -> None:
        told = clients().post(site.url + "/echo", form={"a": "1 &", "b": ["x", "y"]}).json()
        assert told["body"] == "a=1+%26&b=x&b=y"
        assert fields_of(told)["content-type"] == "application/x-www-form-urlencoded"

    def test_two_bodies_are_refused(self, clients: Clients, site: Site) -> None:
        with pytest.raises(errors.UsageError):
            clients().post(site.url + "/echo", content=b"x", json={})

    def test_multipart(self, clients: Clients, site: Site, tmp_path: Path) -> None:
        path = tmp_path / "data.txt"
        path.write_bytes(b"on disk")
        with path.open("rb") as file:
            files = {"f": file, "g": ("g.bin", b"\0\1", "application/x-g")}
            told = clients().post(site.url + "/echo", form={"a": "1"}, files=files).json()
        body, kind = told["body"], fields_of(told)["content-type"]
        boundary = kind.partition("boundary=")[2]
        assert body.startswith(f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n')
        assert 'name="f"; filename="data.txt"\r\nContent-Type: text/plain\r\n\r\non disk\r\n' in body
        assert 'name="g"; filename="g.bin"\r\nContent-Type: application/x-g\r\n\r\n\0\1\r\n' in body
        assert body.endswith(f"--{boundary}--\r\n")
        assert fields_of(told)["content-length"] == str(len(body))

    def test_large_upload_from_disk_does_not_grow_memory(self, clients: Clients, site: Site, tmp_path: Path) -> None:
        size = 50 * 1024 * 1024
        path = tmp_path / "sparse"
        with path.open("wb") as file:
            file.truncate(size)
        client = clients()
        client.get(site.url + "/echo")
        tracemalloc.start()
        try:
            with path.open("rb") as file:
                text = client.post(site.url + "/length", files={"f": file}).text
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert int(text.split()[0]) > size
        # Both sides are in this process.
        assert peak < 8 * 1024 * 1024


class TestHeaders:
    def test_defaults(self, clients: Clients, site: Site) -> None:
        told = clients().get(site.url + "/echo").json()
        fields = fields_of(told)
        assert fields["user-agent"].startswith("drivetrain/")
        assert fields["accept"] == "*/*"
        assert "gzip" in fields["accept-encoding"]

    def test_they_merge_and_replace_in_order(self, clients: Clients) -> None:
        heads: list[bytes] = []

        def handler(sock: socket.socket) -> None:
            heads.append(read_head(sock))
            sock.sendall(OK)
            read_until_eof(sock)

        with RawServer(handler) as server:
            client = clients(headers={"X-Client": "1", "user-agent": "mine"})
            client.get(server.url, headers=[("x-client", "2"), ("X-More", "a"), ("X-More", "b")])
            client.close()
        lines = heads[0].decode().split("\r\n")
        assert lines[0] == "GET / HTTP/1.1"
        assert lines[1].startswith("Host: 127.0.0.1")
        assert lines[2:8] == [
            "Accept: */*",
            f"Accept-Encoding: {accepted_codings()}",
            "user-agent: mine",
            "x-client: 2",
            "X-More: a",
            "X-More: b",
        ]
        assert "X-Client: 1" not in lines

    @pytest.mark.parametrize(
        "headers",
        [{"X": "a\r\nY: b"}, {"X\r\nY": "a"}, {"X": "a\nb"}, {"X": "a\0"}, {"": "a"}, {"a b": "c"}, {"X": "\u20ac"}],
    )
    def test_no_injection(self, clients: Clients, site: Site, headers: dict[str, str]) -> None:
        client = clients()
        with pytest.raises(errors.InvalidHeader):
            client.get(site.url + "/echo", headers=headers)
        with pytest.raises(errors.InvalidHeader):
            client.exchange("GET", site.url + "/echo", list(headers.items()))
        with pytest.raises(errors.InvalidHeader):
            clients(headers=headers)

    def test_params(self, clients: Clients, site: Site) -> None:
        client = clients()
        params = {"a": "1 &=/", "b": ["x", "y"], "c": None, "d": True, "e": 7}
        told = client.get(site.url + "/echo?z=0#f", params=params).json()
        assert told["path"] == "/echo?z=0&a=1%20%26%3D%2F&b=x&b=y&d=true&e=7"
        assert client.get(site.url + "/echo", params="?raw=1").json()["path"] == "/echo?raw=1"
        assert client.get(site.url + "/echo", params={}).json()["path"] == "/echo"
        assert client.get(site.url + "/echo", params=[("a", "1"), ("a", "2")]).json()["path"] == "/echo?a=1&a=2"

    def test_no_injection_by_params_or_url(self, clients: Clients, site: Site) -> None:
        client = clients()
        told = client.get(site.url + "/echo", params={"a\r\nX: y": "b\r\n"}).json()
        assert "x" not in fields_of(told)
        with pytest.raises(errors.InvalidURL):
            client.get(site.url + "/echo\r\nX: y")

    def test_userinfo_becomes_basic(self, clients: Clients, site: Site) -> None:
        client = clients()
        url = site.url.replace("//", "//us%40er:p%3Aw@") + "/echo"
        response = client.get(url)
        expected = "Basic " + base64.b64encode(b"us@er:p:w").decode()
        assert fields_of(response.json())["authorization"] == expected
        assert "p%3Aw" not in response.url
        assert "p%3Aw" not in repr(response)
        assert fields_of(client.get(url, headers={"Authorization": "mine"}).json())["authorization"] == "mine"

    def test_exchange_sends_exactly(self, clients: Clients) -> None:
        heads: list[bytes] = []

        def handler(sock: socket.socket) -> None:
            heads.append(read_head(sock))
            body = zlib.compress(b"x")
            sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Encoding: deflate\r\n")
            sock.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            read_until_eof(sock)

        with RawServer(handler) as server:
            client = clients()
            response = client.exchange("GET", server.url + "/p", [("hOsT", "h"), ("b", "2"), ("A", "1")])
            with response:
                assert response.status == 302
                assert b"".join(response.iter_bytes()) == zlib.compress(b"x")
            client.close()
        assert heads[0] == b"GET /p HTTP/1.1\r\nhOsT: h\r\nb: 2\r\nA: 1\r\n\r\n"

    def test_exchange_meanwhile(self, clients: Clients) -> None:
        """What the caller has to do is done when the request was sent, and before the answer is waited for."""
        done = threading.Event()

        def handler(sock: socket.socket) -> None:
            read_head(sock)
            if done.wait(10):
                sock.sendall(OK)
            read_until_eof(sock)

        with RawServer(handler) as server, clients() as client:
            with client.exchange("GET", server.url, [], meanwhile=done.set) as response:
                assert response.status == 200
            assert done.is_set()

    def test_exchange_meanwhile_again(self, clients: Clients) -> None:
        served: list[int] = []

        def handler(sock: socket.socket) -> None:
            for _ in range(2):  # a connection that has answered once breaks with the next request
                if not read_head(sock):
                    return
                served.append(len(served))
                if len(served) == 2:
                    return
                sock.sendall(OK)

        calls: list[str] = []
        with RawServer(handler) as server, clients() as client:
            for name in "ab":
                with client.exchange("GET", server.url, [], meanwhile=lambda name=name: calls.append(name)) as response:
                    assert b"".join(response.iter_bytes()) == b"ok"
        assert calls == ["a", "b", "b"]
        assert len(served) == 3

    @pytest.mark.parametrize("error", [ValueError("mine"), errors.ReadError("mine"), errors.ConnectionClosed("mine")])
    def test_exchange_meanwhile_that_fails(self, clients: Clients, site: Site, error: Exception) -> None:
        """It says nothing about the connection, which would be a reason to send the request again."""
        calls: list[int] = []

        def fail() -> None:
            calls.append(1)
            raise error

        with clients() as client:
            client.get(site.url + "/echo")
            with pytest.raises(type(error)) as caught:
                client.exchange("GET", site.url + "/echo", [], meanwhile=fail)
            assert caught.value is error
            assert calls == [1]
            assert client.statistics.open == 0

    def test_response_headers_have_limits(self, clients: Clients) -> None:
        head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(20)) + b"Content-Length: 0\r\n\r\n"
        with RawServer(answering(head), tolerate=(ConnectionError,)) as server:
            client = clients(limits=H1Limits(max_fields=10))
            with pytest.raises(errors.LimitExceeded):
                client.get(server.url)
            assert client.statistics.open == 0


class _Interrupted(deque[Any]):
    def popleft(self) -> Any:
        raise KeyboardInterrupt


def test_an_interrupt_at_the_end_of_a_body() -> None:
    """No later exchange waits for one whose end was not told to its connection."""
    with RawServer(answering(OK)) as server, Client() as client:  # which sends head and body at once
        with client.stream("GET", server.url) as response:
            connection: Any = response._core.connection
            connection.pipeline = _Interrupted(connection.pipeline)
            with pytest.raises(KeyboardInterrupt):
                response.take_raw()
        assert connection.is_closed
        assert client.statistics.in_use == 0
        assert not client.get(server.url, timeout=5).connection.reused


class TestRetries:
    def test_a_connection_closed_while_idle_is_noticed(self, clients: Clients) -> None:
        closed = threading.Semaphore(0)

        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(OK)
            sock.close()
            closed.release()

        with RawServer(handler) as server:
            client = clients()
            client.get(server.url)
            assert closed.acquire(timeout=5)
            if clients.loop is not None:
                _see_the_end(client)
            # Not even a POST needs a retry: it never used the old one.
            assert client.post(server.url, content=b"").status == 200
            figures = client.statistics
            assert (figures.created, figures.stale) == (2, 1)

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_a_get_is_repeated_once(self, clients: Clients, how: str) -> None:
        with RawServer(_dying(how)) as server:
            client = clients()
            assert client.get(server.url).text == "ok"
            assert client.get(server.url).text == "ok"
            assert (client.statistics.created, server.connections) == (2, 2)

    @pytest.mark.parametrize(
        ("method", "content"), [("PUT", b"again"), ("DELETE", None), ("PUT", [b"ag", b"ain"]), ("OPTIONS", None)]
    )
    def test_whatever_is_idempotent_is(self, clients: Clients, method: str, content: Any) -> None:
        with RawServer(_dying("close")) as server:
            client = clients()
            client.get(server.url)
            assert client.request(method, server.url, content=content).text == "ok"
            assert server.connections == 2

    def test_a_post_is_not_repeated(self, clients: Clients) -> None:
        with RawServer(_dying("close")) as server:
            client = clients()
            client.get(server.url)
            with pytest.raises((errors.ConnectionClosed, errors.ReadError)):
                client.post(server.url, content=b"once")
            assert server.connections == 1

    def test_nor_is_a_body_that_is_gone(self, clients: Clients) -> None:
        with RawServer(_dying("close")) as server:
            client = clients()
            client.get(server.url)
            with pytest.raises((errors.ConnectionClosed, errors.ReadError, errors.WriteError)):
                client.put(server.url, content=clients.pieces([b"once"]))
            assert server.connections == 1

    def test_nor_a_request_on_a_new_connection(self, clients: Clients) -> None:
        with RawServer(lambda sock: read_head(sock)) as server:
            with pytest.raises(errors.ConnectionClosed):
                clients().get(server.url)
            assert server.connections == 1

    @pytest.mark.parametrize("beginning", [b"HTTP/1.1 2", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
    def test_nor_one_that_was_answered_in_part(self, clients: Clients, beginning: bytes) -> None:
        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(OK)
            read_head(sock)
            sock.sendall(beginning)

        with RawServer(handler) as server:
            client = clients()
            client.get(server.url)
            with pytest.raises((errors.RemoteProtocolError, errors.ReadError)):
                client.get(server.url)
            assert server.connections == 1


def _see_the_end(client: Any) -> None:
    """Let the loop deliver the end of the idle connection."""

    async def wait() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    client.loop.run_until_complete(wait())


def _dying(how: str) -> Any:
    """The first connection answers once and closes upon the second request; later ones behave."""
    count = iter(range(100))

    def handler(sock: socket.socket) -> None:
        first = next(count) == 0
        while head := read_head(sock):
            if b"Content-Length:" in head:
                read_exactly(sock, int(head.partition(b"Content-Length:")[2].split()[0]))
            elif b"chunked" in head:
                data = b""
                while not data.endswith(b"0\r\n\r\n"):
                    data += sock.recv(1000)
            if first and next(turns) == 1:
                if how == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            sock.sendall(OK)

    turns = iter(range(100))
    return handler


class TestEarlyAnswers:
    BODY = 20 * 1024 * 1024

    @pytest.mark.parametrize("then", ["waits", "resets later", "resets at once"])
    def test_answer_during_upload(self, clients: Clients, then: str) -> None:
        """The server answers 413 at once and never reads the body; closing then resets the connection."""
        answered, received, done = threading.Event(), threading.Event(), threading.Event()
        piece = b"x" * 65536

        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
            answered.set()
            if then != "resets at once":
                assert (received if then == "resets later" else done).wait(10)

        def body() -> Iterator[bytes]:
            yield piece
            assert answered.wait(10)
            for number in range(self.BODY // len(piece)):
                if number == 3:
                    received.set()
                yield piece

        with RawServer(handler, tolerate=(ConnectionError,)) as server:
            client = clients()
            response = client.post(server.url, content=clients.pieces(body()))
            done.set()
            assert (response.status, response.content) == (413, b"big")
            assert client.statistics.open == 0

    def test_answer_to_a_body_at_hand(self, clients: Clients) -> None:
        done = threading.Event()

        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
            done.wait(10)

        with RawServer(handler, tolerate=(ConnectionError,)) as server:
            client = clients()
            response = client.put(server.url, content=bytes(self.BODY))
            done.set()
            assert (response.status, response.content) == (413, b"big")
            assert client.statistics.open == 0

    def test_expect_continue_waits_for_it(self, clients: Clients) -> None:
        def handler(sock: socket.socket) -> None:
            assert b"Expect: 100-continue" in read_head(sock)
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            sock.settimeout(5)
            sock.sendall(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            assert read_exactly(sock, 4) == b"body"
            sock.sendall(OK)
            read_until_eof(sock)

        with RawServer(handler) as server:
            client = clients()
            response = client.post(server.url, content=b"body", headers={"Expect": "100-continue"})
            assert response.text == "ok"
            assert [early.get(":status") for early in response.early_responses] == ["103", "100"]
            client.close()

    def test_expect_continue_refused(self, clients: Clients) -> None:
        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            assert read_until_eof(sock) == b""

        with RawServer(handler) as server:
            client = clients()
            response = client.post(server.url, content=b"body", headers={"Expect": "100-continue"})
            assert (response.status, response.text) == (403, "no")
            assert client.statistics.open == 0


class TestPool:
    def test_pool_limit_and_timeout(self, clients: Clients, site: Site) -> None:
        client = clients(pool=PoolLimits(max_per_origin=1), timeout=Timeouts(pool=0.05))
        with client.stream("GET", site.url + "/chunks?count=3"), pytest.raises(errors.PoolTimeout):
            client.get(site.url + "/echo")
        assert client.get(site.url + "/echo").status == 200

    def test_nothing_is_kept_when_told_so(self, clients: Clients, site: Site) -> None:
        client = clients(pool=PoolLimits(max_idle=0))
        assert client.get(site.url + "/echo").status == 200
        assert client.statistics.open == 0

    def test_a_dropped_response_gives_its_connection_back(self, clients: Clients, site: Site) -> None:
        client = clients(pool=PoolLimits(max_per_origin=1), timeout=5.0)
        response = client.stream("GET", site.url + "/chunks?count=300000&size=100")
        assert client.statistics.in_use == 1
        del response
        gc.collect()
        assert client.get(site.url + "/echo").status == 200


class TestThreads:
    def test_one_client_for_many_threads(self, site: Site) -> None:
        failures: list[BaseException] = []
        with Client(pool=PoolLimits(max_per_origin=7)) as client:

            def work(number: int) -> None:
                try:
                    for turn in range(50):
                        text = f"{number}-{turn}"
                        assert client.post(site.url + "/echo", content=text).json()["body"] == text
                except BaseException as error:
                    failures.append(error)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert failures == []
            figures = client.statistics
            assert figures.in_use == 0
            assert figures.open <= 7

    def test_an_interrupt_leaves_nothing_behind(self, site: Site) -> None:
        class Interrupt(BaseException):
            pass

        def body() -> Any:
            yield b"x" * 100_000
            raise Interrupt

        with Client() as client:
            with pytest.raises(Interrupt):
                client.post(site.url + "/length", content=body())
            assert client.statistics.open == 0
            with pytest.raises(Interrupt), client.stream("GET", site.url + "/chunks?count=200000&size=100"):
                raise Interrupt
            assert client.statistics.open == 0


class TestModule:
    def test_functions(self, site: Site) -> None:
        for method in ("get", "options", "post", "put", "patch", "delete"):
            assert getattr(engine, method)(site.url + "/echo").json()["method"] == method.upper()
        assert engine.head(site.url + "/status?code=200").status == 200
        assert engine.request("BREW", site.url + "/echo", json=1).json()["body"] == "1"
        with engine.stream("GET", site.url + "/chunks?count=3") as response:
            assert list(response.iter_bytes(2)) == [b"AB", b"C"]

    def test_headers_of_a_client_can_be_edited(self, site: Site) -> None:
        with Client() as client:
            client.headers.upsert("x-mine", "1")
            assert fields_of(client.get(site.url + "/echo").json())["x-mine"] == "1"
            assert isinstance(client.headers, Headers)
