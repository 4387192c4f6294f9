"""What the quick session reads from the environment: the same as requests, and what has changed with the next request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.utils

from drivetrain.compat import requests_api

URL = "http://a.test/path?q=1#f"


def settings(url: str = URL, **changes: Any) -> dict[str, Any]:
    """What both kinds of session make of the environment, asked twice."""
    found = []
    for kind in (requests.Session, requests_api.Session):
        session = kind()
        for name, value in changes.items():
            setattr(session, name, value)
        for given_ in ((None, None), (True, True), (False, "/bundle")):
            found.append(
                [session.merge_environment_settings(url, {"x": "y"}, given_[0], given_[1], None) for _ in range(2)]
                + [session.merge_environment_settings(url, proxies, None, None, "c") for proxies in ({"http": "x"}, {})]
            )
    assert found[:3] == found[3:]
    merged: dict[str, Any] = found[0][0]
    return merged


VARIABLES: list[dict[str, str]] = [
    {},
    {"http_proxy": "http://proxy.test:3128"},
    {"HTTPS_PROXY": "http://proxy.test:3128", "all_proxy": "socks5://s.test"},
    {"http_proxy": "http://proxy.test", "no_proxy": "a.test"},
    {"http_proxy": "http://proxy.test", "NO_PROXY": "*"},
    {"no_proxy": "b.test"},
    {"REQUESTS_CA_BUNDLE": "/r"},
    {"CURL_CA_BUNDLE": "/c"},
    {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "/c"},
]


@pytest.mark.parametrize("variables", VARIABLES, ids=repr)
@pytest.mark.parametrize("url", [URL, "https://b.test:8443/", "http://127.0.0.1/"])
def test_the_environment_is_read_as_by_requests(bare: pytest.MonkeyPatch, variables: dict[str, str], url: str) -> None:
    assert settings(url)
    for name, value in variables.items():
        bare.setenv(name, value)
    assert settings(url)
    assert settings(url, trust_env=False)["verify"] is True
    assert settings(url, verify=False, stream=True, proxies={"http": "http://own.test"})


def test_a_variable_takes_effect_with_the_next_request(bare: pytest.MonkeyPatch) -> None:
    session = requests_api.Session()

    def proxies() -> dict[str, str]:
        return dict(session.merge_environment_settings(URL, {}, None, None, None)["proxies"])

    assert proxies() == {}
    bare.setenv("http_proxy", "http://one.test")
    assert proxies() == {"http": "http://one.test"}
    bare.setenv("http_proxy", "http://two.test")
    assert proxies() == {"http": "http://two.test"}
    bare.setenv("no_proxy", "a.test")
    assert proxies() == {}
    bare.delenv("http_proxy")
    bare.delenv("no_proxy")
    assert proxies() == {}


def test_no_proxy_among_the_proxies(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("http_proxy", "http://one.test")
    for kind in (requests.Session, requests_api.Session):
        merged = kind().merge_environment_settings(URL, {"no_proxy": "a.test"}, None, None, None)
        assert merged["proxies"] == {"no_proxy": "a.test"}
        assert kind().merge_environment_settings(URL, {}, None, None, None)["proxies"]


def test_settings_are_not_shared(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("http_proxy", "http://one.test")
    session = requests_api.Session()
    session.merge_environment_settings(URL, {}, None, None, None)["proxies"]["http"] = "changed"
    assert session.merge_environment_settings(URL, {}, None, None, None)["proxies"] == {"http": "http://one.test"}


def login(url: str = URL, **changes: Any) -> str | None:
    """The Authorization that both kinds of session find in netrc."""
    found = []
    for kind in (requests.Session, requests_api.Session):
        session = kind()
        for name, value in changes.items():
            setattr(session, name, value)
        found += [session.prepare_request(requests.Request("GET", url)).headers.get("Authorization") for _ in range(2)]
    assert found == [found[0]] * 4
    return found[0]


def test_netrc(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert login() is None
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine a.test login one password x\n")
    netrc.chmod(0o600)
    os.utime(netrc, (1, 1))
    first = login()
    assert first is not None
    assert login("http://b.test/") is None
    assert login(trust_env=False) is None
    netrc.write_text("machine a.test login two password x\n")
    second = login()
    assert second not in (None, first)
    netrc.write_text("this is no netrc")
    assert login() is None
    netrc.unlink()
    assert login() is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("machine a.test login one password x\n")
    bare.setenv("NETRC", str(elsewhere))
    assert login() == first
    assert login(auth=("user", "password")) not in (None, first)
