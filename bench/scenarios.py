"""What is measured, and what the project means to reach."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["SCENARIOS", "Scenario", "Target"]

NATIVE, NATIVE_ASYNC = "drivetrain Client", "drivetrain AsyncClient"
LARGE = 100_000_000  # bytes


@dataclass(frozen=True)
class Target:
    """`ours` at most `limit` times `peer` in CPU time; without a peer, at most `limit` bytes of memory growth.

    With `rate`, at least `limit` times as many operations a second as `peer`.
    """

    ours: str
    peer: str | None
    limit: float
    rate: bool = False


@dataclass(frozen=True)
class Scenario:
    """One table.

    Attributes:
        name: of the scenario and its results file.
        title, about: for the report.
        work: what the contenders do (see `bench.job`); "import" is done by the runner itself.
        colours: of the contenders that take part.
        ours: the door that ratios are given to.
        count, quick_count: operations a round.
        unit: "us" or "ms".
        size: bytes of body.
        concurrency: operations at a time.
        tls: over https.
        http2: over HTTP/2.
        memory: whether the growth of memory is shown.
        compression: with permessage-deflate.
        connections: how many are held at a time.
        rate: whether operations a second are shown.
        cpus: on how many client and server run, see `bench.placement`.
        targets: see `Target`.
    """

    name: str
    title: str
    about: str
    work: str
    colours: tuple[str, ...]
    ours: str = NATIVE
    count: int = 1
    quick_count: int = 1
    unit: str = "us"
    size: int = 100
    concurrency: int = 1
    tls: bool = False
    http2: bool = False
    memory: bool = False
    rate: bool = False
    compression: bool = False
    connections: int = 1
    cpus: str = ""
    targets: tuple[Target, ...] = ()

    @property
    def websocket(self) -> bool:
        """Whether it is about WebSockets."""
        return self.work.startswith("ws_")


H2_GET_TARGETS = (Target(NATIVE, "httpx", 0.55), Target(NATIVE_ASYNC, "httpx (async)", 0.55))

BESIDE = "drivetrain websockets_api, compiled masker"


def _echo_targets(sync: float, asyncio: float, size: int) -> tuple[Target, ...]:
    targets = [
        Target(f"{name}{suffix}", f"websockets{suffix}", limit)
        for name in ("drivetrain websockets_api", BESIDE)
        for suffix, limit in ((" (sync)", sync), ("", asyncio))
    ]
    if size == 100:
        targets.append(Target("drivetrain WebSocket", "wsproto on a socket", 1.25))
    return tuple(targets)


def _echoes(title: str, name: str, size: int, count: int, *, sync: float, asyncio: float) -> tuple[Scenario, Scenario]:
    """A message there and back, as it is and compressed."""
    plain = Scenario(
        f"ws_echo_{name}",
        f"WebSocket: echo of {title}",
        "One message there and back on one connection in clear. Where `websockets` is installed, the engine uses the masker that"
        " it has compiled; the rows that say so are measured there, our others where it is not.",
        "ws_echo",
        ("sync", "async"),
        ours="drivetrain WebSocket",
        count=count,
        quick_count=max(count // 5, 5),
        size=size,
        targets=_echo_targets(sync, asyncio, size),
    )
    about = (
        "The same with permessage-deflate, as each library has it by default. Half of a message of bytes is repetitive."
    )
    compressed = replace(
        plain,
        name=f"{plain.name}_deflate",
        title=f"{plain.title}, compressed",
        about=about,
        compression=True,
        targets=(),
    )
    return plain, compressed


SMALL_GET = Scenario(
    "small_get",
    "Small GET, blocking",
    "100 bytes over one kept-alive connection (urllib.request's urlopen opens a new one each time). Client and server share a"
    " CPU, so that all of the client's CPU time is work of the client's.",
    "small_get",
    ("sync",),
    count=1000,
    quick_count=200,
    cpus="one",
    targets=(
        Target(NATIVE, "pycurl", 1.1),
        Target(NATIVE, "raw sockets (the floor)", 2.2),
        Target("requests + drivetrain adapter", "requests", 0.74),
        Target("drivetrain requests_api", "requests", 0.4),
        Target("drivetrain urlopen", "urllib.request.urlopen", 0.5),
    ),
)

SCENARIOS = (
    SMALL_GET,
    replace(
        SMALL_GET,
        name="small_get_two_cpus",
        title="Small GET, blocking, on two CPUs",
        about="The same with the server on another CPU than the client's, which is then asleep when the answer comes. What it"
        " costs to wake up, and how slow everything is right after that, is the machine's affair, of virtual ones above all.",
        cpus="two",
    ),
    Scenario(
        "small_get_async_1",
        "Small GET, asyncio, one at a time",
        "100 bytes over one kept-alive connection.",
        "small_get",
        ("async",),
        ours=NATIVE_ASYNC,
        count=1000,
        quick_count=200,
        targets=(Target(NATIVE_ASYNC, "aiohttp", 0.75),),
    ),
    Scenario(
        "small_get_async_50",
        "Small GET, asyncio, 50 at a time",
        "100 bytes over up to 50 kept-alive connections; limits on the number of connections are raised where they are"
        " lower than that.",
        "small_get",
        ("async",),
        ours=NATIVE_ASYNC,
        count=2000,
        quick_count=500,
        concurrency=50,
        targets=(Target(NATIVE_ASYNC, "aiohttp", 0.6),),
    ),
    Scenario(
        "download",
        "100 MB download",
        "Read in pieces (of 64 KiB where the library lets one choose; 512 KiB on the floor), nothing kept.",
        "download",
        ("sync", "async"),
        unit="ms",
        size=LARGE,
        memory=True,
        targets=(Target(NATIVE, "requests", 0.6), Target(NATIVE, None, 16e6), Target(NATIVE_ASYNC, None, 16e6)),
    ),
    Scenario(
        "upload_file",
        "100 MB upload from a file",
        "The length is known beforehand; each library reads the file as it likes.",
        "upload_file",
        ("sync", "async"),
        unit="ms",
        size=LARGE,
        memory=True,
    ),
    Scenario(
        "upload_pieces",
        "100 MB upload from an iterator",
        "Pieces of 64 KiB of a body whose length is not known (chunked transfer coding).",
        "upload_pieces",
        ("sync", "async"),
        unit="ms",
        size=LARGE,
        memory=True,
    ),
    Scenario(
        "handshake",
        "New TLS connection and one small GET",
        "A full handshake each time (no session is resumed), the certificate verified against one given authority.",
        "handshake",
        ("sync", "async"),
        count=100,
        quick_count=20,
        tls=True,
    ),
    Scenario(
        "h2_get",
        "Small GET over HTTP/2 in clear",
        "100 bytes, one request at a time on one connection, HTTP/2 known beforehand.",
        "h2_get",
        ("sync", "async"),
        count=1000,
        quick_count=200,
        http2=True,
        targets=H2_GET_TARGETS,
    ),
    Scenario(
        "h2_get_tls",
        "Small GET over HTTP/2 and TLS",
        "100 bytes, one request at a time on one connection.",
        "h2_get",
        ("sync", "async"),
        count=1000,
        quick_count=200,
        tls=True,
        http2=True,
        targets=H2_GET_TARGETS,
    ),
    Scenario(
        "h2_tasks",
        "Small GET over HTTP/2 and TLS, 50 at a time",
        "100 bytes; tasks, or a loop of the library's own, on one connection (niquests' tasks each open their own).",
        "h2_many",
        ("async", "batch"),
        ours=NATIVE_ASYNC,
        count=2000,
        quick_count=500,
        concurrency=50,
        tls=True,
        http2=True,
        rate=True,
        targets=(Target(NATIVE_ASYNC, "httpx (async)", 0.25), Target(NATIVE_ASYNC, "h2 on a socket, in one loop", 1.5)),
    ),
    Scenario(
        "h2_threads",
        "Small GET over HTTP/2 and TLS, 50 threads",
        "100 bytes; the threads share one client (and but for niquests one connection). httpx's threads break theirs now and"
        " then; the requests that hits are sent again.",
        "h2_threads",
        ("sync",),
        count=2000,
        quick_count=500,
        concurrency=50,
        tls=True,
        http2=True,
        rate=True,
        targets=(Target(NATIVE, "httpx", 3.0, rate=True),),
    ),
    Scenario(
        "session_threads",
        "One requests.Session, 50 threads, TLS",
        "100 bytes from a server that speaks HTTP/2; requests by itself asks it over HTTP/1.1. Every session is as by default,"
        " whose pool keeps ten connections; requests takes part once more with one for each thread. With the adapter alone"
        " requests' own code, of which one thread at a time can run, is what bounds it.",
        "session_threads",
        ("sync",),
        ours="requests, drivetrain installed",
        count=2000,
        quick_count=500,
        concurrency=50,
        tls=True,
        http2=True,
        rate=True,
        targets=(
            Target("requests, drivetrain installed", "requests", 2.0, rate=True),
            Target("requests + drivetrain adapter", "requests", 2.0, rate=True),
            Target("requests, drivetrain installed", "requests, 50 connections", 2.0, rate=True),
        ),
    ),
    Scenario(
        "h2_download",
        "100 MB download over HTTP/2 and TLS",
        "Read in pieces (of 64 KiB where the library lets one choose), nothing kept. A profile of the blocking client shows"
        " decryption and frames at about a third of the CPU time; the larger part passes in the system calls that open the"
        " windows, which on the loopback interface carry the server's next segments before they return.",
        "h2_download",
        ("sync", "async"),
        unit="ms",
        size=LARGE,
        tls=True,
        http2=True,
        memory=True,
        targets=(Target(NATIVE, "httpx", 0.5), Target(NATIVE_ASYNC, "httpx (async)", 0.5)),
    ),
    Scenario(
        "h2_upload",
        "100 MB upload over HTTP/2 and TLS",
        "From a file; the length is known beforehand.",
        "h2_upload",
        ("sync", "async"),
        unit="ms",
        size=LARGE,
        tls=True,
        http2=True,
        memory=True,
    ),
    *_echoes("100 bytes of text", "100", 100, 1000, sync=0.77, asyncio=0.85),
    *_echoes("16 KiB", "16k", 16 * 1024, 500, sync=1.0, asyncio=1.0),
    *_echoes("1 MiB", "1m", 1024 * 1024, 20, sync=1.0, asyncio=1.0),
    Scenario(
        "ws_connect",
        "WebSocket: open and close",
        "A new connection, both handshakes, in clear.",
        "ws_connect",
        ("sync", "async"),
        ours="drivetrain WebSocket",
        count=300,
        quick_count=50,
        size=0,
        rate=True,
    ),
    Scenario(
        "ws_idle",
        "WebSocket: 500 connections",
        "The growth of memory is that of opening 500 connections (in clear, keep-alive as it is by default) and of one echo on"
        " each; the times are those of one more echo on each, on asyncio all at the same time.",
        "ws_idle",
        ("sync", "async"),
        ours="drivetrain WebSocket",
        count=1,
        unit="ms",
        size=0,
        connections=500,
        memory=True,
    ),
    Scenario(
        "import",
        "Import",
        "A fresh interpreter that imports the library, less one that imports nothing.",
        "import",
        ("sync", "async"),
        count=3,
        unit="ms",
        targets=(Target(NATIVE, "requests", 1.0),),
    ),
)
