"""Which version a session speaks, and who decides."""

from __future__ import annotations

import http.client
import pickle
import ssl
from collections.abc import Callable

import pytest
import requests

from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import H2Limits, Headers, Server, Stream
from tests.compat.requests_api.support import OK, Recorder, session_with
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server, pattern
from tests.support.servers import RawServer


def test_https_speaks_it_by_itself(session: requests.Session, server: H2Server) -> None:
    response = session.get(f"{server.url}/bytes/1000")
    assert response.content == pattern(1000)
    raw = response.raw
    assert (raw.version, raw.version_string, raw._original_response.version) == (20, "HTTP/2", 20)
    assert (response.status_code, response.reason, raw.reason) == (200, "OK", "OK")
    assert server.connections == 1


def test_the_version_is_pinned(open_session: Callable[..., requests.Session], server: H2Server) -> None:
    for version, number in ((1.1, 11), (2, 20), (None, 20)):
        assert open_session(version=version).get(f"{server.url}/path").raw.version == number


def test_a_server_that_does_not_speak_it(
    open_session: Callable[..., requests.Session], certificates: Certificates
) -> None:
    for alpn in ((), ("http/1.1",)):
        with RawServer(Recorder(OK), context=certificates.server_context(alpn)) as plain:
            assert open_session().get(plain.url).raw.version == 11
            with pytest.raises(requests.exceptions.SSLError, match="does not speak HTTP/2") as caught:
                open_session(version=2).get(plain.url)
    assert type(caught.value.args[0].reason.args[0]) is ssl.SSLError


def test_in_clear_it_is_known_beforehand(open_session: Callable[..., requests.Session]) -> None:
    with H2Server() as server, RawServer(Recorder(OK)) as plain:
        assert open_session(version=2).get(f"{server.url}/echo").raw.version == 20
        assert open_session().get(plain.url).raw.version == 11


def test_in_clear_it_is_offered(open_session: Callable[..., requests.Session]) -> None:
    def handler(_: Server, stream: Stream) -> None:
        stream.get_headers()
        stream.write_headers(Headers([(":status", "200")]), end_stream=False)
        stream.write_body_from_string("hello")

    with Server(handler) as server, RawServer(Recorder(OK)) as plain:
        session = open_session(upgrade_h2c=True)
        for _ in range(2):
            response = session.get(f"http://127.0.0.1:{server.localname().port}/")
            assert (response.text, response.raw.version) == ("hello", 20)
        assert session.get(plain.url).raw.version == 11


def test_a_context_of_ones_own(
    open_session: Callable[..., requests.Session], server: H2Server, certificates: Certificates
) -> None:
    context = certificates.client_context()
    assert open_session(ssl_context=context).get(f"{server.url}/echo").raw.version == 20
    assert server.wire.exchanges[0].get(":scheme") == "https"
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"ok"
    connection.close()


def test_limits_reach_the_server(open_session: Callable[..., requests.Session], server: H2Server) -> None:
    limits = H2Limits(stream_window=100_000, max_header_list_size=5000)
    adapter = EngineAdapter(h2_limits=limits)
    copied = pickle.loads(pickle.dumps(adapter))
    with session_with(copied) as session:
        session.verify = open_session().verify
        assert session.get(f"{server.url}/bytes/500000").content == pattern(500_000)
    settings = server.wire.library.remote_settings
    assert (settings.initial_window_size, settings.max_header_list_size) == (100_000, 5000)
    adapter.close()


def test_tls_that_is_too_weak(open_session: Callable[..., requests.Session], certificates: Certificates) -> None:
    context = certificates.server_context(["h2", "http/1.1"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with H2Server(context=context, fallback=Recorder(OK), tolerate=(OSError,)) as server:
        assert open_session().get(server.url).raw.version == 11
        with pytest.raises(requests.exceptions.SSLError, match="INADEQUATE_SECURITY"):
            open_session(version=2).get(server.url)
