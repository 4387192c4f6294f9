"""The tests that pass with the original and need not pass with the engine, each with its reason.

A test gets in here only when what it asks for is an internal of the original. Two lists are longer than that: `test_urllib2`
looks at where names say they come from, and `StoreCookieJar` ("store") is not a copy of `CookieJar` but a jar with the rules of
RFC 6265, so that what it does otherwise stands here by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from conformance.comparison import Review

__all__ = ["REVIEWED"]

# All that these three do with the network passes; their last line looks at urllib3's own book-keeping.
_COUNTS_POOLS = Review(
    "counts urllib3's pools in adapter.poolmanager; the engine has a pool of its own", "poolmanager.pools"
)
_POOLS = "tests/test_requests.py::TestPreparingURLs::test_different_connection_pool_for_tls_settings_"

_JAR = "test.test_http_cookiejar.CookieTests."
_LWP = "test.test_http_cookiejar.LWPCookieTests."
_STORE = ("store",)


def _looks_inside(text: str) -> Review:
    return Review("reads CookieJar._cookies; the cookies are in the store", text, _STORE)


def _old_cookies(text: str) -> Review:
    return Review("wants cookies of RFC 2965 (Set-Cookie2, $Version), which RFC 6265 has made history", text, _STORE)


REVIEWED: Mapping[str, Mapping[str, Review]] = {
    "requests": {
        _POOLS + "verify_True": _COUNTS_POOLS,
        _POOLS + "verify_bundle_expired_cert": _COUNTS_POOLS,
        _POOLS + "verify_bundle_unexpired_cert": _COUNTS_POOLS,
    },
    "responses": {},
    "test_urllib2_localnet": {},
    "test_urllib2": {
        "test.test_urllib2.TrivialTests.test___all__": Review(
            "wants every name of urllib.request.__all__ to say that it was defined there; ours say where they come from",
            "is exposed in 'urllib.request' but defined in 'drivetrain.compat.urllib_api",
            ("module",),
        ),
    },
    "test_urllib_response": {},
    "test_urllib": {},
    "test_http_cookiejar": {
        _JAR + "test_default_path": _looks_inside("KeyError: 'www.acme.com'"),
        _JAR + "test_default_path_with_query": _looks_inside("KeyError: 'example.com'"),
        _JAR + "test_localhost_domain_contents": _looks_inside("KeyError: '.localhost'"),
        _JAR + "test_localhost_domain_contents_2": _looks_inside("KeyError: 'localhost.local'"),
        _JAR + "test_ns_parser": _looks_inside("KeyError: '.acme.com'"),
        _JAR + "test_ns_parser_special_names": _looks_inside("KeyError: 'www.acme.com'"),
        _JAR + "test_path_prefix_match": _looks_inside("KeyError: 'bar.com'"),
        _JAR + "test_rfc2109_handling": _looks_inside("KeyError: 'www.example.com'"),
        _JAR + "test_secure": _looks_inside("KeyError: 'www.acme.com'"),
        _JAR + "test_two_component_domain_ns": _looks_inside("KeyError: 'foo.net'"),
        _JAR + "test_domain_block": _old_cookies('has_header("Cookie2")'),
        _JAR + "test_domain_mirror": _old_cookies("$Domain="),
        _JAR + "test_missing_final_slash": _old_cookies("0 != 1"),
        _JAR + "test_path_mirror": _old_cookies("$Path="),
        _JAR + "test_port_mirror": _old_cookies("Port"),
        _JAR + "test_quote_cookie_value": _old_cookies("$Version=1"),
        _JAR + "test_two_component_domain_rfc2965": _old_cookies("0 != 1"),
        _JAR + "test_bad_cookie_header": Review(
            "wants a cookie with a malformed Max-Age to be dropped; RFC 6265, 5.2.2, keeps it and ignores that attribute",
            "1 != 0",
            _STORE,
        ),
        _JAR + "test_custom_secure_protocols": Review(
            "makes a scheme of its own the secure one; a store knows https and wss", 'has_header("Cookie")', _STORE
        ),
        _LWP + "test_intranet_domains_ns": Review(
            "wants the host `example` to be in the domain `.local`, where RFC 6265 knows of no such thing",
            "1 != 2",
            _STORE,
        ),
        _LWP + "test_empty_path": _old_cookies("'$Version=\"1\"'"),
        _LWP + "test_ietf_example_1": _old_cookies("Version="),
        _LWP + "test_ietf_example_2": _old_cookies("Riding_Rocket_0023"),
        _LWP + "test_intranet_domains_2965": _old_cookies("'foo1=bar' not found"),
        _LWP + "test_netscape_example_1": _old_cookies("'$Version=\"1\"'"),
        _LWP + "test_url_encoding": _old_cookies("'foo=bar' not found"),
    },
}
