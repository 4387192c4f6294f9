"""util: lua-http's helpers, checked against the RFCs, JavaScript's sets and the standard library."""

from __future__ import annotations

import email.utils
import math
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine import util, version
from drivetrain.engine.errors import InvalidURL, UsageError

ALL_BYTES = bytes(range(256))
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def test_version_names_the_project() -> None:
    assert version.name == "drivetrain"
    assert len(version.version.split(".")) == 3


class TestPercentEncoding:
    def test_encode_uri_keeps_exactly_javascripts_set(self) -> None:
        kept = {chr(code) for code in range(128) if util.encode_uri(chr(code)) == chr(code)}
        assert kept == set(ALNUM + "-_.!~*'()" + ";,/?:@&=+$#")

    def test_encode_uri_component_keeps_exactly_javascripts_set(self) -> None:
        kept = {chr(code) for code in range(128) if util.encode_uri_component(chr(code)) == chr(code)}
        assert kept == set(ALNUM + "-_.!~*'()")

    def test_non_ascii_goes_as_utf8_in_upper_case_hex(self) -> None:
        assert util.encode_uri_component("λ €") == "%CE%BB%20%E2%82%AC"
        assert util.encode_uri("http://h/λ?q=a b") == "http://h/%CE%BB?q=a%20b"

    def test_bytes_are_encoded_one_by_one(self) -> None:
        assert util.encode_uri_component(b"\xff/") == "%FF%2F"

    @pytest.mark.parametrize(
        ("text", "decoded"),
        [
            ("Encoded%20string", "Encoded string"),
            ("%24%2f%2F", "%24%2f%2F"),  # reserved: left exactly as they stand
            ("%ce%bb", "λ"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%2541", "%41"),  # decoded once, not twice
        ],
    )
    def test_decode_uri(self, text: str, decoded: str) -> None:
        assert util.decode_uri(text) == decoded

    def test_decode_uri_leaves_the_escapes_of_reserved_characters(self) -> None:
        reserved = util.encode_uri_component("#$&+,/:;=?@")
        assert util.decode_uri(reserved) == reserved
        assert util.decode_uri_component(reserved) == "#$&+,/:;=?@"

    def test_every_byte_survives_the_round_trip(self) -> None:
        decoded = util.decode_uri_component(util.encode_uri_component(ALL_BYTES))
        assert decoded.encode("utf-8", "surrogateescape") == ALL_BYTES
        assert util.encode_uri_component(decoded) == util.encode_uri_component(ALL_BYTES)

    def test_a_surrogate_that_stands_for_no_byte_is_refused(self) -> None:
        with pytest.raises(UsageError, match="index 1"):
            util.encode_uri("a\ud800")

    @given(st.text())
    def test_component_decoder_inverts_the_encoder(self, text: str) -> None:
        encoded = util.encode_uri_component(text)
        assert encoded.isascii()
        assert util.decode_uri_component(encoded) == text

    @given(st.binary())
    def test_component_decoder_inverts_the_encoder_of_bytes(self, raw: bytes) -> None:
        assert util.decode_uri_component(util.encode_uri_component(raw)).encode("utf-8", "surrogateescape") == raw

    @given(st.text())
    def test_uri_decoder_inverts_the_encoder(self, text: str) -> None:
        assert util.decode_uri(util.encode_uri(text)) == text


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "pairs"),
        [
            ("", []),
            ("foo=bar", [("foo", "bar")]),
            ("foo=bar&baz=qux&foo=again", [("foo", "bar"), ("baz", "qux"), ("foo", "again")]),
            ("%3D=%26", [("=", "&")]),
            ("foo=bar&noequals", [("foo", "bar"), ("noequals", None)]),
            ("empty=&&=nameless&", [("empty", ""), ("", "nameless")]),
            ("a=b=c", [("a", "b=c")]),
            ("a=b+c", [("a", "b+c")]),
        ],
    )
    def test_query_args(self, query: str, pairs: list[tuple[str, str | None]]) -> None:
        assert list(util.query_args(query)) == pairs

    def test_dict_to_query_is_in_the_order_of_the_names(self) -> None:
        assert util.dict_to_query({"foo": "bar", "baz": "qux"}) == "baz=qux&foo=bar"
        assert util.dict_to_query({"foo": "λ", "a&": "="}) == "a%26=%3D&foo=%CE%BB"
        assert util.dict_to_query({}) == ""

    @given(st.dictionaries(st.text(), st.text()))
    def test_query_args_inverts_dict_to_query(self, args: dict[str, str]) -> None:
        assert dict(util.query_args(util.dict_to_query(args))) == args


