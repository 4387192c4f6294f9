"""Handshakes of servers of the `websockets` API: what is answered, and what the program's hooks see and can do."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import InvalidMessage, InvalidUpgrade, NegotiationError
from drivetrain.compat.websockets_api.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from drivetrain.compat.websockets_api.http11 import SERVER, Response
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.engine.errors import WebSocketHandshakeError
from tests.compat.websockets_api.server_support import (
    COLOURS,
    HANDSHAKE,
    SERVERS,
    handshake,
    open_raw,
    read_head,
    serving,
)

pytestmark = pytest.mark.parametrize("colour", COLOURS)


def lines_of(answer: bytes) -> list[str]:
    return answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about connections."""
    found = [record.getMessage() for record in caplog.records if record.name == "websockets.server"]
    return [text for text in found if not text.startswith("server ")]


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_handshake_is_answered_in_the_words_of_the_original(colour: str) -> None:
    with serving(colour) as running, open_raw(running.port, HANDSHAKE) as sock:
        first, date, *fields = lines_of(read_head(sock))
    assert first == "HTTP/1.1 101 Switching Protocols"
    assert re.fullmatch(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert fields == [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        f"Server: {SERVER}",
    ]


def test_what_is_no_handshake_is_told_to_upgrade(colour: str) -> None:
    with serving(colour) as running:
        answer = running.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    lines = lines_of(answer)
    assert lines[0] == "HTTP/1.1 426 Upgrade Required"
    assert {"Connection: close", "Upgrade: websocket", f"Content-Length: {len(body_of(answer))}"} <= set(lines)
    assert body_of(answer).startswith(b"Failed to open a WebSocket connection: missing Connection header.\n\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HANDSHAKE.replace(b"GET", b"POST"), 405),
        (HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
        (HANDSHAKE.replace(b"Version: 13", b"Version: 8"), 400),
        (handshake("Sec-WebSocket-Key: x"), 400),
        (handshake("X: " + "x" * 9000), 431),
        (handshake(*["X: y"] * 130), 431),
        (handshake(path="/" + "x" * 9000), 414),
        (HANDSHAKE.replace(b"Host: localhost\r\n", b""), 101),
    ],
    ids=["method", "version of HTTP", "version", "two keys", "long field", "many fields", "long target", "no Host"],
)
def test_the_status_says_what_is_wrong(colour: str, request_: bytes, status: int) -> None:
    with serving(colour) as running, open_raw(running.port, request_) as sock:
        assert read_head(sock).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "garbage",
    [b"hello\r\n\r\n", HANDSHAKE.replace(b"\r\n", b"\n"), handshake("Content-Length: 5"), handshake(" folded"), b""],
    ids=["no HTTP", "bare LF", "a body", "folded", "nothing"],
)
def test_what_is_no_http_is_not_answered(colour: str, garbage: bytes) -> None:
    with serving(colour, open_timeout=0.2) as running:
        assert running.ask(garbage) == b""


def test_a_message_may_follow_the_request_at_once(colour: str) -> None:
    with serving(colour) as running, open_raw(running.port, HANDSHAKE + b"\x81\x85\0\0\0\0hello") as sock:
        answer = read_head(sock)
        while not answer.endswith(b"\x81\x05hello"):
            more = sock.recv(100)
            assert more
            answer += more


def test_a_slow_client_is_given_up(colour: str) -> None:
    with serving(colour, open_timeout=0.1) as running:
        assert running.ask(HANDSHAKE[:-2]) == b""


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("me/1", "Server: me/1")])
def test_the_server_field_is_the_programs(colour: str, value: str | None, expected: str | None) -> None:
    with serving(colour, server_header=value) as running:
        for request in (HANDSHAKE, b"GET / HTTP/1.1\r\n\r\n"):
            with open_raw(running.port, request) as sock:
                found = [line for line in lines_of(read_head(sock)) if line.startswith("Server:")]
            assert found == ([] if expected is None else [expected])


