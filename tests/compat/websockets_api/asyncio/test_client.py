"""`connect` for asyncio: its forms, the handshake it makes, what it makes of the answer, and redirects."""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
from collections.abc import Callable
from typing import Any

import pytest

import drivetrain.compat.websockets_api.asyncio.client as module
from drivetrain.compat.websockets_api import reconnecting
from drivetrain.compat.websockets_api.asyncio.client import ClientConnection, connect
from drivetrain.compat.websockets_api.compression import UnsupportedExtension
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    SecurityError,
)
from drivetrain.compat.websockets_api.extensions.base import ClientExtensionFactory
from drivetrain.compat.websockets_api.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from drivetrain.compat.websockets_api.http11 import USER_AGENT
from drivetrain.compat.websockets_api.protocol import State
from tests.compat.websockets_api.asyncio.support import pause, raw, run, serving
from tests.support.servers import read_head
from tests.support.websocket_raw import accept_value

DEFLATE = "permessage-deflate; client_max_window_bits"


def answering(answer: Callable[[bytes], bytes], heads: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    """A handler that answers each request by what `answer` makes of its head, and ends."""

    def handler(connection: socket.socket) -> None:
        head = read_head(connection)
        if heads is not None:
            heads.append(head)
        connection.sendall(answer(head))

    return handler


def refusal(status: str, *fields: str, body: bytes = b"no") -> Callable[[bytes], bytes]:
    text = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body
    return lambda head: text


def agreeing(*fields: str, without: str = "", accept: str | None = None) -> Callable[[bytes], bytes]:
    def answer(head: bytes) -> bytes:
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept or accept_value(head)}",
            *fields,
        ]
        return "\r\n".join([line for line in lines if not (without and line.startswith(without))] + ["", ""]).encode()

    return answer


def fields_of(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def request_of(**options: Any) -> list[tuple[str, str]]:
    """The fields of the request that `connect` makes, without the key; from Host on."""
    heads: list[bytes] = []
    userinfo = options.pop("userinfo", "")

    async def main(uri: str) -> None:
        with pytest.raises(InvalidStatus):
            await connect(uri.replace("//", f"//{userinfo}") + "/p?q=1", proxy=None, **options)

    with raw(answering(refusal("400 Bad Request"), heads)) as uri:
        run(main(uri))
    assert heads[0].startswith(b"GET /p?q=1 HTTP/1.1\r\n")
    fields = fields_of(heads[0])
    assert len(base64.b64decode(dict(fields)["Sec-WebSocket-Key"])) == 16
    return [field for field in fields if field[0] not in ("Sec-WebSocket-Key", "Host")]


UPGRADE = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
OFFER = ("Sec-WebSocket-Extensions", DEFLATE)
AGENT = ("User-Agent", USER_AGENT)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, [*UPGRADE, OFFER, AGENT]),
        ({"compression": None}, [*UPGRADE, AGENT]),
        ({"user_agent_header": None}, [*UPGRADE, OFFER]),
        ({"user_agent_header": "mine"}, [*UPGRADE, OFFER, ("User-Agent", "mine")]),
        ({"origin": "https://o"}, [("Origin", "https://o"), *UPGRADE, OFFER, AGENT]),
        ({"subprotocols": ["a", "b"]}, [*UPGRADE, OFFER, ("Sec-WebSocket-Protocol", "a, b"), AGENT]),
        ({"additional_headers": {"X-A": "1"}}, [*UPGRADE, OFFER, ("X-A", "1"), AGENT]),
        ({"additional_headers": [("X-A", "1"), ("X-A", "2")]}, [*UPGRADE, OFFER, ("X-A", "1"), ("X-A", "2"), AGENT]),
        ({"additional_headers": Headers({"user-agent": "x"})}, [*UPGRADE, OFFER, ("user-agent", "x")]),
        ({"additional_headers": {"Authorization": "x"}}, [*UPGRADE, OFFER, ("Authorization", "x"), AGENT]),
        (
            {"additional_headers": {"Authorization": "x"}, "origin": "o"},
            [("Origin", "o"), *UPGRADE, OFFER, ("Authorization", "x"), AGENT],
        ),
        ({"userinfo": "me:p%40ss@"}, [("Authorization", "Basic bWU6cEBzcw=="), *UPGRADE, OFFER, AGENT]),
        # What a browser's request has is not said twice.
        (
            {
                "additional_headers": {
                    "Upgrade": "websocket",
                    "Connection": "keep-alive, Upgrade",
                    "Sec-WebSocket-Key": "x",
                }
            },
            [*UPGRADE, OFFER, AGENT],
        ),
        (
            {"additional_headers": {"Sec-WebSocket-Protocol": "a, b"}},
            [*UPGRADE, OFFER, ("Sec-WebSocket-Protocol", "a, b"), AGENT],
        ),
    ],
)
def test_the_request(options: dict[str, Any], fields: list[tuple[str, str]]) -> None:
    assert request_of(**options) == fields


