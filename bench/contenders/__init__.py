"""Who takes part. The modules beside this one are imported in the children only, so that nobody pays for another."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    name: str
    module: str
    colour: str
    distribution: str | None = None
    imports: str | None = None
    ours: bool = False
    environment: str | None = None


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
    Contender("drivetrain urlopen", "own_urlopen", "sync", "drivetrain", "drivetrain.compat.urllib_api", ours=True),
    Contender("pycurl", "pycurl_easy", "sync", "pycurl", "pycurl"),
    Contender("pycurl (multi)", "pycurl_multi", "batch", "pycurl"),
    Contender("http.client", "http_client", "sync", None, "http.client"),
    Contender("urllib.request.urlopen", "stdlib_urlopen", "sync", None, "urllib.request"),
    Contender("urllib3", "urllib3_pool", "sync", "urllib3", "urllib3"),
    Contender("requests", "requests_session", "sync", "requests", "requests"),
    Contender("httpx", "httpx_sync", "sync", "httpx", "httpx"),
    Contender("httpx (async)", "httpx_async", "async", "httpx"),
    Contender("aiohttp", "aiohttp_session", "async", "aiohttp", "aiohttp"),
    Contender("niquests", "niquests_sync", "sync", "niquests", "niquests", environment=".venv-niquests"),
    Contender("niquests (async)", "niquests_async", "async", "niquests", environment=".venv-niquests"),
)