# --- what is agreed on -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://a.example", True), ("https://x.test", True), ("https://x.test.example", False), (None, False)],
)
def test_origins_are_checked(colour: str, origin: str | None, allowed: bool) -> None:
    fields = [] if origin is None else [f"Origin: {origin}"]
    origins = ["https://a.example", re.compile(r"https://[a-z]+\.test")]
    with serving(colour, origins=origins) as running, open_raw(running.port, handshake(*fields)) as sock:
        assert read_head(sock).startswith(b"HTTP/1.1 101 " if allowed else b"HTTP/1.1 403 ")


def test_the_lack_of_an_origin_can_be_allowed(colour: str) -> None:
    with serving(colour, origins=[None]) as running, open_raw(running.port, HANDSHAKE) as sock:
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")


def test_the_servers_best_subprotocol_is_taken(colour: str) -> None:
    seen = []

    async def handler(connection: Any) -> None:
        seen.append((connection.subprotocol, connection.protocol.subprotocol))

    with serving(colour, handler, subprotocols=["a", "b"]) as running:
        with running.connect(protocols=["c", "b", "a"]) as websocket:
            assert websocket.protocol == "a"
        with pytest.raises(WebSocketHandshakeError, match="400"):
            running.connect(protocols=["c"])
        with pytest.raises(WebSocketHandshakeError, match="400"):
            running.connect()
    assert seen == [("a", "a")]


def test_the_program_can_choose_the_subprotocol(colour: str) -> None:
    offers = []

    def choose(connection: Any, offered: list[str]) -> str | None:
        offers.append((type(connection), offered))
        if offered == ["bad"]:
            raise NegotiationError("bad one")
        return offered[-1] if offered else None

    with serving(colour, select_subprotocol=choose) as running:
        with running.connect(protocols=["a", "b"]) as websocket:
            assert websocket.protocol == "b"
        with running.connect() as websocket:
            assert websocket.protocol is None
        answer = running.ask(handshake("Sec-WebSocket-Protocol: bad"))
    kind = SERVERS[colour].ServerConnection
    assert offers == [(kind, ["a", "b"]), (kind, []), (kind, ["bad"])]
    assert body_of(answer) == b"Failed to open a WebSocket connection: bad one.\n"


def test_compression_is_agreed_on(colour: str) -> None:
    seen = []

    async def handler(connection: Any) -> None:
        (extension,) = connection.protocol.extensions
        seen.append((extension.local_max_window_bits, extension.remote_max_window_bits))
        await connection.send(await connection.recv())

    with serving(colour, handler) as running, running.connect(compression=True) as websocket:
        assert websocket.deflate is not None
        websocket.send("x" * 10_000)
        assert websocket.receive(10) == "x" * 10_000
    assert seen == [(12, 12)]


def test_compression_follows_the_factory(colour: str) -> None:
    factory = ServerPerMessageDeflateFactory(server_no_context_takeover=True, server_max_window_bits=10)
    with serving(colour, extensions=[factory]) as running, running.connect(compression=True) as websocket:
        assert websocket.deflate is not None
        assert (websocket.deflate.server_no_context_takeover, websocket.deflate.server_max_window_bits) == (
            True,
            10,
        )


def test_compression_can_be_off(colour: str) -> None:
    with serving(colour, compression=None) as running, running.connect(compression=True) as websocket:
        assert websocket.deflate is None


# --- hooks -----------------------------------------------------------------------------------------------------------


