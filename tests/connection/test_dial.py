"""Dialling on real loopback sockets in both colours, and the race in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import math
import os
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine.backends.base import FOREVER, Backend, ByteStream, ConnectAttempt
from drivetrain.engine.backends.memory import Cancelled, MemoryBackend
from drivetrain.engine.connection.dial import DialOptions, dial_tcp, dial_unix, parse_bind
from drivetrain.engine.errors import ConnectError, ConnectTimeout, ResolveError, UsageError
from tests.connection.colours import Drive, drive_asyncio, drive_blocking, on_both

V4, V6 = socket.AF_INET, socket.AF_INET6
HOST = "example.test"


def has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    with socket.socket(V6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
# Elsewhere 127.0.0.2 is nobody's address, and a full queue refuses instead of keeping silent.
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux' loopback network only")


def to(*addresses: str, head_start: float = math.inf, bind: str | None = None) -> DialOptions:
    """The host of the tests has these addresses; by default only a failure starts the next attempt."""
    return DialOptions(bind=bind, resolver={HOST: addresses}, head_start=head_start)


def listener_at(host: str, port: int = 0, backlog: int = 16) -> socket.socket:
    sock = socket.socket(V6 if ":" in host else V4)
    try:
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def silent_listener(host: str, port: int = 0) -> Iterator[int]:
    """A port whose connects neither succeed nor fail: the listener's queue is full."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(listener_at(host, port, backlog=0))
        for _ in range(10):
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            if not select.select([], [client], [], 0.02)[1]:
                yield listener.getsockname()[1]
                return
        pytest.fail("the queue does not fill")


def free_port(host: str = "127.0.0.1") -> int:
    with listener_at(host) as sock:
        return int(sock.getsockname()[1])


def dial(
    drive: Drive[tuple[Any, Any]], port: int, options: DialOptions, host: str = HOST, timeout: float = 5
) -> tuple[Any, Any]:
    """Connect and return both addresses; the stream is closed."""

    async def attempt(backend: Backend) -> tuple[Any, Any]:
        stream = await dial_tcp(backend, host, port, options, backend.now() + timeout)
        try:
            return stream.local_address, stream.peer_address
        finally:
            stream.close()

    return drive(attempt)


@pytest.fixture(autouse=True)
def _no_socket_left() -> Iterator[None]:
    """A socket that is collected without having been closed fails the test (ResourceWarning is an error)."""
    yield
    gc.collect()


