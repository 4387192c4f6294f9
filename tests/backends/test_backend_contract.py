"""What every `Backend` must do beside its streams."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from drivetrain.engine.backends.base import FOREVER, ByteStream, ConnectAttempt, Listener
from drivetrain.engine.errors import ConnectError, NetworkError, Timeout
from tests.backends.harness import Harness


def listening(harness: Harness, backlog: int = 20) -> Listener:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(backlog)
    return harness.backend.adopt_listener(sock)


def where(listener: Listener) -> tuple[str, int]:
    address = listener.address
    assert address.host is not None
    assert address.port is not None
    return address.host, address.port


async def connected(harness: Harness, attempt: ConnectAttempt) -> ByteStream:
    assert await harness.backend.wait_any_connect([attempt], harness.late()) is attempt
    return await attempt.take()


def refusing_address() -> tuple[str, int]:
    """An address nobody listens at (for as long as nobody asks the system for that very port)."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address: tuple[str, int] = sock.getsockname()
        return address


class TestTime:
    def test_sleep_until(self, backends: Harness) -> None:
        async def body() -> None:
            backend = backends.backend
            before = backend.now()
            await backend.sleep_until(before - 5)
            assert backend.now() - before < 1
            await backend.sleep_until(before + 0.02)
            assert backend.now() >= before + 0.018

        backends.run(body)

    def test_a_waiter_woken_before(self, backends: Harness) -> None:
        async def body() -> None:
            waiter = backends.backend.create_waiter()
            waiter.wake()
            waiter.wake()
            assert await waiter.wait(FOREVER)
            assert await waiter.wait(backends.backend.now() - 1)

        backends.run(body)

    def test_a_waiter_woken_later(self, backends: Harness) -> None:
        async def body() -> None:
            waiter = backends.backend.create_waiter()
            assert not await waiter.wait(backends.soon(0.01))
            assert not await waiter.wait(backends.backend.now() - 1)

            async def wait() -> None:
                assert await waiter.wait(FOREVER)

            async def wake() -> None:
                await backends.backend.sleep_until(backends.soon(0.01))
                waiter.wake()

            await backends.together(wait(), wait(), wake())
            assert await waiter.wait(FOREVER)

        backends.run(body)


