"""Ctrl-C in one thread of an HTTP/2 connection that others use: nothing is lost unnoticed, and nothing sent twice."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.connection.h2_connection import H2Connection
from drivetrain.engine.errors import ReadError, StreamRefused, WriteError
from tests.connection.h2_support import HeadersFrame, SettingsFrame, ask


@contextlib.contextmanager
def connected() -> Iterator[tuple[H2Connection, Any, socket.socket]]:
    """A connection, the byte stream below it, and the other end."""
    ours, theirs = socket.socketpair()
    backend = BlockingBackend()
    with theirs:
        below = run(backend.adopt_socket(ours))
        connection = H2Connection(below, backend, "client")
        try:
            yield connection, below, theirs
        finally:
            connection.close()


def interrupt_the_wait_of(stream: Any, below: Any) -> None:
    """Ctrl-C while nothing comes."""
    poll = below._poll

    def cut(timeout: object) -> object:
        below._poll = poll
        raise KeyboardInterrupt

    below._poll = cut
    with pytest.raises(KeyboardInterrupt):
        run(stream.get_headers(5))


def test_ctrl_c_between_socket_and_machine_ends_the_connection() -> None:
    with connected() as (connection, below, theirs):
        first, second = run(ask(connection)), run(ask(connection))
        theirs.sendall(SettingsFrame(0).serialize())
        receive = below._recv

        def cut(size: int) -> bytes:
            receive(size)
            raise KeyboardInterrupt

        below._recv = cut
        with pytest.raises(KeyboardInterrupt):
            run(first.get_headers(5))
        with pytest.raises(ReadError, match="interrupted"):
            run(second.get_headers(5))
        assert connection.is_closed


def test_ctrl_c_while_nothing_comes_ends_one_wait() -> None:
    with connected() as (connection, below, theirs):
        first, second = run(ask(connection)), run(ask(connection))
        interrupt_the_wait_of(first, below)
        answer = HeadersFrame(3, b"\x88", flags=["END_HEADERS", "END_STREAM"])
        theirs.sendall(SettingsFrame(0).serialize() + answer.serialize())
        assert run(second.get_headers(5)).get(":status") == "200"


def test_a_wait_that_was_interrupted_excuses_no_later_loss() -> None:
    with connected() as (connection, below, theirs):
        first = run(ask(connection))
        interrupt_the_wait_of(first, below)
        assert not connection.is_closed

        receive = below._recv

        def lose(size: int) -> bytes:
            receive(size)
            raise KeyboardInterrupt

        below._recv = lose
        below._more = True  # so that it is not polled first
        theirs.sendall(SettingsFrame(0).serialize())
        with pytest.raises(KeyboardInterrupt):
            run(first.get_headers(5))
        assert connection.is_closed


def test_ctrl_c_after_sending_sends_nothing_twice() -> None:
    with connected() as (connection, below, theirs), ThreadPoolExecutor(1) as threads:
        other = run(ask(connection))
        reading = threads.submit(lambda: run(other.get_headers(20)))
        before = theirs.recv(10_000)
        send = below._send

        def cut(data: bytes, flags: int) -> int:
            send(data, flags)
            raise KeyboardInterrupt

        below._send = cut
        with pytest.raises(KeyboardInterrupt):
            run(ask(connection))
        below._send = send
        # Who reads meanwhile would be left without credit.
        assert isinstance(reading.exception(10), WriteError)
        after = theirs.recv(10_000)
        with pytest.raises(StreamRefused):
            run(ask(connection))
        assert before
        assert after
        assert connection.is_closed
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
