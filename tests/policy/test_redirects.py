"""Redirects: the rules as functions, and the way along them through both clients."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from drivetrain.engine import Headers, errors, parse_uri
from drivetrain.engine.policy.redirects import (
    RedirectPolicy,
    is_redirect,
    next_location,
    redirected_headers,
    redirected_method,
)
from tests.faces.colours import COLOURS, Clients
from tests.faces.site import Site
from tests.support.servers import RawServer, read_head, read_until_eof


@pytest.fixture(params=COLOURS)
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    made = Clients(request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


def to(site: Site, target: str, code: int = 302, size: int = 10) -> str:
    return f"{site.url}/redirect?code={code}&size={size}&to={quote(target, safe='')}"


def fields(told: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in told["fields"]}


class TestRules:
    @pytest.mark.parametrize("status", range(300, 310))
    def test_which_statuses(self, status: int) -> None:
        headers = Headers([("location", "/x")])
        assert is_redirect(status, headers) == (status in (301, 302, 303, 307, 308))
        assert not is_redirect(status, Headers())

    @pytest.mark.parametrize(
        ("method", "status", "expected"),
        [
            ("GET", 301, "GET"),
            ("HEAD", 303, "HEAD"),
            ("PUT", 303, "GET"),
            ("DELETE", 303, "GET"),
            ("POST", 301, "GET"),
            ("POST", 302, "GET"),
            ("POST", 303, "GET"),
            ("POST", 307, "POST"),
            ("POST", 308, "POST"),
            ("PUT", 301, "PUT"),
            ("DELETE", 302, "DELETE"),
        ],
    )
    def test_methods(self, method: str, status: int, expected: str) -> None:
        assert redirected_method(method, status, RedirectPolicy()) == expected

    def test_post_may_be_kept(self) -> None:
        policy = RedirectPolicy(post301=True, post302=True)
        assert redirected_method("POST", 301, policy) == redirected_method("POST", 302, policy) == "POST"
        assert redirected_method("POST", 303, policy) == "GET"

    @pytest.mark.parametrize(
        ("location", "expected"),
        [
            ("/a", "http://h.example/a#f"),
            ("b#g", "http://h.example/p/b#g"),
            ("?q", "http://h.example/p/x?q#f"),
            ("//o.example", "http://o.example/#f"),
            ("https://o.example:8/z", "https://o.example:8/z#f"),
            ("", "http://h.example/p/x?y#f"),
        ],
    )
    def test_locations(self, location: str, expected: str) -> None:
        base = parse_uri("http://u:p@h.example/p/x?y#f")
        target = next_location(base, Headers([("location", location)]), ())
        assert str(target) == expected
        assert target.userinfo == ("u:p" if "example" not in location else None)

    @pytest.mark.parametrize(
        "location", ["http://", "http://a b/", "ftp://h/", "javascript:1", "ws://h/", "http://h:x/"]
    )
    def test_bad_locations(self, location: str) -> None:
        with pytest.raises(errors.RedirectError) as caught:
            next_location(parse_uri("http://h/"), Headers([("location", location)]), ("http://h/",))
        assert caught.value.chain[0] == "http://h/"
        assert len(caught.value.chain) == 2

    def test_an_error_tells_no_password(self) -> None:
        with pytest.raises(errors.RedirectError) as caught:
            next_location(parse_uri("http://h/"), Headers([("location", "http://u:secret@h:x/")]), ())
        assert "secret" not in str(caught.value)
        assert "secret" not in str(caught.value.chain)

    def test_credentials_stay_with_their_origin(self) -> None:
        given = Headers(
            [("authorization", "a"), ("cookie", "c"), ("proxy-authorization", "p"), ("host", "h"), ("x", "y")]
        )
        here = parse_uri("http://h/")
        kept = redirected_headers(given, here, parse_uri("http://h/other"), True)
        assert [kept.get(name) for name in ("authorization", "cookie", "proxy-authorization", "host")] == list("acph")
        for there in ("https://h/", "http://h:81/", "http://x.h/"):
            left = redirected_headers(given, here, parse_uri(there), True)
            assert [name for name, _ in left] == ["x", "referer"]

    def test_userinfo_of_a_target_is_used(self) -> None:
        given = Headers([("authorization", "mine")])
        left = redirected_headers(given, parse_uri("http://h/"), parse_uri("http://u:p@o/"), True)
        assert left.get("authorization") == "Basic dTpw"

    def test_referer(self) -> None:
        given = Headers([("referer", "http://old/")])

        def referer(source: str, target: str) -> str | None:
            return redirected_headers(given, parse_uri(source), parse_uri(target), True).get("referer")

        assert referer("http://u:p@h/p?q#f", "http://o/") == "http://h/p?q"
        assert referer("https://h/p", "https://o/") == "https://h/p"
        assert referer("http://h/p", "https://o/") == "http://h/p"
        assert referer("https://h/p", "http://h/") is None

    def test_the_description_of_the_body_goes_with_it(self) -> None:
        names = ["content-type", "content-length", "transfer-encoding", "expect", "content-encoding"]
        given = Headers([(name, "x") for name in names])
        uri = parse_uri("http://h/")
        assert [name for name, _ in redirected_headers(given, uri, uri, False)] == ["referer"]
        assert [name for name, _ in redirected_headers(given, uri, uri, True)] == [*names, "referer"]


class TestOnTheWay:
    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_followed(self, clients: Clients, site: Site, code: int) -> None:
        client = clients()
        response = client.get(to(site, "/echo?x=1", code) + "#frag")
        assert response.json()["path"] == "/echo?x=1"
        assert response.url == site.url + "/echo?x=1#frag"
        assert [step.status for step in response.history] == [code]
        assert fields(response.json())["referer"].startswith(site.url + "/redirect")
        # A small body was read, and the connection kept.
        assert (client.statistics.created, response.connection.reused) == (1, True)

    def test_a_large_body_is_not_read(self, clients: Clients, site: Site) -> None:
        client = clients()
        assert client.get(to(site, "/echo", size=1_000_000)).status == 200
        assert client.statistics.created == 2

    def test_a_small_chunked_body_is(self, clients: Clients) -> None:
        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: /b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            )
            read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            read_until_eof(sock)

        with RawServer(handler) as server:
            client = clients()
            assert client.get(server.url).status == 200
            assert server.connections == 1
            client.close()

    def test_a_broken_body_does_not_matter(self, clients: Clients, site: Site) -> None:
        answer = f"HTTP/1.1 302 Found\r\nLocation: {site.url}/echo\r\nContent-Length: 100\r\n\r\nabc".encode()
        with RawServer(lambda sock: (read_head(sock), sock.sendall(answer))) as server:
            assert clients().get(server.url).status == 200

    @pytest.mark.parametrize(("code", "kept"), [(301, False), (302, False), (303, False), (307, True), (308, True)])
    def test_post(self, clients: Clients, site: Site, code: int, kept: bool) -> None:
        told = clients().post(to(site, "/echo", code), content="hello").json()
        assert (told["method"], told["body"]) == (("POST", "hello") if kept else ("GET", ""))
        assert ("content-type" in fields(told)) == kept
        assert fields(told).get("content-length") == ("5" if kept else None)

    def test_post_without_a_body(self, clients: Clients, site: Site) -> None:
        told = clients().post(to(site, "/echo", 303), headers={"content-type": "x/y"}).json()
        assert told["method"] == "GET"
        assert "content-type" not in fields(told)

    def test_post301_and_post302(self, clients: Clients, site: Site) -> None:
        client = clients(post301=True)
        assert client.post(to(site, "/echo", 301), content="x").json()["body"] == "x"
        assert client.post(to(site, "/echo", 302), content="x").json()["method"] == "GET"
        assert clients(post302=True).post(to(site, "/echo", 302), content="x").json()["method"] == "POST"

    def test_a_file_is_sent_again_from_where_it_was(self, clients: Clients, site: Site) -> None:
        file = io.BytesIO(b"0123456789")
        file.seek(3)
        assert clients().put(to(site, "/echo", 307), content=file).json()["body"] == "3456789"

    def test_what_cannot_be_sent_again(self, clients: Clients, site: Site) -> None:
        client = clients()
        with pytest.raises(errors.BodyNotReplayable):
            client.post(to(site, "/echo", 307), content=clients.pieces([b"x"]))
        assert client.post(to(site, "/echo", 303), content=clients.pieces([b"x"])).json()["method"] == "GET"

    def test_too_many(self, clients: Clients, site: Site) -> None:
        with pytest.raises(errors.TooManyRedirects) as caught:
            clients(max_redirects=2).get(site.url + "/loop")
        assert caught.value.chain == tuple(site.url + "/loop" + query for query in ("", "?n=1", "?n=2", "?n=3"))

    def test_switched_off(self, clients: Clients, site: Site) -> None:
        client = clients(follow_redirects=False)
        assert client.get(to(site, "/echo")).status == 302
        assert client.get(to(site, "/echo"), follow_redirects=True).status == 200
        assert clients().get(to(site, "/echo"), follow_redirects=False).status == 302

    def test_other_schemes_are_refused(self, clients: Clients, site: Site) -> None:
        client = clients()
        for target in ("ftp://host/", "file:///etc/passwd", "http://[bad/"):
            with pytest.raises(errors.RedirectError):
                client.get(to(site, target))
        assert client.statistics.in_use == 0

    def test_credentials_do_not_travel(self, clients: Clients, site: Site) -> None:
        with Site() as other:
            given = {"authorization": "secret", "cookie": "a=b", "x-other": "1"}
            told = clients().get(to(site, other.url + "/echo"), headers=given).json()
            assert not {"authorization", "cookie"} & fields(told).keys()
            assert fields(told)["x-other"] == "1"
            assert told["authority"] == other.url.removeprefix("http://")
            there_and_back = to(other, site.url + "/echo")
            told = clients().get(to(site, there_and_back), headers=given).json()
            assert "authorization" not in fields(told)
            assert fields(clients().get(to(site, "/echo"), headers=given).json())["authorization"] == "secret"

    def test_without_location_it_is_an_answer(self, clients: Clients, site: Site) -> None:
        assert clients().get(site.url + "/status?code=302").status == 302