class TestTasks:
    def test_spawn_and_join(self, backends: Harness) -> None:
        async def body() -> None:
            done: list[str] = []
            gate = backends.backend.create_waiter()

            async def work() -> None:
                await gate.wait(FOREVER)
                done.append("work")

            task = backends.backend.spawn(work(), "work")
            assert not await task.join(backends.soon(0.01))
            assert done == []
            gate.wake()
            assert await task.join(FOREVER)
            assert await task.join(backends.backend.now() - 1)
            assert done == ["work"]

        backends.run(body)

    def test_run_blocking(self, backends: Harness) -> None:
        async def body() -> None:
            backend = backends.backend
            assert await backend.run_blocking(lambda: 42, FOREVER) == 42
            assert await backend.run_blocking(lambda: 43, backends.late()) == 43
            for deadline in (FOREVER, backends.late()):
                with pytest.raises(ZeroDivisionError):
                    await backend.run_blocking(lambda: 1 // 0, deadline)

        backends.run(body)

    def test_run_blocking_with_a_deadline_gives_up(self, sockets: Harness) -> None:
        async def body() -> None:
            gate = threading.Event()
            with pytest.raises(Timeout):
                await sockets.backend.run_blocking(gate.wait, sockets.soon())
            gate.set()

        sockets.run(body)

    def test_a_guard_is_a_context_manager(self, backends: Harness) -> None:
        async def body() -> None:
            guard = backends.backend.create_guard()
            entered = 0
            for _ in range(2):
                with guard:
                    entered += 1
            assert entered == 2

        backends.run(body)


class TestConnecting:
    def test_connect_and_accept(self, sockets: Harness) -> None:
        async def body() -> None:
            listener = listening(sockets)
            client = await connected(sockets, sockets.backend.start_connect(socket.AF_INET, where(listener)))
            server = await listener.accept(sockets.late())
            assert server is not None
            await client.send_all(b"ping", sockets.late())
            assert await server.receive_some(100, sockets.late()) == b"ping"
            assert client.peer_address == server.local_address == listener.address
            assert client.local_address == server.peer_address
            assert listener.fileno() >= 0
            for stream in (client, server):
                with socket.socket(fileno=os.dup(stream.fileno())) as sock:
                    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client.close()
            server.close()
            listener.close()
            assert listener.fileno() == -1

        sockets.run(body)

    def test_refused(self, sockets: Harness) -> None:
        async def body() -> None:
            with pytest.raises(ConnectError) as caught:
                await connected(sockets, sockets.backend.start_connect(socket.AF_INET, refusing_address()))
            assert caught.value.errno == errno.ECONNREFUSED
            assert caught.value.strerror

        sockets.run(body)

    def test_the_first_to_be_over_is_returned(self, sockets: Harness) -> None:
        async def body() -> None:
            listener, full = listening(sockets), listening(sockets, backlog=0)
            backend = sockets.backend
            # A listener with a full queue leaves further clients without an answer.
            fillers = [backend.start_connect(socket.AF_INET, where(full)) for _ in range(4)]
            slow = fillers[-1]
            refused = backend.start_connect(socket.AF_INET, refusing_address())
            assert await backend.wait_any_connect([slow, refused], sockets.late()) is refused
            with pytest.raises(ConnectError):
                await refused.take()
            assert await backend.wait_any_connect([slow], sockets.soon()) is None
            quick = backend.start_connect(socket.AF_INET, where(listener))
            assert await backend.wait_any_connect([slow, quick], sockets.late()) is quick
            assert await backend.wait_any_connect([slow, quick], backend.now() - 1) is quick
            (await quick.take()).close()
            for attempt in fillers:
                attempt.abandon()
                attempt.abandon()
            listener.close()
            full.close()

        sockets.run(body)

    def test_local_bind(self, sockets: Harness) -> None:
        async def body() -> None:
            listener = listening(sockets)
            attempt = sockets.backend.start_connect(socket.AF_INET, where(listener), ("127.0.0.2", 0))
            client = await connected(sockets, attempt)
            server = await listener.accept(sockets.late())
            assert server is not None
            assert server.peer_address.host == "127.0.0.2"
            client.close()
            server.close()
            listener.close()

        sockets.run(body)

    def test_a_bind_that_fails(self, sockets: Harness) -> None:
        async def body() -> None:
            with pytest.raises(ConnectError) as caught:
                sockets.backend.start_connect(socket.AF_INET, ("127.0.0.1", 1), ("192.0.2.1", 0))
            assert caught.value.errno == errno.EADDRNOTAVAIL

        sockets.run(body)

    def test_nonsense_leaves_no_socket(self, sockets: Harness) -> None:
        async def body() -> None:
            with pytest.raises(OverflowError):
                sockets.backend.start_connect(socket.AF_INET, ("127.0.0.1", 1 << 20))
            with pytest.raises(ConnectError):
                sockets.backend.start_connect(9999, ("127.0.0.1", 1))

        sockets.run(body)

    def test_unix(self, sockets: Harness, short_tmp_path: Path) -> None:
        path = str(short_tmp_path / "s")

        async def body() -> None:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(path)
            sock.listen()
            listener = sockets.backend.adopt_listener(sock)
            client = await connected(sockets, sockets.backend.start_connect(socket.AF_UNIX, path))
            server = await listener.accept(sockets.late())
            assert server is not None
            await server.send_all(b"hello", sockets.late())
            assert await client.receive_some(100, sockets.late()) == b"hello"
            assert client.peer_address == server.local_address == (socket.AF_UNIX, path, None)
            assert client.local_address == (socket.AF_UNIX, None, None)
            client.close()
            server.close()
            listener.close()
            with pytest.raises(ConnectError) as caught:
                await connected(sockets, sockets.backend.start_connect(socket.AF_UNIX, path))
            assert caught.value.errno == errno.ECONNREFUSED
            with pytest.raises(ConnectError) as caught:
                await connected(sockets, sockets.backend.start_connect(socket.AF_UNIX, path + "?"))
            assert caught.value.errno == errno.ENOENT

        sockets.run(body)

    def test_unix_with_a_full_queue(self, sockets: Harness, short_tmp_path: Path) -> None:
        path = str(short_tmp_path / "s")

        async def body() -> None:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(path)
            sock.listen(0)
            listener = sockets.backend.adopt_listener(sock)
            attempts = [sockets.backend.start_connect(socket.AF_UNIX, path) for _ in range(3)]
            assert await sockets.backend.wait_any_connect(attempts[-1:], sockets.soon()) is None
            streams: list[ByteStream | None] = []

            async def accept() -> None:
                streams.extend([await listener.accept(sockets.late()) for _ in attempts])

            async def connect() -> None:
                streams.extend([await connected(sockets, attempt) for attempt in attempts])

            await sockets.together(accept(), connect())
            assert len(streams) == 6
            for stream in streams:
                assert stream is not None
                stream.close()
            listener.close()

        sockets.run(body)

    def test_taking_too_early_is_an_error(self, sockets: Harness) -> None:
        async def body() -> None:
            full = listening(sockets, backlog=0)
            attempts = [sockets.backend.start_connect(socket.AF_INET, where(full)) for _ in range(4)]
            with pytest.raises(RuntimeError):
                await attempts[-1].take()
            for attempt in attempts:
                attempt.abandon()
            full.close()

        sockets.run(body)


class TestListening:
    def test_accept_until_the_deadline(self, sockets: Harness) -> None:
        async def body() -> None:
            listener = listening(sockets)
            assert await listener.accept(sockets.soon()) is None
            assert await listener.accept(sockets.backend.now() - 1) is None
            client = await connected(sockets, sockets.backend.start_connect(socket.AF_INET, where(listener)))
            server = await listener.accept(sockets.late())
            assert server is not None
            client.close()
            server.close()
            listener.close()

        sockets.run(body)

    @pytest.mark.parametrize("waiters", [1, 3])
    def test_close_wakes_those_who_accept(self, sockets: Harness, waiters: int) -> None:
        async def body() -> None:
            listener = listening(sockets)
            got: list[ByteStream | None] = []

            async def accept() -> None:
                got.append(await listener.accept(FOREVER))

            async def close() -> None:
                await sockets.backend.sleep_until(sockets.soon(0.02))
                listener.close()
                listener.close()

            await sockets.together(*(accept() for _ in range(waiters)), close())
            assert got == [None] * waiters
            assert await listener.accept(FOREVER) is None
            assert listener.address.host == "127.0.0.1"

        sockets.run(body)

    def test_close_from_another_thread(self, sockets: Harness) -> None:
        async def body() -> None:
            listener = listening(sockets)
            closer = threading.Timer(0.02, listener.close)
            closer.start()
            assert await listener.accept(FOREVER) is None
            closer.join()
            with pytest.raises(ConnectError):
                await connected(sockets, sockets.backend.start_connect(socket.AF_INET, where(listener)))

        sockets.run(body)

    def test_several_accept_at_once(self, sockets: Harness) -> None:
        async def body() -> None:
            listener = listening(sockets)
            streams: list[ByteStream | None] = []

            async def accept() -> None:
                streams.append(await listener.accept(sockets.late()))

            async def connect() -> None:
                for _ in range(3):
                    attempt = sockets.backend.start_connect(socket.AF_INET, where(listener))
                    streams.append(await connected(sockets, attempt))

            await sockets.together(accept(), accept(), accept(), connect())
            assert len([stream for stream in streams if stream]) == 6
            for stream in streams:
                assert stream is not None
                stream.close()
            listener.close()

        sockets.run(body)

    def test_a_failing_accept_is_told_and_passes(self, sockets: Harness) -> None:
        class Failing(socket.socket):
            fail = True

            def accept(self) -> tuple[socket.socket, object]:
                if self.fail:
                    self.fail = False
                    raise OSError(errno.EMFILE, "Too many open files")
                return super().accept()

        async def body() -> None:
            sock = Failing()
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            listener = sockets.backend.adopt_listener(sock)
            client = await connected(sockets, sockets.backend.start_connect(socket.AF_INET, where(listener)))
            with pytest.raises(NetworkError) as caught:
                await listener.accept(sockets.late())
            assert caught.value.errno == errno.EMFILE
            server = await listener.accept(sockets.late())
            assert server is not None
            client.close()
            server.close()
            listener.close()

        sockets.run(body)


class TestAdopting:
    def test_no_waiting_byte_is_lost(self, sockets: Harness) -> None:
        async def body() -> None:
            one, two = sockets.sockets()
            two.sendall(b"before")
            stream = await sockets.backend.adopt_socket(one)
            assert await stream.receive_some(100, -FOREVER) == b"before"
            stream.close()
            two.close()

        sockets.run(body)