class TestPaths:
    @pytest.mark.parametrize(
        ("orig", "relative", "result"),
        [
            ("/a/b/c", "d", "/a/b/d"),
            ("/a/b/c", "./d/", "/a/b/d/"),
            ("/a/b/c", "../d", "/a/d"),
            ("/a/b/c", "../../../../d", "/d"),
            ("/a/b/c", "/x/../y", "/y"),
            ("/a/b/c", "..", "/a/"),
            ("/a/b/c", ".", "/a/b/"),
            ("/a/b/c", "", "/a/b/c"),
            ("/a/b/", "c//d", "/a/b/c//d"),
            ("/", "..", "/"),
            ("a/b", "c", "a/c"),
            ("a/b", "../../c", "c"),
            ("", "c", "c"),
            ("/a/b", "...", "/a/..."),
            ("/a/b", ".hidden", "/a/.hidden"),
        ],
    )
    def test_resolve_relative_path(self, orig: str, relative: str, result: str) -> None:
        assert util.resolve_relative_path(orig, relative) == result

    @pytest.mark.parametrize(
        ("path", "result"),
        [("/a/b/c/./../../g", "/a/g"), ("/./", "/"), ("/..", "/"), ("/a/..", "/"), ("/a//../b", "/a/b"), ("//", "//")],
    )
    def test_remove_dot_segments(self, path: str, result: str) -> None:
        assert util.remove_dot_segments(path) == result

    @given(st.lists(st.sampled_from(["", ".", "..", "a", "b.", "..c"])))
    def test_remove_dot_segments_follows_the_rfcs_own_wording(self, segments: list[str]) -> None:
        path = "/" + "/".join(segments)
        assert util.remove_dot_segments(path) == _remove_dot_segments_by_the_letter(path)


def _remove_dot_segments_by_the_letter(path: str) -> str:
    """RFC 3986 section 5.2.4, steps 2A to 2E."""
    output = ""
    while path:
        if path.startswith("../"):
            path = path[3:]
        elif path.startswith(("./", "/./")):
            path = path[2:]
        elif path == "/.":
            path = "/"
        elif path.startswith("/../"):
            path, output = path[3:], output[: max(output.rfind("/"), 0)]
        elif path == "/..":
            path, output = "/", output[: max(output.rfind("/"), 0)]
        elif path in (".", ".."):
            path = ""
        else:
            end = path.find("/", 1)
            end = len(path) if end < 0 else end
            path, output = path[end:], output + path[:end]
    return output


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods(method: str) -> None:
    assert util.is_safe_method(method)
    assert not util.is_safe_method(method.lower())  # methods are case-sensitive


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "CONNECT", ""])
def test_unsafe_methods(method: str) -> None:
    assert not util.is_safe_method(method)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "255.255.255.255", "::", "::1", "fe80::1%eth0", "::ffff:1.2.3.4", "A::B"]
)
def test_is_ip(text: str) -> None:
    assert util.is_ip(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "127.1",
        "1.2.3.256",
        "1.2.3.4.",
        "[::1]",
        "::1%",
        ":",
        ":::",
        "1::2::3",
        "１.2.3.4",
        "::1\0",
        "1.2.3.4\n",
    ],
)
def test_is_not_ip(text: str) -> None:
    assert not util.is_ip(text)


