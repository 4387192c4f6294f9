"""Which proxy for what: tables with the place in curl's manual, lua-http's facts or an RFC that each case comes from.

"curl" is curl(1), everything.curl.dev and its unit test 1614 (noproxy); "lua" is lua-http's manual, http.proxies.
"""

from __future__ import annotations

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivetrain.engine.connection.proxy import Proxy
from drivetrain.engine.errors import InvalidHeader, InvalidURL, UsageError
from drivetrain.engine.policy.no_proxy import NoProxy
from drivetrain.engine.policy.proxies import Proxies, for_origin, forwarded
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.uri import parse_uri

# --- no_proxy ---------------------------------------------------------------------------------------------------------

# Where it comes from, the list, (host, port) pairs that match, and such that do not.
NO_PROXY: list[tuple[str, str, list[tuple[str, int]], list[tuple[str, int]]]] = [
    (
        "curl(1) --noproxy: a name stands for itself and for what is below it",
        "local.com",
        [("local.com", 80), ("local.com", 8080), ("www.local.com", 443), ("a.b.local.com", 1)],
        [("notlocal.com", 80), ("www.notlocal.com", 80), ("local.com.evil.test", 80), ("com", 80), ("local.co", 80)],
    ),
    (
        "curl 7.86 noproxy: dots at either end do not count",
        ".local.com,.other.com.,third.com.",
        [("local.com", 80), ("www.local.com", 80), ("local.com.", 80), ("other.com", 80), ("www.third.com", 80)],
        [("xlocal.com", 80), ("third.co", 80)],
    ),
    ("curl(1) --noproxy: the only wildcard", "*", [("local.com", 80), ("127.0.0.1", 80), ("::1", 80), ("x", 1)], []),
    ("curl(1) --noproxy: the wildcard, among others", "a.test, *", [("local.com", 80), ("[::1]", 80)], []),
    ("curl: no other wildcards", "*.local.com,loc*,?.com", [], [("www.local.com", 80), ("local", 80), ("a.com", 80)]),
    (
        "curl 7.86 noproxy: commas and blanks, any number of them",
        " , a.test b.test ,c.test,,\td.test ",
        [("a.test", 80), ("b.test", 80), ("c.test", 80), ("d.test", 80)],
        [("e.test", 80), ("test", 80)],
    ),
    ("RFC 4343: case does not count", "LOCAL.Com", [("local.com", 80), ("WWW.Local.COM", 80)], [("x.com", 80)]),
    ("nothing", "", [], [("local.com", 80), ("127.0.0.1", 80)]),
    ("nothing but separators and dots", " ,. .., ", [], [("local.com", 80), ("127.0.0.1", 80)]),
    (
        "a port behind a name (wget, Go, requests)",
        "local.com:8080 .other.com:443,third.com:80,third.com:81",
        [("local.com", 8080), ("www.local.com", 8080), ("a.other.com", 443), ("third.com", 80), ("third.com", 81)],
        [("local.com", 80), ("other.com", 80), ("third.com", 82)],
    ),
    (
        "the same name with and without a port",
        "local.com:8080,local.com,other.com,other.com:1",
        [("local.com", 80), ("local.com", 8080), ("other.com", 80), ("other.com", 1)],
        [],
    ),
    (
        "curl 7.86: IPv4 addresses are compared as numbers, never by suffix",
        "127.0.0.1,10.1",
        [("127.0.0.1", 80), ("127.1", 80), ("0x7f000001", 80), ("10.0.0.1", 80)],
        [("1.127.0.0.1", 80), ("127.0.0.2", 80), ("0.0.1", 80), ("www.127.0.0.1", 80)],
    ),
    ("a port behind an IPv4 address", "127.0.0.1:8080", [("127.0.0.1", 8080)], [("127.0.0.1", 80)]),
    (
        "curl 7.86: IPv4 networks",
        "192.168.0.0/16",
        [("192.168.0.1", 80), ("192.168.255.255", 443)],
        [("192.169.0.0", 80), ("host.192.168.0.1.test", 80), ("::ffff:c0a8:1", 80)],
    ),
    ("host bits in a network do not matter", "192.168.7.9/24", [("192.168.7.200", 80)], [("192.168.8.9", 80)]),
    ("networks of 0 and 32 bits", "1.2.3.4/32 5.0.0.0/0", [("1.2.3.4", 80), ("9.9.9.9", 80)], [("::1", 80), ("a", 80)]),
    (
        "unit 1614: networks with odd numbers of bits",
        "192.168.128.0/17,10.0.0.0/31",
        [("192.168.200.1", 80), ("10.0.0.1", 80)],
        [("192.168.127.255", 80), ("10.0.0.2", 80)],
    ),
    (
        "malformed networks match nothing",
        "10.0.0.0/33,10.0.0.0/-1,10.0.0.0/,10.0.0.0/a,10/8,a.test/8,::/129,/8",
        [],
        [("10.0.0.1", 80), ("a.test", 80), ("::1", 80)],
    ),
    (
        "curl 7.86: IPv6 addresses, in brackets or not, however written",
        "::1,[2001:db8::2]",
        [("::1", 80), ("[::1]", 80), ("0:0:0:0:0:0:0:1", 80), ("2001:DB8:0::2", 80)],
        [("::2", 80), ("2001:db8::3", 80), ("127.0.0.1", 80)],
    ),
    ("a port behind an IPv6 address", "[::1]:8080", [("::1", 8080), ("[::1]", 8080)], [("::1", 80)]),
    (
        "curl 7.86, unit 1614: IPv6 networks",
        "1234:1234::/32,[fe80::]/10",
        [("1234:1234::1", 80), ("[1234:1234:ffff::]", 80), ("fe80::1", 80), ("fe80::1%eth0", 80)],
        [("1234:1235::1", 80), ("fec0::1", 80)],
    ),
    (
        "IDNA (RFC 5891): names outside ASCII in any form",
        "bücher.test,.xn--4gbwdl.xn--wgbh1c",
        [("bücher.test", 80), ("xn--bcher-kva.test", 80), ("BÜCHER.test", 80), ("www.xn--4gbwdl.xn--wgbh1c", 80)],
        [("bucher.test", 80)],
    ),
    ("names that are no host names still match themselves", "_srv.test,a..b", [("_srv.test", 80), ("a..b", 80)], []),
    ("a single label", "localhost", [("localhost", 80), ("api.localhost", 80)], [("localhost.test", 80)]),
]


