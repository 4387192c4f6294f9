"""uri: what parse_uri takes apart, mends and refuses, and the reference resolution tables of RFC 3986 section 5.4."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st

from drivetrain.engine import util
from drivetrain.engine.errors import InvalidURL
from drivetrain.engine.wire.uri import Uri, parse_uri, resolve_reference


class TestParts:
    def test_everything(self) -> None:
        uri = parse_uri("HTTPS://us%65r:p%40ss@EXAMPLE.com:8443/a%20b/c?q=1&r#frag")
        assert uri.scheme == "https"
        assert uri.userinfo == "us%65r:p%40ss"
        assert uri.host == "example.com"
        assert uri.port == 8443
        assert uri.target == "/a%20b/c?q=1&r"
        assert uri.path == "/a%20b/c"
        assert uri.query == "q=1&r"
        assert uri.fragment == "frag"
        assert uri.authority == "example.com:8443"
        assert uri.origin == ("https", "example.com", 8443)
        assert uri.is_secure is True

    @pytest.mark.parametrize(
        ("text", "port", "secure"),
        [("http://h", 80, False), ("https://h", 443, True), ("ws://h", 80, False), ("wss://h", 443, True)],
    )
    def test_defaults(self, text: str, port: int, secure: bool) -> None:
        uri = parse_uri(text)
        assert (uri.port, uri.is_secure) == (port, secure)
        assert (uri.userinfo, uri.target, uri.query, uri.fragment, uri.authority) == (None, "/", None, None, "h")
        assert str(uri) == f"{text}/"

    @pytest.mark.parametrize(
        ("text", "target", "fragment"),
        [
            ("http://h?q", "/?q", None),
            ("http://h#f", "/", "f"),
            ("http://h/?#", "/?", ""),
            ("http://h/a#b#c?d", "/a", "b%23c?d"),
            ("http://h//a/../b/.", "//a/../b/.", None),
            ("http://h/@:?@:/?", "/@:?@:/?", None),
        ],
    )
    def test_target_and_fragment(self, text: str, target: str, fragment: str | None) -> None:
        uri = parse_uri(text)
        assert (uri.target, uri.fragment) == (target, fragment)

    @pytest.mark.parametrize(
        ("authority", "port", "shown"),
        [
            ("h:", 80, "h"),
            ("h:80", 80, "h"),
            ("h:0080", 80, "h"),
            ("h:0", 0, "h:0"),
            ("h:443", 443, "h:443"),
            ("h:65535", 65535, "h:65535"),
        ],
    )
    def test_ports(self, authority: str, port: int, shown: str) -> None:
        uri = parse_uri(f"http://{authority}/")
        assert (uri.port, uri.authority) == (port, shown)

    def test_userinfo_ends_at_the_last_at_sign_and_may_be_empty(self) -> None:
        uri = parse_uri("http://a@evil.example:b@h/x@y")
        assert (uri.userinfo, uri.host, uri.target) == ("a@evil.example:b", "h", "/x@y")
        assert parse_uri("http://@h/").userinfo is None

    def test_blanks_around_it_are_dropped(self) -> None:
        assert parse_uri("  http://h/a ") == parse_uri("http://h/a")


class TestPercentEncoding:
    @pytest.mark.parametrize(
        ("given_target", "target"),
        [
            ("/a b", "/a%20b"),
            ("/λ?€", "/%CE%BB?%E2%82%AC"),
            ("/%7e%2f%2F%41", "/%7e%2f%2F%41"),
            ("/100%", "/100%25"),
            ("/%zz%4%20", "/%25zz%254%20"),
            ('/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
            ("/[x]?y[]=1", "/%5Bx%5D?y%5B%5D=1"),
            ("/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@"),
            ("/\x80", "/%C2%80"),
        ],
    )
    def test_mends(self, given_target: str, target: str) -> None:
        assert parse_uri(f"http://h{given_target}").target == target

    @given(st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f%#\\", exclude_categories=["Cs"])))
    def test_like_requests(self, path: str) -> None:
        # requests also resolves dot segments and drops an empty query; both are left to others here.
        path = path.strip()
        assume("/." not in f"/{path}" and not path.endswith("?"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = requests.Request("GET", f"http://h/{path}").prepare().url
        assert str(parse_uri(f"http://h/{path}")) == prepared

    @given(st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f#?", exclude_categories=["Cs"])))
    def test_nothing_is_lost_and_a_second_pass_changes_nothing(self, path: str) -> None:
        uri = parse_uri(f"http://h/{path}#")
        assert uri.target.isascii()
        assert uri.target.isprintable()
        assert " " not in uri.target
        assert parse_uri(str(uri)) == uri
        assert util.decode_uri_component(uri.target) == util.decode_uri_component(f"/{path}")


class TestHosts:
    @pytest.mark.parametrize(
        ("given_host", "host"),
        [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com."),
            ("under_score.example", "under_score.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("faß.de", "xn--fa-hia.de"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("ｅｘａｍｐｌｅ.com", "example.com"),
            ("1a.b2", "1a.b2"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("0x", "0.0.0.0"),
            ("010.0.0.1", "8.0.0.1"),
            ("1.2.3.4.", "1.2.3.4"),
            ("１２７.0.0.1", "127.0.0.1"),
        ],
    )
    def test_one_spelling(self, given_host: str, host: str) -> None:
        assert parse_uri(f"http://{given_host}/").host == host

    @pytest.mark.parametrize(
        ("given_host", "host", "authority", "text"),
        [
            ("[::1]", "::1", "[::1]:8080", "http://[::1]:8080/"),
            ("[2001:DB8:0:0::A]", "2001:db8::a", "[2001:db8::a]:8080", "http://[2001:db8::a]:8080/"),
            ("[fe80::1%25eth0]", "fe80::1%eth0", "[fe80::1]:8080", "http://[fe80::1%25eth0]:8080/"),
            ("[fe80::1%En1]", "fe80::1%En1", "[fe80::1]:8080", "http://[fe80::1%25En1]:8080/"),
            ("[::]", "::", "[::]:8080", "http://[::]:8080/"),
        ],
    )
    def test_ipv6(self, given_host: str, host: str, authority: str, text: str) -> None:
        uri = parse_uri(f"http://{given_host}:8080/")
        assert (uri.host, uri.port, uri.authority, str(uri)) == (host, 8080, authority, text)
        assert parse_uri(text) == uri


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("", "no scheme"),
            ("/path", "no scheme"),
            ("//host/", "no scheme"),
            ("example.com/x", "no scheme"),
            ("1http://h", "no scheme"),
            ("example.com:80/x", "unknown scheme 'example.com'.*http://"),
            ("ftp://h/", "unknown scheme 'ftp'"),
            ("javascript:alert(1)", "unknown scheme"),
            ("http:h", "'//' is missing"),
            ("http:/h", "'//' is missing"),
            ("http://", "no host"),
            ("http:///x", "no host"),
            ("http://?x", "no host"),
            ("http://user@/", "no host"),
            ("http://:80/", "no host"),
            ("http://[]/", "no host"),
            ("http://h:65536/", "port '65536'"),
            ("http://h:-1/", "port '-1'"),
            ("http://h:8o/", "port '8o'"),
            ("http://h:1:2/", "port '1:2'"),
            ("http://h:٣/", "port"),
            ("http://::1/", "brackets"),
            ("http://[::1/", "unclosed bracket"),
            ("http://[::1]x/", "bracket"),
            ("http://[::g]/", "not an IPv6 address"),
            ("http://[1.2.3.4]/", "not an IPv6 address"),
            ("http://[v1.x]/", "not an IPv6 address"),
            ("http://[fe80::1%25]/", "zone"),
            ("http://[fe80::1%]/", "zone"),
            ("http://[fe80::1%25a%2Fb]/", "zone"),
            ("http://a\\b/", "not allowed between"),
            ("http://good.example\\@evil.example/", "not allowed between"),
            ("http://a b/", "not allowed between"),
            ("http://a\u2003b/", "not allowed between"),
            ("http://a%2eb/", "not allowed in a host"),
            ("http://a<b/", "not allowed in a host"),
            ('http://a"b/', "not allowed in a host"),
            ("http://a..b/", "empty or overlong label"),
            ("http://.a/", "empty or overlong label"),
            ("http://./", "empty or overlong label"),
            (f"http://{'a' * 64}.b/", "empty or overlong label"),
            (f"http://{'a.' * 127}b/", "too long"),
            ("http://1.2.3.4.5/", "not an IPv4 address"),
            ("http://1.2.3.256/", "not an IPv4 address"),
            ("http://256.1.1.1/", "not an IPv4 address"),
            ("http://4294967296/", "not an IPv4 address"),
            ("http://09.1/", "not an IPv4 address"),
            ("http://example.123/", "not an IPv4 address"),
            (f"http://{'9' * 5000}/", "not an IPv4 address"),
            ("http://a\u2100b/", "not allowed in a host|internationalised"),  # maps to "a/c"
            ("http://\u00adx\u200d/", "internationalised"),
            ("http://h/\ud800", "surrogate"),
        ],
    )
    def test_names_the_fault(self, text: str, fault: str) -> None:
        with pytest.raises(InvalidURL, match=fault):
            parse_uri(text)

    @pytest.mark.parametrize("code", [*range(32), 127])
    def test_controls_are_refused_everywhere(self, code: int) -> None:
        char = chr(code)
        for text in (
            f"{char}http://h/",
            f"ht{char}tp://h/",
            f"http://h{char}/",
            f"http://h/a{char}b",
            f"http://h/#{char}",
            f"http://h/{char}",
        ):
            with pytest.raises(InvalidURL, match="control character"):
                parse_uri(text)

    @pytest.mark.parametrize("rest", ["h:x/", "h\\/", "[::/", "", "a..b/", "h h", "h%/"])
    def test_messages_never_quote_the_password(self, rest: str) -> None:
        with pytest.raises(InvalidURL) as caught:
            parse_uri(f"http://user:s3cret@{rest}")
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize("text", [b"http://h/", None, 5, ["http://h/"]])
    def test_other_types(self, text: object) -> None:
        with pytest.raises(TypeError):
            parse_uri(text)  # type: ignore[arg-type]

    @given(st.text(st.sampled_from("http:/@?#[]%.\\ a1\t:é"), max_size=20))
    def test_any_text_is_refused_or_has_one_reading(self, rest: str) -> None:
        try:
            uri = parse_uri(f"http://{rest}")
        except InvalidURL:
            return
        assert uri.host
        assert not set(uri.authority) & set("/?#@\\ \t")
        assert parse_uri(uri.to_string(with_userinfo=True)) == uri


class TestUriObject:
    def test_immutable(self) -> None:
        uri = parse_uri("http://h/")
        with pytest.raises(AttributeError, match="immutable"):
            uri.port = 81  # type: ignore[misc]
        with pytest.raises(AttributeError, match="immutable"):
            del uri.host  # type: ignore[misc]
        with pytest.raises(AttributeError):
            uri.other = 1  # type: ignore[attr-defined]

    def test_equality_and_hash(self) -> None:
        uri = parse_uri("http://H:80/a")
        assert uri == parse_uri("http://h/a")
        assert hash(uri) == hash(parse_uri("http://h/a"))
        assert uri != parse_uri("http://h/a#")
        assert uri != parse_uri("http://u@h/a")
        assert uri != "http://h/a"

    def test_the_password_shows_only_on_demand(self) -> None:
        uri = parse_uri("http://u:s3cret@h:81/a?b#c")
        assert str(uri) == "http://h:81/a?b#c"
        assert "s3cret" not in repr(uri)
        assert uri.to_string(with_userinfo=True) == "http://u:s3cret@h:81/a?b#c"

    def test_copies(self) -> None:
        uri = parse_uri("http://u:p@[fe80::1%25x]:81/a?b#c")
        for twin in (copy.copy(uri), copy.deepcopy(uri), pickle.loads(pickle.dumps(uri))):
            assert twin == uri
            assert twin.origin == uri.origin

    def test_answers_are_kept_but_not_of_long_texts(self) -> None:
        assert parse_uri("http://h/kept") is parse_uri("http://h/kept")
        long = "http://h/" + "x" * 5000
        assert parse_uri(long) == parse_uri(long)
        assert parse_uri(long) is not parse_uri(long)


BASE = Uri("http", None, "a", 80, "/b/c/d;p?q")

NORMAL = {
    "g:h": "g:h",
    "g": "http://a/b/c/g",
    "./g": "http://a/b/c/g",
    "g/": "http://a/b/c/g/",
    "/g": "http://a/g",
    "//g": "http://g",
    "?y": "http://a/b/c/d;p?y",
    "g?y": "http://a/b/c/g?y",
    "#s": "http://a/b/c/d;p?q#s",
    "g#s": "http://a/b/c/g#s",
    "g?y#s": "http://a/b/c/g?y#s",
    ";x": "http://a/b/c/;x",
    "g;x": "http://a/b/c/g;x",
    "g;x?y#s": "http://a/b/c/g;x?y#s",
    "": "http://a/b/c/d;p?q",
    ".": "http://a/b/c/",
    "./": "http://a/b/c/",
    "..": "http://a/b/",
    "../": "http://a/b/",
    "../g": "http://a/b/g",
    "../..": "http://a/",
    "../../": "http://a/",
    "../../g": "http://a/g",
}
ABNORMAL = {
    "../../../g": "http://a/g",
    "../../../../g": "http://a/g",
    "/./g": "http://a/g",
    "/../g": "http://a/g",
    "g.": "http://a/b/c/g.",
    ".g": "http://a/b/c/.g",
    "g..": "http://a/b/c/g..",
    "..g": "http://a/b/c/..g",
    "./../g": "http://a/b/g",
    "./g/.": "http://a/b/c/g/",
    "g/./h": "http://a/b/c/g/h",
    "g/../h": "http://a/b/c/h",
    "g;x=1/./y": "http://a/b/c/g;x=1/y",
    "g;x=1/../y": "http://a/b/c/y",
    "g?y/./x": "http://a/b/c/g?y/./x",
    "g?y/../x": "http://a/b/c/g?y/../x",
    "g#s/./x": "http://a/b/c/g#s/./x",
    "g#s/../x": "http://a/b/c/g#s/../x",
    "http:g": "http:g",  # strict
}


class TestResolveReference:
    @pytest.mark.parametrize(("reference", "target"), [*NORMAL.items(), *ABNORMAL.items()])
    def test_rfc_3986_section_5_4(self, reference: str, target: str) -> None:
        assert resolve_reference(BASE, reference) == target

    @pytest.mark.parametrize(
        ("base", "reference", "target"),
        [
            ("http://u:p@h:81/a#old", "b", "http://u:p@h:81/b"),
            ("http://u:p@h:81/a#old", "//g/x/../y", "http://g/y"),
            ("https://h/a", "//g", "https://g"),
            ("http://h", "x", "http://h/x"),
            ("http://h?q", "", "http://h/?q"),
            ("http://h?q", "?", "http://h/?"),
            ("http://h/a", "https://G/../x?y#z", "https://G/x?y#z"),
            ("http://h/a", "mailto:a/./b", "mailto:a/./b"),
            ("http://[fe80::1%25x]/a", "b", "http://[fe80::1%25x]/b"),
            ("http://h/a", "/\\evil.example", "http://h/\\evil.example"),
            ("http://h/a/b", "c:d/e", "c:d/e"),
            ("http://h/a/b", "./c:d", "http://h/a/c:d"),
            ("http://h/a", "é \n", "http://h/é \n"),
        ],
    )
    def test_more(self, base: str, reference: str, target: str) -> None:
        assert resolve_reference(parse_uri(base), reference) == target

    @given(st.text(st.sampled_from("ab./?#:;"), max_size=12))
    def test_a_resolved_reference_resolves_to_itself(self, reference: str) -> None:
        resolved = resolve_reference(BASE, reference)
        assert resolve_reference(BASE, resolved) == resolved
