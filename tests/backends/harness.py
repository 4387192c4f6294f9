"""Where the contract is run: pairs of connected streams of every backend, in clear and through TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from drivetrain.engine.backends.asyncio_ import AsyncioBackend
from drivetrain.engine.backends.base import Backend, ByteStream
from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.backends.memory import MemoryBackend, MemoryStream
from drivetrain.engine.connection.h2_connection import H2Connection
from drivetrain.engine.connection.h2_tunnel import H2Tunnel
from drivetrain.engine.connection.tls_stream import TlsStream, wrap_tls
from drivetrain.engine.wire.headers import Headers
from tests.support.certificates import Certificates

__all__ = ["PLAIN", "SOCKETS", "TLS", "Harness", "LoopWithoutWatchers", "TlsHarness", "make_harness", "run_on_loop"]

T = TypeVar("T")


class LoopWithoutWatchers(asyncio.SelectorEventLoop):
    """As Windows' proactor loop: no `add_reader`, no `add_writer`."""

    def add_reader(self, *args: Any) -> None:
        raise NotImplementedError

    def add_writer(self, *args: Any) -> None:
        raise NotImplementedError


def run_on_loop(make_loop: Callable[[], asyncio.AbstractEventLoop], coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` with a loop of one's own, for Python 3.10."""
    loop = make_loop()
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
    try:
        result = loop.run_until_complete(coroutine)
        for _ in range(3):  # what was closed is still to be told so
            loop.run_until_complete(asyncio.sleep(0))
        left = asyncio.all_tasks(loop)
        assert not left, left
        assert not complaints, complaints
        return result
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class Harness:
    """Connected streams of one backend and a way to run coroutines over it."""

    threads = False  # two users of a stream are two threads
    in_memory = False
    tls = False

    def __init__(self, backend: Backend, runner: Callable[[Coroutine[Any, Any, Any]], Any], unix: bool = False) -> None:
        self.backend = backend
        self.unix = unix
        self._runner = runner
        self._made: list[ByteStream] = []

    def run(self, test: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a test's body; close the streams it asked for afterwards."""

        async def body() -> T:
            try:
                return await test()
            finally:
                for stream in self._made:
                    stream.close()
                self._made.clear()

        result: T = self._runner(body())
        return result

    async def pair(self) -> tuple[ByteStream, ByteStream]:
        """Two connected streams."""
        one, two = await self.bare_pair()
        self._made += [one, two]
        return one, two

    async def bare_pair(self) -> tuple[ByteStream, ByteStream]:
        one, two = self.sockets()
        return await self.backend.adopt_socket(one), await self.backend.adopt_socket(two)

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets, with small buffers where the system can be persuaded."""
        if self.unix:
            return socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one = socket.create_connection(listener.getsockname())
            two, _ = listener.accept()
        return one, two

    async def reset(self, stream: ByteStream) -> None:
        """Close `stream` so that its peer sees a reset."""
        with socket.socket(fileno=os.dup(stream.fileno())) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()

    def below(self, stream: ByteStream) -> ByteStream:
        """The stream at the bottom."""
        return stream

    def soon(self, seconds: float = 0.03) -> float:
        """A deadline that a test waits for."""
        return self.backend.now() + seconds

    def late(self) -> float:
        """A deadline that is not to be reached."""
        return self.backend.now() + 20.0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds."""
        end = self.late()
        while not condition():
            assert self.backend.now() < end, "waited in vain"
            await self.backend.sleep_until(self.backend.now() + 0.001)

    async def together(self, *coroutines: Coroutine[Any, Any, None]) -> None:
        """Run several at the same time, to their ends."""
        errors: list[BaseException] = []

        async def guarded(coroutine: Awaitable[None]) -> None:
            try:
                await coroutine
            except Exception as error:
                errors.append(error)

        tasks = [self.backend.spawn(guarded(each), f"part {number}") for number, each in enumerate(coroutines)]
        for task in tasks:
            assert await task.join(self.late()), "a part did not end"
        if errors:
            raise errors[0]


class BlockingHarness(Harness):
    threads = True

    def __init__(self, unix: bool = False) -> None:
        super().__init__(BlockingBackend(), run, unix)


class AsyncioHarness(Harness):
    def __init__(self, make_loop: Callable[[], asyncio.AbstractEventLoop], unix: bool = False) -> None:
        super().__init__(AsyncioBackend(), lambda coroutine: run_on_loop(make_loop, coroutine), unix)


class MemoryHarness(Harness):
    in_memory = True

    def __init__(self, capacity: int | None = 100_000, piece: int | None = None) -> None:
        backend = MemoryBackend()
        super().__init__(backend, backend.run)
        self._pipe = lambda: backend.pipe(capacity, piece)

    async def bare_pair(self) -> tuple[ByteStream, ByteStream]:
        return self._pipe()

    async def reset(self, stream: ByteStream) -> None:
        assert isinstance(stream, MemoryStream)
        stream.reset()


class TlsHarness(Harness):
    """TLS over the streams of another harness."""

    tls = True

    def __init__(self, inner: Harness, certificates: Certificates, version: ssl.TLSVersion) -> None:
        self._inner = inner
        self._server = certificates.server_context()
        self._client = certificates.client_context()
        self._client.maximum_version = version
        self.threads, self.in_memory = inner.threads, inner.in_memory
        super().__init__(inner.backend, inner._runner)

    async def bare_pair(self) -> tuple[ByteStream, ByteStream]:
        one, two = await self._inner.bare_pair()
        made: list[ByteStream] = []

        async def serve() -> None:
            made.append(await self.wrap(two, server=True))

        try:
            task = self.backend.spawn(serve(), "server's handshake")
            client = await self.wrap(one, server=False)
            assert await task.join(self.late())
            return client, made[0]
        except BaseException:
            one.close()
            two.close()
            raise

    async def wrap(self, stream: ByteStream, server: bool) -> TlsStream:
        return await wrap_tls(
            stream,
            self._server if server else self._client,
            server_side=server,
            server_hostname=None if server else "localhost",
            guard=self.backend.create_guard(),
            deadline=self.late(),
        )

    async def reset(self, stream: ByteStream) -> None:
        await self._inner.reset(stream._stream)  # type: ignore[attr-defined]

    def below(self, stream: ByteStream) -> ByteStream:
        return self._inner.below(stream._stream)  # type: ignore[attr-defined]


class H2TunnelHarness(Harness):
    """CONNECT streams, each on an HTTP/2 connection over the streams of another harness."""

    def __init__(self, inner: Harness) -> None:
        self._inner = inner
        self.threads, self.in_memory = inner.threads, inner.in_memory
        super().__init__(inner.backend, inner._runner)

    async def bare_pair(self) -> tuple[ByteStream, ByteStream]:
        near, far = await self._inner.bare_pair()
        client, server = H2Connection(near, self.backend), H2Connection(far, self.backend, "server")
        made: list[ByteStream] = []

        async def serve() -> None:
            incoming = await server.get_next_incoming_stream()
            assert incoming is not None
            assert await incoming.get_headers() is not None
            await incoming.write_head(Headers([(":status", "200")]), False, self.late())
            made.append(H2Tunnel(incoming, owns_connection=True))

        try:
            task = self.backend.spawn(serve(), "proxy")
            stream = client.new_stream()
            await stream.write_head(Headers([(":method", "CONNECT"), (":authority", "a.test:1")]), False, self.late())
            assert await stream.read_head(self.late()) is not None
            assert await task.join(self.late())
            return H2Tunnel(stream, owns_connection=True), made[0]
        except BaseException:
            client.close()
            server.close()
            raise

    async def reset(self, stream: ByteStream) -> None:
        await self._inner.reset(stream._connection.stream)  # type: ignore[attr-defined]

    def below(self, stream: ByteStream) -> ByteStream:
        return self._inner.below(stream._connection.stream)  # type: ignore[attr-defined]


def debugged_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 60.0
    return loop


def uvloop_loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
    return loop


SOCKETS: dict[str, Callable[[], Harness]] = {
    "blocking": BlockingHarness,
    "blocking-select": BlockingHarness,
    "asyncio": lambda: AsyncioHarness(asyncio.new_event_loop),
    "asyncio-debug": lambda: AsyncioHarness(debugged_loop),
    "asyncio-no-watchers": lambda: AsyncioHarness(LoopWithoutWatchers),
    "uvloop": lambda: AsyncioHarness(uvloop_loop),
}
PLAIN: dict[str, Callable[[], Harness]] = {
    **SOCKETS,
    "blocking-unix": lambda: BlockingHarness(unix=True),
    "asyncio-unix": lambda: AsyncioHarness(asyncio.new_event_loop, unix=True),
    "uvloop-unix": lambda: AsyncioHarness(uvloop_loop, unix=True),
    "memory": MemoryHarness,
    "memory-pieces": lambda: MemoryHarness(capacity=5_000, piece=997),
}
TLS = ("blocking", "asyncio-debug", "uvloop", "memory", "memory-pieces")


def make_harness(name: str, certificates: Certificates, patch: pytest.MonkeyPatch) -> Harness:
    """The harness called `name`: that of a backend, after `tls-`, `tls12-`, `h2-` or several if it is to be wrapped."""
    kind, _, rest = name.partition("-")
    if kind in ("tls", "tls12"):
        version = ssl.TLSVersion.TLSv1_2 if kind == "tls12" else ssl.TLSVersion.TLSv1_3
        return TlsHarness(make_harness(rest, certificates, patch), certificates, version)
    if kind == "h2":
        return H2TunnelHarness(make_harness(rest, certificates, patch))
    if name.endswith("-select"):
        patch.delattr("select.poll", raising=False)
    return PLAIN[name]()