@pytest.mark.parametrize(("_", "text", "direct", "proxied"), NO_PROXY, ids=[case[0] for case in NO_PROXY])
def test_no_proxy(_: str, text: str, direct: list[tuple[str, int]], proxied: list[tuple[str, int]]) -> None:
    exceptions = NoProxy(text)
    assert [pair for pair in direct if not exceptions.matches(*pair)] == []
    assert [pair for pair in proxied if exceptions.matches(*pair)] == []


@given(st.text(alphabet="ab.*:/[]0123456789% ,ü\0", max_size=40), st.text(alphabet="ab.:[]012%ü", max_size=20))
@example("[::1", "[::1")
@example("::1%", "::1%")
def test_any_list_can_be_read(text: str, host: str) -> None:
    assert NoProxy(text).matches(host, 80) in (True, False)


def test_a_list_is_true_when_something_is_in_it() -> None:
    assert [bool(NoProxy(text)) for text in ("", " , ", "a", "10.0.0.0/8", "*")] == [False, False, True, True, True]
    assert repr(NoProxy("a, b")) == "NoProxy('a, b')"


# --- the environment --------------------------------------------------------------------------------------------------

H, S, A = "http://h.test:1", "http://s.test:2", "socks5h://a.test:3"
# Where it comes from, the environment, and what is chosen for http, https, ws and wss.
ENVIRONMENTS: list[tuple[str, dict[str, str], tuple[str | None, str | None]]] = [
    ("nothing is set", {}, (None, None)),
    ("lua: http_proxy", {"http_proxy": H}, (H, None)),
    ("httpoxy (CVE-2016-5385): HTTP_PROXY does not count", {"HTTP_PROXY": H}, (None, None)),
    ("lua: https_proxy", {"https_proxy": S}, (None, S)),
    ("lua: HTTPS_PROXY", {"HTTPS_PROXY": S}, (None, S)),
    ("lua: lower case first", {"HTTPS_PROXY": H, "https_proxy": S}, (None, S)),
    ("lua: all_proxy is overridden by the others", {"all_proxy": A, "http_proxy": H}, (H, A)),
    ("lua: ALL_PROXY", {"ALL_PROXY": A}, (A, A)),
    ("lua: all_proxy before ALL_PROXY", {"ALL_PROXY": H, "all_proxy": A}, (A, A)),
    ("RFC 3875: under a gateway http_proxy does not count", {"REQUEST_METHOD": "GET", "http_proxy": H}, (None, None)),
    ("lua: … nor with GATEWAY_INTERFACE", {"GATEWAY_INTERFACE": "CGI/1.1", "http_proxy": H}, (None, None)),
    ("lua: … but CGI_HTTP_PROXY", {"REQUEST_METHOD": "GET", "CGI_HTTP_PROXY": H, "http_proxy": S}, (H, None)),
    ("lua: which counts there only", {"CGI_HTTP_PROXY": H}, (None, None)),
    ("under a gateway the others count", {"REQUEST_METHOD": "GET", "https_proxy": S, "all_proxy": A}, (A, S)),
    ("facts 75: an empty one is none", {"http_proxy": "", "https_proxy": " "}, (None, None)),
    ("urllib: empty in lower case overrules", {"HTTPS_PROXY": S, "https_proxy": ""}, (None, None)),
    ("curl: all_proxy stands in for an empty one", {"https_proxy": "", "all_proxy": A}, (A, A)),
    ("lua: no_proxy", {"all_proxy": A, "no_proxy": "origin.test"}, (None, None)),
    ("lua: NO_PROXY", {"all_proxy": A, "NO_PROXY": "*"}, (None, None)),
    ("lua: no_proxy before NO_PROXY", {"all_proxy": A, "no_proxy": "", "NO_PROXY": "*"}, (A, A)),
    ("no_proxy: the port is that of the scheme", {"all_proxy": A, "no_proxy": "origin.test:443"}, (A, None)),
]


