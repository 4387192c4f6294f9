"""Full stores evict in the order of RFC 6265bis section 5.7; lookups look at what matches and at nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from drivetrain.engine.policy.cookie_matching import domain_match, path_match
from drivetrain.engine.policy.cookie_rules import Cookie
from drivetrain.engine.policy.cookie_store import CookieStore
from tests.policy.cookie_support import NOW, new_store

E = "e.example"


def names(store: CookieStore) -> str:
    return " ".join(cookie.name for cookie in store)


def add(store: CookieStore, text: str, domain: str = E, **more: Any) -> list[bool]:
    """Add a cookie for each word; words in upper case are Secure."""
    return [store.add(Cookie(name, "", domain, secure=name.isupper(), **more)) for name in text.split()]


def use(store: CookieStore, name: str) -> None:
    """Let a lookup touch one cookie, found by a path of its own."""
    assert store.lookup(E, f"/{name}", True, True) == f"{name}="


# --- the order of eviction --------------------------------------------------------------------------------------------


def test_a_domain_evicts_the_least_recently_used() -> None:
    store, _ = new_store(max_cookies_per_domain=3)
    for name in "abc":
        add(store, name, path=f"/{name}")
    use(store, "a")
    add(store, "d e")
    assert names(store) == "a d e"
    add(store, "f", "other.example")
    assert names(store) == "a d e f"


def test_an_update_counts_as_a_use() -> None:
    store, _ = new_store(max_cookies_per_domain=3)
    add(store, "a b c a d")
    assert names(store) == "a c d"


def test_secure_cookies_go_last() -> None:
    store, _ = new_store(max_cookies_per_domain=3)
    assert add(store, "A b C d") == [True] * 4
    assert names(store) == "A C d"
    assert add(store, "E") == [True]
    assert names(store) == "A C E"


def test_a_domain_full_of_secure_cookies_takes_no_others() -> None:
    store, _ = new_store(max_cookies_per_domain=2)
    assert add(store, "A B c") == [True, True, False]
    assert names(store) == "A B"
    assert add(store, "D") == [True]
    assert names(store) == "B D"


def test_expired_cookies_go_first() -> None:
    store, clock = new_store(max_cookies_per_domain=3, max_cookies=3)
    add(store, "a b")
    add(store, "c", expires=NOW + 5)
    clock.now += 5
    add(store, "d")
    assert names(store) == "a b d"


def test_the_whole_store_evicts_the_least_recently_used() -> None:
    store, _ = new_store(max_cookies=3)
    add(store, "A", path="/A")
    add(store, "b", "x.example")
    add(store, "c", "y.example")
    use(store, "A")
    add(store, "d", "z.example")
    assert names(store) == "A c d"
    add(store, "e f", "z.example")
    assert names(store) == "d e f"
    assert "e.example" not in store._sites


def test_crowded_domains_give_first() -> None:
    store, _ = new_store()
    add(store, "a", "first.example")
    add(store, "b C d")
    add(store, "e F", "x.example")
    store.max_cookies_per_domain = 1
    store.max_cookies = 6
    assert len(store) == 6
    add(store, "g", "new.example")
    assert names(store) == "a C d e F g"
    store.max_cookies = 3
    add(store, "h", "last.example")
    # One of each crowded domain stays, Secure ones at that; then the oldest of all goes.
    assert names(store) == "F g h"


def test_a_lower_limit_takes_effect_with_the_next_cookie() -> None:
    store, _ = new_store()
    add(store, "a b c d")
    store.max_cookies_per_domain = 2
    assert names(store) == "a b c d"
    add(store, "e")
    assert names(store) == "d e"
    store.max_cookies = 1
    add(store, "f")
    assert names(store) == "f"


@pytest.mark.parametrize("setting", ["max_cookies", "max_cookies_per_domain"])
@pytest.mark.parametrize("limit", [0, -1])
def test_no_cookies_at_all(setting: str, limit: int) -> None:
    store, _ = new_store(**{setting: limit})
    assert add(store, "a B") == [False, False]
    assert names(store) == ""
    assert store.lookup(E, "/", True, True) == ""


def test_the_counter_of_a_domain_counts() -> None:
    store, _ = new_store(max_cookies_per_domain=50)
    add(store, " ".join(f"n{number}" for number in range(200)))
    assert names(store) == " ".join(f"n{number}" for number in range(150, 200))
    for number in range(200):
        store.remove(E, "/", f"n{number}")
    assert add(store, "a b") == [True, True]


# --- lengths ----------------------------------------------------------------------------------------------------------


def test_the_length_of_a_cookie() -> None:
    store, _ = new_store(max_cookie_length=5)
    assert store.add(Cookie("a", "123", E))
    assert store.add(Cookie("", "1234", E))
    assert not store.add(Cookie("a", "1234", E))
    assert not store.add(Cookie("b", "1234", E))
    assert store.get(E, "/", "a") == "123"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, "long=12345; b=1; c=1"),
        (20, "long=12345; b=1; c=1"),
        (19, "long=12345; b=1"),
        (10, "long=12345"),
        (9, ""),
        (0, ""),
    ],
)
def test_the_length_of_the_field(limit: float | None, expected: str) -> None:
    store, _ = new_store()
    for name, value in (("long", "12345"), ("b", "1"), ("c", "1")):
        store.add(Cookie(name, value, E))
    assert store.lookup(E, "/", True, True, max_cookie_length=limit) == expected
    store.max_cookie_length = 20 if limit is None else limit
    assert store.lookup(E, "/", True, True) == expected


# --- the cost of a lookup ---------------------------------------------------------------------------------------------


seen: set[str] = set()  # values of the cookies that were looked at


class Watched(Cookie):
    """A cookie that notes whenever somebody looks at it."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        seen.add(object.__getattribute__(self, "value"))
        return object.__getattribute__(self, name)


