"""The bridge to http.cookiejar: copies both ways, and the view as urllib, requests and their users handle a jar."""

from __future__ import annotations

import copy
import pickle
import urllib.request
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy, MozillaCookieJar
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.cookies import RequestsCookieJar, create_cookie, extract_cookies_to_jar, get_cookie_header

from drivetrain.engine import Headers, Server
from drivetrain.engine.policy.cookie_jar import StoreCookieJar, jar_from_store, store_from_jar
from drivetrain.engine.policy.cookie_rules import Cookie
from drivetrain.engine.policy.cookie_store import CookieStore
from tests.policy.cookie_support import NOW, new_store

SAMPLES = (
    Cookie("host", "1", "www.example.com"),
    Cookie("wide", "2", "example.com", host_only=False),
    Cookie("secure", "3", "example.com", "/a", secure=True, same_site="strict"),
    Cookie("hidden", "4", "example.com", http_only=True, expires=NOW + 100),
    Cookie("empty", "", "example.com"),
    Cookie("", "nameless", "example.com"),
    Cookie("near", "5", "localhost"),
    Cookie("v4", "6", "127.0.0.1"),
    Cookie("v6", "7", "::1"),
    Cookie("wide4", "8", "127.0.0.1", host_only=False),
)


class Response:
    """What a jar wants of a response."""

    def __init__(self, *lines: str) -> None:
        self._message = Message()
        for line in lines:
            self._message["Set-Cookie"] = line

    def info(self) -> Message:
        return self._message


def filled() -> CookieStore:
    store, _ = new_store()
    for cookie in SAMPLES:
        assert store.add(cookie)
    return store


def timeless(store: CookieStore) -> set[tuple[Any, ...]]:
    return {tuple(getattr(cookie, name) for name in Cookie.__slots__[:-1]) for cookie in store}


def field_of(jar: CookieJar, url: str) -> str | None:
    request = urllib.request.Request(url)
    jar.add_cookie_header(request)
    return request.get_header("Cookie")


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [CookieJar, RequestsCookieJar, MozillaCookieJar, StoreCookieJar])
def test_there_and_back(make: Any) -> None:
    store = filled()
    jar = make()
    if isinstance(jar, StoreCookieJar):
        jar.store.time = store.time
    assert jar_from_store(store, jar) is jar
    back, _ = new_store()
    assert store_from_jar(jar, back) is back
    assert timeless(back) == timeless(store)


def test_new_ones_are_made() -> None:
    store = CookieStore()
    store.add(SAMPLES[0])
    jar = jar_from_store(store)
    assert type(jar) is CookieJar
    assert timeless(store_from_jar(jar)) == timeless(store)


def test_a_copy_is_a_jar_s_cookie() -> None:
    jar = {cookie.name: cookie for cookie in jar_from_store(filled())}
    assert [jar[name].domain for name in ("host", "wide", "near", "v4", "v6")] == [
        "www.example.com",
        ".example.com",
        "localhost.local",
        "127.0.0.1",
        "[::1].local",
    ]
    assert (jar["wide"].domain_specified, jar["wide"].domain_initial_dot, jar["host"].domain_specified) == (1, 1, 0)
    assert (jar["nameless"].value, jar["empty"].value) == (None, "")
    assert (jar["hidden"].expires, jar["hidden"].discard, jar["host"].discard) == (NOW + 100, False, True)
    assert jar["hidden"].has_nonstandard_attr("HttpOnly")
    assert jar["secure"].get_nonstandard_attr("SameSite") == "Strict"


@pytest.mark.parametrize("url", ["http://localhost/", "http://127.0.0.1/", "http://[::1]/"])
def test_a_jar_sends_what_the_store_sends(url: str) -> None:
    store = filled()
    view, plain = StoreCookieJar(store), jar_from_store(store)
    store.clean()
    for cookie in list(plain):
        cookie.expires = None
    # Not for example.com: a plain jar sends host-only cookies to what is below the host.
    assert sorted((field_of(view, url) or "").split("; ")) == sorted((field_of(plain, url) or "").split("; "))


def test_a_file_of_the_standard_library(tmp_path: Path) -> None:
    jar = MozillaCookieJar(str(tmp_path / "cookies.txt"))
    jar_from_store(filled(), jar)
    jar.save(ignore_discard=True, ignore_expires=True)
    store, _ = new_store()
    store.load_from_file(tmp_path / "cookies.txt")
    without_site = {
        (*row[:7], None, row[8]) for row in timeless(filled()) if row[2] in ("example.com", "www.example.com")
    }
    assert without_site <= timeless(store)


