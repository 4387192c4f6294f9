"""Cookies through both clients: kept by host, sent where they belong, for each hop anew."""

from __future__ import annotations

import pytest

from drivetrain.engine import CookieStore, DigestAuth
from tests.faces.policy_support import World, moved, say


def set_cookies(*lines: str) -> list[tuple[str, str]]:
    return [("set-cookie", line) for line in lines]


class TestRoundTrip:
    def test_what_was_set_comes_back(self, world: World) -> None:
        world.secure.pages["/set"] = say(200, *set_cookies("a=1; Path=/", "b=2; Path=/deep", "c=3; Secure"))
        client = world.client()
        assert client.get(world.secure.at("/set")).http_version == world.version
        for path in ("/", "/deep/er"):
            client.get(world.secure.at(path))
        client.get(world.secure.at("/", "other.example"))
        assert world.secure.told("cookie") == [None, "a=1; c=3", "b=2; a=1; c=3", None]
        assert {cookie.name for cookie in client.cookies} == {"a", "b", "c"}

    def test_not_to_the_same_host_in_clear_when_secure(self, world: World) -> None:
        world.secure.pages["/set"] = say(200, *set_cookies("a=1; Path=/; Secure", "b=2; Path=/"))
        client = world.client()
        client.get(world.secure.at("/set"))
        client.get(world.plain.at("/"))
        assert world.plain.told("cookie") == ["b=2"]

    def test_for_subdomains_when_it_says_so(self, world: World) -> None:
        world.plain.pages["/set"] = say(200, *set_cookies("a=1; Domain=origin.example; Path=/", "b=2; Path=/"))
        client = world.client()
        client.get(world.plain.at("/set"))
        client.get(world.plain.at("/", "sub.origin.example"))
        client.get(world.plain.at("/", "other.example"))
        assert world.plain.told("cookie") == [None, "a=1", None]

    def test_removed_by_the_server(self, world: World) -> None:
        world.plain.pages["/set"] = say(200, *set_cookies("a=1; Path=/", "b=2; Path=/"))
        world.plain.pages["/unset"] = say(200, *set_cookies("a=; Path=/; Max-Age=0"))
        client = world.client()
        for path in ("/set", "/unset", "/"):
            client.get(world.plain.at(path))
        assert world.plain.told("cookie") == [None, "a=1; b=2", "b=2"]

    def test_of_an_error_too(self, world: World) -> None:
        world.plain.pages["/set"] = say(500, *set_cookies("a=1; Path=/"))
        client = world.client()
        client.get(world.plain.at("/set"))
        client.get(world.plain.at("/"))
        assert world.plain.told("cookie") == [None, "a=1"]

    def test_switched_off(self, world: World) -> None:
        world.plain.pages["/set"] = say(200, *set_cookies("a=1; Path=/"))
        client = world.client(cookies=False)
        client.get(world.plain.at("/set"))
        client.get(world.plain.at("/"), headers={"Cookie": "mine=1"})
        assert world.plain.told("cookie") == [None, "mine=1"]
        assert client.cookies is None

    def test_a_store_of_two_clients(self, world: World) -> None:
        world.plain.pages["/set"] = say(200, *set_cookies("a=1; Path=/"))
        store = CookieStore()
        world.client(cookies=store).get(world.plain.at("/set"))
        second = world.client(cookies=store)
        second.get(world.plain.at("/"))
        assert world.plain.told("cookie") == [None, "a=1"]
        assert second.cookies is store


class TestRedirects:
    def test_set_on_the_way(self, world: World) -> None:
        world.secure.pages["/in"] = moved("/here", 302, *set_cookies("session=1; Path=/"))
        response = world.client().get(world.secure.at("/in"))
        assert response.status == 200
        assert world.secure.told("cookie") == [None, "session=1"]

    def test_each_hop_has_its_own(self, world: World) -> None:
        pages = world.plain.pages
        pages["/set"] = say(200, *set_cookies("o=1; Path=/", "deep=1; Path=/deep"))
        pages["/set-other"] = say(200, *set_cookies("x=1; Path=/"))
        pages["/a"] = moved("/deep/b")
        pages["/deep/b"] = moved(world.plain.at("/c", "other.example"))
        pages["/c"] = moved(world.plain.at("/d"))
        client = world.client()
        client.get(world.plain.at("/set"))
        client.get(world.plain.at("/set-other", "other.example"))
        client.get(world.plain.at("/a"))
        assert world.plain.paths[2:] == ["/a", "/deep/b", "/c", "/d"]
        assert world.plain.told("cookie")[2:] == ["o=1", "deep=1; o=1", "x=1", "o=1"]

    def test_one_that_was_removed_on_the_way(self, world: World) -> None:
        world.plain.pages["/in"] = say(200, *set_cookies("a=1; Path=/"))
        world.plain.pages["/out"] = moved("/", 302, *set_cookies("a=; Path=/; Max-Age=0"))
        client = world.client()
        client.get(world.plain.at("/in"))
        client.get(world.plain.at("/out"))
        assert world.plain.told("cookie") == [None, "a=1", None]


class TestOwnField:
    @pytest.mark.parametrize("own", ["mine=1", "mine=1; a=own"])
    def test_joined_into_one_field(self, world: World, own: str) -> None:
        world.plain.pages["/set"] = say(200, *set_cookies("a=1; Path=/", "b=2; Path=/"))
        client = world.client()
        client.get(world.plain.at("/set"))
        client.get(world.plain.at("/"), headers={"Cookie": own})
        client.get(world.plain.at("/"))
        joined = "mine=1; a=1; b=2" if own == "mine=1" else "mine=1; a=own; b=2"
        assert world.plain.told("cookie") == [None, joined, "a=1; b=2"]

    def test_two_fields_become_one(self, world: World) -> None:
        world.plain.pages["/"] = say(200)
        world.client().get(world.plain.at("/"), headers=[("Cookie", "a=1"), ("cookie", "b=2")])
        assert world.plain.told("cookie") == ["a=1; b=2"]

    def test_kept_within_the_origin(self, world: World) -> None:
        world.plain.pages["/a"] = moved("/b", 302, *set_cookies("s=1; Path=/b"))
        world.plain.pages["/b"] = moved("/c")
        world.client().get(world.plain.at("/a"), headers={"Cookie": "mine=1"})
        assert world.plain.told("cookie") == ["mine=1", "mine=1; s=1", "mine=1"]

    def test_dropped_for_good_when_the_origin_changes(self, world: World) -> None:
        world.plain.pages["/a"] = moved(world.plain.at("/b", "other.example"), 302, *set_cookies("s=1; Path=/"))
        world.plain.pages["/b"] = moved(world.plain.at("/c"))
        world.client().get(world.plain.at("/a"), headers={"Cookie": "mine=1"})
        assert world.plain.told("cookie") == ["mine=1", None, "s=1"]

    def test_dropped_between_http_and_https_of_a_host(self, world: World) -> None:
        world.plain.pages["/a"] = moved(world.secure.at("/b"))
        world.client().get(world.plain.at("/a"), headers={"Cookie": "mine=1"})
        assert world.secure.told("cookie") == [None]


def test_a_challenge_may_set_one(world: World) -> None:
    challenge = ("www-authenticate", 'Digest realm="r", nonce="n", qop="auth"')
    world.plain.pages["/"] = [say(401, challenge, *set_cookies("s=1; Path=/")), say(200)]
    assert world.client().get(world.plain.at("/"), auth=DigestAuth("u", "p")).status == 200
    assert world.plain.told("cookie") == [None, "s=1"]
