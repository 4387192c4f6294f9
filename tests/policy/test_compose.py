"""From method, URL and options to the request that is sent."""

from __future__ import annotations

from typing import Any

import pytest

from drivetrain.engine import Headers, errors, parse_uri
from drivetrain.engine.connection.dial import DialOptions, TlsOptions
from drivetrain.engine.policy.compose import Composer, add_params, basic_credentials
from drivetrain.engine.policy.options import ClientOptions
from drivetrain.engine.policy.origins import Origins
from drivetrain.engine.policy.outgoing import Outgoing


def composer(*fields: tuple[str, str]) -> Composer:
    return Composer(Origins(TlsOptions(), DialOptions()), Headers(list(fields)), "blocking")


def compose(method: str = "GET", url: str = "http://h/p", **options: Any) -> Outgoing:
    return composer(("X-Client", "1")).compose(method, url, **options)


class TestHeaders:
    def test_pseudo_fields_come_first(self) -> None:
        outgoing = compose("GET", "https://H:443/p?q#f")
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", "h"), (":path", "/p?q")]
        assert list(outgoing.headers) == [*pseudo, ("X-Client", "1")]

    @pytest.mark.parametrize("source", [{"x-client": "2"}, [("x-client", "2")], Headers([("x-client", "2")])])
    def test_a_request_replaces_the_clients(self, source: Any) -> None:
        assert compose(headers=source).headers.get_as_sequence("x-client") == ["2"]

    def test_pseudo_fields_can_be_given(self) -> None:
        outgoing = compose("OPTIONS", headers={":path": "*", ":authority": "other"})
        assert list(outgoing.headers)[:4] == [
            (":method", "OPTIONS"),
            (":scheme", "http"),
            (":authority", "other"),
            (":path", "*"),
        ]

    def test_never_index_is_kept(self) -> None:
        headers = compose(headers=Headers([("x-secret", "s", True)])).headers
        assert {name: never for name, _, never in headers.each()}["x-secret"]

    def test_the_clients_are_not_touched(self) -> None:
        made = composer(("a", "b"))
        made.compose("POST", "http://u:p@h/", json={}, headers={"c": "d"})
        assert list(made.headers) == [("a", "b")]

    def test_defaults_give_way(self) -> None:
        headers = ClientOptions(headers={"USER-agent": "x", "y": "z"}).make_headers()
        assert headers.get_as_sequence("user-agent") == ["x"]
        assert [name for name, _ in headers] == ["Accept", "Accept-Encoding", "USER-agent", "y"]


class TestBodies:
    def test_none(self) -> None:
        assert compose("POST").body is None

    @pytest.mark.parametrize(
        ("options", "kind"),
        [
            ({"content": b"x"}, None),
            ({"content": "x"}, "text/plain; charset=utf-8"),
            ({"json": 0}, "application/json"),
            ({"form": {"a": "b"}}, "application/x-www-form-urlencoded"),
        ],
    )
    def test_content_types(self, options: Any, kind: str | None) -> None:
        outgoing = compose("POST", **options)
        assert outgoing.headers.get("content-type") == kind
        assert outgoing.headers.has("content-length")
        given = compose("POST", headers={"content-type": "mine"}, **options)
        assert given.headers.get_as_sequence("content-type") == ["mine"]

    def test_given_framing_stays(self) -> None:
        outgoing = compose("POST", content=b"abc", headers={"transfer-encoding": "chunked"})
        assert not outgoing.headers.has("content-length")

    @pytest.mark.parametrize(
        "options", [{"content": b"", "json": 1}, {"json": 1, "form": {}}, {"content": b"", "files": {"a": b""}}]
    )
    def test_one_body_only(self, options: Any) -> None:
        with pytest.raises(errors.UsageError):
            compose("POST", **options)

    @pytest.mark.parametrize(
        ("method", "content", "expected"),
        [
            ("GET", None, True),
            ("PUT", b"x", True),
            ("DELETE", None, True),
            ("POST", None, False),
            ("PATCH", b"x", False),
            ("BREW", None, False),
        ],
    )
    def test_what_may_be_repeated(self, method: str, content: Any, expected: bool) -> None:
        assert compose(method, content=content).may_be_repeated == expected


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "params", "expected"),
        [
            ("http://h", {"a": "b"}, "http://h/?a=b"),
            ("http://h/?x", {"a": "b"}, "http://h/?x&a=b"),
            ("http://h/?", {"a": "b"}, "http://h/?a=b"),
            ("http://h/?x&", "a=b", "http://h/?x&a=b"),
            ("http://h/#f", {"a": "b"}, "http://h/?a=b#f"),
            ("http://h/", {"a": None}, "http://h/"),
            ("http://h/", {"a": []}, "http://h/"),
            ("http://h/", {"a": [1, None, "ü"]}, "http://h/?a=1&a=%C3%BC"),
            ("http://h/", {"a": False}, "http://h/?a=false"),
            ("http://h/", {"a+b": "c#d?"}, "http://h/?a%2Bb=c%23d%3F"),
        ],
    )
    def test_params(self, url: str, params: Any, expected: str) -> None:
        assert add_params(parse_uri(url), params).to_string() == expected

    def test_params_keep_userinfo(self) -> None:
        assert add_params(parse_uri("http://u:p@h/"), {"a": 1}).userinfo == "u:p"

    @pytest.mark.parametrize(("userinfo", "expected"), [("u:p", "dTpw"), ("u", "dTo="), ("%C3%BC:a%3Ab", "w7w6YTpi")])
    def test_credentials(self, userinfo: str, expected: str) -> None:
        assert basic_credentials(userinfo) == f"Basic {expected}"

    def test_userinfo(self) -> None:
        outgoing = compose(url="http://u:p@h/")
        assert outgoing.headers.get("authorization") == "Basic dTpw"
        assert outgoing.headers.get(":authority") == "h"
        assert "u:p" not in str(outgoing.uri)

    def test_keys_are_shared_by_origin(self) -> None:
        made = composer()
        first, second = made.compose("GET", "http://h/a"), made.compose("GET", "http://h:80/b")
        assert first.key is second.key
        assert made.compose("GET", "https://h/").key != first.key
        with pytest.raises(errors.InvalidURL):
            made.compose("GET", "ws://h/")


class TestExactly:
    def test_fields_as_they_are(self) -> None:
        outgoing = composer(("x", "y")).compose_exactly("GET", "http://u:p@h/p", [("B", "1"), ("a", "2")], None)
        assert list(outgoing.headers)[4:] == [("B", "1"), ("a", "2")]

    def test_target(self) -> None:
        outgoing = composer().compose_exactly("GET", "http://h/a/../b", [], None, "/a/../b")
        assert outgoing.headers.get(":path") == "/a/../b"
