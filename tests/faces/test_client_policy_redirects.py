"""Redirects through both clients and both HTTP versions: where they lead, and what goes along."""

from __future__ import annotations

import io
import ssl
from typing import Any

import pytest

from drivetrain.engine.errors import BodyNotReplayable, RedirectError, TooManyRedirects
from tests.faces.policy_support import World, moved, say
from tests.support.proxies import ConnectProxy


class TestWhereto:
    @pytest.mark.parametrize(
        ("location", "arrives"),
        [
            ("/b", "/b"),
            ("b", "/deep/b"),
            ("../b", "/b"),
            ("./", "/deep/"),
            ("?q=1", "/deep/a?q=1"),
            ("//other.example:{port}/b", "/b"),
            ("HTTPS://ORIGIN.example:{port}/b", "/b"),
            ("/b c", "/b%20c"),
            ("/b?ü".encode().decode("latin-1"), "/b?%C3%BC"),  # a field's bytes are UTF-8 in a URI
            ("/b?ü", "/b?%FC"),  # and what is none is kept
            ("/a/%2e%2e/b", "/a/%2e%2e/b"),
            ("#part", "/deep/a?x=1"),
        ],
    )
    def test_resolved_by_the_rules(self, world: World, location: str, arrives: str) -> None:
        world.secure.pages["/deep/a"] = [moved(location.format(port=world.secure.port)), say(200)]
        response = world.client().get(world.secure.at("/deep/a?x=1"))
        assert response.status == 200
        assert world.secure.paths == ["/deep/a?x=1", arrives]

    def test_fragments(self, world: World) -> None:
        world.secure.pages["/a"] = moved("/b")
        world.secure.pages["/b"] = moved("/c#own")
        world.secure.pages["/c"] = moved("/d")
        response = world.client().get(world.secure.at("/a#first"))
        urls = [each.url for each in (*response.history, response)]
        assert urls == [world.secure.at(end) for end in ("/a#first", "/b#first", "/c#own", "/d#own")]
        assert world.secure.paths == ["/a", "/b", "/c", "/d"]

    @pytest.mark.parametrize(
        "location", ["ftp://origin.example/", "javascript:alert(1)", "file:///etc/passwd", "http://"]
    )
    def test_refused(self, world: World, location: str) -> None:
        world.secure.pages["/a"] = moved("/b")
        world.secure.pages["/b"] = moved(location)
        client = world.client()
        with pytest.raises(RedirectError) as caught:
            client.get(world.secure.at("/a"))
        assert caught.value.chain[:2] == (world.secure.at("/a"), world.secure.at("/b"))
        assert caught.value.chain[2].startswith(location)
        assert client.statistics.in_use == 0

    def test_a_loop(self, world: World) -> None:
        world.secure.pages["/a"] = moved("/b")
        world.secure.pages["/b"] = moved("/a")
        with pytest.raises(TooManyRedirects) as caught:
            world.client(max_redirects=3).get(world.secure.at("/a"))
        assert caught.value.chain == tuple(world.secure.at(path) for path in ("/a", "/b", "/a", "/b", "/a"))
        assert len(world.secure.seen) == 4

    def test_none_at_all(self, world: World) -> None:
        world.secure.pages["/a"] = moved("/b")
        with pytest.raises(TooManyRedirects):
            world.client(max_redirects=0).get(world.secure.at("/a"))
        client = world.client(follow_redirects=False)
        assert client.get(world.secure.at("/a")).status == 302
        assert client.get(world.secure.at("/a"), follow_redirects=True).status == 200

    def test_the_way_is_told(self, world: World) -> None:
        world.secure.pages["/a"] = moved("/b", 301)
        world.secure.pages["/b"] = moved("/c", 307)
        response = world.client().get(world.secure.at("/a"))
        assert [(each.status, each.url) for each in response.history] == [
            (301, world.secure.at("/a")),
            (307, world.secure.at("/b")),
        ]

    def test_to_another_version(self, world: World) -> None:
        """From clear HTTP/1.1 to whatever the secure origin speaks."""
        world.plain.pages["/a"] = moved(world.secure.at("/b"))
        response = world.client().get(world.plain.at("/a"))
        assert [response.history[0].http_version, response.http_version] == ["1.1", world.version]