class TestReaching:
    @on_both
    def test_an_address(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as listener:
            port = listener.getsockname()[1]
            _, peer = dial(drive, port, DialOptions(), "127.0.0.1")
            assert peer == (V4, "127.0.0.1", port)

    @on_both
    def test_localhost_through_the_system(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as listener:
            port = listener.getsockname()[1]
            assert dial(drive, port, DialOptions(), "localhost")[1] == (V4, "127.0.0.1", port)

    @on_both
    def test_bytes_go_through_without_delay(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as listener:

            async def attempt(backend: Backend) -> bytes:
                stream = await dial_tcp(backend, "127.0.0.1", listener.getsockname()[1], DialOptions(), FOREVER)
                with listener.accept()[0] as accepted, socket.socket(fileno=os.dup(stream.fileno())) as same:
                    assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    await stream.send_all(b"ping", FOREVER)
                    assert accepted.recv(10) == b"ping"
                    accepted.send(b"pong")
                    answer = await stream.receive_some(10, FOREVER)
                stream.close()
                return answer

            assert drive(attempt) == b"pong"

    @needs_ipv6
    @on_both
    def test_ipv6_comes_first(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as four:
            port = four.getsockname()[1]
            with listener_at("::1", port):
                assert dial(drive, port, to("127.0.0.1", "::1"))[1] == (V6, "::1", port)

    @needs_ipv6
    @on_both
    def test_a_refused_first_address_falls_over_at_once(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as listener:
            port = listener.getsockname()[1]
            assert dial(drive, port, to("127.0.0.1", "::1"))[1] == (V4, "127.0.0.1", port)

    @needs_linux
    @on_both
    def test_refused_within_one_family(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.3") as listener:
            port = listener.getsockname()[1]
            addresses = to("127.0.0.1", "127.0.0.2", "127.0.0.3")
            assert dial(drive, port, addresses)[1] == (V4, "127.0.0.3", port)

    @needs_linux
    @on_both
    def test_a_silent_first_address_loses(self, drive: Drive[Any]) -> None:
        with silent_listener("127.0.0.1") as port, listener_at("127.0.0.2", port):
            assert dial(drive, port, to("127.0.0.1", "127.0.0.2", head_start=0.01))[1] == (V4, "127.0.0.2", port)


class TestFailing:
    @on_both
    def test_one_refusal(self, drive: Drive[Any]) -> None:
        port = free_port()
        with pytest.raises(ConnectError, match=rf"127\.0\.0\.1:{port} .*refused") as caught:
            dial(drive, port, DialOptions(), "127.0.0.1")
        assert caught.value.errno == errno.ECONNREFUSED
        assert isinstance(caught.value.__cause__, ConnectError)

    @needs_ipv6
    @on_both
    def test_every_address_is_named(self, drive: Drive[Any]) -> None:
        port = free_port()
        with pytest.raises(ConnectError) as caught:
            dial(drive, port, to("127.0.0.1", "::1"))
        assert f"cannot connect to {HOST}:{port} (::1: " in str(caught.value)
        assert "; 127.0.0.1: " in str(caught.value)
        assert caught.value.errno == errno.ECONNREFUSED
        tried = [(address[:2], error.errno) for address, error in caught.value.failures]
        assert tried == [(("::1", port), caught.value.errno), (("127.0.0.1", port), caught.value.errno)]

    @needs_linux
    @on_both
    def test_a_deadline(self, drive: Drive[Any]) -> None:
        with silent_listener("127.0.0.1") as port, pytest.raises(ConnectTimeout) as caught:
            dial(drive, port, to("127.0.0.2", "127.0.0.1"), timeout=0.05)
        assert f"{HOST}:{port}" in str(caught.value)
        assert "127.0.0.2: Connection refused" in str(caught.value)
        assert "127.0.0.1: no answer" in str(caught.value)

    @on_both
    def test_no_address(self, drive: Drive[Any]) -> None:
        with pytest.raises(ResolveError, match=HOST):
            dial(drive, 80, to())

    @pytest.mark.parametrize("port", [-1, 65536])
    def test_no_port(self, port: int) -> None:
        with pytest.raises(UsageError, match="65535"):
            dial(drive_blocking, port, DialOptions(), "127.0.0.1")

    @needs_linux
    def test_cancellation_leaves_nothing_open(self) -> None:
        async def attempt(backend: Backend) -> None:
            before = len(os.listdir("/proc/self/fd"))
            options = to("127.0.0.1", "127.0.0.2", head_start=0)
            task = asyncio.ensure_future(dial_tcp(backend, HOST, port, options, FOREVER))
            while len(os.listdir("/proc/self/fd")) < before + 2:
                assert not task.done()
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(os.listdir("/proc/self/fd")) == before

        with silent_listener("127.0.0.1") as port, silent_listener("127.0.0.2", port):
            drive_asyncio(attempt)


class TestBind:
    @needs_linux
    @on_both
    def test_an_address(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as listener:
            local, _ = dial(drive, listener.getsockname()[1], DialOptions(bind="127.0.0.5"), "127.0.0.1")
            assert local.host == "127.0.0.5"
            assert listener.accept()[0].close() is None

    @on_both
    def test_a_port(self, drive: Drive[Any]) -> None:
        port = free_port()
        with listener_at("127.0.0.1") as listener:
            local, _ = dial(drive, listener.getsockname()[1], DialOptions(bind=f"127.0.0.1:{port}"), "127.0.0.1")
            assert local == (V4, "127.0.0.1", port)
            accepted, peer = listener.accept()
            accepted.close()
            assert peer == ("127.0.0.1", port)

    @needs_ipv6
    @on_both
    def test_ipv6_with_a_port(self, drive: Drive[Any]) -> None:
        port = free_port("::1")
        with listener_at("::1") as listener:
            local, _ = dial(drive, listener.getsockname()[1], DialOptions(bind=f"[::1]:{port}"), "::1")
            assert local == (V6, "::1", port)

    @needs_ipv6
    @on_both
    def test_only_its_family_is_tried(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as listener:
            port = listener.getsockname()[1]
            with listener_at("::1", port):
                options = to("::1", "127.0.0.1", bind="127.0.0.1")
                assert dial(drive, port, options)[1] == (V4, "127.0.0.1", port)

    def test_no_address_of_its_family(self) -> None:
        with pytest.raises(ConnectError, match=rf"{HOST}:80 from 127\.0\.0\.1: the host has no address") as caught:
            dial(drive_blocking, 80, to("::1", bind="127.0.0.1"))
        assert caught.value.errno == errno.EAFNOSUPPORT

    @needs_linux
    @on_both
    def test_with_a_port_the_addresses_are_tried_one_after_the_other(self, drive: Drive[Any]) -> None:
        port = free_port("127.0.0.4")
        with listener_at("127.0.0.2") as listener:
            options = to("127.0.0.1", "127.0.0.2", head_start=0, bind=f"127.0.0.4:{port}")
            local, peer = dial(drive, listener.getsockname()[1], options)
            assert (local.port, peer.host) == (port, "127.0.0.2")

    @on_both
    def test_an_address_of_somebody_else(self, drive: Drive[Any]) -> None:
        with listener_at("127.0.0.1") as listener, pytest.raises(ConnectError) as caught:
            dial(drive, listener.getsockname()[1], DialOptions(bind="192.0.2.1"), "127.0.0.1")
        assert caught.value.errno == errno.EADDRNOTAVAIL

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("127.0.0.1", (V4, ("127.0.0.1", 0))),
            ("127.0.0.1:50000", (V4, ("127.0.0.1", 50000))),
            ("[::1]:30000", (V6, ("::1", 30000, 0, 0))),
            ("[::1]", (V6, ("::1", 0, 0, 0))),
            ("::1", (V6, ("::1", 0, 0, 0))),
        ],
    )
    def test_forms(self, text: str, expected: object) -> None:
        assert parse_bind(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            *("", "localhost", "localhost:80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:٣", ":80"),
            *("[::1]80", "[::1", "[127.0.0.1]:80", "[::1]:", "::1:99999", "fe80::1%nosuchzone", "127.0.0.1:80:80"),
        ],
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UsageError, match="bind"):
            DialOptions(bind=text)


class TestOptions:
    def test_they_are_hashable_with_any_resolver(self) -> None:
        first, second = DialOptions(resolver={"a": "::1"}), DialOptions(resolver={"a": "::1"})
        assert {first: 1}[second] == 1
        assert first != DialOptions(resolver={"a": "127.0.0.1"})

    def test_a_head_start_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="head start"):
            DialOptions(head_start=-1)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no UNIX-domain sockets")
class TestUnix:
    @on_both
    def test_connecting(self, drive: Drive[Any], short_tmp_path: Path) -> None:
        path = short_tmp_path / "s"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()

            async def attempt(backend: Backend) -> bytes:
                stream = await dial_unix(backend, path, backend.now() + 5)
                with listener.accept()[0] as accepted:
                    accepted.send(b"hello")
                assert stream.peer_address == (socket.AF_UNIX, str(path), None)
                data = await stream.receive_some(10, FOREVER)
                stream.close()
                return data

            assert drive(attempt) == b"hello"

    @on_both
    @pytest.mark.parametrize(("name", "code"), [("missing", errno.ENOENT), ("x" * 200, None)])
    def test_failing(self, drive: Drive[Any], tmp_path: Path, name: str, code: int | None) -> None:
        path = str(tmp_path / name)
        with pytest.raises(ConnectError) as caught:
            drive(lambda backend: dial_unix(backend, path, backend.now() + 5))
        assert caught.value.errno == code
        assert path in str(caught.value)

    @needs_linux
    @on_both
    def test_a_full_queue(self, drive: Drive[Any], short_tmp_path: Path) -> None:
        path = str(short_tmp_path / "s")
        with contextlib.ExitStack() as sockets:
            listener = sockets.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(path)
            listener.listen(0)
            for _ in range(3):
                client = sockets.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect_ex(path)
            with pytest.raises(ConnectTimeout, match="took too long"):
                drive(lambda backend: dial_unix(backend, path, backend.now() + 0.05))


class RecordingBackend(MemoryBackend):
    """Keeps the time and address of every attempt, and what was abandoned."""

    def __init__(self) -> None:
        super().__init__(start=0.0)
        self.begun: list[tuple[float, str]] = []
        self.attempts: list[ConnectAttempt] = []
        self.abandoned: list[str] = []

    def start_connect(
        self, family: int, address: tuple[Any, ...] | str, local_address: tuple[Any, ...] | None = None, *more: Any
    ) -> ConnectAttempt:
        self.begun.append((self.now(), address[0]))
        attempt = super().start_connect(family, address, local_address)
        abandon = attempt.abandon

        def recorded() -> None:
            self.abandoned.append(address[0])
            abandon()

        attempt.abandon = recorded  # type: ignore[method-assign]
        return attempt

    def dial(self, options: DialOptions, timeout: float = FOREVER) -> ByteStream:
        return self.run(dial_tcp(self, HOST, 80, options, self.now() + timeout))


class TestRaceInVirtualTime:
    ADDRESSES = ("10.0.0.1", "10.0.0.2", "::1", "::2")
    ORDER = ("::1", "10.0.0.1", "::2", "10.0.0.2")

    def test_a_quarter_of_a_second_between_attempts(self) -> None:
        backend = RecordingBackend()
        for address in self.ORDER:
            backend.route((address, 80), FOREVER)
        with pytest.raises(ConnectTimeout) as caught:
            backend.dial(to(*self.ADDRESSES, head_start=0.25), 30)
        assert backend.begun == [(0.25 * number, address) for number, address in enumerate(self.ORDER)]
        assert sorted(backend.abandoned) == sorted(self.ADDRESSES)
        assert backend.now() == 30
        assert str(caught.value).count("no answer") == 4

    def test_the_default_head_start_is_that_of_the_rfc(self) -> None:
        assert DialOptions().head_start == 0.25

    def test_the_first_success_wins_and_the_others_are_abandoned(self) -> None:
        backend = RecordingBackend()
        with contextlib.closing(backend.listen(("10.0.0.1", 80))), contextlib.closing(backend.listen(("::1", 80))):
            backend.route(("::1", 80), 0.6)
            backend.route(("10.0.0.1", 80), 0.2)
            stream = backend.dial(to(*self.ADDRESSES, head_start=0.25))
            assert stream.peer_address.host == "10.0.0.1"
            assert backend.now() == pytest.approx(0.45)
            assert [address for _, address in backend.begun] == ["::1", "10.0.0.1"]
            assert backend.abandoned == ["::1"]
            stream.close()

    def test_a_slow_first_address_still_wins_if_it_is_faster(self) -> None:
        backend = RecordingBackend()
        with contextlib.closing(backend.listen(("::1", 80))):
            backend.route(("::1", 80), 0.3)
            backend.route(("10.0.0.1", 80), 0.2)
            stream = backend.dial(to(*self.ADDRESSES, head_start=0.25))
            assert stream.peer_address.host == "::1"
            assert backend.abandoned == ["10.0.0.1"]
            stream.close()

    def test_a_failure_starts_the_next_at_once(self) -> None:
        backend = RecordingBackend()
        backend.route(("::1", 80), 0.1, errno.ECONNRESET)
        with pytest.raises(ConnectError) as caught:
            backend.dial(to(*self.ADDRESSES, head_start=0.25))
        assert backend.begun == [(0, "::1"), (0.1, "10.0.0.1"), (0.1, "::2"), (0.1, "10.0.0.2")]
        assert caught.value.errno == errno.ECONNREFUSED
        assert backend.abandoned == []

    def test_the_most_telling_failure_gives_the_errno(self) -> None:
        backend = RecordingBackend()
        backend.route(("::1", 80), 0, errno.ECONNREFUSED)
        backend.route(("10.0.0.1", 80), 0, errno.ENETUNREACH)
        with pytest.raises(ConnectError) as caught:
            backend.dial(to("10.0.0.1", "::1"))
        assert caught.value.errno == errno.ECONNREFUSED
        backend.route(("::1", 80), 0, errno.EHOSTUNREACH)
        with pytest.raises(ConnectError) as caught:
            backend.dial(to("10.0.0.1", "::1"))
        assert caught.value.errno == errno.ENETUNREACH

    def test_cancelling_abandons_everything(self) -> None:
        backend = RecordingBackend()
        for address in self.ORDER:
            backend.route((address, 80), FOREVER)
        ended: list[BaseException] = []

        async def attempt() -> None:
            try:
                await dial_tcp(backend, HOST, 80, to(*self.ADDRESSES, head_start=0.25), FOREVER)
            except Cancelled as error:
                ended.append(error)
                raise

        async def main() -> None:
            task = backend.spawn(attempt(), "dial")
            await backend.sleep_until(0.3)
            task.cancel()
            assert await task.join(FOREVER)

        backend.run(main())
        assert len(ended) == 1
        assert sorted(backend.abandoned) == ["10.0.0.1", "::1"]
