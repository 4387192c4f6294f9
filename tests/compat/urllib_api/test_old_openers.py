"""`URLopener` and `FancyURLopener`: ours, and the originals on an installed engine, beside the originals as they are."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import drivetrain.compat
from drivetrain.compat import urllib_api
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.certificates import Certificates
from tests.support.http_client_watch import http_client_refused
from tests.support.servers import RawServer, answering

pytestmark = [
    pytest.mark.skipif(not hasattr(urllib.request, "URLopener"), reason="there are none since Python 3.14"),
    pytest.mark.filterwarnings("ignore:.* style of invoking requests is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:key_file, cert_file and check_hostname are deprecated:DeprecationWarning"),
    # The originals leave that to the collector, which does not always manage.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <http.client.HTTPResponse:pytest.PytestUnraisableExceptionWarning"
    ),
]
Opener = Any
Make = Callable[..., Opener]


@pytest.fixture(params=["URLopener", "FancyURLopener"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["original", "ours", "installed"])
def make(request: pytest.FixtureRequest, name: str) -> Iterator[Make]:
    """Makes openers."""
    module = urllib_api if request.param == "ours" else urllib.request
    with contextlib.ExitStack() as stack:
        if request.param == "installed":
            assert stack.enter_context(drivetrain.compat.installed("urllib")).gaps == ()
        if request.param != "original":
            stack.enter_context(http_client_refused())
        yield getattr(module, name)


def fields(recorder: Recorder, number: int = -1) -> list[str]:
    """What the server got, but for what only the original sends."""
    return [line for line in recorder.all[number].lines if line != "Connection: close"]


AGENT = (
    [f"User-Agent: {urllib.request.URLopener.version}", "Accept: */*"] if hasattr(urllib.request, "URLopener") else []
)


def test_get_and_post(make: Make) -> None:
    recorder = Recorder((response(b"ok", "200 OK", "X-A: b"),))
    with RawServer(recorder) as server:
        opener = make()
        opener.addheader("X-B", "c")
        answer = opener.open(f"{server.url}/a b?c=d")
        assert (answer.getcode(), answer.info()["X-A"], answer.read()) == (200, "b", b"ok")
        assert answer.geturl() == f"{server.url}/a%20b?c=d"
        assert opener.open(server.url, "text=1").read() == b"ok"
        assert opener.open(server.url, b"data=2").read() == b"ok"
        host = f"Host: {server.address[0]}:{server.port}"
    assert fields(recorder, 0) == ["GET /a%20b?c=d HTTP/1.1", "Accept-Encoding: identity", host, *AGENT, "X-B: c"]
    kind = "Content-Type: application/x-www-form-urlencoded"
    first = ["POST / HTTP/1.1", "Accept-Encoding: identity", "Content-Length: 6", host]
    assert fields(recorder, 1) == [*first, *AGENT, "X-B: c", kind]
    assert [request.body for request in recorder.all] == [b"", b"text=1", b"data=2"]


def test_connections_are_kept_unless_the_program_minds(make: Make) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        opener = make()
        for _ in range(2):
            opener.open(server.url).read()
        kept = server.connections == 1
        opener.addheader("Connection", "close")
        opener.open(server.url).read()
    assert "Connection: close" in recorder.all[-1].lines
    assert kept == ("Connection: close" not in recorder.all[0].lines)


def test_credentials_and_a_proxy(make: Make) -> None:
    recorder = Recorder()
    credentials = "Basic " + base64.b64encode(b"user:pass").decode()
    with RawServer(recorder) as server:
        place = f"{server.address[0]}:{server.port}"
        assert make().open(f"http://user:pass@{place}/").read() == b"ok"
        assert f"Authorization: {credentials}" in fields(recorder)
        opener = make(proxies={"http": f"http://user:pass@{place}"})
        assert opener.open("http://origin.test/x").read() == b"ok"
    assert fields(recorder)[:4] == [
        "GET http://origin.test/x HTTP/1.1",
        "Accept-Encoding: identity",
        f"Proxy-Authorization: {credentials}",
        "Host: origin.test",
    ]


def test_a_redirect(make: Make, name: str) -> None:
    recorder = Recorder((response(b"", "302 Found", "Location: /there"), response(b"ok")))
    with RawServer(recorder) as server:
        if name == "URLopener":
            with pytest.raises(urllib.error.HTTPError) as caught:
                make().open(server.url)
            assert (caught.value.code, caught.value.headers["Location"]) == (302, "/there")
            caught.value.close()
        else:
            answer = make().open(server.url)
            assert (answer.read(), answer.geturl()) == (b"ok", f"{server.url}/there")


def test_a_file_is_retrieved(make: Make, tmp_path: Path) -> None:
    with RawServer(Recorder((response(bytes(10_000)),))) as server:
        opener = make()
        opener.retrieve(server.url, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == bytes(10_000)


def test_errors(make: Make) -> None:
    refused = pytest.raises(urllib.error.URLError, match="bad status line")
    with RawServer(answering(b"garbage\r\n\r\n")) as server, refused:
        make().open(server.url)
    with pytest.raises(OSError, match="socket error") as caught:
        make().open(server.url)
    assert type(caught.value) is OSError
    assert isinstance(caught.value.args[1], ConnectionRefusedError)
    with pytest.raises(http.client.InvalidURL, match="nonnumeric port"):
        make().open("http://127.0.0.1:x/")
    with pytest.raises(OSError, match="no host given"):
        make().open("http:///x")


def test_over_tls_with_a_certificate(make: Make, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "_create_default_https_context", certificates.client_context)
    with RawServer(Recorder(), context=certificates.server_context()) as server:
        opener = make()
        assert [opener.open(f"https://localhost:{server.port}/").read() for _ in range(2)] == [b"ok", b"ok"]
    file = str(certificates.client_file)
    with RawServer(Recorder(), context=certificates.server_context(ask_client=True)) as server:
        opener = make(cert_file=file, key_file=file)
        assert [opener.open(f"https://localhost:{server.port}/").read() for _ in range(2)] == [b"ok", b"ok"]


def test_connections_of_a_subclass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Special(http.client.HTTPConnection):
        def connect(self) -> None:
            raise ConnectionError("special")

    class Own(getattr(urllib.request, name)):  # type: ignore[misc]
        kind = http.client.HTTPConnection

        def _https_connection(self, host: str) -> Any:
            return self.kind(host, timeout=9)

    url = "https://127.0.0.1:"
    with RawServer(Recorder()) as server, drivetrain.compat.installed("urllib"), http_client_refused():
        assert Own().open(f"{url}{server.port}/").read() == b"ok"
        Own.kind = Special
        with pytest.raises(OSError, match="special"):
            Own().open(f"{url}{server.port}/")


def test_what_they_are(name: str) -> None:
    ours: Any = getattr(urllib_api, name)
    assert issubclass(ours, getattr(urllib.request, name))
    assert issubclass(ours, urllib_api.URLopener)  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match=f"{name} style of invoking requests is deprecated"):
        ours()


def test_the_debug_level_of_the_process(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with RawServer(Recorder()) as server:
        assert make().open(server.url, b"data").read() == b"ok"
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["send:", "send:", "reply:", "header:"]
    assert lines[1:] == ["send: b'data'", "reply: 'HTTP/1.1 200 OK\\r\\n'", "header: Content-Length: 2"]