class TestReferer:
    def test_tells_where_from(self, world: World) -> None:
        world.secure.pages["/a"] = moved("/b")
        world.secure.pages["/b"] = moved(world.secure.at("/c", "other.example"))
        world.client().get(world.secure.at("/a?q#part").replace("//", "//u:p@"))
        assert world.secure.told("referer") == [None, world.secure.at("/a?q"), world.secure.at("/b")]

    def test_not_into_the_clear(self, world: World) -> None:
        world.secure.pages["/a"] = moved(world.plain.at("/b"))
        world.plain.pages["/b"] = moved(world.plain.at("/c"))
        world.client().get(world.secure.at("/a"), headers={"Referer": "https://secret.example/"})
        assert world.plain.told("referer") == [None, world.plain.at("/b")]


class TestBodies:
    @pytest.mark.parametrize("code", [301, 302, 303])
    def test_left_behind(self, world: World, code: int) -> None:
        world.secure.pages["/a"] = moved("/b", code)
        fields = {"Content-Language": "en", "Expect": "100-continue"}
        response = world.client().post(world.secure.at("/a"), json={"a": 1}, headers=fields)
        assert (response.method, response.content) == ("GET", b"fine")
        for name in ("content-type", "content-length", "content-language", "expect", "transfer-encoding"):
            assert world.secure.told(name)[-1] is None
        assert world.secure.told("user-agent")[0] == world.secure.told("user-agent")[1]

    @pytest.mark.parametrize("code", [307, 308])
    def test_taken_along(self, world: World, code: int) -> None:
        world.secure.pages["/a"] = moved("/b", code)
        for content in (b"bytes", io.BytesIO(b"a file")):
            response = world.client().post(world.secure.at("/a"), content=content)
            assert response.method == "POST"
            assert response.content in (b"bytes", b"a file")
        assert world.secure.told("content-length") == ["5", "5", "6", "6"]

    def test_not_there_any_more(self, world: World) -> None:
        world.secure.pages["/a"] = moved("/b", 307)
        client = world.client()
        with pytest.raises(BodyNotReplayable):
            client.post(world.secure.at("/a"), content=world.pieces([b"x", b"y"]))
        assert world.secure.paths == ["/a"]
        assert client.statistics.in_use == 0

    def test_not_begun_yet(self, world: World) -> None:
        """The first server refuses the body by its redirect, so it is all there for the second."""
        world.secure.pages["/a"] = say(307, ("location", "/b"), read=False)
        content = world.pieces([b"one", b"two"])
        response = world.client().post(world.secure.at("/a"), content=content, headers={"Expect": "100-continue"})
        assert response.content == b"onetwo"
        assert world.secure.paths == ["/a", "/b"]

    def test_across_origins_a_body_goes_without_credentials(self, world: World) -> None:
        world.secure.pages["/a"] = moved(world.plain.at("/b"), 308)
        response = world.client(auth=("u", "p")).put(world.secure.at("/a"), content=b"x")
        assert (response.method, response.content) == ("PUT", b"x")
        assert world.plain.told("authorization") == [None]


class TestProxies:
    def test_chosen_for_each_hop(self, world: World, made_up: Any) -> None:
        """From a host that needs no proxy, over one in clear that does, to one that is tunnelled to."""
        world.plain.pages["/a"] = moved(world.plain.at("/b", "other.example"))
        world.plain.pages["/b"] = moved(world.secure.at("/c", "sub.origin.example"))
        with ConnectProxy(credentials="pu:pp") as proxy:
            via = proxy.url.replace("//", "//pu:pp@")
            client = world.client(proxies={"all": via, "no_proxy": "origin.example:" + str(world.plain.port)})
            response = client.get(world.plain.at("/a"), headers={"Proxy-Authorization": "mine"})
            assert response.http_version == world.version
        targets = [head.split(b"\r\n")[0] for head in proxy.heads]
        assert targets == [
            f"GET {world.plain.at('/b', 'other.example')} HTTP/1.1".encode(),
            f"CONNECT sub.origin.example:{world.secure.port} HTTP/1.1".encode(),
        ]
        assert world.plain.told("proxy-authorization") == [None, None]
        assert world.secure.told("proxy-authorization") == [None]


def test_verified_at_each_hop(world: World) -> None:
    world.plain.pages["/a"] = moved(world.secure.at("/b"))
    client = world.client(ssl_context=ssl.create_default_context(), proxies=False)
    with pytest.raises(OSError, match="certificate"):
        client.get(world.plain.at("/a"))
    assert world.secure.seen == []
    world.secure.errors.clear()
