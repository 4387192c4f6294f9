"""The deprecated API: `connect` with `extra_headers`, handlers that take the path, and the old attributes."""

from __future__ import annotations

import asyncio
import contextlib
import http
import importlib
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from drivetrain.compat.websockets_api import exceptions
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.uri import parse_uri
from tests.support.servers import RawServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    legacy: Any = importlib.import_module("drivetrain.compat.websockets_api.legacy")
    auth: Any = importlib.import_module("drivetrain.compat.websockets_api.legacy.auth")
    client: Any = importlib.import_module("drivetrain.compat.websockets_api.legacy.client")
    legacy_exceptions: Any = importlib.import_module("drivetrain.compat.websockets_api.legacy.exceptions")
    protocol: Any = importlib.import_module("drivetrain.compat.websockets_api.legacy.protocol")
    server: Any = importlib.import_module("drivetrain.compat.websockets_api.legacy.server")


async def echo(websocket: Any) -> None:
    async for message in websocket:
        await websocket.send(message)


@contextlib.asynccontextmanager
async def serving(handler: Any = echo, **options: Any) -> AsyncIterator[tuple[Any, str]]:
    async with server.serve(handler, "127.0.0.1", 0, **options) as made:
        yield made, f"ws://127.0.0.1:{made.sockets[0].getsockname()[1]}"


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main(), 20)

    return asyncio.run(limited())


def refusal(status: str, *fields: str) -> RawServer:
    answer = "\r\n".join([f"HTTP/1.1 {status}", *fields, "Content-Length: 0", "", ""]).encode()

    def answering(connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return RawServer(answering)


# --- clients ------------------------------------------------------------------------------------------------------------


def test_a_conversation_and_what_can_be_asked_about_it() -> None:
    async def main() -> None:
        async with serving(extra_headers={"X-Served": "yes"}, subprotocols=["a", "b"]) as (made, uri):
            options = {"extra_headers": [("X-A", "1")], "subprotocols": ["b", "c"], "origin": "http://here"}
            async with client.connect(f"{uri}/room?1", **options) as websocket:
                assert isinstance(websocket, client.WebSocketClientProtocol)
                assert isinstance(websocket, protocol.WebSocketCommonProtocol)
                assert (websocket.is_client, websocket.side) == (True, "client")
                assert (websocket.open, websocket.closed, websocket.state) == (True, False, State.OPEN)
                assert (websocket.path, websocket.subprotocol, websocket.origin) == ("/room?1", "b", "http://here")
                assert websocket.request_headers["X-A"] == "1"
                assert websocket.request_headers["Origin"] == "http://here"
                assert websocket.response_headers["X-Served"] == "yes"
                assert [extension.name for extension in websocket.extensions] == ["permessage-deflate"]
                assert (websocket.max_size, websocket.max_queue, websocket.close_timeout) == (2**20, 32, 10)
                await websocket.send("hello")
                assert await websocket.recv() == "hello"
                await websocket.send([b"a", b"b"])
                assert await websocket.recv() == b"ab"
                assert 0 < await (await websocket.ping()) < 10
                assert websocket.latency > 0
                await websocket.ensure_open()
                assert websocket.close_code is None
                (other,) = made.websockets
                assert other.remote_address == websocket.local_address
            assert (websocket.open, websocket.closed, websocket.close_code) == (False, True, 1000)
            assert (websocket.close_rcvd.code, websocket.close_sent.code) == (1000, 1000)
            assert websocket.close_rcvd_then_sent is False
            assert websocket.connection_lost_waiter.done()
            with pytest.raises(exceptions.ConnectionClosedOK):
                await websocket.ensure_open()
            assert isinstance(websocket.connection_closed_exc(), exceptions.ConnectionClosedOK)

    run(main)


def test_the_oldest_attributes_say_that_they_are_old() -> None:
    async def main() -> None:
        async with serving() as (_, uri), client.connect(uri) as websocket:
            port = int(uri.rpartition(":")[2])
            with pytest.warns(DeprecationWarning, match=r"use remote_address\[0\] instead of host"):
                assert websocket.host == "127.0.0.1"
            with pytest.warns(DeprecationWarning, match=r"use remote_address\[1\] instead of port"):
                assert websocket.port == port
            with pytest.warns(DeprecationWarning, match="don't use secure"):
                assert websocket.secure is False

    run(main)


def test_the_oldest_arguments_say_that_they_are_old() -> None:
    class Mine(client.WebSocketClientProtocol):  # type: ignore[misc]
        pass

    async def main() -> None:
        async with serving() as (_, uri):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                websocket = await client.connect(
                    uri, timeout=3, klass=Mine, legacy_recv=True, loop=asyncio.get_running_loop()
                )
            texts = {str(warning.message) for warning in caught}
            assert {
                "rename timeout to close_timeout",
                "rename klass to create_protocol",
                "legacy_recv is deprecated",
                "remove loop argument",
            } <= texts
            assert type(websocket) is Mine
            assert websocket.close_timeout == 3
            await websocket.close()
            assert await websocket.recv() is None

    run(main)


def test_a_refusal() -> None:
    async def main() -> None:
        with refusal("403 Forbidden", "X-Why: because") as made:
            with pytest.raises(legacy_exceptions.InvalidStatusCode, match="HTTP 403") as caught:
                await client.connect(made.url.replace("http", "ws"))
            assert (caught.value.status_code, caught.value.headers["X-Why"]) == (403, "because")
            assert isinstance(caught.value, exceptions.InvalidHandshake)
        with refusal("302 Found") as made, pytest.raises(exceptions.InvalidHeader, match="missing Location header"):
            await client.connect(made.url.replace("http", "ws"))
        with pytest.raises(OSError, match=r".+"):
            await client.connect("ws://127.0.0.1:1")

    run(main)


def test_a_redirect_to_another_origin_loses_credentials() -> None:
    async def main() -> None:
        async with serving() as (_, target):
            with refusal("307 Temporary Redirect", f"Location: {target}/new") as made:
                connecting = client.connect(
                    made.url.replace("http", "ws"), extra_headers={"Authorization": "x", "X-A": "1"}
                )
                async with connecting as websocket:
                    assert websocket.path == "/new"
                    assert "Authorization" not in websocket.request_headers
                    assert websocket.request_headers["X-A"] == "1"
                    assert connecting.protocol is websocket

    run(main)


def test_a_redirect_out_of_tls_is_refused() -> None:
    connecting = client.connect("wss://a.test/")
    with pytest.raises(exceptions.SecurityError, match="redirect from WSS to WS"):
        connecting.handle_redirect("ws://a.test/")
    connecting = client.connect("ws://a.test/x", host="127.0.0.1", port=1)
    connecting.handle_redirect("/y")
    assert (connecting.uri, connecting.create_connection_kwargs) == ("ws://a.test/y", {"host": "127.0.0.1", "port": 1})
    connecting.handle_redirect("wss://b.test/")
    assert connecting.ws_uri == parse_uri("wss://b.test/")
    assert connecting.create_connection_kwargs == {}


def test_arguments_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="received a ssl argument for a ws:// URI"):
        client.connect("ws://a.test/", ssl=True)
    with pytest.raises(ValueError, match="unsupported compression: x"):
        client.connect("ws://a.test/", compression="x")


