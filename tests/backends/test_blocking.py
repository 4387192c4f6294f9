"""What the blocking backend has of its own: the driver, threads, descriptors, signals."""

from __future__ import annotations

import asyncio
import resource
import select
import signal
import socket
import threading
from collections.abc import Generator

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.backends.blocking.readiness import LONGEST_MS, milliseconds_until
from drivetrain.engine.errors import ReadError, ReadTimeout

backend = BlockingBackend()


class TestRun:
    def test_result_and_error(self) -> None:
        async def good() -> int:
            return 1

        async def bad() -> int:
            raise KeyError("k")

        assert run(good()) == 1
        with pytest.raises(KeyError, match="k"):
            run(bad())

    def test_inside_a_running_loop(self) -> None:
        async def inner() -> int:
            return 2

        async def outer() -> int:
            return run(inner())

        assert asyncio.run(outer()) == 2

    def test_whoever_suspends_is_named(self) -> None:
        closed: list[str] = []

        async def culprit() -> None:
            try:
                await asyncio.sleep(0)
            finally:
                closed.append("culprit")

        async def outer() -> None:
            await culprit()

        with pytest.raises(RuntimeError) as caught:
            run(outer())
        text = str(caught.value)
        assert "sleep" in text or "__sleep0" in text
        assert "on behalf of" in text
        assert "outer" in text
        assert closed == ["culprit"]

    def test_a_future_is_named(self) -> None:
        class Never:
            def __await__(self) -> Generator[None, None, None]:
                yield

        async def guilty() -> None:
            await Never()

        with pytest.raises(RuntimeError, match=r"Never\.__await__ .*test_blocking.*guilty"):
            run(guilty())


class TestThreads:
    def test_an_uncaught_error_goes_to_the_hook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[BaseException | None] = []
        monkeypatch.setattr(threading, "excepthook", lambda hooked: seen.append(hooked.exc_value))

        async def fail() -> None:
            raise KeyError("lost")

        task = backend.spawn(fail(), "failing")
        assert run(task.join(backend.now() + 10))
        assert [type(error) for error in seen] == [KeyError]

    def test_cancel_does_nothing(self) -> None:
        gate = threading.Event()

        async def wait() -> None:
            gate.wait(10)

        task = backend.spawn(wait(), "waiting")
        task.cancel()
        assert not run(task.join(backend.now() - 1))
        gate.set()
        assert run(task.join(backend.now() + 10))

    def test_no_thread_no_leftover(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)

        async def never() -> None:
            raise AssertionError

        with pytest.raises(RuntimeError, match="can't start"):
            backend.spawn(never(), "never")  # and no warning that it was never awaited


class TestDescriptors:
    def test_numbers_beyond_those_of_select(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 2100:
            pytest.skip("the system allows too few open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2100), hard))
        fillers: list[socket.socket] = []
        try:
            while not fillers or fillers[-1].fileno() < 1100:
                fillers.append(socket.socket())
            one, two = socket.socketpair()
            assert one.fileno() > 1024
            stream = run(backend.adopt_socket(one))
            with pytest.raises(ReadTimeout):
                run(stream.receive_some(1, backend.now() + 0.01))
            two.send(b"x")
            assert run(stream.receive_some(1, FOREVER)) == b"x"
            stream.close()
            two.close()
        finally:
            for each in fillers:
                each.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_the_number_is_kept_while_somebody_waits(self) -> None:
        # A descriptor closed under a waiting thread could be given to somebody else's connection.
        for _ in range(100):
            one, two = socket.socketpair()
            number = one.fileno()
            stream = run(backend.adopt_socket(one))
            errors: list[BaseException] = []

            def read(stream: object = stream, errors: list[BaseException] = errors) -> None:
                try:
                    run(stream.receive_some(10, FOREVER))  # type: ignore[attr-defined]
                except ReadError as fault:
                    errors.append(fault)

            thread = threading.Thread(target=read)
            thread.start()
            stream.close()
            fresh = socket.socketpair()
            thread.join(10)
            assert not thread.is_alive()
            assert [str(error) for error in errors] == ["closed by this side"]
            assert one.fileno() == -1
            assert number >= 0
            for sock in (two, *fresh):
                sock.close()


class TestSignals:
    def test_a_signal_that_does_not_raise_is_waited_through(self) -> None:
        one, two = socket.socketpair()
        stream = run(backend.adopt_socket(one))
        heard: list[int] = []

        def hear(number: int, frame: object) -> None:
            heard.append(number)
            if len(heard) == 3:
                two.send(b"x")

        old = signal.signal(signal.SIGALRM, hear)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            assert run(stream.receive_some(10, backend.now() + 10)) == b"x"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        assert len(heard) >= 3
        stream.close()
        two.close()

    @pytest.mark.parametrize("finite", [True, False])
    def test_one_that_raises_ends_the_wait_and_nothing_else(self, finite: bool) -> None:
        one, two = socket.socketpair()
        stream = run(backend.adopt_socket(one))

        def interrupt(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        old = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(KeyboardInterrupt):
                run(stream.receive_some(10, backend.now() + 10 if finite else FOREVER))
        finally:
            signal.signal(signal.SIGALRM, old)
        two.send(b"after")
        assert run(stream.receive_some(10, FOREVER)) == b"after"
        stream.close()
        two.close()
        assert one.fileno() == -1


class TestDeadlines:
    def test_milliseconds(self) -> None:
        assert milliseconds_until(FOREVER) is None
        assert milliseconds_until(-FOREVER) == 0
        assert milliseconds_until(backend.now() - 1) == 0
        assert milliseconds_until(backend.now() + 1e12) == LONGEST_MS
        left = milliseconds_until(backend.now() + 1)
        assert left is not None
        assert 900 < left <= 1000

    def test_far_deadlines(self) -> None:
        one, two = socket.socketpair()
        stream = run(backend.adopt_socket(one))
        two.send(b"x")
        assert run(stream.receive_some(10, backend.now() + 1e12)) == b"x"
        stream.close()
        two.close()

    def test_reading_goes_on_without_polling_while_input_is_plenty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        polls: list[float | None] = []
        real = select.poll

        class Counting:
            def __init__(self) -> None:
                self._poll = real()
                self.register = self._poll.register

            def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
                polls.append(timeout)
                return self._poll.poll(timeout)

        monkeypatch.setattr(select, "poll", Counting)
        one, two = socket.socketpair()
        stream = run(backend.adopt_socket(one))
        two.send(b"x" * 1000)
        for _ in range(10):
            assert run(stream.receive_some(100, FOREVER)) == b"x" * 100
        assert len(polls) == 1
        with pytest.raises(ReadTimeout):
            run(stream.receive_some(100, backend.now() - 1))
        stream.close()
        two.close()