@pytest.mark.parametrize(("_", "environment", "chosen"), ENVIRONMENTS, ids=[case[0] for case in ENVIRONMENTS])
def test_the_environment(_: str, environment: dict[str, str], chosen: tuple[str | None, str | None]) -> None:
    proxies = Proxies()
    assert proxies.update(environment.get) is proxies
    found = [proxies.choose(scheme, "origin.test") for scheme in ("http", "https", "ws", "wss")]
    assert [None if proxy is None else str(proxy) for proxy in found] == [*chosen, *chosen]


def test_the_environment_is_the_processes_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", S)
    assert str(Proxies().update().choose("https", "origin.test")) == S


def test_an_update_leaves_what_is_not_set() -> None:
    proxies = Proxies(http=H, https=S, no_proxy="a.test")
    proxies.update({"https_proxy": A}.get)
    assert [str(proxies.choose(scheme, "b.test")) for scheme in ("http", "https")] == [H, A]
    assert proxies.choose("http", "a.test") is None


def test_a_malformed_variable_fails_its_own_requests_only() -> None:
    proxies = Proxies().update({"http_proxy": "ftp://u:secret@h", "https_proxy": S, "no_proxy": "a.test"}.get)
    assert str(proxies.choose("https", "b.test")) == S
    assert proxies.choose("http", "a.test") is None
    for _ in range(2):
        with pytest.raises(InvalidURL, match="variable http_proxy is not the URI of a proxy") as caught:
            proxies.choose("http", "b.test")
        assert "secret" not in str(caught.value)
    assert "secret" not in repr(proxies)


def test_explicit_proxies() -> None:
    given = Proxy.from_uri("http://user:secret@h.test:1")
    proxies = Proxies(http=given, all="socks5://s", no_proxy="a.test:8080")
    assert proxies.choose("http", "b.test") is given
    assert str(proxies.choose("https", "b.test")) == "socks5://s:1080"
    assert proxies.choose("http", "a.test", 8080) is None
    assert proxies.choose("http", "a.test", 80) is given
    assert proxies.choose("ws", "[::1]", 80) is given
    assert bool(proxies)
    assert not Proxies(http="", https=None)
    assert "secret" not in repr(proxies)
    with pytest.raises(InvalidURL):
        Proxies(http="http://")


# --- Proxy ------------------------------------------------------------------------------------------------------------

