"""The handshake of both sides and both versions: against each other, and against everything that is wrong with one."""

from __future__ import annotations

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.extensions import PerMessageDeflate

from drivetrain.engine.errors import UsageError, WebSocketHandshakeError
from drivetrain.engine.protocol.websocket_deflate import DeflateOptions, DeflateParameters
from drivetrain.engine.protocol.websocket_extensions import (
    accept_deflate,
    format_offer,
    parse_extensions,
    read_answer,
)
from drivetrain.engine.protocol.websocket_handshake import (
    ClientHandshake,
    ServerHandshake,
    accept_key,
    is_websocket_request,
)
from drivetrain.engine.wire.headers import Headers

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FULL = DeflateOptions(server_max_window_bits=15, client_max_window_bits=15)


def request(is_h2: bool = False, **changes: str | None) -> Headers:
    """A good handshake with fields changed or, by None, left out."""
    headers = ClientHandshake(("chat", "superchat"), key=KEY).to_request("http", "example.com", "/x?y", is_h2)
    for name, value in changes.items():
        field = (":" if name in ("method", "protocol") else "") + name.replace("_", "-")
        headers.delete(field)
        if value is not None:
            headers.append(field, value)
    headers.sort()
    return headers


def response(is_h2: bool = False, **changes: str | None) -> Headers:
    headers, _ = ServerHandshake(request(is_h2), is_h2).accept(("chat",))
    for name, value in changes.items():
        field = ":status" if name == "status" else name.replace("_", "-")
        headers.delete(field)
        if value is not None:
            headers.append(field, value)
    headers.sort()
    return headers


def test_the_key_of_the_rfc() -> None:
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_keys_are_new_each_time() -> None:
    keys = {ClientHandshake().key for _ in range(10)}
    assert len(keys) == 10
    assert all(len(key) == 24 for key in keys)


def test_the_request_over_http1() -> None:
    handshake = ClientHandshake(("a", "b"), FULL, KEY)
    headers = handshake.to_request("http", "h:81", "/p", False, Headers([("Origin", "null"), ("Host", "other")]))
    assert list(headers) == [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "h:81"),
        (":path", "/p"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Protocol", "a, b"),
        ("Origin", "null"),
        ("Host", "other"),
    ]


def test_the_request_over_http2() -> None:
    headers = ClientHandshake(key=KEY).to_request("https", "h", "/p", True, Headers([("Host", "other")]))
    assert list(headers) == [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "h"),
        (":path", "/p"),
        ("sec-websocket-version", "13"),
    ]


@pytest.mark.parametrize("name", ["Sec-WebSocket-Key", "upgrade", "Connection", "content-length"])
def test_what_belongs_to_the_handshake_is_its_own(name: str) -> None:
    extra = Headers([(name, "x")])
    with pytest.raises(UsageError):
        ClientHandshake().to_request("http", "h", "/", False, extra)
    with pytest.raises(UsageError):
        ServerHandshake(request(), False).accept(extra=extra)


@pytest.mark.parametrize("protocols", ["chat", ("a b",), ("a", "a"), ("",)])
def test_names_of_subprotocols_are_tokens(protocols) -> None:
    with pytest.raises(UsageError):
        ClientHandshake(protocols)


