"""The routers of the `websockets` API, in both colours."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from drivetrain.compat.websockets_api import routing
from drivetrain.engine.errors import WebSocketHandshakeError
from tests.compat.websockets_api.server_support import COLOURS, ROUTERS, Running, coloured, handshake
from tests.support.certificates import Certificates

pytestmark = pytest.mark.parametrize("colour", COLOURS)


@pytest.fixture
def werkzeug() -> Any:
    """werkzeug.routing, where it is installed."""
    return pytest.importorskip("werkzeug.routing")


async def channel(connection: Any, channel_id: uuid.UUID) -> None:
    await connection.send(f"{type(channel_id).__name__} {channel_id}")


async def home(connection: Any) -> None:
    await connection.send("home")


async def search(connection: Any, **found: Any) -> None:
    await connection.send(f"{sorted(found)} {connection.request.path}")


class Routing:
    """A server that routes."""

    def __init__(self, colour: str, rules: Any, **options: Any) -> None:
        url_map = rules.Map(
            [
                rules.Rule("/", endpoint=coloured_with(colour, home)),
                rules.Rule("/channel/<uuid:channel_id>", endpoint=coloured_with(colour, channel)),
                rules.Rule("/search/", endpoint=coloured_with(colour, search)),
                rules.Rule("/old", redirect_to="/search/"),
            ]
        )
        options = {"server_name": None, **options}
        self.running = Running(colour, lambda: ROUTERS[colour].route(url_map, "127.0.0.1", 0, **options))

    def __enter__(self) -> Running:
        return self.running

    def __exit__(self, *_: object) -> None:
        self.running.close()


def coloured_with(colour: str, handler: Any) -> Any:
    """`coloured`, for handlers with further arguments."""
    if colour == "asyncio":
        return handler

    def handle(connection: Any, **kwargs: Any) -> None:
        async def call(awaited: Any) -> None:
            await handler(awaited, **kwargs)

        coloured(colour, call)(connection)

    return handle


def test_a_path_leads_to_its_handler(colour: str, werkzeug: Any) -> None:
    number = uuid.uuid4()
    with Routing(colour, werkzeug) as running:
        for path, expected in {
            "/": "home",
            f"/channel/{number}": f"UUID {number}",
            "/search/?q=x": "[] /search/?q=x",
        }.items():
            websocket = running.connect(path)
            assert websocket.receive(10) == expected
            assert websocket.receive(10) is None


def test_other_paths_are_not_found(colour: str, werkzeug: Any) -> None:
    with Routing(colour, werkzeug) as running:
        answer = running.ask(handshake(path="/channel/none"))
        assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert answer.endswith(b"\r\n\r\nNot Found")


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({}, "ws://localhost"),
        ({"server_name": "chat.example"}, "ws://chat.example"),
        ({"ssl": True}, "wss://localhost"),
    ],
)
def test_redirects_are_told(colour: str, werkzeug: Any, options: dict[str, Any], start: str) -> None:
    with Routing(colour, werkzeug, **options) as running:
        for path in ("/old", "/search"):
            answer = running.ask(handshake(path=path)).decode()
            assert answer.startswith("HTTP/1.1 302 Found\r\n")
            assert f"\r\nLocation: {start}/search/\r\n" in answer
            assert answer.endswith(f"Found at {start}/search/")


def test_a_request_without_a_host_fails_in_the_program(colour: str, werkzeug: Any) -> None:
    with Routing(colour, werkzeug) as running:
        request = handshake().replace(b"Host: localhost\r\n", b"")
        assert running.ask(request).startswith(b"HTTP/1.1 500 ")


def test_the_programs_own_hook_comes_first(colour: str, werkzeug: Any) -> None:
    def process_request(connection: Any, request: Any) -> Any:
        return connection.respond(403, "no\n") if request.path == "/" else None

    async def process_request_later(connection: Any, request: Any) -> Any:
        return process_request(connection, request)

    hooks = [process_request, *([process_request_later] if colour == "asyncio" else [])]
    for hook in hooks:
        with Routing(colour, werkzeug, process_request=hook) as running:
            with pytest.raises(WebSocketHandshakeError, match="403"):
                running.connect("/")
            with running.connect("/search/") as websocket:
                assert websocket.receive(10) == "[] /search/"


def test_a_router_can_be_customized(colour: str, werkzeug: Any) -> None:
    class Custom(ROUTERS[colour].Router):  # type: ignore[misc]
        def not_found(self, connection: Any) -> Any:
            return connection.respond(410, "gone\n")

    with Routing(colour, werkzeug, create_router=Custom) as running:
        assert running.ask(handshake(path="/none")).startswith(b"HTTP/1.1 410 Gone\r\n")


def test_a_router_can_listen_on_a_unix_socket(colour: str, werkzeug: Any, short_tmp_path: Path) -> None:
    path = short_tmp_path / "socket"
    running = Running(colour, lambda: ROUTERS[colour].unix_route(werkzeug.Map([]), path))
    assert path.exists()
    running.close()


def test_a_router_can_be_secure(colour: str, werkzeug: Any, certificates: Certificates) -> None:
    with Routing(colour, werkzeug, ssl=certificates.server_context()) as running:
        assert running.ask(b"GET / HTTP/1.1\r\n\r\n")[:1] in (b"", b"\x15")


def test_without_werkzeug_it_says_so(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_has_werkzeug", False)
    with pytest.raises(ImportError, match=r"route\(\) requires werkzeug"):
        ROUTERS[colour].route(None, "127.0.0.1", 0)
    with pytest.raises(ImportError, match=r"unix_route\(\) requires werkzeug"):
        ROUTERS[colour].unix_route(None, "path")