# A URI, and (scheme, host, port, user name, password, UNIX-domain socket).
Parts = tuple[str, str, int, "str | None", "str | None", "str | None"]
URIS: list[tuple[str, Parts]] = [
    ("http://proxy.test:3128", ("http", "proxy.test", 3128, None, None, None)),
    ("HTTP://Proxy.TEST/", ("http", "proxy.test", 80, None, None, None)),
    ("https://proxy.test/ignored?too#and", ("https", "proxy.test", 443, None, None, None)),
    ("proxy.test:3128", ("http", "proxy.test", 3128, None, None, None)),
    ("proxy.test", ("http", "proxy.test", 80, None, None, None)),
    ("me:pw@proxy.test", ("http", "proxy.test", 80, "me", "pw", None)),
    (" http://proxy.test ", ("http", "proxy.test", 80, None, None, None)),
    ("socks4://127.1", ("socks4", "127.0.0.1", 1080, None, None, None)),
    ("socks4a://h:1", ("socks4a", "h", 1, None, None, None)),
    ("socks5://[::1]:9050", ("socks5", "::1", 9050, None, None, None)),
    ("SOCKS5H://h", ("socks5h", "h", 1080, None, None, None)),
    ("socks://h", ("socks5h", "h", 1080, None, None, None)),
    ("http://me@h", ("http", "h", 80, "me", None, None)),
    ("http://me:@h", ("http", "h", 80, "me", "", None)),
    ("http://:pw@h", ("http", "h", 80, "", "pw", None)),
    ("http://:@h", ("http", "h", 80, None, None, None)),
    ("http://@h", ("http", "h", 80, None, None, None)),
    ("http://m%40e:p%3A%2F%25@h", ("http", "h", 80, "m@e", "p:/%", None)),
    ("http://a@b:c@d@h", ("http", "h", 80, "a@b", "c@d", None)),
    ("socks5://a%3Ab:c@h", ("socks5", "h", 1080, "a:b", "c", None)),
    ("http://%FF:pw@h", ("http", "h", 80, "\udcff", "pw", None)),
    ("http://bücher.test", ("http", "xn--bcher-kva.test", 80, None, None, None)),
    ("http+unix://%2Frun%2Fa.sock", ("http", "localhost", 80, None, None, "/run/a.sock")),
    ("https+unix://me:pw@%2Frun%2Fa.sock/", ("https", "localhost", 443, "me", "pw", "/run/a.sock")),
    ("socks5+unix://a.sock", ("socks5", "localhost", 1080, None, None, "a.sock")),
    ("socks5h://localhost/run/a%20b", ("socks5h", "localhost", 1080, None, None, "/run/a b")),
    ("socks5h://localhost/", ("socks5h", "localhost", 1080, None, None, None)),
    ("socks5h://localhost:1/run/a", ("socks5h", "localhost", 1, None, None, None)),
    ("http://localhost/run/a", ("http", "localhost", 80, None, None, None)),
]


@pytest.mark.parametrize(("text", "parts"), URIS)
def test_uris(text: str, parts: Parts) -> None:
    proxy = Proxy.from_uri(text)
    found = (proxy.scheme, proxy.host, proxy.port, proxy.username, proxy.password, proxy.unix_path)
    assert found == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "http://user:secret@",
        "ftp://user:secret@h",
        "direct://",
        "unix:///run/a",
        "http+tcp://user:secret@h",
        "http+unix://",
        "http+unix://%00",
        "http://user:secret@h:port",
        "http://user:secret@h:99999",
        "http://user:secret@h:0",
        "http://user:sec/secret@h",
        "http://user:sec?secret@h",
        "http://user:sec#secret@h",
        "http://user:s@secret/x@h",
        "http://user:secret@a b",
        "http://user:secret@a\tb",
        "http://user:secret@[::1",
        "http://user:secret@::1",
        "http://a%3Ab:secret@h",
        "socks5://:secret@h",
        "socks5://u:" + "secret" * 50 + "@h",
        "socks4://" + "secret" * 50 + "@h",
    ],
)
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(UsageError) as caught:  # InvalidURL is one
        Proxy.from_uri(text)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60) | st.text(alphabet="htp:/@socks5+unix%[]#?.1\0 ", max_size=30))
def test_any_text_is_a_proxy_or_a_usage_error(text: str) -> None:
    try:
        proxy = Proxy.from_uri(text)
    except UsageError:
        return
    assert proxy == Proxy.from_uri(text)
    assert 0 < proxy.port < 65536
    assert proxy.host


@pytest.mark.parametrize(
    "parts",
    [
        {"scheme": "ftp"},
        {"host": ""},
        {"port": 0},
        {"port": 65536},
        {"password": "secret"},
        {"username": "a:b"},
        {"scheme": "socks5", "headers": (("a", "b"),)},
        {"scheme": "socks5", "username": ""},
    ],
)
def test_parts_that_do_not_fit(parts: dict[str, object]) -> None:
    whole: dict[str, object] = {"scheme": "http", "host": "h", "port": 1, **parts}
    with pytest.raises(UsageError) as caught:
        Proxy(**whole)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    with pytest.raises(InvalidHeader):
        Proxy("http", "h", 1, headers=(("a", "b\r\nc: d"),))


