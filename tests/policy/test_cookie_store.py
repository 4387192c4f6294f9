"""What a store accepts, gives, keeps and forgets: the table of cases, and the parts of its interface."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.policy.cookie_rules import Cookie, CookieSource
from drivetrain.engine.policy.cookie_store import CookieStore
from drivetrain.engine.util import is_safe_method
from drivetrain.engine.wire.cookies import parse_setcookie
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.uri import parse_uri
from tests.policy.cookie_support import NOW, cases, new_store, title


def response(*lines: str) -> Headers:
    return Headers([(":status", "200"), *(("set-cookie", line) for line in lines)])


def received(store: CookieStore, step: dict[str, Any]) -> int:
    """Set the cookies of a step; those with control characters do not fit into `Headers`, and are given as text."""
    uri, site, top = parse_uri(step["from"]), step.get("site"), step.get("top", False)
    source = CookieSource.of_uri(uri, site, top)
    assert source is not None
    if step.get("http", True) and all(line.isprintable() for line in step["set"]):
        return store.store_from_response(uri, response(*step["set"]), site, top)
    accepted = 0
    for line in step["set"]:
        found = parse_setcookie(line)
        if found is not None:
            is_http = step.get("http", True)
            accepted += store.store(uri.host, uri.target, is_http, uri.is_secure, site, *found, is_top_level=top)
    return accepted


@pytest.mark.parametrize("case", cases("cookie_stores.json"), ids=title)
def test_the_table(case: dict[str, Any]) -> None:
    store, clock = new_store()
    for step in case["steps"]:
        if "wait" in step:
            clock.now += step["wait"]
        elif "from" in step:
            assert received(store, step) == step["accepted"], step
        else:
            uri, method = parse_uri(step["to"]), step.get("method", "GET")
            site, top, is_http = step.get("site"), step.get("top", False), step.get("http", True)
            safe = is_safe_method(method)
            found = store.lookup(uri.host, uri.target, is_http, uri.is_secure, safe, site, top)
            assert found == step["expect"], step
            if is_http:
                assert store.lookup_for_uri(uri, method, site, top) == found
                request = Headers([(":method", method), (":scheme", uri.scheme), (":path", uri.target)])
                request.append(":authority", uri.authority)
                assert store.lookup_for_request(request, "other.example", site, top) == found


# --- requests by their headers ----------------------------------------------------------------------------------------


def request(path: str = "/", method: str = "GET", scheme: str = "https", **more: str) -> Headers:
    fields = [(":method", method), (":scheme", scheme), (":path", path)]
    return Headers(fields + [(name.replace("_", ":"), value) for name, value in more.items()])


def test_the_host_is_that_of_the_request_or_the_one_given() -> None:
    store, _ = new_store()
    assert store.store_from_request(request(_authority="a.example"), response("n=1"), "x.example") == 1
    assert store.store_from_request(request(host="b.example:99"), response("n=2"), "x.example") == 1
    assert store.store_from_request(request(), response("n=3"), "c.example") == 1
    assert store.store_from_request(request(), response("n=4")) == 0
    assert store.store_from_request(request(host="a b"), response("n=4")) == 0
    assert store.store_from_request(request(host="d.example"), Headers()) == 0
    assert [(cookie.domain, cookie.value) for cookie in store] == [
        ("a.example", "1"),
        ("b.example", "2"),
        ("c.example", "3"),
    ]
    assert store.lookup_for_request(request(), "c.example") == "n=3"
    assert store.lookup_for_request(request()) == ""
    assert store.lookup_for_request(request(host="a@b.example")) == ""


def test_connect_has_no_cookies() -> None:
    store, _ = new_store()
    store.store_from_response(parse_uri("https://a.example/"), response("n=1"))
    connect = Headers([(":method", "CONNECT"), (":authority", "a.example:443")])
    assert store.lookup_for_request(connect) == ""
    assert store.lookup_for_uri(parse_uri("https://a.example/"), "CONNECT") == ""
    assert store.store_from_request(connect, response("n=2")) == 0
    assert store.get("a.example", "/", "n") == "1"


def test_a_request_to_a_proxy_and_options_of_all() -> None:
    store, _ = new_store()
    absolute = request("http://a.example/x/y?z", scheme="http", _authority="a.example")
    assert store.store_from_request(absolute, response("n=1")) == 1
    assert store.get("a.example", "/x", "n") == "1"
    assert store.lookup_for_request(absolute) == "n=1"
    assert store.lookup_for_request(request("*", "OPTIONS", _authority="a.example")) == ""


# --- storing by hand --------------------------------------------------------------------------------------------------


def put(store: CookieStore, name: str = "n", value: str = "v", **params: Any) -> bool:
    attributes = {key.replace("_", "-"): text for key, text in params.items()}
    return store.store("www.example.com", "/a/b?c", True, True, None, name, value, attributes)


@pytest.mark.parametrize(
    ("params", "expires"),
    [
        ({"Max_Age": 10}, NOW + 10),
        ({"max_age": "10"}, NOW + 10),
        ({"max_age": 1.5}, NOW + 1.5),
        ({"max_age": "9" * 5000}, NOW + 400 * 86400),
        ({"max_age": math.inf}, NOW + 400 * 86400),
        ({"max_age": math.nan}, None),
        ({"max_age": "ten"}, None),
        ({"max_age": None, "expires": NOW + 5}, NOW + 5),
        ({"expires": "Sun, 09 Sep 2001 01:46:45 GMT"}, NOW + 5),
        ({"expires": math.nan}, None),
    ],
)
def test_attributes_in_python(params: dict[str, Any], expires: float | None) -> None:
    store, _ = new_store()
    assert put(store, **params)
    assert [cookie.expires for cookie in store] == [expires]


def test_attributes_that_are_none_or_false_are_not_there() -> None:
    store, _ = new_store()
    assert put(store, Secure=False, HttpOnly=None, Domain=None, Path=None, SameSite=None)
    assert list(store) == [Cookie("n", "v", "www.example.com", "/a", creation_time=NOW)]
    assert put(store, SECURE=True, HTTPONLY=True, DOMAIN="example.com", PATH="/", SAMESITE="Strict")
    assert list(store)[1] == Cookie("n", "v", "example.com", "/", False, True, True, "strict", None, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", ""),
        ("a;b", "c"),
        ("a=b", "c"),
        ("a", "b;c"),
        ("", "b=c"),
        ("a\n", "b"),
        ("a", "b\r\nX: y"),
        ("a", "\u20ac"),
        ("\ud800", "a"),
        ("a", "x" * 4096),
        ("__Host-a", "b"),
    ],
)
def test_what_could_not_be_sent_is_refused(name: str, value: str) -> None:
    store, _ = new_store()
    assert not put(store, name, value)
    assert not store.add(Cookie(name, value, "example.com"))
    assert len(store) == 0


@pytest.mark.parametrize(
    "cookie",
    [
        Cookie("a", "b", "Example.com"),
        Cookie("a", "b", "exa mple.com"),
        Cookie("a", "b", ""),
        Cookie("a", "b", "com", host_only=False),
        Cookie("a", "b", "example.com", path=""),
        Cookie("a", "b", "example.com", path="/\n"),
        Cookie("a", "b", "example.com", expires=NOW),
        Cookie("__Secure-a", "b", "example.com"),
        Cookie("__Host-a", "b", "example.com", secure=True, host_only=False),
    ],
)
def test_what_add_refuses(cookie: Cookie) -> None:
    store, _ = new_store()
    assert not store.add(cookie)
    assert len(store) == 0


def test_a_host_that_is_none() -> None:
    store, _ = new_store()
    assert not store.store("a b", "/", True, True, None, "n", "v", {})
    store.add(Cookie("n", "v", "example.com"))
    assert store.lookup("a b", "/", True, True) == ""
    assert store.get("a b", "/", "n") is None
    assert store.remove("a b") == 0


def test_public_suffixes_can_be_given_and_switched_off() -> None:
    class Own:
        def is_public(self, domain: str, /) -> bool:
            return domain == "example.com"

        def privatesuffix(self, domain: str, /) -> str | None:
            return ".".join(domain.split(".")[-3:])

    store, _ = new_store(psl=Own())
    assert not put(store, domain="example.com")
    assert put(store, domain="com")
    store.psl = False
    assert put(store, domain="example.com")
    assert store.lookup("a.com", "/a", True, True, site_for_cookies="b.com") == ""
    assert store.lookup("a.com", "/a", True, True, site_for_cookies="a.com") == "n=v"
    store.psl = True
    assert not put(store, domain="com")


# --- getting, removing, expiry ----------------------------------------------------------------------------------------


def filled() -> CookieStore:
    store, _ = new_store()
    for domain in ("a.example", "b.example"):
        for path in ("/", "/x"):
            for name in ("m", "n"):
                store.add(Cookie(name, f"{domain}{path}{name}", domain, path))
    return store


def test_get() -> None:
    store = filled()
    assert store.get("A.example", "/x", "m") == "a.example/xm"
    assert store.get("a.example", "/x", "o") is None
    assert store.get("a.example", "/y", "m") is None
    assert store.get("c.example", "/x", "m") is None
    store.add(Cookie("m", "wide", "a.example", "/x", host_only=False))
    assert store.get("a.example", "/x", "m") == "a.example/xm"
    store.discard(Cookie("m", "", "a.example", "/x"))
    assert store.get("a.example", "/x", "m") == "wide"


@pytest.mark.parametrize(
    ("arguments", "removed"),
    [
        (("a.example",), 4),
        (("A.Example",), 4),
        (("a.example", "/x"), 2),
        (("a.example", "/x", "n"), 1),
        (("a.example", None, "n"), 2),
        (("a.example", "/y"), 0),
        (("example",), 0),
    ],
)
def test_remove(arguments: tuple[Any, ...], removed: int) -> None:
    store = filled()
    assert store.remove(*arguments) == removed
    assert len(store) == len(list(store)) == 8 - removed
    assert store.remove(*arguments) == 0


def test_discard_and_clear() -> None:
    store = filled()
    assert store.discard(Cookie("m", "", "a.example", "/"))
    assert not store.discard(Cookie("m", "", "a.example", "/"))
    assert not store.discard(Cookie("n", "", "a.example", "/", host_only=False))
    assert len(store) == 7
    store.clear()
    assert list(store) == []
    assert store.lookup("a.example", "/", True, True) == ""


def test_clean() -> None:
    store, clock = new_store()
    assert store.clean_due() == math.inf
    put(store, "s")
    assert store.clean_due() == math.inf
    put(store, "a", max_age=20)
    put(store, "b", max_age=10)
    assert store.clean_due() == 10
    clock.now += 4
    assert store.clean_due() == 6
    put(store, "b", max_age=30)
    assert store.clean_due() == 16
    clock.now += 16
    assert store.clean_due() == 0
    assert len(store) == 3
    assert (store.clean(), store.clean()) == (1, 0)
    assert [cookie.name for cookie in store] == ["s", "b"]
    assert store.end_session() == 1
    assert [cookie.name for cookie in store] == ["b"]


def test_updates_leave_nothing_behind() -> None:
    store, _ = new_store()
    for number in range(1000):
        put(store, "a", max_age=1000 - number, secure=True)
    assert len(store) == 1
    assert len(store._index._expiries) < 200
    assert len(store._index._secure) == 3
    store.clear()
    assert not store._index.sites
    assert not store._index._secure


def test_max_age_can_be_set() -> None:
    store, _ = new_store(max_age=math.inf)
    assert put(store, "a", expires="Fri, 31 Dec 9999 23:59:59 GMT")
    store.max_age = 5
    assert put(store, "b", max_age=100)
    assert [cookie.expires for cookie in store] == [253402300799, NOW + 5]


def test_a_value_is_not_shown() -> None:
    cookie = Cookie("sid", "secret", "example.com", host_only=False)
    assert repr(cookie) == "<Cookie 'sid' for *.example.com/>"
    assert (cookie.pair, cookie.is_persistent) == ("sid=secret", False)


# --- as an object -----------------------------------------------------------------------------------------------------


def test_copies_are_independent() -> None:
    store = filled()
    store.max_cookies_per_domain = 9
    store.time = time.monotonic
    for twin in (copy.deepcopy(store), pickle.loads(pickle.dumps(store))):
        assert list(twin) == list(store)
        assert (twin.max_cookies_per_domain, twin.max_age) == (9, store.max_age)
        twin.clear()
    assert len(store) == 8


def test_threads() -> None:
    store, clock = new_store(max_cookies=50, max_cookies_per_domain=20)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(200):
                host = f"h{(number + turn) % 4}.example.com"
                store.store(host, "/", True, turn % 2 == 0, None, f"n{turn % 30}", "v", {"max-age": turn % 7})
                assert "n" in store.lookup(host, "/", True, True) + "n"
                store.remove(host, "/", f"n{number}")
                clock.now += 0.1
                assert len(list(store)) <= 50
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store) == len(list(store._index.entries())) == sum(site.count for site in store._sites.values())


def test_the_engine_stays_cheap_to_import() -> None:
    code = (
        "import sys, drivetrain.engine, drivetrain.engine.policy.cookie_store as s; s.CookieStore();"
        "print([m for m in ('publicsuffixlist', 'idna', 'http.cookiejar', 'requests') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


# --- any input --------------------------------------------------------------------------------------------------------

LINES = st.lists(st.sampled_from(["a", "b", "=", ";", " ", "Path=/", "Domain=example.com", "Secure", "Max-Age=", "1"]))


@given(st.lists(LINES.map("".join), max_size=6), st.sampled_from(["/", "/a", "/a/b?c"]))
def test_what_is_sent_can_be_sent(lines: list[str], path: str) -> None:
    store, _ = new_store()
    uri = parse_uri("https://www.example.com" + path)
    accepted = store.store_from_response(uri, response(*lines))
    assert len(store) <= accepted <= len(lines)
    field = store.lookup_for_uri(uri)
    Headers([("cookie", field)])
    seen = store.visible(CookieSource("www.example.com", path.partition("?")[0], is_secure=True))
    assert field == "; ".join(cookie.pair for cookie in seen)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_stored_or_not(host: str, path: str, name: str, value: str) -> None:
    store, _ = new_store()
    stored = store.store(host, path, True, True, None, name, value, {"domain": path, "path": value, "expires": name})
    assert len(store) in (0, int(stored))
    assert isinstance(store.lookup(host, path, True, True, site_for_cookies=name), str)