def test_process_request_sees_the_connection(colour: str) -> None:
    seen: dict[str, Any] = {}

    def process_request(connection: Any, request: Any) -> None:
        seen.update(
            request=(request.method, request.path, request.protocol, request.headers["X-Name"]),
            same=connection.request is request,
            state=connection.state,
            id=connection.id,
            peer=connection.remote_address,
            here=connection.local_address,
            response=connection.response,
        )
        transport = connection.transport if colour == "asyncio" else None
        seen["info"] = transport and transport.get_extra_info("peername")

    async def handler(connection: Any) -> None:
        seen["after"] = (connection.state, connection.id, connection.remote_address)
        seen["status"] = (connection.request.path, connection.response.status_code)

    with serving(colour, handler, process_request=process_request) as running:
        websocket = running.connect("/a?b", headers={"X-Name": "é"})
        here, there = websocket.localname(), websocket.peername()
        assert websocket.receive(10) is None
    assert seen["request"] == ("GET", "/a?b", "HTTP/1.1", "é")
    assert (seen["same"], seen["state"], seen["response"]) == (True, State.CONNECTING, None)
    assert (seen["peer"], seen["here"]) == (here[1:], there[1:])
    assert isinstance(seen["id"], uuid.UUID)
    assert seen["after"] == (State.OPEN, seen["id"], here[1:])
    assert seen["status"] == ("/a?b", 101)
    assert seen["info"] in (None, here[1:])