@pytest.mark.parametrize(
    ("factory", "offer"),
    [
        (ClientPerMessageDeflateFactory(), "client_max_window_bits"),
        (
            ClientPerMessageDeflateFactory(server_max_window_bits=10),
            "server_max_window_bits=10; client_max_window_bits",
        ),
        (
            ClientPerMessageDeflateFactory(True, True, 9, 11),
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=11",
        ),
    ],
)
def test_extensions_that_are_offered(factory: Any, offer: str) -> None:
    for compression in (None, "deflate"):
        assert ("Sec-WebSocket-Extensions", f"permessage-deflate; {offer}") in request_of(
            extensions=[factory], compression=compression
        )


def test_an_extension_that_is_not_known() -> None:
    class Factory(ClientExtensionFactory):
        name = "x-other"  # type: ignore[assignment]

    async def main() -> None:
        with pytest.raises(UnsupportedExtension, match="x-other"):
            await connect("ws://localhost:1/", extensions=[Factory()], proxy=None)

    run(main())


# --- its forms --------------------------------------------------------------------------------------------------------


def test_its_three_forms() -> None:
    async def main() -> None:
        async with serving() as served:
            async with connect(served.uri) as first:
                assert isinstance(first, ClientConnection)
            assert first.state is State.CLOSED
            second = await connect(served.uri)
            await second.close()
            async for third in connect(served.uri):
                assert third.state is State.OPEN
                break
            await third.close()
            assert len(served.requests) == 3

    run(main())