def test_it_connects_again_after_any_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFF_INITIAL", "BACKOFF_MIN", "BACKOFF_MAX"):
        monkeypatch.setattr(client.Connect, name, 0.0)
    refused = 0

    async def refuse_at_first(path: str, request_headers: Headers) -> Any:
        nonlocal refused
        refused += 1
        return (http.HTTPStatus.FORBIDDEN, [], b"") if refused < 3 else None

    async def main() -> list[str]:
        seen = []
        async with serving(process_request=refuse_at_first) as (_, uri):
            async for websocket in client.connect(uri):
                await websocket.send(str(len(seen)))
                seen.append(await websocket.recv())
                if len(seen) == 2:
                    await websocket.close()
                    break
                await websocket.close()
        return seen

    assert run(main) == ["0", "1"]
    assert refused == 4


def test_a_handshake_that_takes_too_long() -> None:
    async def main() -> None:
        silent = RawServer(lambda connection: connection.recv(1 << 20) and connection.recv(1))
        with silent as made, pytest.raises(asyncio.TimeoutError):
            await client.connect(made.url.replace("http", "ws"), open_timeout=0.05)

    run(main)


def test_failing_a_connection() -> None:
    codes = []

    async def handler(websocket: Any) -> None:
        await websocket.wait_closed()
        codes.append(websocket.close_code)

    async def main() -> None:
        async with serving(handler) as (_, uri):
            for code in (1011, 1006):
                websocket = await client.connect(uri)
                websocket.fail_connection(code, "no")
                await websocket.wait_closed()
                assert websocket.closed

    run(main)
    assert sorted(codes) == [1006, 1011]