def test_hosts_without_a_dot_and_of_the_local_network() -> None:
    jar = CookieJar()
    jar.extract_cookies(Response("a=1"), urllib.request.Request("http://printer/"))
    store = store_from_jar(jar)
    assert [cookie.domain for cookie in store] == ["printer", "printer.local"]
    view = StoreCookieJar(store)
    assert [cookie.domain for cookie in view] == ["printer.local"]
    view.clear("printer.local", "/", "a")
    assert len(view) == len(store) == 0


def test_what_is_no_cookie_of_a_store() -> None:
    jar = CookieJar()
    for name, value, domain in (("everywhere", "1", ""), ("suffix", "1", "com"), ("no host", "1", "a b")):
        jar.set_cookie(create_cookie(name, value, domain=domain))
    jar.set_cookie(create_cookie("bad;name", "1", domain="example.com"))
    jar.set_cookie(create_cookie("number", 5, domain="example.com"))
    assert [(cookie.name, cookie.value) for cookie in store_from_jar(jar)] == [("number", "5")]


# --- the view ---------------------------------------------------------------------------------------------------------


def test_the_view_keeps_to_the_rules_of_the_store() -> None:
    jar = StoreCookieJar()
    request = urllib.request.Request("https://www.example.com/a/b")
    lines = ("host=1", "wide=2; Domain=example.com", "bad=3; Domain=com", "__Host-x=4", "gone=5; Max-Age=0")
    made = jar.make_cookies(Response(*lines), request)
    assert [cookie.name for cookie in made] == ["host", "wide"]
    assert len(jar) == 0
    jar.extract_cookies(Response(*lines), request)
    assert [cookie.name for cookie in jar] == ["host", "wide"]
    assert field_of(jar, "https://www.example.com/a/c?d") == "host=1; wide=2"
    assert field_of(jar, "https://example.com/a") == "wide=2"
    assert field_of(jar, "https://example.com/") is None
    assert jar.store.get("example.com", "/a", "wide") == "2"


def test_a_cookie_field_that_is_there_stays() -> None:
    jar = StoreCookieJar(filled())
    request = urllib.request.Request("http://localhost/", headers={"Cookie": "own=1"})
    jar.add_cookie_header(request)
    assert request.get_header("Cookie") == "own=1"


def test_a_request_without_a_host() -> None:
    jar = StoreCookieJar()
    request = urllib.request.Request("file:///etc/hosts")
    jar.extract_cookies(Response("a=1"), request)
    jar.add_cookie_header(request)
    assert jar.make_cookies(Response("a=1"), request) == []
    assert (len(jar), request.get_header("Cookie")) == (0, None)


def test_a_policy_is_asked_too() -> None:
    jar = StoreCookieJar(policy=DefaultCookiePolicy(blocked_domains=["evil.example"]))
    for url in ("http://evil.example/", "http://good.example/"):
        jar.extract_cookies(Response("a=1", "b=2; Domain=example", ""), urllib.request.Request(url))
    assert [cookie.domain for cookie in jar] == ["good.example"]
    assert field_of(jar, "http://good.example/") == "a=1"
    jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    assert field_of(jar, "http://good.example/") is None
    jar.extract_cookies(Response("c=1"), urllib.request.Request("http://good.example/"))
    assert len(jar) == 1


def test_clearing() -> None:
    store, _ = new_store()
    jar = StoreCookieJar(store)
    for name, domain, path, wide in (
        ("a", "x.example", "/", 0),
        ("a", "x.example", "/", 1),
        ("b", "x.example", "/p", 0),
    ):
        store.add(Cookie(name, "1", domain, path, host_only=not wide))
    store.add(Cookie("c", "1", "y.example", expires=NOW + 10))
    with pytest.raises(KeyError):
        jar.clear("z.example")
    with pytest.raises(KeyError):
        jar.clear("x.example", "/q")
    with pytest.raises(KeyError):
        jar.clear("x.example", "/", "c")
    for arguments in ((None, "/"), (None, None, "a"), ("x.example", None, "a")):
        with pytest.raises(ValueError):
            jar.clear(*arguments)  # type: ignore[arg-type]
    jar.clear("x.example", "/", "a")
    assert [cookie.domain for cookie in jar if cookie.name == "a"] == [".x.example"]
    jar.clear("x.example", "/", "a")  # without the dot too, when there is no other
    assert [cookie.name for cookie in jar] == ["b", "c"]
    jar.clear_session_cookies()
    assert [cookie.name for cookie in jar] == ["c"]
    store.time.now += 10  # type: ignore[attr-defined]
    jar.clear_expired_cookies()
    assert len(store) == 0
    store.add(SAMPLES[0])
    jar.clear()
    assert len(store) == 0


