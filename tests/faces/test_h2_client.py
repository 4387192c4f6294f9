"""HTTP/2 through both clients: the choice of the version, and messages in all their forms."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.engine import Request, errors
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from tests.faces.colours import Clients
from tests.support.certificates import Certificates
from tests.support.h2_server import Exchange, H2Server, hold, pages, pattern
from tests.support.servers import RawServer, answering, read_head, read_until_eof

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONNECTION_SPECIFIC = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")


@pytest.fixture
def server() -> Iterator[H2Server]:
    with H2Server() as made:
        yield made


class TestChoiceOfVersion:
    def test_alpn_lets_the_server_choose_2(self, clients: Clients, certificates: Certificates) -> None:
        with H2Server(context=certificates.server_context(["h2", "http/1.1"])) as server:
            response = clients(verify=str(certificates.ca_file)).get(server.url + "/bytes/3")
            assert (response.http_version, response.content) == ("2", pattern(3))
            assert response.connection.alpn == "h2"
            assert response.reason == "OK"

    def test_alpn_lets_the_server_choose_1(self, clients: Clients, certificates: Certificates) -> None:
        context = certificates.server_context(["http/1.1"])
        with H2Server(context=context, fallback=answering(OK, OK)) as server:
            client = clients(verify=str(certificates.ca_file))
            response = client.get(server.url)
            assert (response.http_version, response.connection.alpn) == ("1.1", "http/1.1")
            assert client.get(server.url).connection.reused
            assert server.wires == []

    def test_a_server_without_alpn_is_spoken_to_in_1(self, clients: Clients, certificates: Certificates) -> None:
        with H2Server(context=certificates.server_context(), fallback=answering(OK)) as server:
            response = clients(verify=str(certificates.ca_file)).get(server.url)
            assert (response.http_version, response.connection.alpn) == ("1.1", None)

    @pytest.mark.parametrize("version", [1.0, 1.1])
    def test_pinned_to_1_on_a_server_that_prefers_2(
        self, clients: Clients, certificates: Certificates, version: float
    ) -> None:
        context = certificates.server_context(["h2", "http/1.1"])
        with H2Server(context=context, fallback=answering(OK)) as server:
            response = clients(verify=str(certificates.ca_file), version=version).get(server.url)
            assert (response.http_version, response.content) == ("1.1", b"ok")
            assert server.wires == []

    def test_pinned_to_2_on_a_server_that_speaks_it(self, clients: Clients, certificates: Certificates) -> None:
        with H2Server(context=certificates.server_context(["http/1.1", "h2"])) as server:
            assert clients(verify=str(certificates.ca_file), version=2).get(server.url + "/x").text == "/x"

    @pytest.mark.parametrize("alpn", [["http/1.1"], []])
    def test_pinned_to_2_on_a_server_that_does_not(
        self, clients: Clients, certificates: Certificates, alpn: list[str]
    ) -> None:
        # With a protocol in common missing, OpenSSL's servers go on without ALPN.
        with H2Server(context=certificates.server_context(alpn), fallback=read_until_eof) as server:
            client = clients(verify=str(certificates.ca_file), version=2)
            with pytest.raises(errors.TLSError, match="HTTP/2"):
                client.get(server.url)
            assert client.statistics.open == 0

    def test_a_context_of_the_users_offers_what_the_version_says(
        self, clients: Clients, certificates: Certificates
    ) -> None:
        context = certificates.client_context()
        with H2Server(context=certificates.server_context(["h2", "http/1.1"]), fallback=answering(OK)) as server:
            assert clients(ssl_context=context).get(server.url + "/x").http_version == "2"
            assert clients(ssl_context=context, version=1.1).get(server.url).http_version == "1.1"

    def test_in_clear_1_1_is_spoken_unasked(self, clients: Clients) -> None:
        with RawServer(answering(OK)) as server:
            assert clients().get(server.url).http_version == "1.1"

    def test_prior_knowledge(self, clients: Clients, server: H2Server) -> None:
        client = clients(version=2)
        assert [client.get(server.url + "/x").http_version for _ in range(3)] == ["2"] * 3
        assert server.connections == 1
        assert client.statistics.reused == 2

    @pytest.mark.parametrize("ends", [True, False])
    def test_prior_knowledge_of_a_server_that_speaks_1(self, clients: Clients, ends: bool) -> None:
        def refuse(connection: Any) -> None:
            read_head(connection)  # "PRI * HTTP/2.0" looks like one
            connection.sendall(b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n")
            if not ends:
                read_until_eof(connection)

        with RawServer(refuse, tolerate=(ConnectionError,)) as server:
            client = clients(version=2)
            with pytest.raises(errors.RemoteProtocolError, match="HTTP/2"):
                client.get(server.url, timeout=5)
            assert client.statistics.open == 0

    def test_prior_knowledge_of_a_server_that_hangs_up(self, clients: Clients) -> None:
        with RawServer(read_head, tolerate=(ConnectionError,)) as server:
            client = clients(version=2)
            with pytest.raises((errors.ConnectionClosed, errors.ReadError)):
                client.get(server.url, timeout=5)
            # It was a new connection: there is no reason to try again.
            assert server.connections == 1

    def test_weak_tls_is_refused(self, clients: Clients, certificates: Certificates) -> None:
        mine, theirs = certificates.client_context(), certificates.server_context(["h2"])
        for context in (mine, theirs):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
        with H2Server(context=theirs, tolerate=(OSError,)) as server:
            client = clients(ssl_context=mine)
            with pytest.raises(H2Error) as caught:
                client.get(server.url)
            assert caught.value.code == H2ErrorCode.INADEQUATE_SECURITY
            assert client.statistics.open == 0
            assert server.exchanges == []

    def test_good_tls_1_2_is_not(self, clients: Clients, certificates: Certificates) -> None:
        mine, theirs = certificates.client_context(), certificates.server_context(["h2"])
        mine.maximum_version = ssl.TLSVersion.TLSv1_2
        with H2Server(context=theirs) as server:
            response = clients(ssl_context=mine).get(server.url + "/x")
            assert (response.http_version, response.connection.tls_version) == ("2", "TLSv1.2")

    def test_a_request_object_has_a_version_too(self, server: H2Server) -> None:
        request = Request.from_uri(server.url + "/x")
        request.version = 2
        headers, stream = request.go(5)
        assert (headers.get(":status"), stream.get_body_as_string(), stream.version) == ("200", b"/x", 2.0)


class TestRequests:
    def test_authority_stands_for_host(self, clients: Clients, server: H2Server) -> None:
        clients(version=2).get(server.url + "/a?b=c")
        fields = dict(server.exchanges[0].fields)
        assert fields[":authority"] == server.url.removeprefix("http://")
        assert (fields[":path"], fields[":scheme"], fields[":method"]) == ("/a?b=c", "http", "GET")
        assert "host" not in fields

    def test_a_host_field_becomes_the_authority(self, clients: Clients, server: H2Server) -> None:
        clients(version=2).get(server.url + "/", headers={"Host": "example.org:81"})
        fields = dict(server.exchanges[0].fields)
        assert fields[":authority"] == "example.org:81"
        assert fields.get("host") in (None, "example.org:81")

    def test_names_go_out_in_lower_case(self, clients: Clients, server: H2Server) -> None:
        clients(version=2).get(server.url + "/", headers={"X-Mixed-Case": "Value"})
        assert server.exchanges[0].get("x-mixed-case") == "Value"
        assert all(name == name.lower() for name, _ in server.exchanges[0].fields)

    @pytest.mark.parametrize("name", CONNECTION_SPECIFIC)
    def test_connection_specific_fields_stay_at_home(self, clients: Clients, server: H2Server, name: str) -> None:
        client = clients(version=2)
        try:
            client.get(server.url + "/", headers={name: "close"})
        except errors.EngineError:
            assert server.exchanges == []  # refused: fine too, as long as nobody is sent it
        else:
            assert server.exchanges[0].get(name) is None
        assert client.get(server.url + "/next").text == "/next"

    def test_te_trailers_is_allowed(self, clients: Clients, server: H2Server) -> None:
        clients(version=2).get(server.url + "/", headers={"TE": "trailers"})
        assert server.exchanges[0].get("te") == "trailers"

    def test_many_and_large_fields_go_out_in_continuations(self, clients: Clients, server: H2Server) -> None:
        fields = {f"x-{number}": "~" * 1000 for number in range(40)}
        assert clients(version=2).get(server.url + "/", headers=fields).status == 200
        assert [server.exchanges[0].get(name) for name in fields] == list(fields.values())
        assert "9" in [frame.kind for frame in server.wire.frames]  # CONTINUATION
        assert max(frame.length for frame in server.wire.frames) <= 16_384

    def test_cookies_arrive_whole(self, clients: Clients, server: H2Server) -> None:
        clients(version=2).get(server.url + "/", headers={"Cookie": "a=1; b=2; c=3"})
        # Several lines or one, they mean the same joined with "; " (RFC 9113 section 8.2.3).
        crumbs = [value for name, value in server.exchanges[0].fields if name == "cookie"]
        assert "; ".join(crumbs) == "a=1; b=2; c=3"

    def test_a_body_has_its_length(self, clients: Clients, server: H2Server) -> None:
        assert clients(version=2).post(server.url + "/echo", content=b"some").content == b"some"
        assert server.exchanges[0].get("content-length") == "4"
        # Small, it goes out with its head, and the end with it.
        data = [frame for frame in server.wire.frames if frame.kind == "DATA"]
        assert [(frame.length, frame.flags & 1) for frame in data] == [(4, 1)]

    def test_a_body_in_pieces_has_no_transfer_coding(self, clients: Clients, server: H2Server) -> None:
        body = clients.pieces([b"one", b"", b"two"])
        assert clients(version=2).put(server.url + "/echo", content=body).content == b"onetwo"
        assert server.exchanges[0].get("transfer-encoding") is None
        assert server.exchanges[0].get("content-length") is None

    def test_an_empty_body(self, clients: Clients, server: H2Server) -> None:
        assert clients(version=2).post(server.url + "/echo", content=b"").content == b""
        assert server.exchanges[0].complete


class TestAnswers:
    def test_informational_ones_are_kept(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(103, ("link", "</style.css>; rel=preload"))
            exchange.head(103, ("link", "</script.js>; rel=preload"))
            exchange.respond(200, b"done")

        with H2Server(answer) as server:
            response = clients(version=2).get(server.url)
            assert response.content == b"done"
            assert [headers.get(":status") for headers in response.early_responses] == ["103", "103"]
            assert response.early_responses[1].get("link") == "</script.js>; rel=preload"

    def test_trailers(self, clients: Clients) -> None:
        with H2Server(lambda exchange: exchange.respond(200, b"body", trailers=[("x-sum", "4")])) as server:
            response = clients(version=2).get(server.url)
            assert response.content == b"body"
            assert response.trailers is not None
            assert list(response.trailers) == [("x-sum", "4")]

    def test_trailers_behind_no_body(self, clients: Clients) -> None:
        with H2Server(lambda exchange: exchange.respond(200, trailers=[("x-sum", "0")])) as server:
            response = clients(version=2).get(server.url)
            assert response.content == b""
            assert response.trailers is not None
            assert response.trailers.get("x-sum") == "0"

    def test_padding(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(200, ("x", "y"), pad=255)
            for at in range(0, 200_000, 1000):
                exchange.data(pattern(200_000)[at : at + 1000], pad=255)
            exchange.data(b"", end=True, pad=7)

        with H2Server(answer) as server:
            client = clients(version=2)
            for _ in range(12):  # 12 x 251 kB are twice the stream's window and more: padding is paid back too
                assert client.get(server.url).content == pattern(200_000)
            assert client.get(server.url).headers.get("x") == "y"

    @pytest.mark.parametrize("split", [1, 7, 100])
    def test_continuations(self, clients: Clients, split: int) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(200, ("x-1", "1"), ("x-2", "2"), end=True, split=split, pad=3)

        with H2Server(answer) as server:
            response = clients(version=2).get(server.url)
            assert (response.headers.get("x-1"), response.headers.get("x-2"), response.content) == ("1", "2", b"")

    def test_several_cookies_set(self, clients: Clients) -> None:
        cookies = [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")]
        with H2Server(lambda exchange: exchange.respond(200, b"x", *cookies)) as server:
            response = clients(version=2).get(server.url)
            assert response.headers.get_as_sequence("set-cookie") == ["a=1; Path=/", "b=2"]

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204), ("HEAD", 304)])
    def test_no_body_in_spite_of_a_length(self, clients: Clients, method: str, status: int) -> None:
        length = [] if status == 204 else [("content-length", "1000")]  # which 204 must not have
        with H2Server(lambda exchange: exchange.head(status, *length, end=True)) as server:
            client = clients(version=2)
            for _ in range(2):
                response = client.request(method, server.url)
                assert (response.status, response.content) == (status, b"")
                assert response.headers.get("content-length") == (length[0][1] if length else None)
            assert server.connections == 1

    def test_redirects_are_followed_on_the_connection(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            if exchange.path == "/old":
                exchange.respond(302, b"x" * 1000, ("location", "/new"))
            else:
                pages(exchange)

        with H2Server(answer) as server:
            response = clients(version=2).get(server.url + "/old")
            assert (response.text, len(response.history)) == ("/new", 1)
            assert server.connections == 1

    def test_expect_continue(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(100)

        with H2Server(answer, early=True) as server:
            with_body = Request.from_uri(server.url + "/echo")
            with_body.version = 2
            with_body.headers.upsert(":method", "POST")
            with_body.expect_100_timeout = 60.0
            with_body.set_body(pattern(2000))

            def finish() -> None:
                exchange = server.next()
                server.wait(lambda: exchange.complete)
                exchange.respond(200, bytes(exchange.body))

            helper = threading.Thread(target=finish)
            helper.start()
            headers, stream = with_body.go(10)
            helper.join()
            assert headers.get(":status") == "200"
            assert stream.get_body_as_string() == pattern(2000)

    def test_expect_continue_refused(self, clients: Clients) -> None:
        with H2Server(lambda exchange: exchange.respond(417, b"no"), early=True) as server:
            request = Request.from_uri(server.url)
            request.version = 2
            request.headers.upsert(":method", "POST")
            request.expect_100_timeout = 60.0
            request.set_body(pattern(2000))
            headers, stream = request.go(10)
            assert (headers.get(":status"), stream.get_body_as_string()) == ("417", b"no")
            exchange = server.exchanges[0]
            server.wait(lambda: exchange.id in server.wire.resets, "the reset of what was not sent")
            assert exchange.received == 0


MALFORMED: dict[str, list[tuple[str, str]]] = {
    **{name: [(":status", "200"), (name, "close")] for name in CONNECTION_SPECIFIC},
    "no status": [("x", "y")],
    "two statuses": [(":status", "200"), (":status", "200")],
    "an unknown pseudo-header field": [(":status", "200"), (":path", "/")],
    "a status behind a field": [("x", "y"), (":status", "200")],
    "an upper-case name": [(":status", "200"), ("X-Upper", "y")],
    "a line end in a value": [(":status", "200"), ("x", "a\r\nb: c")],
    "a status that is none": [(":status", "2000")],
    "101": [(":status", "101")],
    "two lengths": [(":status", "200"), ("content-length", "1"), ("content-length", "2")],
    "a length that is none": [(":status", "200"), ("content-length", "-1")],
}


class TestMalformedAnswers:
    """A malformed message is the affair of its stream (RFC 9113 section 8.1.1)."""

    @pytest.mark.parametrize("name", list(MALFORMED))
    def test_each_ends_its_stream_only(self, clients: Clients, name: str) -> None:
        def answer(exchange: Exchange) -> None:
            if exchange.path == "/bad":
                with exchange.wire.lock:
                    exchange.wire.send_headers(exchange, MALFORMED[name], False, 0, None)
                    exchange.wire.ring()
            else:
                pages(exchange)

        with H2Server(answer) as server:
            client = clients(version=2)
            with pytest.raises(errors.RemoteProtocolError):
                client.get(server.url + "/bad", timeout=5)
            assert client.get(server.url + "/good").text == "/good"
            assert server.connections == 1
            assert server.wire.resets == {server.exchanges[0].id: H2ErrorCode.PROTOCOL_ERROR}

    @pytest.mark.parametrize(("promised", "sent"), [(5, b"four"), (3, b"four"), (1, b""), (0, b"x")])
    def test_a_length_that_is_not_kept(self, clients: Clients, promised: int, sent: bytes) -> None:
        def answer(exchange: Exchange) -> None:
            if exchange.path == "/bad":
                exchange.head(200, ("content-length", str(promised)), end=not sent)
                if sent:
                    exchange.data(sent, end=True)
            else:
                pages(exchange)

        with H2Server(answer) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            with pytest.raises(errors.RemoteProtocolError):
                client.get(server.url + "/bad", timeout=5)
            assert client.get(server.url + "/good").text == "/good"
            assert server.connections == 1

    def test_trailers_with_a_pseudo_header_field(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            if exchange.path == "/bad":
                exchange.respond(200, b"x", trailers=[(":status", "200")])
            else:
                pages(exchange)

        with H2Server(answer) as server:
            client = clients(version=2)
            with pytest.raises(errors.RemoteProtocolError):
                client.get(server.url + "/bad", timeout=5)
            assert client.get(server.url + "/good").text == "/good"
            assert server.connections == 1

    def test_a_push_that_was_not_allowed_ends_the_connection(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            if exchange.path == "/bad":
                exchange.push("/pushed")
            else:
                pages(exchange)

        with H2Server(answer) as server:
            client = clients(version=2)
            with pytest.raises(errors.RemoteProtocolError):
                client.get(server.url + "/bad", timeout=5)
            server.wait(lambda: server.wires[0].goaways == [H2ErrorCode.PROTOCOL_ERROR])
            assert client.get(server.url + "/good").text == "/good"
            assert server.connections == 2

    def test_silence_is_a_read_timeout(self, clients: Clients) -> None:
        with H2Server(hold) as server:
            client = clients(version=2)
            with pytest.raises(errors.ReadTimeout):
                client.get(server.url, timeout=0.1)
            exchange = server.exchanges[0]
            server.wait(lambda: server.wire.resets.get(exchange.id) == H2ErrorCode.CANCEL)
            assert server.connections == 1