def test_a_protocol_that_was_never_connected() -> None:
    async def main() -> None:
        made = client.WebSocketClientProtocol(max_queue=None, max_size=None)
        assert (made.state, made.open, made.closed) == (State.CONNECTING, False, False)
        with pytest.raises(exceptions.InvalidState, match="isn't established yet"):
            await made.ensure_open()
        assert not hasattr(made, "path")
        made.fail_connection()
        assert made.closed

    run(main)


@pytest.mark.parametrize("secure", [False, True])
def test_unix_sockets(secure: bool, short_tmp_path: Path, certificates: Any) -> None:
    path = str(short_tmp_path / "s")

    async def main() -> None:
        context = certificates.server_context() if secure else None
        trusting = {"ssl": certificates.client_context()} if secure else {}
        uri = {"uri": "wss://localhost/x"} if secure else {}
        async with (
            server.unix_serve(echo, path, ssl=context),
            client.unix_connect(path, **uri, **trusting) as websocket,
        ):
            await websocket.send("x")
            assert await websocket.recv() == "x"
            assert websocket.path == ("/x" if secure else "/")

    run(main)


# --- servers ------------------------------------------------------------------------------------------------------------


def test_a_handler_that_takes_the_path() -> None:
    seen: list[Any] = []

    async def handler(websocket: Any, path: str) -> None:
        seen.append((path, websocket.path, websocket.request_headers["X-A"], websocket.origin, websocket.is_client))
        await websocket.send("x")

    async def main() -> None:
        with pytest.warns(DeprecationWarning, match="remove second argument of ws_handler"):
            serving_old = server.serve(handler, "127.0.0.1", 0)
        async with serving_old as made:
            port = made.sockets[0].getsockname()[1]
            async with client.connect(f"ws://127.0.0.1:{port}/p", extra_headers={"X-A": "1"}, origin="o") as websocket:
                assert await websocket.recv() == "x"

    run(main)
    assert seen == [("/p", "/p", "1", "o", False)]


def test_answers_of_the_program() -> None:
    async def process_request(path: str, request_headers: Headers) -> Any:
        if path == "/health":
            return http.HTTPStatus.OK, {"X-Checked": request_headers["X-A"]}, b"fine\n"
        if path == "/abort":
            raise legacy_exceptions.AbortHandshake(429, [("Retry-After", "1")], b"later")
        if path == "/invalid":
            raise exceptions.InvalidHeader("X-Key")
        return None

    async def main() -> None:
        options = {"process_request": process_request, "extra_headers": lambda path, headers: {"X-Path": path}}
        async with serving(**options) as (_, uri):
            found = {}
            for path in ("/health", "/abort", "/invalid"):
                with pytest.raises(legacy_exceptions.InvalidStatusCode) as caught:
                    await client.connect(uri + path, extra_headers={"X-A": "1"})
                found[path] = caught.value.status_code, dict(caught.value.headers.raw_items())
            assert found["/health"][0] == 200
            assert (
                found["/health"][1].items() >= {"X-Checked": "1", "Content-Length": "5", "Connection": "close"}.items()
            )
            assert (found["/abort"][0], found["/abort"][1]["Retry-After"]) == (429, "1")
            assert found["/invalid"][0] == 400
            async with client.connect(f"{uri}/y") as websocket:
                assert websocket.response_headers["X-Path"] == "/y"
                assert websocket.response_headers.get_all("Server") == [server.SERVER]
                assert len(websocket.response_headers.get_all("Date")) == 1

    run(main)


def test_a_protocol_of_ones_own() -> None:
    class Mine(server.WebSocketServerProtocol):  # type: ignore[misc]
        async def process_request(self, path: str, request_headers: Headers) -> Any:
            self.tenant = request_headers.get("X-Tenant")
            return None if self.tenant else (http.HTTPStatus.BAD_REQUEST, [], b"")

        def select_subprotocol(self, client_subprotocols: Any, server_subprotocols: Any) -> Any:
            return client_subprotocols[-1]

    async def handler(websocket: Any) -> None:
        assert type(websocket) is Mine
        assert websocket.ws_server.is_serving()
        await websocket.send(websocket.tenant)

    async def main() -> None:
        async with serving(handler, create_protocol=Mine, subprotocols=["a"], server_header=None) as (_, uri):
            options = {"extra_headers": {"X-Tenant": "t"}, "subprotocols": ["b", "a"]}
            async with client.connect(uri, **options) as websocket:
                assert await websocket.recv() == "t"
                assert websocket.subprotocol == "a"
                assert "Server" not in websocket.response_headers
            with pytest.raises(legacy_exceptions.InvalidStatusCode, match="400"):
                await client.connect(uri)

    run(main)


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [(["a", "b"], ["b", "a"], "a"), (["a", "b", "c"], ["c", "b"], "b"), (["a"], ["b"], None), (None, ["b"], None)],
)
def test_subprotocols(ours: Any, theirs: Any, chosen: Any) -> None:
    async def main() -> Any:
        async with serving(subprotocols=ours) as (_, uri), client.connect(uri, subprotocols=theirs) as websocket:
            return websocket.subprotocol

    assert run(main) == chosen