@pytest.mark.parametrize("is_h2", [False, True])
class TestBothSides:
    @pytest.mark.parametrize(
        ("offered", "known", "chosen"),
        [
            (("a", "b"), ("b", "a"), "b"),
            (("a",), ("b",), None),
            ((), ("b",), None),
            (("a",), (), None),
        ],
    )
    def test_the_first_of_the_servers_protocols(self, is_h2, offered, known, chosen) -> None:
        client = ClientHandshake(offered)
        server = ServerHandshake(client.to_request("http", "h", "/", is_h2), is_h2)
        assert server.protocols == list(offered)
        headers, agreed = server.accept(known)
        assert agreed.protocol == chosen
        assert client.read_response(headers, is_h2) == agreed

    @pytest.mark.parametrize(
        ("wanted", "known", "agreed"),
        [
            (None, FULL, None),
            (FULL, None, None),
            (FULL, FULL, DeflateParameters()),
            (DeflateOptions(True, True, 10, 11), FULL, DeflateParameters(True, True, 10, 11)),
            (FULL, DeflateOptions(True, True, 10, 11), DeflateParameters(True, True, 10, 11)),
            (
                DeflateOptions(False, False, 9, 15),
                DeflateOptions(False, False, 15, 9),
                DeflateParameters(False, False, 9, 9),
            ),
            (DeflateOptions(), DeflateOptions(), DeflateParameters(False, False, 12, 12)),
        ],
    )
    def test_compression(self, is_h2, wanted, known, agreed) -> None:
        client = ClientHandshake((), wanted)
        headers, theirs = ServerHandshake(client.to_request("http", "h", "/", is_h2), is_h2).accept((), known)
        assert theirs.deflate == agreed
        assert client.read_response(headers, is_h2).deflate == agreed

    def test_further_fields(self, is_h2) -> None:
        extra = Headers([(":status", "500"), ("set-cookie", "a=b")])
        headers, _ = ServerHandshake(request(is_h2), is_h2).accept(extra=extra)
        assert headers.get_as_sequence(":status") == ["200" if is_h2 else "101"]
        assert headers.get("set-cookie") == "a=b"


def test_the_responses() -> None:
    assert dict(response()) == {
        ":status": "101",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol": "chat",
    }
    assert dict(response(is_h2=True)) == {":status": "200", "sec-websocket-protocol": "chat"}


class TestWhatAServerRefuses:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"method": "POST"}, 400),
            ({"connection": "keep-alive"}, 400),
            ({"connection": None}, 400),
            ({"upgrade": "h2c"}, 426),
            ({"upgrade": None}, 426),
            ({"sec_websocket_key": None}, 400),
            ({"sec_websocket_key": "short"}, 400),
            ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
            ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZSE="}, 400),
            ({"sec_websocket_key": "é" * 12}, 400),
            ({"sec_websocket_version": None}, 400),
            ({"sec_websocket_version": "8"}, 426),
            ({"sec_websocket_protocol": "a b"}, 400),
            ({"content_length": "5"}, 400),
            ({"transfer_encoding": "chunked"}, 400),
            ({"sec_websocket_extensions": "=;"}, 400),
        ],
    )
    def test_over_http1(self, changes, status) -> None:
        with pytest.raises(WebSocketHandshakeError) as caught:
            ServerHandshake(request(**changes), False)
        assert caught.value.status == status
        if "sec_websocket_version" in changes:
            assert caught.value.headers.get("sec-websocket-version") == "13"

    @pytest.mark.parametrize("name", ["sec-websocket-key", "sec-websocket-version", "origin"])
    def test_a_field_twice(self, name: str) -> None:
        headers = request(origin="http://a")
        headers.append(name, headers.get(name) or "")
        with pytest.raises(WebSocketHandshakeError) as caught:
            ServerHandshake(headers, False)
        assert caught.value.status == 400

    @pytest.mark.parametrize(("changes", "status"), [({"sec_websocket_version": "12"}, 426), ({"protocol": "x"}, 400)])
    def test_over_http2(self, changes, status) -> None:
        with pytest.raises(WebSocketHandshakeError) as caught:
            ServerHandshake(request(True, **changes), True)
        assert caught.value.status == status
        assert "upgrade" not in (caught.value.headers or {})

    def test_names_in_any_case_and_lists_are_fine(self) -> None:
        headers = request(connection="keep-alive, UPGRADE", upgrade="h2c, WebSocket")
        assert ServerHandshake(headers, False).key == KEY

    def test_other_origins(self) -> None:
        server = ServerHandshake(request(origin="https://evil.example"), False)
        server.check_origin(["https://evil.example"])
        for allowed in (["https://good.example"], [None], []):
            with pytest.raises(WebSocketHandshakeError) as caught:
                server.check_origin(allowed)
            assert caught.value.status == 403
        ServerHandshake(request(), False).check_origin([None])
        with pytest.raises(WebSocketHandshakeError):
            ServerHandshake(request(), False).check_origin(["https://good.example"])

    def test_other_hosts(self) -> None:
        server = ServerHandshake(request(), False)
        server.check_host(["example.com"])
        with pytest.raises(WebSocketHandshakeError) as caught:
            server.check_host(["other.example"])
        assert caught.value.status == 421
        headers = ClientHandshake().to_request("http", "Example.com:8080", "/", False)
        ServerHandshake(headers, False).check_host(["example.com"])
        ServerHandshake(headers, False).check_host(["example.com:8080"])
        with pytest.raises(WebSocketHandshakeError):
            ServerHandshake(headers, False).check_host(["example.com:81"])
        with pytest.raises(WebSocketHandshakeError):
            ServerHandshake(ClientHandshake().to_request("http", "[::", "/", False), False).check_host(["example.com"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (request(), True),
        (request(True), True),
        (request(upgrade="h2c"), False),
        (request(upgrade=None), False),
        (request(upgrade="h2c, websocket"), True),
        (request(True, protocol="connect-udp"), False),
        (Headers([(":method", "GET"), (":path", "/")]), False),
    ],
)
def test_what_means_to_be_a_handshake(headers: Headers, expected: bool) -> None:
    assert is_websocket_request(headers) is expected