def test_process_request_can_answer(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def process_request(connection: Any, request: Any) -> Any:
        response = connection.respond(200, "It is well.\n")
        response.headers["X-More"] = "yes"
        return response

    with serving(colour, process_request=process_request) as running:
        answer = running.ask(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert lines_of(answer)[0] == "HTTP/1.1 200 OK"
    assert "X-More: yes" in lines_of(answer)
    assert body_of(answer) == b"It is well.\n"
    assert messages(caplog) == ["HTTP response sent (200 OK)", "connection closed"]


def test_any_response_is_sent_as_it_is(colour: str) -> None:
    def process_request(connection: Any, request: Any) -> Any:
        return Response(599, "Rather Odd", Headers([("X-b", "2"), ("x-A", "é")]), b"\0\1")

    with serving(colour, process_request=process_request, server_header=None) as running:
        assert running.ask(HANDSHAKE) == b"HTTP/1.1 599 Rather Odd\r\nX-b: 2\r\nx-A: \xe9\r\n\r\n\0\1"


def test_process_response_can_add_and_replace(colour: str) -> None:
    seen = []

    def process_response(connection: Any, request: Any, response: Any) -> Any:
        seen.append((request.path, response.status_code, connection.state))
        response.headers["X-Path"] = request.path
        return connection.respond(418, "short and stout") if request.path == "/pot" else None

    with serving(colour, process_response=process_response) as running:
        with open_raw(running.port, handshake(path="/cup")) as sock:
            assert "X-Path: /cup" in lines_of(read_head(sock))
        answer = running.ask(handshake(path="/pot"))
    assert lines_of(answer)[0] == "HTTP/1.1 418 I'm a Teapot"
    assert "X-Path: /pot" not in lines_of(answer)
    assert seen == [("/cup", 101, State.CONNECTING), ("/pot", 101, State.CONNECTING)]


@pytest.mark.parametrize("hook", ["process_request", "process_response", "select_subprotocol"])
def test_a_hook_that_fails_gives_500(colour: str, hook: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: Any) -> None:
        raise LookupError("a fault of the program")

    with serving(colour, **{hook: fail}) as running:
        answer = running.ask(HANDSHAKE)
    assert lines_of(answer)[0] == "HTTP/1.1 500 Internal Server Error"
    assert b"a fault" not in answer
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    expected = "opening handshake failed" if hook == "select_subprotocol" else f"{hook} failed"
    assert record.getMessage() == expected
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


def test_a_response_that_cannot_be_sent_is_logged(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    def process_request(connection: Any, request: Any) -> Any:
        response = connection.respond(200, "")
        response.headers.set_insecure("X", "\N{SNOWMAN}")
        return response

    with serving(colour, process_request=process_request) as running:
        assert running.ask(HANDSHAKE) == b""
    assert "unexpected internal error" in messages(caplog)


def test_the_connection_knows_why_it_failed(colour: str) -> None:
    made = []

    def create(*args: Any, **kwargs: Any) -> Any:
        made.append(SERVERS[colour].ServerConnection(*args, **kwargs))
        return made[-1]

    with serving(colour, create_connection=create) as running:
        running.ask(b"GET / HTTP/1.1\r\n\r\n")
        running.ask(b"garbage\r\n\r\n")
    upgrade, message = (connection.protocol.handshake_exc for connection in made)
    assert isinstance(upgrade, InvalidUpgrade)
    assert isinstance(message, InvalidMessage)
    assert message.__cause__ is not None
    assert [connection.state for connection in made] == [State.CLOSED, State.CLOSED]


def test_rejections_are_logged(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(colour) as running:
        running.ask(b"GET / HTTP/1.1\r\n\r\n")
        running.ask(b"garbage\r\n\r\n")
    assert sorted(messages(caplog)) == [
        "connection closed",
        "connection closed",
        "connection rejected (426 Upgrade Required)",
    ]


def test_the_debug_log_has_the_handshake(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def handler(connection: Any) -> None:
        await connection.close()

    with serving(colour, handler) as running, running.connect("/path") as websocket:
        assert websocket.receive(10) is None
    found = messages(caplog)
    assert {"< GET /path HTTP/1.1", "< Sec-WebSocket-Version: 13", "> HTTP/1.1 101 Switching Protocols"} <= set(found)
    assert "> Upgrade: websocket" in found


# --- credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (None, b"Missing credentials\n"),
        ("Bearer x", b"Unsupported credentials\n"),
        ("Basic dXNlcjp3cm9uZw==", b"Invalid credentials\n"),
        ("Basic bm9ib2R5OnBhc3M=", b"Invalid credentials\n"),
    ],
)
def test_credentials_are_asked_for(colour: str, token: str | None, text: bytes) -> None:
    gate = SERVERS[colour].basic_auth("here", ("user", "pass"))
    with serving(colour, process_request=gate) as running:
        answer = running.ask(handshake(*([] if token is None else [f"Authorization: {token}"])))
    assert lines_of(answer)[0] == "HTTP/1.1 401 Unauthorized"
    assert 'WWW-Authenticate: Basic realm="here", charset="UTF-8"' in lines_of(answer)
    assert body_of(answer) == text


@pytest.mark.parametrize("listed", [True, False])
def test_the_right_credentials_give_a_username(colour: str, listed: bool) -> None:
    users = []

    async def handler(connection: Any) -> None:
        users.append(connection.username)

    def check(username: str, password: str) -> bool:
        return (username, password) == ("user", "pass")

    credentials = [("other", "x"), ("user", "pass")] if listed else None
    gate = SERVERS[colour].basic_auth(credentials=credentials, check_credentials=None if listed else check)
    with serving(colour, handler, process_request=gate) as running:
        websocket = running.connect(headers={"Authorization": "Basic dXNlcjpwYXNz"})
        assert websocket.receive(10) is None
    assert users == ["user"]


@pytest.mark.parametrize("credentials", [42, "user", ("user", 1), [("user", "pass"), "x"]])
def test_what_are_no_credentials_is_refused(colour: str, credentials: Any) -> None:
    with pytest.raises(TypeError, match="invalid credentials argument"):
        SERVERS[colour].basic_auth(credentials=credentials)


def test_credentials_come_from_one_place(colour: str) -> None:
    basic_auth = SERVERS[colour].basic_auth
    with pytest.raises(ValueError, match="either credentials or check_credentials"):
        basic_auth()
    with pytest.raises(ValueError, match="either credentials or check_credentials"):
        basic_auth(credentials=("a", "b"), check_credentials=bool)


# --- settings that make no sense -------------------------------------------------------------------------------------


def test_settings_are_checked_at_once(colour: str) -> None:
    async def main() -> None:
        serve = SERVERS[colour].serve
        with pytest.raises(ValueError, match="unsupported compression: zstd"):
            serve(print, "127.0.0.1", 0, compression="zstd")
        with pytest.raises(TypeError):
            serve(print, "127.0.0.1", 0, subprotocols="chat")
        with pytest.raises(NotImplementedError):
            serve(print, "127.0.0.1", 0, extensions=[SimpleNamespace(name="x-other")])

    asyncio.run(main())
