"""HSTS and redirects by tables of cases in plain files, each with its section."""

from __future__ import annotations

from typing import Any

import pytest

from drivetrain.engine.connection.dial import DialOptions, TlsOptions
from drivetrain.engine.errors import RedirectError
from drivetrain.engine.policy.hsts import HstsStore
from drivetrain.engine.policy.origins import Origins
from drivetrain.engine.policy.outgoing import Outgoing
from drivetrain.engine.policy.redirects import next_location, redirected_headers
from drivetrain.engine.policy.rules import Rules
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.uri import Uri, parse_uri
from tests.policy.cookie_support import cases, title

ORIGINS = Origins(TlsOptions(), DialOptions())


def outgoing(uri: Uri) -> Outgoing:
    fields = [(":method", "GET"), (":scheme", uri.scheme), (":authority", uri.authority), (":path", uri.target)]
    return Outgoing("GET", uri, Headers(fields), None, ORIGINS.key_for(uri))


@pytest.mark.parametrize("case", cases("hsts.json"), ids=title)
def test_hsts(case: dict[str, Any]) -> None:
    rules = Rules(hsts=HstsStore())
    host = f"[{case['host']}]" if ":" in case["host"] else case["host"]
    said = Headers([("strict-transport-security", value) for value in case["says"]])
    # In clear it says nothing, whatever it says.
    rules.learn(outgoing(parse_uri(f"http://{host}/")), 200, said)
    assert len(rules.hsts or ()) == 0
    rules.learn(outgoing(parse_uri(f"https://{host}/")), 200, said)
    request = outgoing(parse_uri(case["asked"]))
    rules.prepare(request, ORIGINS)
    assert str(request.uri) == case["expect"]
    expected = parse_uri(case["expect"])
    sent = [request.headers.get(name) for name in (":scheme", ":authority", ":path")]
    assert sent == [expected.scheme, expected.authority, expected.target]
    assert (request.key.scheme, request.key.host, request.key.port) == expected.origin
    assert (request.key.tls is not None) == (expected.scheme == "https")


@pytest.mark.parametrize("case", cases("redirects.json"), ids=title)
def test_redirects(case: dict[str, Any]) -> None:
    base = parse_uri(case["base"])
    answer = Headers([("location", case["location"])])
    if case["expect"] is None:
        with pytest.raises(RedirectError) as caught:
            next_location(base, answer, (case["base"],))
        assert caught.value.chain[0] == case["base"]
        return
    target = next_location(base, answer, ())
    assert str(target) == case["expect"]
    sent = redirected_headers(Headers([("authorization", "mine"), ("cookie", "mine")]), base, target, True)
    assert (sent.get("cookie") == "mine") is case["authorization"]
    assert sent.has("authorization") is case["authorization"]
    assert sent.get("referer") == case["referer"]