class TestWhatAClientRefuses:
    @pytest.mark.parametrize(
        "changes",
        [
            {"upgrade": None},
            {"upgrade": "h2c"},
            {"upgrade": "websocket, h2c"},
            {"connection": None},
            {"connection": "close"},
            {"sec_websocket_accept": None},
            {"sec_websocket_accept": "c3VyZSBub3Q="},
            {"sec_websocket_protocol": "other"},
            {"sec_websocket_protocol": "chat, superchat"},
            {"sec_websocket_extensions": "x-other"},
            {"sec_websocket_extensions": "permessage-deflate"},
            {"sec_websocket_extensions": "="},
        ],
    )
    def test_over_http1(self, changes) -> None:
        with pytest.raises(WebSocketHandshakeError) as caught:
            ClientHandshake(("chat", "superchat"), key=KEY).read_response(response(**changes), False)
        assert caught.value.status == 101
        assert caught.value.headers is not None

    @pytest.mark.parametrize(("is_h2", "status"), [(False, "200"), (False, "404"), (True, "101"), (True, "302")])
    def test_another_status(self, is_h2: bool, status: str) -> None:
        answer = response(is_h2, status=status)
        with pytest.raises(WebSocketHandshakeError, match=status) as caught:
            ClientHandshake(("chat",), key=KEY).read_response(answer, is_h2)
        assert caught.value.status == int(status)
        assert caught.value.headers is answer


