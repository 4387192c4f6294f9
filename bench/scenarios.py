"""What is measured, and what the project means to reach."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SCENARIOS", "Scenario", "Target"]

NATIVE, NATIVE_ASYNC = "drivetrain Client", "drivetrain AsyncClient"
LARGE = 100_000_000  # bytes


@dataclass(frozen=True)
class Target:
    """`ours` at most `limit` times `peer` in CPU time; without a peer, at most `limit` bytes of memory growth."""

    ours: str
    peer: str | None
    limit: float


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
        memory: whether the growth of memory is shown.
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
    memory: bool = False
    targets: tuple[Target, ...] = ()


SCENARIOS = (
    Scenario(
        "small_get",
        "Small GET, blocking",
        "100 bytes over one kept-alive connection (urllib.request's urlopen opens a new one each time).",
        "small_get",
        ("sync",),
        count=1000,
        quick_count=200,
        targets=(
            Target(NATIVE, "pycurl", 1.1),
            Target(NATIVE, "raw sockets (the floor)", 2.2),
            Target("requests + drivetrain adapter", "requests", 0.77),
            Target("drivetrain urlopen", "urllib.request.urlopen", 0.55),
        ),
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
