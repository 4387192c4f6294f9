"""From the keywords of `connect` to the engine's arguments, and from the engine's errors to the API's exceptions."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from drivetrain.compat.websockets_api import exceptions
from drivetrain.compat.websockets_api.closing import build_close_exc, to_close, to_os_error
from drivetrain.compat.websockets_api.connection_base import to_socket_address
from drivetrain.compat.websockets_api.frames import Close
from drivetrain.compat.websockets_api.handshake_errors import translate
from drivetrain.compat.websockets_api.http_views import to_headers, to_request, to_response
from drivetrain.compat.websockets_api.opening import Network, Plan, family_resolver
from drivetrain.compat.websockets_api.protocol import Side, State
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.uri import parse_uri
from drivetrain.engine import Address, Headers, Timeouts, WebSocketClose, errors

# --- arguments --------------------------------------------------------------------------------------------------------


def plan(uri: str = "ws://example.test/p", network: Network | None = None, **options: Any) -> Plan:
    return Plan(parse_uri(uri), network or Network(), **options)


def test_nothing_of_a_user_agent_is_used() -> None:
    uri, protocols, headers, options = plan().arguments(5)
    assert (uri, protocols, headers) == ("ws://example.test:80/p", [], [])
    assert options["timeout"] == Timeouts(total=5)
    assert {name: options[name] for name in ("cookies", "hsts", "follow_redirects", "default_headers", "proxies")} == {
        "cookies": False,
        "hsts": False,
        "follow_redirects": False,
        "default_headers": False,
        "proxies": False,
    }
    assert options["version"] == 1.1
    assert options["compression"] is False


@pytest.mark.parametrize(
    ("uri", "network", "target"),
    [
        ("ws://example.test", Network(), "ws://example.test:80/"),
        ("wss://example.test?q", Network(), "wss://example.test:443/?q"),
        ("ws://me:pass@example.test:8080/p", Network(), "ws://example.test:8080/p"),
        ("ws://[::1]:81/", Network(), "ws://[::1]:81/"),
        ("ws://example.test/", Network(host="::1", port=99), "ws://[::1]:99/"),
        ("ws://example.test:81/", Network(host="other.test"), "ws://other.test:81/"),
    ],
)
def test_where_to(uri: str, network: Network, target: str) -> None:
    assert plan(uri, network).target == target


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Network(local_address=("127.0.0.1", 0)), {"bind": "127.0.0.1:0"}),
        (Network(local_address=("::1", 5)), {"bind": "[::1]:5"}),
        (Network(unix_path="/s"), {"unix_socket": "/s"}),
        (Network(head_start=1.5), {"head_start": 1.5}),
        (Network(tls_timeout=2), {"timeout": Timeouts(total=None, connect=2)}),
        (Network(server_hostname="name.test"), {"sendname": "name.test"}),
        (Network(server_hostname=""), {"sendname": False}),
        (Network(host="127.0.0.1"), {"sendname": "example.test"}),
        (Network(ssl=True), {"ssl_context": None}),
    ],
)
def test_how_to_get_there(network: Network, expected: dict[str, Any]) -> None:
    options = plan("wss://example.test/", network).arguments(None)[3]
    assert {name: options.get(name) for name in expected} == expected


def test_a_proxy() -> None:
    network = Network(proxy="https://me:p@proxy.test:99", proxy_server_hostname="name.test")
    options = plan("ws://example.test/", network, user_agent_header="mine").arguments(None)[3]
    proxy = options["proxies"].choose("ws", "example.test")
    assert (proxy.scheme, proxy.host, proxy.port, proxy.username, proxy.password) == (
        "https",
        "name.test",
        99,
        "me",
        "p",
    )
    assert proxy.headers == (("User-Agent", "mine"),)
    network = Network(proxy="socks5h://proxy.test")
    proxy = plan(network=network, user_agent_header="mine").arguments(None)[3]["proxies"].choose("ws", "x")
    assert (proxy.scheme, proxy.port, proxy.headers) == ("socks5h", 80, ())


def test_the_name_to_prove_leads_to_the_proxy() -> None:
    network = Network(proxy="https://127.0.0.1:99", proxy_server_hostname="name.test")
    resolver = plan(network=network).arguments(None)[3]["resolver"]
    assert resolver("name.test", 99) == ["127.0.0.1"]


def test_a_family() -> None:
    assert family_resolver(socket.AF_INET)("127.0.0.1", 80) == ["127.0.0.1"]
    with pytest.raises(socket.gaierror):
        family_resolver(socket.AF_INET6)("127.0.0.1", 80)


def test_what_a_client_of_the_engine_is_told() -> None:
    *_, options = plan(origin="o").client_arguments(3)  # type: ignore[arg-type]
    assert options["timeout"] == 3
    assert "version" not in options
    assert "timeout" not in plan().client_arguments(None)[3]


# --- views ------------------------------------------------------------------------------------------------------------


def test_a_request_and_a_response() -> None:
    request = to_request(
        Headers([(":method", "GET"), (":authority", "h"), (":path", "/p?q"), ("X-A", "1"), ("X-A", "2")])
    )
    assert (request.path, list(request.headers.raw_items())) == ("/p?q", [("Host", "h"), ("X-A", "1"), ("X-A", "2")])
    request = to_request(Headers([(":authority", "h"), (":path", "/"), ("host", "other")]))
    assert list(request.headers.raw_items()) == [("host", "other")]
    response = to_response(Headers([(":status", "404"), ("X-A", "1")]), body=b"b")
    assert (response.status_code, response.reason_phrase, response.body) == (404, "Not Found", b"b")
    assert to_response(Headers(), "Mine", status=599).reason_phrase == "Mine"
    assert list(to_headers(Headers([(":status", "1"), ("A", "b")])).raw_items()) == [("A", "b")]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        (Address(socket.AF_INET, "127.0.0.1", 80), ("127.0.0.1", 80)),
        (Address(socket.AF_INET6, "::1", 80), ("::1", 80, 0, 0)),
        (Address(socket.AF_UNIX, "/path", None), "/path"),
        (Address(socket.AF_UNIX, None, None), ""),
        (Address(0), None),
    ],
)
def test_addresses_of_sockets(address: Address, found: Any) -> None:
    assert to_socket_address(address) == found


def test_a_protocol_before_its_connection() -> None:
    view = ProtocolView(Side.SERVER, max_size=(5, 3))
    assert view.state is State.CONNECTING
    assert view.logger.name == "websockets.server"
    assert (view.max_size, view.max_message_size, view.max_fragment_size) == (5, 5, 3)
    assert (view.close_rcvd, view.close_sent, view.close_rcvd_then_sent, view.subprotocol) == (None,) * 4
    assert (view.close_code, view.close_reason, view.extensions) == (None, None, [])
    assert view.id == view.id
    view.is_lost = True
    assert view.state is State.CLOSED
    assert (view.close_code, view.close_reason) == (1006, "")
    assert str(view.close_exc) == "no close frame received or sent"
    view.set_connection_exc(OSError("first"))
    view.set_connection_exc(OSError("second"))
    assert str(view.close_exc.__cause__) == "first"
    assert "server closed" in repr(view)


# --- errors -----------------------------------------------------------------------------------------------------------


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (errors.ConnectError(111, "no"), ConnectionRefusedError, "111"),
        (errors.ConnectError("all failed"), OSError, "all failed"),
        (caused(errors.ResolveError(-2, "x"), socket.gaierror(-2, "unknown")), socket.gaierror, "unknown"),
        (
            caused(errors.CertificateError("x"), ssl.SSLCertVerificationError("bad")),
            ssl.SSLCertVerificationError,
            "bad",
        ),
        (errors.TLSError("tls"), ssl.SSLError, "tls"),
        (errors.ConnectTimeout("x"), TimeoutError, ""),
        (errors.ReadError(104, "reset"), exceptions.InvalidMessage, "did not receive a valid HTTP response"),
        (errors.ConnectionClosed("x"), exceptions.InvalidMessage, "did not receive a valid HTTP response"),
        (errors.RemoteProtocolError("x"), exceptions.InvalidMessage, "did not receive a valid HTTP response"),
        (errors.ProxyError("x"), exceptions.InvalidProxyMessage, "valid HTTP response from proxy"),
        (errors.SocksError("x"), exceptions.ProxyError, "failed to connect to SOCKS proxy"),
        (caused(errors.ProxyError(111, "x"), errors.ConnectError(111, "x")), ConnectionRefusedError, "111"),
        (errors.ProxyError("x", status=407), exceptions.InvalidProxyStatus, "HTTP 407"),
        (errors.InvalidHeader("bad"), ValueError, "bad"),
        (errors.WebSocketHandshakeError("x", 404), exceptions.InvalidStatus, "HTTP 404"),
        (errors.LocalProtocolError("odd"), exceptions.InvalidHandshake, "odd"),
        (KeyError("mine"), KeyError, "mine"),
    ],
)
def test_what_is_raised_instead(error: Exception, kind: type[Exception], text: str) -> None:
    found = plan().translate(error)
    assert type(found) is kind
    assert text in str(found)
    assert translate(error, None, None).args == found.args


def test_what_ended_early_may_be_tried_again() -> None:
    assert isinstance(translate(errors.ConnectionClosed("x"), None, None).__cause__, EOFError)
    assert isinstance(translate(errors.RemoteProtocolError("x"), None, None).__cause__, ValueError)


class Core:
    """What `build_close_exc` looks at."""

    def __init__(self, received: Any = None, sent: Any = None, **facts: Any) -> None:
        self.close_received = received
        self.close_sent = sent
        self.peer_closed_first = self.failure = self.fault = None
        vars(self).update(facts)


OK, BAD = WebSocketClose(1000, "bye"), WebSocketClose(1011, "")
CORRUPT = WebSocketClose(1007, "the compressed data is corrupt")


@pytest.mark.parametrize(
    ("core", "kind", "cause"),
    [
        (None, exceptions.ConnectionClosedError, None),
        (Core(OK, OK, peer_closed_first=True), exceptions.ConnectionClosedOK, None),
        (Core(OK, BAD, peer_closed_first=False), exceptions.ConnectionClosedError, None),
        (Core(WebSocketClose(1005), WebSocketClose(1001)), exceptions.ConnectionClosedOK, None),
        (Core(failure=WebSocketClose(1002, "x")), exceptions.ConnectionClosedError, exceptions.ProtocolError),
        (Core(failure=WebSocketClose(1007, "x")), exceptions.ConnectionClosedError, UnicodeDecodeError),
        (Core(failure=CORRUPT), exceptions.ConnectionClosedError, exceptions.ProtocolError),
        (Core(failure=WebSocketClose(1009, "x")), exceptions.ConnectionClosedError, exceptions.PayloadTooBig),
        (Core(fault=errors.ReadError(104, "x")), exceptions.ConnectionClosedError, ConnectionResetError),
        (Core(fault=errors.WebSocketClosed("x")), exceptions.ConnectionClosedError, EOFError),
        (Core(sent=BAD, fault=errors.WebSocketClosed("x")), exceptions.ConnectionClosedError, TimeoutError),
        (Core(fault=errors.ReadTimeout("x")), exceptions.ConnectionClosedError, None),
    ],
)
def test_how_it_ended(core: Any, kind: type[Exception], cause: type[BaseException] | None) -> None:
    found = build_close_exc(core, None, 10)
    assert type(found) is kind
    assert type(found.__cause__) is (cause or type(None))
    assert (found.rcvd_then_sent is None) == (found.rcvd is None or found.sent is None)
    mine = RuntimeError()
    assert build_close_exc(core, mine, 10).__cause__ is mine


def test_the_size_that_was_too_big() -> None:
    failure = WebSocketClose(1009, "a frame of 2000 bytes, where 1000 are allowed")
    core: Any = Core(failure=failure)
    assert str(build_close_exc(core, None, None).__cause__) == "frame with 2000 bytes exceeds limit of 1000 bytes"
    core = Core(failure=WebSocketClose(1009, "a message of more than 1000 bytes"))
    assert str(build_close_exc(core, None, 1000).__cause__) == "frame exceeds limit of 1000 bytes"


def test_closes_and_errors_of_the_system() -> None:
    assert to_close(None) is None
    assert to_close(OK) == Close(1000, "bye")
    inner = ConnectionResetError(104, "by peer")
    assert to_os_error(caused(errors.ReadError("x"), caused(errors.ReadError("y"), inner))) is inner  # type: ignore[arg-type]
