"""Many WebSockets that are open and have nothing to say, and what they cost: an asyncio server, in a process of its own.

    python -X dev -W error tests/soak/websocket_idle.py [--connections 5000] [--tls] [--compression]

They are opened, each is used once, they are left alone, each is used once more (a server may have forgotten nothing), and
closed. Printed is how long that took, and the memory of a connection in each process: what the process has grown by, divided
by their number. It fails where that is more than `--most` bytes, or where anything is left at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drivetrain.engine import AsyncClient, AsyncServer, AsyncWebSocket
from drivetrain.engine.errors import WebSocketError
from tests.support.certificates import Certificates

__all__ = ["main"]

_PATIENCE = 60.0
_AT_ONCE = 50


def memory() -> int:
    """The resident memory of this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not say")


def allow_files(count: int) -> None:
    """Let this process have so many open files.

    Raises:
        ValueError: the system does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))


# --- the server's process ---------------------------------------------------------------------------------------------


async def echo(_: AsyncServer, stream: Any) -> None:
    """The handler."""
    websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers(), compression=True)
    assert websocket is not None
    await websocket.accept()
    async with websocket:
        with contextlib.suppress(WebSocketError):
            async for message in websocket:
                await websocket.send(message)


async def serve(certificate: str | None, key: str | None) -> None:
    """Serve, and answer each line of standard input with the memory and the count of connections."""
    context = None
    if certificate is not None:
        import ssl

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    errors: list[BaseException] = []
    async with AsyncServer(echo, lambda _, error, __: errors.append(error), context=context) as server:
        print(server.localname().port, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            gc.collect()
            print(memory(), server.connections, len(errors), flush=True)


class Served:
    """The server's process, asked from this one."""

    def __init__(self, certificates: Certificates | None) -> None:
        files = [] if certificates is None else [str(certificates.server_file), str(certificates.server_key)]
        command = [sys.executable, *sys.orig_argv[1 : sys.orig_argv.index(sys.argv[0])], __file__, "--serve", *files]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ask(self) -> tuple[int, int]:
        """Memory in bytes, and how many connections there are.

        Raises:
            AssertionError: a handler failed.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        used, connections, errors = map(int, self._read().split())
        assert errors == 0, errors
        return used, connections

    def wait_for(self, connections: int) -> int:
        """Ask until there are so many; returns the memory."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            used, found = self.ask()
            if found == connections:
                return used
            assert time.monotonic() < deadline, f"{found} connections, where {connections} are expected"

    def end(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(_PATIENCE) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()


# --- the client's process ---------------------------------------------------------------------------------------------


async def each(works: list[Callable[[], Awaitable[None]]]) -> float:
    """Do all of it, some at a time; returns the seconds."""
    began = time.monotonic()
    pending = iter(works)

    async def work() -> None:
        for one in pending:
            await one()

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return time.monotonic() - began


async def soak(count: int, served: Served, ca_file: Path | None, compression: bool) -> dict[str, float]:
    """The whole of it; returns the figures."""
    scheme, host = ("ws", "127.0.0.1") if ca_file is None else ("wss", "localhost")
    websockets: list[AsyncWebSocket] = []

    async with AsyncClient(proxies=False, verify=True if ca_file is None else ca_file) as client:

        async def connect() -> None:
            uri = f"{scheme}://{host}:{served.port}/"
            websockets.append(await client.websocket(uri, timeout=_PATIENCE, compression=compression))

        def use(websocket: AsyncWebSocket, message: str) -> Callable[[], Awaitable[None]]:
            async def there_and_back() -> None:
                await websocket.send(message)
                assert await websocket.receive(_PATIENCE) == message

            return there_and_back

        await connect()
        await use(websockets[0], "warm")()
        before, server_before = memory(), served.wait_for(1)
        figures = {"opening": await each([connect] * (count - 1))}
        figures["used"] = await each([use(websocket, "x" * 100) for websocket in websockets])
        gc.collect()
        figures["client"] = (memory() - before) / count
        figures["server"] = (served.wait_for(count) - server_before) / count
        figures["used again"] = await each([use(websocket, "y" * 1000) for websocket in websockets])
        figures["closing"] = await each([websocket.close for websocket in websockets])
        assert all(websocket.close_code == 1000 for websocket in websockets)
        served.wait_for(0)
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--most", type=int, default=50_000, help="bytes of memory for a connection, on either side")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--compression", action="store_true")
    parser.add_argument("--serve", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    allow_files(options.connections + 100)
    if options.serve is not None:
        asyncio.run(serve(*(options.serve or (None, None))))
        return
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates.create(Path(folder)) if options.tls else None
        served = Served(certificates)
        ca_file = None if certificates is None else certificates.ca_file
        figures = asyncio.run(soak(options.connections, served, ca_file, options.compression))
        served.end()
    print(f"{options.connections} connections:", ", ".join(f"{name} {figures[name]:.1f} s" for name in TIMES))
    print(f"memory of one: server {figures['server'] / 1024:.1f} KiB, client {figures['client'] / 1024:.1f} KiB")
    assert max(figures["server"], figures["client"]) <= options.most, figures


TIMES = ("opening", "used", "used again", "closing")

if __name__ == "__main__":
    main()
