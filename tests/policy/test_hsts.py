"""HSTS: the store, the header and the file (RFC 6797)."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.policy.hsts import HstsStore, parse_sts

NOW = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> HstsStore:
    return HstsStore(clock=clock)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=31536000", {"max-age": "31536000"}),  # section 6.2
        ("max-age=15768000 ; includeSubDomains", {"max-age": "15768000", "includesubdomains": ""}),
        ('max-age="31536000"', {"max-age": "31536000"}),
        ("max-age=0", {"max-age": "0"}),
        ("MAX-AGE=1;INCLUDESUBDOMAINS;", {"max-age": "1", "includesubdomains": ""}),
        (' ; ;max-age = 1; preload; x="a;b\\"c"', {"max-age": "1", "preload": "", "x": 'a;b"c'}),
        # Section 6.1: what is malformed or repeated makes the whole header void.
        ("max-age=1; max-age=1", None),
        ("max-age=1; Max-Age=2", None),
        ("includeSubDomains", None),
        ("max-age", None),
        ("max-age=-1", None),
        ("max-age=1.5", None),
        ("max-age=1 2", None),
        ("max-age=1; includeSubDomains=1", None),
        ("max-age=1, max-age=2", None),
        ('max-age="1', None),
        ("", None),
    ],
)
def test_the_header(value: str, expected: dict[str, str] | None) -> None:
    assert parse_sts(value) == expected


@given(st.text())
def test_whatever_the_header_says_it_is_read_or_void(value: str) -> None:
    directives = parse_sts(value)
    assert directives is None or directives["max-age"].isdecimal()


def test_store_and_check(store: HstsStore) -> None:
    assert store.store_header("Example.com", "max-age=10")
    assert store.check("example.com")
    assert store.check("EXAMPLE.COM.")
    assert not store.check("www.example.com")
    assert not store.check("com")
    assert store.store_header("example.com", "max-age=10; includeSubDomains")
    assert store.check("a.b.example.com")
    assert not store.check("badexample.com")
    assert len(store) == 1


def test_lua_directives(store: HstsStore) -> None:
    assert store.store("example.com", {"max-age": "10", "includeSubDomains": True})
    assert store.check("www.example.com")
    assert not store.store("example.org", {"includeSubDomains": True})
    assert not store.store("example.org", {"max-age": "soon"})


def test_the_nearest_entry_does_not_hide_one_above(store: HstsStore) -> None:
    store.store_header("example.com", "max-age=10; includeSubDomains")
    store.store_header("www.example.com", "max-age=10")
    assert store.check("x.www.example.com")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "", "."])
def test_addresses_are_refused(store: HstsStore, host: str) -> None:
    assert not store.store_header(host, "max-age=10")
    assert not store.check(host)
    assert len(store) == 0


def test_zero_removes(store: HstsStore) -> None:
    store.store_header("example.com", "max-age=10")
    assert store.store_header("example.com", "max-age=000")
    assert not store.check("example.com")
    store.store_header("example.com", "max-age=10")
    store.remove("EXAMPLE.com")
    assert not store.check("example.com")


def test_entries_expire(store: HstsStore, clock: Clock) -> None:
    store.store_header("a.example", "max-age=10")
    store.store_header("b.example", "max-age=20")
    assert store.clean_due() == 10
    clock.now += 10
    assert not store.check("a.example")
    assert store.check("b.example")
    assert store.clean_due() == 10
    store.store_header("b.example", "max-age=100")
    clock.now += 10
    assert store.clean()
    assert store.check("b.example")
    clock.now += 90
    assert store.clean_due() == 0
    store.clean()
    assert len(store) == 0
    assert store.clean_due() == float("inf")


def test_saying_it_again_and_again_does_not_grow(store: HstsStore, clock: Clock) -> None:
    for _ in range(10_000):
        clock.now += 0.001
        store.store_header("example.com", "max-age=1000")
    assert len(store._due) < 200
    clock.now += 1000
    assert not store.check("example.com")


def test_a_full_store_takes_no_new_hosts(clock: Clock) -> None:
    store = HstsStore(2, clock=clock)
    assert store.store_header("a.example", "max-age=10")
    assert store.store_header("b.example", "max-age=20")
    assert not store.store_header("c.example", "max-age=10")
    assert store.store_header("a.example", "max-age=15")
    clock.now += 15
    assert store.store_header("c.example", "max-age=10")


@pytest.mark.parametrize("age", ["9" * 11, "9" * 400])
def test_for_ever(store: HstsStore, clock: Clock, age: str) -> None:
    assert store.store_header("example.com", f"max-age={age}")
    clock.now += 99 * 365 * 24 * 3600
    assert store.check("example.com")


def test_clone(store: HstsStore) -> None:
    store.max_items = 5
    store.store_header("example.com", "max-age=10; includeSubDomains")
    copy = store.clone()
    store.remove("example.com")
    assert copy.check("www.example.com")
    assert copy.max_items == 5


def test_files(store: HstsStore, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "hsts.txt"
    path.write_text(
        "# Your HSTS cache. https://curl.se/docs/hsts.html\n"
        '.example.com "20991231 23:59:59"\n'
        'example.org "20991231 00:00:00"\n'
        'old.example "20200101 00:00:00"\n'
        'ever.example "unlimited"\n'
        'broken.example "tomorrow"\n'
        '127.0.0.1 "20991231 00:00:00"\n'
        "nonsense\n"
    )
    assert store.load(path) == 3
    assert store.check("www.example.com")
    assert store.check("example.org")
    assert not store.check("www.example.org")
    assert not store.check("old.example")
    store.save(path)
    again = HstsStore(clock=clock)
    assert again.load(path) == 3
    again.save(tmp_path / "second.txt")
    assert (tmp_path / "second.txt").read_bytes() == path.read_bytes()
    clock.now += 500 * 365 * 24 * 3600
    assert store.check("ever.example")
    assert not store.check("example.com")


def test_a_file_that_cannot_be_written_is_left_as_it_was(store: HstsStore, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        store.save(tmp_path / "missing" / "hsts.txt")
    assert list(tmp_path.iterdir()) == []


def test_many_threads(store: HstsStore) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(300):
                store.store_header(f"{number}.{turn % 7}.example", f"max-age={turn % 3}")
                store.check(f"{number}.{turn % 7}.example")
                store.clean_due()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_it_is_copied_and_pickled() -> None:
    store = HstsStore(clock=time.time)
    store.store_header("example.com", "max-age=100; includeSubDomains")
    for copied in (pickle.loads(pickle.dumps(store)), copy.deepcopy(store)):
        assert copied.check("www.example.com")
        copied.store_header("example.com", "max-age=0")
        assert not copied.check("example.com")
    assert store.check("example.com")


@pytest.mark.filterwarnings("ignore:open_binary is deprecated")  # the package's own affair
def test_the_list_that_browsers_ship(store: HstsStore) -> None:
    preloaded = HstsStore(preload=True)
    assert preloaded.check("github.com")
    assert preloaded.check("gist.github.com")
    assert preloaded.clone().check("github.com")
    assert not preloaded.check("example.test")
    assert not preloaded.check("127.0.0.1")
    assert not store.check("github.com")