def test_a_proxy_is_a_value_that_hides_its_secrets() -> None:
    text = "http://user:secret@h.test:1"
    headers = (("X-Key", "secret"),)
    proxy, same = Proxy.from_uri(text, headers), Proxy.from_uri(text, headers)
    assert proxy == same
    assert len({proxy, same, Proxy.from_uri(text), Proxy.from_uri("http://user:other@h.test:1", headers)}) == 3
    assert pickle.loads(pickle.dumps(proxy)) == proxy
    assert repr(proxy) == "<Proxy http://h.test:1 with credentials>"
    assert f"{proxy} {[proxy]} {proxy!s}".count("secret") == 0
    assert repr(Proxy.from_uri("socks5+unix://%2Frun%2Fa")) == "<Proxy socks5+unix:///run/a>"
    assert str(Proxy.from_uri("socks5://[::1]")) == "socks5://[::1]:1080"
    with pytest.raises(AttributeError):
        proxy.host = "other"  # type: ignore[misc]


def test_who_resolves_and_what_needs_a_tunnel() -> None:
    """RFC 9110 section 7.3.2, RFC 6455 section 4.1."""
    schemes = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
    proxies = [Proxy(scheme, "h", 1) for scheme in schemes]
    assert [proxy.resolves for proxy in proxies] == [True, True, False, True, False, True]
    assert [proxy.is_socks for proxy in proxies] == [False, False, True, True, True, True]
    assert [proxy.needs_tunnel("http") for proxy in proxies] == [False, False, True, True, True, True]
    assert all(proxy.needs_tunnel(scheme) for proxy in proxies for scheme in ("https", "ws", "wss"))


def test_the_fields_for_the_proxy() -> None:
    """RFC 7617; UTF-8 as its section 2.1 has it."""
    proxy = Proxy("http", "h", 1, "Aladdin", "open sesame", (("User-Agent", "x"),))
    basic = ("Proxy-Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    assert proxy.fields() == [("User-Agent", "x"), basic]
    assert proxy.fields("Digest y") == [("User-Agent", "x"), ("Proxy-Authorization", "Digest y")]
    assert Proxy("http", "h", 1).fields() == []
    assert Proxy("http", "h", 1, "test", "123£").basic_authorization == "Basic dGVzdDoxMjPCow=="
    own = Proxy("http", "h", 1, "a", "b", (("proxy-authorization", "Bearer z"),))
    assert own.fields() == [("proxy-authorization", "Bearer z")]
    assert own.fields("Digest y") == [("Proxy-Authorization", "Digest y")]


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "path", "target"),
    [
        ("http://a.test/b?c=d#e", "/b?c=d", "http://a.test/b?c=d"),
        ("http://me:secret@a.test:8080/", "/", "http://a.test:8080/"),
        ("http://[::1]:8080/", "/", "http://[::1]:8080/"),
        ("http://a.test/", "*", "http://a.test"),
        ("http://a.test/b", "/c", "http://a.test/c"),
        ("http://a.test/b", "http://a.test/b", "http://a.test/b"),
    ],
)
def test_the_absolute_form(uri: str, path: str, target: str) -> None:
    """RFC 9112 sections 3.2.2 and 3.2.4, RFC 9110 section 4.2.4."""
    start = [(":method", "OPTIONS"), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
    headers = Headers([*start, ("accept", "*/*"), ("proxy-authorization", "mine"), ("user-agent", "x")])
    before = headers.items()
    request = forwarded(headers, parse_uri(uri), Proxy("http", "h", 1, "me", "pw", (("User-Agent", "y"),)))
    assert headers.items() == before
    assert request.items() == [
        *start[:3],
        (":path", target),
        ("accept", "*/*"),
        ("User-Agent", "y"),
        ("Proxy-Authorization", "Basic bWU6cHc="),
    ]
    assert [name for name, _, never_index in request.each() if never_index] == ["Proxy-Authorization"]
    assert forwarded(headers, parse_uri(uri), Proxy("http", "h", 1)).get("proxy-authorization") == "mine"
    answered = forwarded(headers, parse_uri(uri), Proxy("http", "h", 1), "Digest z")
    assert answered.get_as_sequence("proxy-authorization") == ["Digest z"]


def test_a_target_that_is_whole_already() -> None:
    """Of a request whose target its program has chosen; what it would be otherwise is above."""
    whole = "http://A.test:80/%7Ex?signed"
    headers = Headers([(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", whole)])
    assert forwarded(headers, parse_uri("http://a.test/x"), Proxy("http", "h", 1)).get(":path") == whole


def test_what_an_origin_sees() -> None:
    """CVE-2023-32681: credentials for a proxy do not go through its tunnels."""
    plain = Headers([(":method", "GET"), ("accept", "*/*")])
    assert for_origin(plain) is plain
    mixed = Headers([(":method", "GET"), ("Proxy-Authorization", "Basic x"), ("accept", "*/*")])
    assert for_origin(mixed) == plain
    assert mixed.has("proxy-authorization")