def test_a_context_is_not_entered_twice() -> None:
    async def main() -> None:
        async with serving() as served:
            connecting = connect(served.uri)
            async with connecting as websocket:
                assert connecting.connection is websocket
                with pytest.raises(RuntimeError, match=r"connect\(\) isn't reentrant"):
                    await connecting.__aenter__()
            async with connecting:  # but again
                pass

    run(main())


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (("http://localhost",), {}, InvalidURI, "scheme isn't ws or wss"),
        (("ws://localhost/#f",), {}, InvalidURI, "fragment identifier is meaningless"),
        (("ws://localhost",), {"ssl": True}, ValueError, "ssl argument is incompatible with a ws:// URI"),
        (("ws://localhost",), {"compression": "gzip"}, ValueError, "unsupported compression: gzip"),
        (("ws://localhost",), {"subprotocols": "chat"}, TypeError, "subprotocols must be a list"),
    ],
)
def test_arguments_that_make_no_sense(arguments: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        connect(*arguments, **options)


@pytest.mark.parametrize("name", ["extra_headers", "timeout", "loop", "protocol_factory", "proxy_ssl"])
def test_unknown_keywords(name: str) -> None:
    async def main() -> None:
        text = rf"BaseEventLoop\.create_connection\(\) got an unexpected keyword argument '{name}'"
        with pytest.raises(TypeError, match=text):
            await connect("ws://localhost:1", proxy=None, **{name: None})

    run(main())


def test_create_connection_makes_the_connection() -> None:
    class Mine(ClientConnection):
        greeting = "none"

        async def handshake(self, *args: Any, **kwargs: Any) -> None:
            await super().handshake(*args, **kwargs)
            self.greeting = f"open after {self.request.path if self.request else None}"

    made: list[Any] = []

    def wrapper(*args: Any, **kwargs: Any) -> ClientConnection:
        made.append((args, kwargs))
        return Mine(*args, **kwargs)

    async def main() -> None:
        async with serving() as served:
            async with connect(served.uri, create_connection=Mine) as websocket:
                assert isinstance(websocket, Mine)
                assert websocket.greeting == "open after /"
            options = {"ping_interval": 1, "ping_timeout": 2, "close_timeout": 3, "max_queue": 4, "write_limit": 5}
            async with connect(served.uri, create_connection=wrapper, max_size=6, **options) as websocket:
                assert made[0][1] == options
                assert made[0][0] == (websocket.protocol,)
                assert websocket.protocol.max_size == 6

    run(main())


# --- the answer -------------------------------------------------------------------------------------------------------


def test_a_refusal_has_the_whole_answer() -> None:
    async def main(uri: str) -> None:
        with pytest.raises(InvalidStatus, match="server rejected WebSocket connection: HTTP 403") as caught:
            await connect(uri, proxy=None)
        response = caught.value.response
        assert (response.status_code, response.reason_phrase, response.body) == (403, "Go Away", b"why")
        assert response.headers.get_all("X-A") == ["1", "2"]

    with raw(answering(refusal("403 Go Away", "X-A: 1", "X-A: 2", body=b"why"))) as uri:
        run(main(uri))


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda head: b"", InvalidMessage, "did not receive a valid HTTP response"),
        (lambda head: b"HTTP/1.1 101 Sw", InvalidMessage, "did not receive a valid HTTP response"),
        (lambda head: b"SSH-2.0\r\n\r\n", InvalidMessage, "did not receive a valid HTTP response"),
        (agreeing(without="Upgrade"), InvalidUpgrade, "missing Upgrade header"),
        (agreeing(without="Connection"), InvalidUpgrade, "missing Connection header"),
        (agreeing("Upgrade: h2c", without="Upgrade: w"), InvalidUpgrade, "invalid Upgrade header: h2c"),
        (agreeing("Connection: close", without="Connection: U"), InvalidUpgrade, "invalid Connection header: close"),
        (agreeing(without="Sec-WebSocket-Accept"), InvalidHeader, "missing Sec-WebSocket-Accept header"),
        (agreeing("Sec-WebSocket-Accept: x"), InvalidHeader, "invalid Sec-WebSocket-Accept header: multiple values"),
        (agreeing(accept="xyz"), InvalidHeaderValue, "invalid Sec-WebSocket-Accept header: xyz"),
        (agreeing("Sec-WebSocket-Extensions: x"), NegotiationError, "Unsupported extension: name = x"),
        (agreeing("Sec-WebSocket-Extensions: permessage-deflate; a"), NegotiationError, "Unsupported extension"),
        (agreeing("Sec-WebSocket-Protocol: c"), NegotiationError, "unsupported subprotocol: c"),
        (agreeing("Sec-WebSocket-Protocol: a, b"), InvalidHeader, "multiple values: a, b"),
    ],
)
def test_answers_that_cannot_be_used(answer: Callable[[bytes], bytes], error: type[Exception], text: str) -> None:
    async def main(uri: str) -> None:
        with pytest.raises(InvalidHandshake, match=text) as caught:
            await connect(uri, subprotocols=["a", "b"], proxy=None)
        assert type(caught.value) is error

    with raw(answering(answer)) as uri:
        run(main(uri))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("Sec-WebSocket-Extensions: permessage-deflate", "no extensions supported"),
        ("Sec-WebSocket-Protocol: a", "no subprotocols supported"),
    ],
)
def test_what_was_not_asked_for(field: str, text: str) -> None:
    async def main(uri: str) -> None:
        with pytest.raises(NegotiationError, match=text):
            await connect(uri, compression=None, proxy=None)

    with raw(answering(agreeing(field))) as uri:
        run(main(uri))


