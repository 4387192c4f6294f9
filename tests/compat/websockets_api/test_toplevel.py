"""The top of the package: names that come when they are asked for, deprecated ones, the protocols that are names only."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import warnings
from typing import Any

import pytest

from drivetrain.compat import websockets_api
from drivetrain.compat.websockets_api import client, protocol, sans_io, server
from drivetrain.compat.websockets_api.asyncio.client import connect
from drivetrain.compat.websockets_api.asyncio.server import serve

DEPRECATED = {
    "AbortHandshake": "legacy.exceptions",
    "BasicAuthWebSocketServerProtocol": "legacy.auth",
    "InvalidStatusCode": "legacy.exceptions",
    "RedirectHandshake": "legacy.exceptions",
    "WebSocketClientProtocol": "legacy.client",
    "WebSocketCommonProtocol": "legacy.protocol",
    "WebSocketProtocolError": "legacy.exceptions",
    "WebSocketServer": "legacy.server",
    "WebSocketServerProtocol": "legacy.server",
    "WebSocketURI": "uri",
    "basic_auth_protocol_factory": "legacy.auth",
    "parse_uri": "uri",
}
MODULES = [
    *("asyncio", "asyncio.client", "asyncio.connection", "asyncio.router", "asyncio.server"),
    *("sync", "sync.client", "sync.connection", "sync.router", "sync.server"),
    *("exceptions", "frames", "datastructures", "http11", "typing", "uri", "headers", "version", "protocol", "proxy"),
    *("extensions", "extensions.base", "extensions.permessage_deflate", "streams", "utils", "client", "server", "cli"),
]
DEPRECATED_MODULES = (
    "legacy legacy.client legacy.server legacy.protocol legacy.exceptions legacy.auth connection auth http"
)
PACKAGE = "drivetrain.compat.websockets_api"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_is_there() -> None:
    missing = [name for name in websockets_api.__all__ if getattr(websockets_api, name, None) is None]
    assert missing == []
    assert {*websockets_api.__all__, *DEPRECATED, "legacy", "sync"} <= set(dir(websockets_api))
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        websockets_api.conect  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    out = run(
        f"import sys, {PACKAGE} as w; print(w.__version__, *(m for m in sys.modules if m.startswith('drivetrain')))"
    )
    version, *modules = out.split()
    assert version == websockets_api.version.version == "17.4"
    assert {"asyncio.client", "sync.client", "exceptions"}.isdisjoint(
        name.removeprefix(f"{PACKAGE}.") for name in modules
    )
    assert "drivetrain.engine" not in modules


@pytest.mark.parametrize("name", DEPRECATED)
def test_a_deprecated_name_says_so(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"{PACKAGE}.{DEPRECATED[name]}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = getattr(websockets_api, name)
    assert f"websockets.{name} is deprecated" in [str(warning.message) for warning in caught]
    assert {warning.category for warning in caught} == {DeprecationWarning}
    assert found.__name__ == {"WebSocketProtocolError": "ProtocolError"}.get(name, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (client, "connect"),
        (client, "unix_connect"),
        (client, "WebSocketClientProtocol"),
        (server, "serve"),
        (server, "unix_serve"),
        (server, "broadcast"),
        (server, "WebSocketServer"),
        (server, "WebSocketServerProtocol"),
    ],
)
def test_the_old_homes_lead_to_the_deprecated_api(module: Any, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"{PACKAGE}.legacy.server")
        importlib.import_module(f"{PACKAGE}.legacy.client")
    shown = module.__name__.rpartition(".")[2]
    with pytest.warns(DeprecationWarning, match=rf"^websockets\.{shown}\.{name} is deprecated$"):
        found = getattr(module, name)
    assert name == "broadcast" or ".legacy." in found.__module__


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_an_attribute(name: str) -> None:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    found: Any = websockets_api
    for part in name.split("."):
        found = getattr(found, part)
    assert found is module


def test_modules_need_not_be_imported() -> None:
    out = run(f"import {PACKAGE} as w; print(w.exceptions.ConnectionClosed.__name__, w.sync.__name__)")
    assert out == f"ConnectionClosed {PACKAGE}.sync\n"


@pytest.mark.parametrize("name", DEPRECATED_MODULES.split())
def test_a_deprecated_module_says_so_when_it_is_imported(name: str) -> None:
    code = f"import warnings; warnings.simplefilter('always'); import {PACKAGE}.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "DeprecationWarning: " in done.stderr


def test_when_to_connect_again_is_in_the_client() -> None:
    delays = client.backoff(0.0, 1.0, 3.0, 2.0)
    assert [next(delays) for _ in range(5)] == [0.0, 1.0, 2.0, 3.0, 3.0]
    assert client.process_exception(OSError()) is None
    error = ValueError()
    assert client.process_exception(error) is error
    assert client.BACKOFF_MIN_DELAY < client.BACKOFF_MAX_DELAY


# --- protocols without I/O ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [protocol.Protocol, client.ClientProtocol, server.ServerProtocol])
def test_a_protocol_cannot_be_made(kind: Any) -> None:
    with pytest.raises(sans_io.NoSansIOError, match=f"{kind.__name__} cannot be used without a connection"):
        kind("ws://localhost/")
    assert issubclass(sans_io.NoSansIOError, NotImplementedError)
    assert not isinstance(object(), kind)


@pytest.mark.parametrize("kind", [client.ClientConnection, server.ServerConnection])
def test_their_older_names_say_so(kind: Any) -> None:
    new = kind.__name__.replace("Connection", "Protocol")
    with (
        pytest.warns(DeprecationWarning, match=f"{kind.__name__} was renamed to {new}"),
        pytest.raises(sans_io.NoSansIOError),
    ):
        kind()


def test_what_connections_show_is_an_instance_of_them() -> None:
    served: list[Any] = []

    async def handler(websocket: Any) -> None:
        served.append(websocket.protocol)
        await websocket.wait_closed()

    async def main() -> Any:
        async with serve(handler, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as websocket:
                assert websocket.protocol.state is websockets_api.State.OPEN
        return websocket.protocol

    ours, theirs = asyncio.run(main()), served[0]
    kinds = protocol.Protocol, client.ClientProtocol, server.ServerProtocol
    assert [isinstance(ours, kind) for kind in kinds] == [True, True, False]
    assert [isinstance(theirs, kind) for kind in kinds] == [True, False, True]
    assert ours.state is websockets_api.protocol.CLOSED
    assert isinstance(ours.close_exc, websockets_api.ConnectionClosedOK)