@pytest.fixture(scope="module")
def big() -> CookieStore:
    """100,000 cookies: 10,000 hosts below a few domains, with ten each on several paths."""
    store, _ = new_store(psl=False)
    for number in range(10_000):
        domain = f"h{number}.d{number % 10}.example"
        for path in range(10):
            value = f"{domain}{path}"
            store.add(Cookie(f"n{path}", value, domain, f"/p{path}", secure=path % 2 == 0, creation_time=NOW))
    store.add(Cookie("wide", "wide", "d7.example", host_only=False, creation_time=NOW))
    store.add(Cookie("exact", "exact", "d7.example", creation_time=NOW))
    for cookie in store:
        object.__setattr__(cookie, "__class__", Watched)
    assert len(store) == 100_002
    return store


@pytest.mark.parametrize(
    ("host", "path", "looked_at"),
    [
        ("h7.d7.example", "/p3/x/y", {"h7.d7.example3", "wide"}),
        ("h7.d7.example", "/", {"wide"}),
        ("x.h7.d7.example", "/p3", {"wide"}),
        ("d7.example", "/p3", {"wide", "exact"}),
        ("h7.d7.example", "/" * 5000, {"wide"}),
        ("h8.d8.example", "/p4", {"h8.d8.example4"}),
        ("example", "/p4", set()),
        ("nothing.example", "/p4", set()),
    ],
)
def test_a_lookup_looks_at_matching_cookies_only(big: CookieStore, host: str, path: str, looked_at: set[str]) -> None:
    seen.clear()
    found = big.lookup(host, path, True, True)
    assert seen == looked_at
    assert len([pair for pair in found.split("; ") if pair]) == len(looked_at)


def test_storing_looks_at_rivals_only(big: CookieStore) -> None:
    seen.clear()
    insecure = {"domain": "d7.example", "path": "/none"}
    assert big.store("h7.d7.example", "/", True, False, None, "own", "x", insecure)
    assert big.remove("d7.example", "/none", "own") == 1
    assert seen <= {"wide", "exact"}
    assert not big.store("h7.d7.example", "/p4", True, False, None, "n4", "x", {"path": "/p4"})
    assert seen == {"wide", "exact", "h7.d7.example4"}


# --- against a store that has no index --------------------------------------------------------------------------------

DOMAINS = st.sampled_from(["a.example", "b.a.example", "example", "127.0.0.1"])
PATHS = st.sampled_from(["/", "/a", "/a/", "/a/b", "//", "/a//b"])
COOKIES = st.builds(
    Cookie,
    name=st.sampled_from("ab"),
    value=st.sampled_from("12"),
    domain=DOMAINS,
    path=PATHS,
    host_only=st.booleans(),
    secure=st.booleans(),
    expires=st.none() | st.integers(1, 20).map(lambda seconds: NOW + seconds),
)