def test_serving_before_there_is_a_loop() -> None:
    serving_later = server.serve(echo, "127.0.0.1", 0, origins=[None])
    assert not hasattr(serving_later, "ws_server")

    async def main() -> None:
        made = await serving_later
        assert made is serving_later.ws_server is made.server
        assert isinstance(made, server.WebSocketServer)
        assert made.get_loop() is asyncio.get_running_loop()
        uri = f"ws://127.0.0.1:{made.sockets[0].getsockname()[1]}"
        websocket = await client.connect(uri)
        with pytest.raises(legacy_exceptions.InvalidStatusCode, match="403"):
            await client.connect(uri, origin="http://elsewhere")
        made.close()
        await made.wait_closed()
        await websocket.wait_closed()
        assert websocket.close_code == 1001
        assert not made.is_serving()

    run(main)


def test_the_oldest_arguments_of_servers() -> None:
    class Mine(server.WebSocketServerProtocol):  # type: ignore[misc]
        pass

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        server.serve(echo, "127.0.0.1", 0, timeout=1, klass=Mine, origins=[""])
    assert {str(warning.message) for warning in caught} == {
        "rename timeout to close_timeout",
        "rename klass to create_protocol",
        "use None instead of '' in origins",
    }


def test_broadcasting() -> None:
    async def main() -> list[Any]:
        async with serving() as (made, uri):
            websockets = [await client.connect(uri) for _ in range(3)]
            while len(made.websockets) < 3:
                await asyncio.sleep(0)
            server.broadcast(made.websockets, "all")
            received = [await websocket.recv() for websocket in websockets]
            for websocket in websockets:
                await websocket.close()
            return received

    assert run(main) == ["all"] * 3


# --- credentials --------------------------------------------------------------------------------------------------------


async def check(username: str, password: str) -> bool:
    return username == "u" and password == "p"


@pytest.mark.parametrize(
    "options", [{"credentials": ("u", "p")}, {"credentials": [("a", "b"), ("u", "p")]}, {"check_credentials": check}]
)
def test_credentials(options: dict[str, Any]) -> None:
    users = []

    async def handler(websocket: Any) -> None:
        users.append(websocket.username)

    async def main() -> None:
        factory = auth.basic_auth_protocol_factory(realm="r", **options)
        async with serving(handler, create_protocol=factory) as (_, uri):
            async with client.connect(uri.replace("://", "://u:p@")) as websocket:
                await websocket.wait_closed()
            for wrong in (uri, uri.replace("://", "://u:q@"), uri.replace("://", "://v:p@")):
                with pytest.raises(legacy_exceptions.InvalidStatusCode, match="401") as caught:
                    await client.connect(wrong)
                assert caught.value.headers["WWW-Authenticate"] == 'Basic realm="r", charset="UTF-8"'
            with pytest.raises(legacy_exceptions.InvalidStatusCode, match="401"):
                await client.connect(uri, extra_headers={"Authorization": "Bearer x"})

    run(main)
    assert users == ["u"]


@pytest.mark.parametrize(
    "options",
    [{}, {"credentials": ("u", "p"), "check_credentials": check}, {"credentials": 1}, {"credentials": [("u", 1)]}],
)
def test_no_credentials_to_check(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="credentials"):
        auth.basic_auth_protocol_factory(**options)


def test_what_aborts_says_what_it_answers() -> None:
    abort = legacy_exceptions.AbortHandshake(404, {"a": "b"}, b"gone")
    assert str(abort) == "HTTP 404, 1 headers, 4 bytes"
    assert str(legacy_exceptions.RedirectHandshake("/x")) == "redirect to /x"
    assert legacy_exceptions.WebSocketProtocolError is exceptions.ProtocolError