def test_open_timeout_leaves_nothing() -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    async def main(uri: str) -> None:
        with pytest.raises(TimeoutError, match="timed out during opening handshake"):
            await connect(uri, open_timeout=0.1, proxy=None)
        task = asyncio.create_task(connect(uri, open_timeout=None, proxy=None).connect())
        await pause(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gc.collect()

    with raw(silent) as uri:
        run(main(uri))  # the server's handlers end when both connections are closed


# --- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["300 A", "301 B", "302 C", "303 D", "307 E", "308 F"])
def test_redirects_are_followed(status: str) -> None:
    async def main(port: list[str]) -> None:
        async with serving() as served:
            port.append(served.uri)
            connecting = connect(
                uri + "/a", proxy=None, additional_headers={"Authorization": "x", "cookie": "y", "X-A": "z"}
            )
            async with connecting as websocket:
                assert websocket.request.path == "/b"
            assert connecting.uri == served.uri + "/b"
            request = served.requests[0]
            # Another origin: what was for the first is not for it.
            assert (request.get("authorization"), request.get("cookie"), request.get("x-a")) == (None, None, "z")

    port: list[str] = []
    with raw(answering(lambda head: refusal(status, f"Location: {port[0]}/b")(head))) as uri:
        run(main(port))


def test_a_redirect_on_one_origin_keeps_everything() -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> bytes:
        return (refusal("302 Found", "Location: ../b?c") if len(heads) == 1 else refusal("400 No"))(head)

    async def main(uri: str) -> None:
        with pytest.raises(InvalidStatus):
            await connect(uri + "/a/", proxy=None, additional_headers={"Authorization": "x"}, origin="o")

    with raw(answering(answer, heads)) as uri:
        run(main(uri))
    assert heads[1].startswith(b"GET /b?c HTTP/1.1\r\n")
    assert ("Authorization", "x") in fields_of(heads[1])
    assert dict(fields_of(heads[0]))["Sec-WebSocket-Key"] != dict(fields_of(heads[1]))["Sec-WebSocket-Key"]


def test_redirects_without_end() -> None:
    async def main(uri: str) -> None:
        with pytest.raises(SecurityError, match="more than 10 redirects"):
            await connect(uri, proxy=None)

    heads: list[bytes] = []
    with raw(answering(refusal("302 Found", "Location: /"), heads)) as uri:
        run(main(uri))
    assert len(heads) == module.MAX_REDIRECTS == reconnecting.MAX_REDIRECTS == 10


@pytest.mark.parametrize(
    ("options", "location", "error", "text"),
    [
        ({"sock": True}, "/b", ValueError, "cannot follow redirect to ws://.*/b with a preexisting socket"),
        ({"host": "127.0.0.1"}, "ws://other/", ValueError, "with an explicit host or port"),
        ({}, "http://localhost/", InvalidURI, "scheme isn't ws or wss"),
    ],
)
def test_redirects_that_are_not_followed(options: Any, location: str, error: type[Exception], text: str) -> None:
    async def main(uri: str) -> None:
        if options.get("sock"):
            options["sock"] = socket.create_connection(("127.0.0.1", int(uri.rpartition(":")[2])))
        with pytest.raises(error, match=text):
            await connect(uri, proxy=None, **options)

    with raw(answering(refusal("302 Found", f"Location: {location}"))) as uri:
        run(main(uri))


def test_a_redirect_out_of_tls_is_not_followed(certificates: Any) -> None:
    async def main(uri: str) -> None:
        with pytest.raises(SecurityError, match="cannot follow redirect to non-secure URI ws://localhost/"):
            await connect(
                uri.replace("ws://127.0.0.1", "wss://localhost"), ssl=certificates.client_context(), proxy=None
            )

    handler = answering(refusal("302 Found", "Location: ws://localhost/"))
    with raw(handler, context=certificates.server_context()) as uri:
        run(main(uri))


def test_process_redirect_may_be_overridden() -> None:
    seen: list[Exception] = []

    class Stubborn(connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            seen.append(exc)
            return exc

    class Other(connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            return RuntimeError("mine")

    async def main(uri: str) -> None:
        with pytest.raises(InvalidStatus):
            await Stubborn(uri, proxy=None)
        with pytest.raises(RuntimeError, match="mine") as caught:
            async with Other(uri, proxy=None):
                pass
        assert isinstance(caught.value.__cause__, InvalidStatus)

    with raw(answering(refusal("302 Found", "Location: /"))) as uri:
        run(main(uri))
    assert [type(exc) for exc in seen] == [InvalidStatus]