class TestAuthority:
    def test_default_ports(self) -> None:
        assert dict(util.scheme_to_port) == {"http": 80, "https": 443, "ws": 80, "wss": 443}

    @pytest.mark.parametrize(
        ("authority", "scheme", "result"),
        [
            ("localhost:8000", "http", ("localhost", 8000)),
            ("example.com", "https", ("example.com", 443)),
            ("example.com", "madeup", ("example.com", None)),
            ("example.com:7", "madeup", ("example.com", 7)),
            (" example.com:007\t", "http", ("example.com", 7)),
            ("example.com:", "wss", ("example.com", 443)),
            ("[::1]", "https", ("::1", 443)),
            ("[::1]:8000", "https", ("::1", 8000)),
            ("::1", "http", ("::1", 80)),
            ("", "http", ("", 80)),
            ("h:0", "http", ("h", 0)),
            ("h:65535", "http", ("h", 65535)),
        ],
    )
    def test_split(self, authority: str, scheme: str, result: tuple[str, int | None]) -> None:
        assert util.split_authority(authority, scheme) == result

    @pytest.mark.parametrize(
        "authority",
        [
            "u@h",
            "[::1",
            "[::1]8000",
            "a[::1]",
            "::1]",
            "h:65536",
            "h:-1",
            "h:+1",
            "h: 1",
            "h:1:2",
            "h:x",
            "h:１",
            "h:" + "9" * 5000,
        ],
    )
    def test_split_refuses(self, authority: str) -> None:
        with pytest.raises(InvalidURL):
            util.split_authority(authority, "http")

    @pytest.mark.parametrize(
        ("host", "port", "scheme", "result"),
        [
            ("example.com", 80, "http", "example.com"),
            ("example.com", 8000, "http", "example.com:8000"),
            ("example.com", 443, "http", "example.com:443"),
            ("example.com", None, "http", "example.com"),
            ("example.com", 80, "madeup", "example.com:80"),
            ("::1", 443, "https", "[::1]"),
            ("::1", 8000, "https", "[::1]:8000"),
            ("fe80::1%eth0", 443, "https", "[fe80::1]"),
        ],
    )
    def test_join(self, host: str, port: int | None, scheme: str, result: str) -> None:
        assert util.to_authority(host, port, scheme) == result

    @given(
        st.sampled_from(["example.com", "a", "127.0.0.1", "::1", "2001:db8::1"]),
        st.integers(0, 65535),
        st.sampled_from(["http", "https", "ws", "wss"]),
    )
    def test_split_inverts_join(self, host: str, port: int, scheme: str) -> None:
        assert util.split_authority(util.to_authority(host, port, scheme), scheme) == (host, port)


class TestImfDate:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (1234567890, "Fri, 13 Feb 2009 23:31:30 GMT"),
            (784111777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (-0.5, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (59.999, "Thu, 01 Jan 1970 00:00:59 GMT"),
            (-62135596800, "Mon, 01 Jan 0001 00:00:00 GMT"),
            (253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ],
    )
    def test_known_dates(self, seconds: float, text: str) -> None:
        assert util.imf_date(seconds) == text
        assert util.imf_date(seconds) == text  # now from the cache

    def test_now(self) -> None:
        before = math.floor(time.time())
        read_back = email.utils.parsedate_to_datetime(util.imf_date()).timestamp()
        assert before <= read_back <= time.time()

    @pytest.mark.parametrize("seconds", [253402300800, math.nan, math.inf, 1e300])
    def test_what_has_no_four_digit_year_is_refused(self, seconds: float) -> None:
        with pytest.raises(UsageError):
            util.imf_date(seconds)

    @given(st.datetimes(timezones=st.just(timezone.utc)))
    def test_the_standard_library_reads_it_back(self, moment: datetime) -> None:
        text = util.imf_date(moment.replace(microsecond=0).timestamp())
        assert len(text) == len("Sun, 06 Nov 1994 08:49:37 GMT")
        if moment.year >= 1000:  # email.utils reads smaller years as two-digit ones
            assert email.utils.parsedate_to_datetime(text) == moment.replace(microsecond=0)


class TestMaybeQuote:
    @pytest.mark.parametrize(
        ("text", "result"),
        [
            ("foo", "foo"),
            ("!#$%&'*+-.^_`|~", "!#$%&'*+-.^_`|~"),
            ('with " quote', '"with \\" quote"'),
            ("back\\slash", '"back\\\\slash"'),
            ("", '""'),
            ("tab\t", '"tab\t"'),
            ("caf\xe9", '"caf\xe9"'),
        ],
    )
    def test_quotes(self, text: str, result: str) -> None:
        assert util.maybe_quote(text) == result

    @pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127, 0x100])
    def test_refuses(self, code: int) -> None:
        assert util.maybe_quote(f"a{chr(code)}") is None
