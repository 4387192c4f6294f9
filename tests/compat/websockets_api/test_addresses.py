"""URIs of WebSockets, addresses of proxies, and which proxy the environment wants."""

from __future__ import annotations

import pytest

from drivetrain.compat.websockets_api import proxy, uri
from drivetrain.compat.websockets_api.exceptions import InvalidProxy, InvalidURI
from drivetrain.compat.websockets_api.proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from drivetrain.compat.websockets_api.uri import WebSocketURI, parse_uri


@pytest.mark.parametrize(
    ("text", "parts", "resource"),
    [
        ("ws://localhost/", WebSocketURI(False, "localhost", 80, "/", ""), "/"),
        ("wss://LOCALHOST", WebSocketURI(True, "localhost", 443, "", ""), "/"),
        ("ws://[::1]:8080/a?b=c", WebSocketURI(False, "::1", 8080, "/a", "b=c"), "/a?b=c"),
        ("wss://h?q", WebSocketURI(True, "h", 443, "", "q"), "/?q"),
        ("ws://me:a%20b@h/", WebSocketURI(False, "h", 80, "/", "", "me", "a b"), "/"),
        (
            "ws://höst/é?ü=%20",
            WebSocketURI(False, "xn--hst-sna", 80, "/%C3%A9", "%C3%BC=%2520"),
            "/%C3%A9?%C3%BC=%2520",
        ),
    ],
)
def test_uris(text: str, parts: WebSocketURI, resource: str) -> None:
    assert parse_uri(text) == parts
    assert parts.resource_name == resource


def test_what_is_encoded_already_is_encoded_again_among_other_letters() -> None:
    assert parse_uri("ws://h/é%20").path == "/%C3%A9%2520"
    assert parse_uri("ws://h/e%20").path == "/e%20"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("http://localhost/", "scheme isn't ws or wss"),
        ("localhost", "scheme isn't ws or wss"),
        ("ws:///path", "hostname isn't provided"),
        ("ws://localhost/#top", "fragment identifier is meaningless"),
        ("ws://me@localhost/", "username provided without password"),
    ],
)
def test_uris_that_are_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidURI) as caught:
        parse_uri(text)
    assert (caught.value.uri, caught.value.msg) == (text, fault)


@pytest.mark.parametrize("text", ["ws://h:99999/", "ws://h:x/", "ws://[::1/"])
def test_what_is_no_uri_at_all(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Pp]ort|IPv6"):
        parse_uri(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://p", Proxy("http", "p", 80)),
        ("https://P/", Proxy("https", "p", 443)),
        ("socks5h://me:a%40b@p:1080", Proxy("socks5h", "p", 1080, "me", "a@b")),
        ("socks5://p", Proxy("socks5", "p", 80)),
        ("http://höst:1", Proxy("http", "xn--hst-sna", 1)),
    ],
)
def test_proxies(text: str, parts: Proxy) -> None:
    assert parse_proxy(text) == parts
    assert uri.parse_proxy is parse_proxy
    assert uri.Proxy is Proxy


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ftp://p", "scheme ftp isn't supported"),
        ("http://", "hostname isn't provided"),
        ("http://p/path", "path is meaningless"),
        ("http://p//", "path is meaningless"),
        ("http://p?q", "query is meaningless"),
        ("http://p#f", "fragment is meaningless"),
        ("http://me@p", "username provided without password"),
    ],
)
def test_proxies_that_are_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidProxy) as caught:
        parse_proxy(text)
    assert (caught.value.proxy, caught.value.msg) == (text, fault)


@pytest.mark.parametrize("parts", [parse_uri("ws://me:x@h"), parse_proxy("http://me:x@h")])
def test_credentials(parts: WebSocketURI | Proxy) -> None:
    assert parts.user_info == ("me", "x")
    parts.password = None
    with pytest.raises(AssertionError):
        parts.user_info  # noqa: B018
    parts.username = None
    assert parts.user_info is None


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, None),
        ({"http_proxy": "http://h"}, "http://h"),
        ({"http_proxy": "http://h", "https_proxy": "http://s"}, "http://s"),
        ({"socks_proxy": "http://s:1080", "https_proxy": "http://h"}, "socks5h://s:1080"),
        ({"socks_proxy": "socks5://s:1080"}, "socks5://s:1080"),
        ({"ws_proxy": "http://w", "socks_proxy": "socks5://s"}, "http://w"),
        ({"wss_proxy": "http://w"}, None),
        ({"ws_proxy": "http://w", "no_proxy": "example.com"}, None),
    ],
)
def test_the_proxy_of_the_environment(
    environment: dict[str, str], address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert get_proxy(parse_uri("ws://example.com/")) == address


def test_a_wss_uri_has_no_use_for_the_proxy_of_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://h")
    assert proxy.get_proxy(parse_uri("wss://example.com/")) is None
    monkeypatch.setenv("wss_proxy", "http://w")
    assert proxy.get_proxy(parse_uri("wss://example.com/")) == "http://w"


def test_what_a_proxy_is_asked() -> None:
    target = parse_uri("wss://[::1]/a")
    assert prepare_connect_request(parse_proxy("http://me:x@p"), target, "us") == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]\r\nUser-Agent: us\r\nProxy-Authorization: Basic bWU6eA==\r\n\r\n"
    )
    assert prepare_connect_request(parse_proxy("http://p"), parse_uri("ws://h:81"), None) == (
        b"CONNECT h:81 HTTP/1.1\r\nHost: h:81\r\n\r\n"
    )
