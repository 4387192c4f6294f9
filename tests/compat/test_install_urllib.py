"""What the engine below urllib.request leaves as it was, and what its options do there."""

from __future__ import annotations

import http.client
import ssl
import sys
import urllib.error
import urllib.request
import urllib.response
from pathlib import Path
from typing import Any

import pytest

import drivetrain.compat
import drivetrain.compat.urllib_api.installation  # whose import alone changes nothing
from tests.compat.requests_api.support import OK, Recorder
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server, pages
from tests.support.http_client_watch import http_client_refused
from tests.support.servers import RawServer

CHANGED = {("AbstractHTTPHandler", "do_open"), ("URLopener", "_open_generic_http")}


def everything() -> dict[tuple[str, ...], Any]:
    """All that the modules have, underscored helpers included, and all that their classes have."""
    found: dict[tuple[str, ...], Any] = {}
    for module in (urllib.request, urllib.error, urllib.response, http.client):
        for name, thing in list(vars(module).items()):
            if name == "__warningregistry__":  # of warnings that came out of the module
                continue
            found[module.__name__, name] = thing
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                found.update({(name, attribute): value for attribute, value in vars(thing).items()})
    return found


def test_everything_else_is_what_it_was() -> None:
    before = everything()
    with drivetrain.compat.installed("urllib"):
        during = everything()
    after = everything()
    assert len(before) > 500
    assert ("urllib.request", "_parse_proxy") in before
    assert set(before) == set(during) == set(after)
    assert {name for name in before if before[name] is not during[name]} == CHANGED & set(before)
    assert [name for name in before if before[name] is not after[name]] == []


def test_who_has_replaced_a_method_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    drivetrain.compat.install("urllib")
    ours = urllib.request.AbstractHTTPHandler.do_open

    def other(self: Any, *args: Any, **options: Any) -> Any:
        return ours(self, *args, **options)

    monkeypatch.setattr(urllib.request.AbstractHTTPHandler, "do_open", other)
    drivetrain.compat.uninstall("urllib")
    assert urllib.request.AbstractHTTPHandler.do_open is other
    monkeypatch.undo()
    urllib.request.AbstractHTTPHandler.do_open = ours.__wrapped__  # type: ignore[attr-defined, method-assign]


def test_a_debug_level(capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(Recorder(OK)) as server, drivetrain.compat.installed("urllib"), http_client_refused():
        opener = urllib.request.build_opener(urllib.request.HTTPHandler(debuglevel=1))
        assert opener.open(server.url).read() == b"ok"
    printed = capsys.readouterr().out
    assert printed.startswith("send: b'GET / HTTP/1.1")
    assert "\nreply: 'HTTP/1.1 200 OK" in printed


@pytest.mark.parametrize("http1", [False, True])
def test_the_version_of_http(http1: bool, certificates: Certificates) -> None:
    context = certificates.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    both = certificates.server_context(["h2", "http/1.1"])
    installed = drivetrain.compat.installed("urllib", http1=http1)
    with H2Server(pages, context=both, fallback=Recorder(OK)) as server, installed:
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        for _ in range(2):
            response = opener.open(f"{server.url}/bytes/2")
            assert (response.version, len(response.read())) == (11 if http1 else 20, 2)


@pytest.mark.skipif(not hasattr(urllib.request, "URLopener"), reason="there are none since Python 3.14")
def test_what_the_old_openers_do_not_know() -> None:
    with drivetrain.compat.installed("urllib", hsts=True) as report:
        assert [gap for _, gap in report.gaps] == [
            "URLopener and FancyURLopener know nothing of hosts that want https only"
        ]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="connections of http.client have no such argument any more")
@pytest.mark.filterwarnings("ignore:key_file, cert_file and check_hostname are deprecated:DeprecationWarning")
def test_whether_names_of_hosts_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    class Handler(urllib.request.AbstractHTTPHandler):
        https_request = urllib.request.AbstractHTTPHandler.do_request_

        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.options = options

        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(http.client.HTTPSConnection, request, **self.options)

    certificates = Certificates.create(tmp_path, ["elsewhere.test"])
    monkeypatch.setattr(ssl, "_create_default_https_context", certificates.client_context)
    with (
        http_client_refused(),
        drivetrain.compat.installed("urllib"),
        RawServer(Recorder(OK), context=certificates.server_context()) as server,
    ):
        for options in ({}, {"context": certificates.client_context()}):
            for check in (False, True, None):
                opener = urllib.request.OpenerDirector()
                opener.add_handler(Handler(check_hostname=check, **options))
                if check is False:
                    assert opener.open(server.url).read() == b"ok"
                else:
                    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
                        opener.open(server.url)
