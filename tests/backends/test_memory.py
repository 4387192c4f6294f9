"""What the memory backend has of its own: a clock that jumps, deadlocks that are told, a network made to order."""

from __future__ import annotations

import errno
import socket

import pytest

from drivetrain.engine.backends.base import FOREVER, Address
from drivetrain.engine.backends.memory import Cancelled, Deadlock, MemoryBackend
from drivetrain.engine.errors import ConnectError, ReadError, ReadTimeout, UsageError


class TestClock:
    def test_it_jumps(self) -> None:
        backend = MemoryBackend(start=5.0)

        async def body() -> float:
            assert backend.now() == 5.0
            await backend.sleep_until(1e9)
            near, _ = backend.pipe()
            with pytest.raises(ReadTimeout):
                await near.receive_some(1, 2e9)
            return backend.now()

        assert backend.run(body()) == 2e9

    def test_it_stands_still_while_somebody_can_run(self) -> None:
        backend = MemoryBackend()
        order: list[str] = []

        async def doze(name: str, seconds: float) -> None:
            await backend.sleep_until(backend.now() + seconds)
            order.append(name)

        async def body() -> None:
            tasks = [backend.spawn(doze(name, seconds), name) for name, seconds in (("c", 3), ("a", 1), ("b", 1))]
            before = backend.now()
            near, far = backend.pipe(capacity=1)

            async def read() -> None:
                for _ in range(1000):
                    await far.receive_some(1, FOREVER)

            reader = backend.spawn(read(), "reader")
            await near.send_all(bytes(1000), FOREVER)
            assert await reader.join(FOREVER)
            assert backend.now() == before
            for task in tasks:
                assert await task.join(FOREVER)

        backend.run(body())
        assert order == ["a", "b", "c"]


class TestTasks:
    def test_a_deadlock_names_who_waits_for_what(self) -> None:
        backend = MemoryBackend()
        near, far = backend.pipe()

        async def other() -> None:
            await far.receive_some(1, FOREVER)

        async def body() -> None:
            backend.spawn(other(), "other")
            await near.receive_some(1, FOREVER)

        with pytest.raises(Deadlock) as caught:
            backend.run(body())
        assert str(caught.value) == ("main waits for input from the other end; other waits for input from one end")

    def test_the_error_of_a_task_fails_the_run(self) -> None:
        backend = MemoryBackend()

        async def fail() -> None:
            raise KeyError("lost")

        async def body() -> None:
            assert await backend.spawn(fail(), "failing").join(FOREVER)

        with pytest.raises(KeyError, match="lost"):
            backend.run(body())

    def test_what_is_left_is_cancelled(self) -> None:
        backend = MemoryBackend()
        seen: list[str] = []

        async def forever() -> None:
            try:
                await backend.sleep_until(FOREVER)
            except Cancelled:
                seen.append("cancelled")
                await backend.sleep_until(backend.now() + 1)
                seen.append("cleaned up")
                raise

        async def body() -> str:
            backend.spawn(forever(), "forever")
            await backend.sleep_until(backend.now())
            return "done"

        assert backend.run(body()) == "done"
        assert seen == ["cancelled", "cleaned up"]
        assert backend.run(body()) == "done"

    def test_a_task_that_cancels_itself(self) -> None:
        backend = MemoryBackend()
        seen: list[str] = []

        async def suicidal() -> None:
            task.cancel()
            seen.append("goes on until it waits")
            await backend.sleep_until(FOREVER)
            seen.append("never")

        async def body() -> None:
            nonlocal task
            task = backend.spawn(suicidal(), "suicidal")
            assert await task.join(FOREVER)

        task = None  # type: ignore[assignment]
        backend.run(body())
        assert seen == ["goes on until it waits"]

    def test_nothing_works_outside_run(self) -> None:
        backend = MemoryBackend()
        with pytest.raises(RuntimeError, match="inside its own run"):
            backend.sleep_until(FOREVER).send(None)

        async def body() -> None:
            with pytest.raises(RuntimeError, match="run\\(\\) called inside run"):
                backend.run(backend.sleep_until(0))

        backend.run(body())