class TestExtensions:
    def test_the_grammar(self) -> None:
        fields = ['a; b=1; c="d, \\"e\\""; f , g', "h;i"]
        assert parse_extensions(fields) == [
            ("a", [("b", "1"), ("c", 'd, "e"'), ("f", None)]),
            ("g", []),
            ("h", [("i", None)]),
        ]
        assert parse_extensions([" , "]) == []

    @pytest.mark.parametrize("value", ["a;", "a; =1", "a; b=", "a b", "a; b c", '"a"', "a; b=\x01"])
    def test_what_does_not_follow_it(self, value: str) -> None:
        with pytest.raises(WebSocketHandshakeError):
            parse_extensions([value])

    @pytest.mark.parametrize(
        ("options", "offer"),
        [
            (FULL, "permessage-deflate; client_max_window_bits"),
            (
                DeflateOptions(server_max_window_bits=None, client_max_window_bits=None),
                "permessage-deflate; client_max_window_bits",
            ),
            (
                DeflateOptions(True, True, 10, 11),
                (
                    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
                    "server_max_window_bits=10; client_max_window_bits=11"
                ),
            ),
        ],
    )
    def test_offers(self, options: DeflateOptions, offer: str) -> None:
        assert format_offer(options) == offer

    @pytest.mark.parametrize(
        ("offer", "answer"),
        [
            ("permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
            ("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"),
            ("permessage-deflate; server_max_window_bits=8", None),
            ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=09", None),
            ("permessage-deflate; client_max_window_bits=0", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
            ("permessage-deflate; unknown", None),
            ("x-webkit-deflate-frame", None),
            ("", None),
        ],
    )
    def test_what_a_server_answers(self, offer: str, answer: str | None) -> None:
        accepted = accept_deflate(parse_extensions([offer]), FULL)
        assert (accepted and accepted[0]) == answer

    def test_a_client_that_cannot_be_told_is_not(self) -> None:
        accepted = accept_deflate(parse_extensions(["permessage-deflate"]), DeflateOptions(client_max_window_bits=9))
        assert accepted == ("permessage-deflate; server_max_window_bits=12", DeflateParameters(False, False, 12, 15))

    @pytest.mark.parametrize(
        ("answer", "offered", "agreed"),
        [
            ("permessage-deflate", FULL, DeflateParameters()),
            ("permessage-deflate; server_max_window_bits=8", FULL, DeflateParameters(server_max_window_bits=8)),
            ("permessage-deflate; client_max_window_bits=8", FULL, DeflateParameters(client_max_window_bits=8)),
            ("permessage-deflate; client_no_context_takeover", FULL, DeflateParameters(False, True)),
            (
                "permessage-deflate; server_max_window_bits=10",
                DeflateOptions(False, False, 11, 15),
                DeflateParameters(False, False, 10),
            ),
            (
                "permessage-deflate; server_max_window_bits=12",
                DeflateOptions(),
                DeflateParameters(False, False, 12, 12),
            ),
        ],
    )
    def test_what_a_client_takes(self, answer, offered, agreed) -> None:
        assert read_answer(parse_extensions([answer]), offered) == agreed

    @pytest.mark.parametrize(
        ("answer", "offered"),
        [
            ("permessage-deflate", None),
            ("permessage-deflate, permessage-deflate", FULL),
            ("x-other", FULL),
            ("permessage-deflate; client_max_window_bits", FULL),
            ("permessage-deflate; server_max_window_bits=7", FULL),
            ("permessage-deflate; unknown=1", FULL),
            ("permessage-deflate", DeflateOptions(False, False, 11, 15)),
            ("permessage-deflate; server_max_window_bits=12", DeflateOptions(False, False, 11, 15)),
            ("permessage-deflate", DeflateOptions(True, False, 15, 15)),
        ],
    )
    def test_what_a_client_refuses(self, answer, offered) -> None:
        with pytest.raises(WebSocketHandshakeError):
            read_answer(parse_extensions([answer]), offered)


def test_the_library_as_the_server() -> None:
    handshake = ClientHandshake(("a", "b"), DeflateOptions())
    headers = handshake.to_request("http", "h", "/", False)
    peer = WSConnection(ConnectionType.SERVER)
    lines = [f"{name}: {value}" for name, value in headers if name[0] != ":"]
    peer.receive_data(("GET / HTTP/1.1\r\nhost: h\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
    (asked,) = peer.events()
    assert isinstance(asked, Request)
    answer = peer.send(AcceptConnection("b", [PerMessageDeflate()])).decode()
    head = [tuple(line.split(": ", 1)) for line in answer.split("\r\n")[1:] if line]
    agreed = handshake.read_response(Headers([(":status", "101"), *head]), False)
    assert agreed.protocol == "b"
    assert agreed.deflate == DeflateParameters(False, False, 12, 12)
