"""Who takes part. The modules beside this one are imported in the children only, so that nobody pays for another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CONTENDERS", "Contender"]


@dataclass(frozen=True)
class Contender:
    """One client library used in one way.

    Attributes:
        name: as the tables show it.
        module: in this package.
        colour: "sync", "async" or "batch" (does many operations by a loop of its own; see `bench.job`).
        distribution: whose version is shown; None for the standard library.
        imports: what `import time` is measured on; None to leave it out.
        ours: one of drivetrain's own doors.
        environment: a virtual environment of its own, beside the main one.
        websocket: takes part in the scenarios of WebSockets, and in no others.
    """

    name: str
    module: str
    colour: str
    distribution: str | None = None
    imports: str | None = None
    ours: bool = False
    environment: str | None = None
    websocket: bool = False


# Where `websockets` is installed, the engine takes the masker that it has compiled.
PEERS = ".venv-peers"


def _websockets_api(name: str, environment: str | None = None) -> tuple[Contender, Contender]:
    """`websockets_api` in both colours."""
    settings: dict[str, Any] = {
        "distribution": "drivetrain",
        "ours": True,
        "environment": environment,
        "websocket": True,
    }
    return (
        Contender(f"{name} (sync)", "ws_api", "sync", **settings),
        Contender(name, "ws_api_async", "async", **settings),
    )


CONTENDERS = (
    Contender("raw sockets (the floor)", "raw_sockets", "sync"),
    Contender("raw asyncio protocol (the floor)", "raw_asyncio", "async"),
    Contender("h2 on a socket", "raw_h2", "sync", "h2"),
    Contender("h2 on a socket, in one loop", "raw_h2_loop", "batch", "h2"),
    Contender("drivetrain Client", "native_sync", "sync", "drivetrain", "drivetrain.engine", ours=True),
    Contender("drivetrain AsyncClient", "native_async", "async", "drivetrain", ours=True),
    Contender(
        "requests + drivetrain adapter",
        "adapter_requests",
        "sync",
        "drivetrain",
        "drivetrain.compat.requests_api",
        ours=True,
    ),
    Contender("drivetrain requests_api", "module_requests", "sync", "drivetrain", ours=True),
    Contender("requests, drivetrain installed", "installed_requests", "sync", "drivetrain", ours=True),
    Contender("drivetrain urlopen", "own_urlopen", "sync", "drivetrain", "drivetrain.compat.urllib_api", ours=True),
    Contender("pycurl", "pycurl_easy", "sync", "pycurl", "pycurl"),
    Contender("pycurl (multi)", "pycurl_multi", "batch", "pycurl"),
    Contender("http.client", "http_client", "sync", None, "http.client"),
    Contender("urllib.request.urlopen", "stdlib_urlopen", "sync", None, "urllib.request"),
    Contender("urllib3", "urllib3_pool", "sync", "urllib3", "urllib3"),
    Contender("requests", "requests_session", "sync", "requests", "requests"),
    Contender("requests, 50 connections", "requests_large_pool", "sync", "requests"),
    Contender("httpx", "httpx_sync", "sync", "httpx", "httpx"),
    Contender("httpx (async)", "httpx_async", "async", "httpx"),
    Contender("aiohttp", "aiohttp_session", "async", "aiohttp", "aiohttp"),
    Contender("niquests", "niquests_sync", "sync", "niquests", "niquests", environment=".venv-niquests"),
    Contender("niquests (async)", "niquests_async", "async", "niquests", environment=".venv-niquests"),
    Contender("wsproto on a socket", "ws_bare", "sync", "wsproto", websocket=True),
    Contender("drivetrain WebSocket", "ws_native", "sync", "drivetrain", ours=True, websocket=True),
    Contender("drivetrain AsyncWebSocket", "ws_native_async", "async", "drivetrain", ours=True, websocket=True),
    *_websockets_api("drivetrain websockets_api"),
    *_websockets_api("drivetrain websockets_api, compiled masker", PEERS),
    Contender("websockets (sync)", "ws_websockets", "sync", "websockets", environment=PEERS, websocket=True),
    Contender("websockets", "ws_websockets_async", "async", "websockets", environment=PEERS, websocket=True),
    Contender("websocket-client", "ws_websocket_client", "sync", "websocket-client", environment=PEERS, websocket=True),
    Contender("aiohttp", "ws_aiohttp", "async", "aiohttp", environment=PEERS, websocket=True),
    Contender("picows", "ws_picows", "async", "picows", environment=PEERS, websocket=True),
)