class TestPipes:
    def test_pieces(self) -> None:
        backend = MemoryBackend()

        async def body() -> None:
            near, far = backend.pipe(piece=1)
            assert await near.send_some(b"abc", FOREVER) == 1
            await near.send_all(b"bc", FOREVER)
            assert [await far.receive_some(10, FOREVER) for _ in range(3)] == [b"a", b"b", b"c"]

        backend.run(body())

    def test_unread_input_makes_a_close_a_reset(self) -> None:
        backend = MemoryBackend()

        async def body() -> None:
            near, far = backend.pipe()
            await far.send_all(b"nobody reads this", FOREVER)
            near.close()
            with pytest.raises(ReadError) as caught:
                await far.receive_some(1, FOREVER)
            assert caught.value.errno == errno.ECONNRESET

        backend.run(body())

    def test_sockets_are_refused(self) -> None:
        backend = MemoryBackend()
        one, two = socket.socketpair()
        with pytest.raises(UsageError):
            backend.adopt_socket(one).send(None)
        with pytest.raises(UsageError):
            backend.adopt_listener(two)
        one.close()
        two.close()


class TestNetwork:
    def test_connect_and_accept(self) -> None:
        backend = MemoryBackend()

        async def body() -> None:
            listener = backend.listen(("10.0.0.1", 0))
            port = listener.address.port
            attempt = backend.start_connect(socket.AF_INET, ("10.0.0.1", port))
            assert await backend.wait_any_connect([attempt], FOREVER) is attempt
            client = await attempt.take()
            server = await listener.accept(FOREVER)
            assert server is not None
            assert client.peer_address == Address(socket.AF_INET, "10.0.0.1", port)
            await client.send_all(b"x", FOREVER)
            assert await server.receive_some(1, FOREVER) == b"x"
            assert await listener.accept(backend.now() + 60) is None
            listener.close()
            assert await listener.accept(FOREVER) is None

        backend.run(body())

    def test_a_race_made_to_order(self) -> None:
        backend = MemoryBackend()

        async def body() -> None:
            start = backend.now()
            listeners = [backend.listen((name, 80)) for name in ("slow", "fast", "hole")]
            backend.route(("slow", 80), delay=2)
            backend.route(("fast", 80), delay=1)
            backend.route(("hole", 80), delay=FOREVER)
            backend.route(("down", 80), delay=0.5, error=errno.EHOSTUNREACH)
            slow, fast, hole, down, nobody = (
                backend.start_connect(socket.AF_INET6, (name, 80, 0, 0))
                for name in ("slow", "fast", "hole", "down", "nobody")
            )
            assert await backend.wait_any_connect([hole, slow, nobody], FOREVER) is nobody
            with pytest.raises(ConnectError) as caught:
                await nobody.take()
            assert caught.value.errno == errno.ECONNREFUSED
            with pytest.raises(RuntimeError, match="not finished"):
                await slow.take()
            assert await backend.wait_any_connect([hole, slow, fast, down], FOREVER) is down
            with pytest.raises(ConnectError) as caught:
                await down.take()
            assert caught.value.errno == errno.EHOSTUNREACH
            assert await backend.wait_any_connect([hole, slow, fast], start + 0.9) is None
            assert await backend.wait_any_connect([hole, slow, fast], FOREVER) is fast
            assert backend.now() == start + 1
            (await fast.take()).close()
            hole.abandon()
            with pytest.raises(ConnectError):
                await hole.take()
            for listener in listeners:
                listener.close()

        backend.run(body())

    def test_an_address_can_be_used_once(self) -> None:
        backend = MemoryBackend()
        listener = backend.listen("/run/socket")
        with pytest.raises(ConnectError) as caught:
            backend.listen("/run/socket")
        assert caught.value.errno == errno.EADDRINUSE
        assert listener.address == Address(0, "/run/socket")
        listener.close()
        backend.listen("/run/socket").close()