def identity(cookie: Cookie) -> tuple[str, bool, str, str]:
    return cookie.domain, cookie.host_only, cookie.path, cookie.name


class Model(RuleBasedStateMachine):
    """A list of cookies, oldest first, and the order in which they were used."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.clock = new_store(psl=False, max_cookies_per_domain=3, max_cookies=6)
        self.cookies: list[Cookie] = []
        self.used: list[tuple[str, bool, str, str]] = []

    def expire(self) -> None:
        self.cookies = [c for c in self.cookies if c.expires is None or c.expires > self.clock.now]

    def use(self, cookie: Cookie) -> None:
        self.used = [key for key in self.used if key != identity(cookie)] + [identity(cookie)]

    def evict(self, among: list[Cookie]) -> None:
        self.cookies.remove(min(among, key=lambda c: self.used.index(identity(c))))

    @rule(cookie=COOKIES)
    def add(self, cookie: Cookie) -> None:
        stored = self.store.add(cookie)
        self.expire()
        if cookie.expires is not None and cookie.expires <= self.clock.now:
            assert not stored
            return
        places = [place for place, old in enumerate(self.cookies) if identity(old) == identity(cookie)]
        place = places[0] if places else len(self.cookies)
        self.cookies[place : place + 1] = [cookie]
        self.use(cookie)
        mates = [old for old in self.cookies if old.domain == cookie.domain]
        if len(mates) > 3:
            self.evict([old for old in mates if not old.secure] or mates)
        if len(self.cookies) > 6:
            self.evict(self.cookies)
        assert stored is (cookie in self.cookies)

    @rule(host=DOMAINS, path=PATHS, is_secure=st.booleans())
    def look_up(self, host: str, path: str, is_secure: bool) -> None:
        self.expire()
        found = [
            cookie
            for cookie in self.cookies
            if (host == cookie.domain if cookie.host_only else domain_match(host, cookie.domain))
            and path_match(path, cookie.path)
            and (is_secure or not cookie.secure)
        ]
        found.sort(key=lambda cookie: -len(cookie.path))
        assert self.store.lookup(host, path, True, is_secure) == "; ".join(cookie.pair for cookie in found)
        for cookie in found:
            self.use(cookie)

    @rule(name=st.sampled_from("ab"), host=DOMAINS, path=PATHS, wide=DOMAINS)
    def store_insecurely(self, name: str, host: str, path: str, wide: str) -> None:
        self.expire()
        overlaid = any(
            cookie.secure
            and cookie.name == name
            and (domain_match(cookie.domain, host) or domain_match(host, cookie.domain))
            and path_match(path, cookie.path)
            for cookie in self.cookies
        )
        # A deletion, so that nothing but the overlay decides; the host-only cookie of this path goes, if there is one.
        assert self.store.store(host, "/", True, False, None, name, "", {"path": path, "max-age": 0}) is not overlaid
        if not overlaid:
            self.cookies = [c for c in self.cookies if identity(c) != (host, True, path, name)]

    @rule(domain=DOMAINS, path=st.none() | PATHS)
    def remove(self, domain: str, path: str | None) -> None:
        self.store.clean()
        self.expire()
        kept = [c for c in self.cookies if c.domain != domain or path not in (None, c.path)]
        assert self.store.remove(domain, path) == len(self.cookies) - len(kept)
        self.cookies = kept

    @rule(seconds=st.integers(1, 8))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def same(self) -> None:
        self.expire()
        shown = [(identity(cookie), cookie.value) for cookie in self.store]
        assert shown == [(identity(cookie), cookie.value) for cookie in self.cookies]
        assert len(self.store) == len(shown)


def test_a_store_is_like_a_list() -> None:
    run_state_machine_as_test(Model)


@given(st.lists(COOKIES, max_size=30))
def test_no_limit_is_ever_passed(cookies: list[Cookie]) -> None:
    store, _ = new_store(psl=False, max_cookies=5, max_cookies_per_domain=2)
    for cookie in cookies:
        store.add(cookie)
        assert len(store) <= 5
        assert all(site.count <= 2 for site in store._sites.values())