def test_setting_an_expired_cookie_removes_it() -> None:
    jar = StoreCookieJar(filled())
    cookie = next(cookie for cookie in jar if cookie.name == "host")
    cookie.expires, cookie.discard = 1, False
    jar.set_cookie(cookie)
    assert "host" not in [cookie.name for cookie in jar]


# --- as requests' jar -------------------------------------------------------------------------------------------------


class Jar(RequestsCookieJar, StoreCookieJar):  # type: ignore[misc]
    """What an adapter for requests makes of the view."""


def prepared(url: str) -> requests.PreparedRequest:
    return requests.Request("GET", url).prepare()


def test_a_jar_of_requests() -> None:
    jar = Jar()
    jar["everywhere"] = "1"
    jar.set("named", "2", domain="example.com", path="/p")
    jar.set("quoted", '"a\\"b"', domain="example.com")
    assert jar.get("named", domain="example.com", path="/p") == "2"
    assert jar.get_dict() == {"everywhere": "1", "named": "2", "quoted": '"ab"'}
    assert "named" in jar
    assert sorted(jar.list_domains()) == ["", "example.com"]
    assert [cookie.domain for cookie in jar.store] == ["example.com", "example.com"]
    assert get_cookie_header(jar, prepared("http://www.example.com/p/q")) == 'named=2; quoted="ab"; everywhere=1'
    assert get_cookie_header(jar, prepared("http://other.example/")) == "everywhere=1"
    jar["named"] = None
    del jar["everywhere"]
    assert jar.keys() == ["quoted"]
    jar.update({"more": "3"})
    other = RequestsCookieJar()
    other.set_cookie(create_cookie("copied", "4", domain=".example.com"))
    jar.update(other)
    assert sorted(jar.keys()) == ["copied", "more", "quoted"]
    assert jar.get("copied", domain=".example.com") == "4"
    jar.clear_session_cookies()
    assert len(jar) == 0


def test_a_jar_of_requests_takes_responses() -> None:
    class Raw:
        class _original_response:
            msg = Response("a=1; SameSite=Strict", "b=2; Domain=co.uk").info()

    jar = Jar()
    extract_cookies_to_jar(jar, prepared("https://www.example.co.uk/"), Raw)
    assert jar.items() == [("a", "1")]


def test_copies_of_a_jar() -> None:
    jar = Jar(filled())
    jar["everywhere"] = "1"
    plain = jar.copy()
    assert type(plain) is RequestsCookieJar
    assert len(plain) == len(jar) == len(SAMPLES) + 1
    same = copy.copy(StoreCookieJar(jar.store))
    assert same.store is jar.store
    jar.store.time = CookieStore().time
    twin = pickle.loads(pickle.dumps(jar))
    jar.clear()
    assert [cookie.name for cookie in twin if not cookie.domain] == ["everywhere"]
    assert twin.store.get("www.example.com", "/", "host") == "1"


# --- against a server -------------------------------------------------------------------------------------------------


def counting(_: Server, stream: Any) -> None:
    """Count in a cookie how often the client came."""
    request = stream.get_headers()
    cookies = dict(pair.split("=") for pair in request.get("cookie", "count=0").split("; "))
    count = int(cookies["count"]) + 1
    fields = [(":status", "200"), ("set-cookie", f"count={count}; Path=/; HttpOnly"), ("set-cookie", "x=1; Domain=com")]
    stream.write_headers(Headers(fields), end_stream=False)
    stream.write_body_from_string(str(count))


def test_urllib_and_requests_share_a_store() -> None:
    store = CookieStore()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(StoreCookieJar(store)))
    with Server(counting) as server, requests.Session() as session:
        url = f"http://127.0.0.1:{server.localname()[2]}/"
        session.cookies = Jar(store)
        with opener.open(url) as answer:
            assert answer.read() == b"1"
        assert session.get(url).text == "2"
        with opener.open(url) as answer:
            assert answer.read() == b"3"
        assert session.get(url).text == "4"
        assert session.cookies["count"] == "4"
    assert store.lookup("127.0.0.1", "/", True, False) == "count=4"
