"""Hosts and paths of cookies: the tables, and that walking up reaches exactly what matching allows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.policy.cookie_matching import (
    canonical_host,
    default_path,
    domain_match,
    host_of_authority,
    path_match,
    path_prefixes,
    request_path,
    suffixes,
)
from tests.policy.cookie_support import cases, title

PATHS = st.text(st.sampled_from("/ab"), max_size=12).map(lambda text: "/" + text)


@pytest.mark.parametrize("case", cases("cookie_hosts.json"), ids=title)
def test_canonical_hosts(case: dict[str, Any]) -> None:
    assert canonical_host(case["host"]) == case["expect"]


@pytest.mark.parametrize("case", cases("cookie_paths.json"), ids=title)
def test_paths(case: dict[str, Any]) -> None:
    assert path_match(case["path"], case["cookie"]) is case["expect"]


@pytest.mark.parametrize(
    ("host", "domain", "matches"),
    [
        ("example.com", "example.com", True),
        ("www.example.com", "example.com", True),
        ("a.b.example.com", "example.com", True),
        ("badexample.com", "example.com", False),
        ("example.com", "www.example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.1", False),
        ("2001:db8::1", "db8::1", False),
        ("example.com", "", False),
        ("example.com.", "com", False),
    ],
)
def test_domains(host: str, domain: str, matches: bool) -> None:
    assert domain_match(host, domain) is matches


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.b.example.com", ["a.b.example.com", "b.example.com", "example.com", "com"]),
        ("localhost", ["localhost"]),
        ("example.com.", ["example.com.", "com."]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("2001:db8::1.2.3.4", ["2001:db8::1.2.3.4"]),
    ],
)
def test_suffixes(host: str, expected: list[str]) -> None:
    assert list(suffixes(host)) == expected


@given(st.lists(st.sampled_from(["a", "b", "com"]), min_size=1, max_size=5).map(".".join))
def test_every_suffix_matches(host: str) -> None:
    assert all(domain_match(host, domain) for domain in suffixes(host))


@given(PATHS, PATHS)
def test_prefixes_are_the_paths_that_match(path: str, other: str) -> None:
    prefixes = list(path_prefixes(path))
    assert len(prefixes) == len(set(prefixes))
    assert prefixes == sorted(prefixes, key=len, reverse=True)
    assert all(path_match(path, prefix) for prefix in prefixes)
    assert (other in prefixes) is path_match(path, other)
    assert default_path(path) in (*prefixes, "/")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a/b?c/d", "/a/b"),
        ("/a#b", "/a"),
        ("?x", "/"),
        ("", "/"),
        ("*", "/"),
        ("http://example.com/a?b", "/a"),
        ("http://example.com", "/"),
        ("http://example.com?x=/a", "/"),
        ("//a/b", "//a/b"),
        ("a/b", "/"),
    ],
)
def test_request_path(target: str, path: str) -> None:
    assert request_path(target) == path


@pytest.mark.parametrize(
    ("path", "expected"), [("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b", "/a"), ("//", "/"), ("", "/"), ("a/b", "/")]
)
def test_default_path(path: str, expected: str) -> None:
    assert default_path(path) == expected


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Example.com:80", "example.com"),
        ("[::1]:443", "::1"),
        ("::1", "::1"),
        ("user@example.com", None),
        ("example.com:x", None),
        ("", None),
    ],
)
def test_host_of_authority(authority: str, host: str | None) -> None:
    assert host_of_authority(authority, "http") == host


@given(st.text(st.sampled_from("ab.:[]%-_xnßü\u3002\u200d0129 /"), max_size=30) | st.text(max_size=30))
def test_a_canonical_host_stays_as_it_is(text: str) -> None:
    host = canonical_host(text)
    assert host is None or (host and canonical_host(host) == host and host == host.lower())
