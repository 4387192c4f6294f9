"""Hosts become addresses: literals, maps, functions of both colours, the system; and each way to fail."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
import threading
from collections.abc import Iterable
from typing import ClassVar

import pytest

from drivetrain.engine.backends.base import FOREVER, Backend
from drivetrain.engine.connection import resolve as resolve_module
from drivetrain.engine.connection.resolve import (
    HostMap,
    ResolvedAddress,
    Resolver,
    check_resolver,
    literal_address,
    resolve,
)
from drivetrain.engine.errors import ConnectTimeout, ResolveError, UsageError
from tests.connection.colours import Drive, drive_asyncio, drive_blocking, on_both

V4, V6 = socket.AF_INET, socket.AF_INET6


def find(drive: Drive[list[ResolvedAddress]], host: str, resolver: Resolver = None) -> list[ResolvedAddress]:
    return drive(lambda backend: resolve(backend, host, 80, resolver, FOREVER))


def refuse(host: str, port: int) -> Iterable[str]:
    raise AssertionError(f"asked for {host}:{port}")


async def answer(host: str, port: int) -> list[str]:
    await asyncio.sleep(0)
    return [f"10.0.0.{len(host)}", f"10.0.0.{port}"]


class AnsweringObject:
    async def __call__(self, host: str, port: int) -> list[str]:
        return await answer(host, port)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, list[str] | int]:
    """What the system's resolver says from now on: addresses, or the number of the error."""
    known: dict[bytes, list[str] | int] = {}

    def getaddrinfo(name: bytes, port: int, family: int, kind: int, proto: int, flags: int) -> list[object]:
        known.setdefault(b"flags of " + name, []).append(str(int(flags)))  # type: ignore[union-attr]
        found = known.get(name, socket.EAI_NONAME)
        if isinstance(found, int):
            raise socket.gaierror(found, "Name or service not known")
        return [
            (V6, kind, proto, "", (text, port, 0, 0)) if ":" in text else (V4, kind, proto, "", (text, port))
            for text in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(resolve_module, "_is_replaced", lambda function: False)
    return known


class TestLiterals:
    @on_both
    @pytest.mark.parametrize(
        ("host", "expected"),
        [("127.0.0.1", (V4, ("127.0.0.1", 80))), ("::1", (V6, ("::1", 80, 0, 0))), ("::", (V6, ("::", 80, 0, 0)))],
    )
    def test_they_need_no_lookup(
        self, drive: Drive[list[ResolvedAddress]], answers: object, host: str, expected: ResolvedAddress
    ) -> None:
        assert find(drive, host) == [expected]
        assert find(drive, host, refuse) == [expected]
        assert find(drive, host, {"*": "10.9.9.9"}) == [expected]
        assert answers == {}

    @pytest.mark.parametrize(
        "text", ["127.1", "0x7f.0.0.1", "2130706433", "[::1]", "localhost", "1.2.3.4.", "::1%", ""]
    )
    def test_not_literals(self, text: str) -> None:
        assert literal_address(text, 1) is None

    def test_a_zone_becomes_its_number(self) -> None:
        number, name = socket.if_nameindex()[0]
        assert literal_address(f"fe80::1%{name}", 5) == (V6, ("fe80::1", 5, 0, number))

    def test_an_unknown_zone(self) -> None:
        with pytest.raises(ResolveError, match="fe80::1%nosuchzone"):
            literal_address("fe80::1%nosuchzone", 5)

    def test_an_empty_host(self) -> None:
        with pytest.raises(UsageError, match="empty"):
            find(drive_blocking, "")


class TestMap:
    MAP: ClassVar[HostMap] = {
        "Example.com": "10.0.0.1",
        "example.com:443": "10.0.0.2",
        "example.com:80": ["10.0.0.3", "::1"],
        "other.test.:80": "10.0.0.4",
        "none.test": [],
        "bad.test": "localhost",
    }

    @on_both
    def test_host_and_port_before_host(self, drive: Drive[list[ResolvedAddress]]) -> None:
        assert find(drive, "example.com", self.MAP) == [(V4, ("10.0.0.3", 80)), (V6, ("::1", 80, 0, 0))]

    @pytest.mark.parametrize(
        ("host", "port", "expected"),
        [("EXAMPLE.com.", 443, "10.0.0.2"), ("example.com", 8080, "10.0.0.1")],
    )
    def test_host_case_and_dot(self, host: str, port: int, expected: str) -> None:
        found = drive_blocking(lambda backend: resolve(backend, host, port, self.MAP, FOREVER))
        assert found == [(V4, (expected, port))]

    @pytest.mark.parametrize(("port", "expected"), [(443, "10.0.0.6"), (80, "10.0.0.5")])
    def test_wildcards(self, port: int, expected: str) -> None:
        hosts = {"*": "10.0.0.5", "*:443": "10.0.0.6"}
        found = drive_blocking(lambda backend: resolve(backend, "any.test", port, hosts, FOREVER))
        assert found == [(V4, (expected, port))]

    def test_what_is_not_in_it_is_asked_of_the_system(self, answers: dict[bytes, list[str] | int]) -> None:
        answers[b"else.test"] = ["10.1.1.1"]
        assert find(drive_blocking, "else.test", self.MAP) == [(V4, ("10.1.1.1", 80))]

    def test_an_empty_list_is_no_address(self) -> None:
        with pytest.raises(ResolveError, match=r"none\.test.*no address"):
            find(drive_blocking, "none.test", self.MAP)

    def test_a_name_is_no_address(self) -> None:
        with pytest.raises(UsageError, match=r"localhost.*not an IP address"):
            find(drive_blocking, "bad.test", self.MAP)


class TestFunctions:
    @on_both
    def test_a_plain_function(self, drive: Drive[list[ResolvedAddress]]) -> None:
        asked = []

        def resolver(host: str, port: int) -> list[str]:
            asked.append((host, port, threading.current_thread() is threading.main_thread()))
            return ["10.0.0.1", "::1"]

        assert find(drive, "a.test", resolver) == [(V4, ("10.0.0.1", 80)), (V6, ("::1", 80, 0, 0))]
        assert asked == [("a.test", 80, drive is drive_blocking)]  # it may block, so never on the event loop

    def test_objects_of_ipaddress_and_a_lone_string_are_welcome(self) -> None:
        assert find(drive_blocking, "a.test", lambda _host, _port: [ipaddress.ip_address("10.0.0.1")]) == [  # type: ignore[list-item]
            (V4, ("10.0.0.1", 80))
        ]
        assert find(drive_blocking, "a.test", lambda _host, _port: "10.0.0.2") == [(V4, ("10.0.0.2", 80))]

    @pytest.mark.parametrize(
        "resolver",
        [answer, AnsweringObject(), functools.partial(answer), lambda host, port: answer(host, port)],
        ids=["function", "object", "partial", "lambda"],
    )
    def test_a_coroutine_function(self, resolver: Resolver) -> None:
        assert find(drive_asyncio, "a.test", resolver) == [(V4, ("10.0.0.6", 80)), (V4, ("10.0.0.80", 80))]
        with pytest.raises(TypeError, match="asynchronous"):
            find(drive_blocking, "a.test", resolver)

    def test_the_wrong_colour_is_refused_at_the_door(self) -> None:
        with pytest.raises(TypeError, match="asynchronous"):
            check_resolver(AnsweringObject(), "blocking")
        check_resolver(AnsweringObject(), "async")
        check_resolver(refuse, "blocking")
        with pytest.raises(TypeError, match="int"):
            check_resolver(5, "async")  # type: ignore[arg-type]

    @on_both
    def test_its_os_error_is_a_resolve_error(self, drive: Drive[list[ResolvedAddress]]) -> None:
        def resolver(host: str, port: int) -> list[str]:
            raise ConnectionRefusedError("no server")

        with pytest.raises(ResolveError, match=r"a\.test.*no server") as caught:
            find(drive, "a.test", resolver)
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    @on_both
    def test_its_other_errors_are_its_own(self, drive: Drive[list[ResolvedAddress]]) -> None:
        def resolver(host: str, port: int) -> list[str]:
            raise KeyError(host)

        with pytest.raises(KeyError):
            find(drive, "a.test", resolver)

    def test_an_error_of_a_coroutine_function(self) -> None:
        async def resolver(host: str, port: int) -> list[str]:
            raise KeyError(host)

        with pytest.raises(KeyError):
            find(drive_asyncio, "a.test", resolver)

    @on_both
    def test_a_slow_function_is_left_behind(self, drive: Drive[list[ResolvedAddress]]) -> None:
        done = threading.Event()

        def resolver(host: str, port: int) -> list[str]:
            done.wait(10)
            return []

        with pytest.raises(ConnectTimeout, match=r"a\.test"):
            drive(lambda backend: resolve(backend, "a.test", 80, resolver, backend.now() + 0.02))
        done.set()

    def test_a_slow_coroutine_is_cancelled(self) -> None:
        ended = []

        async def resolver(host: str, port: int) -> list[str]:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(host)
            return []

        async def attempt(backend: Backend) -> None:
            with pytest.raises(ConnectTimeout, match=r"a\.test"):
                await resolve(backend, "a.test", 80, resolver, backend.now() + 0.02)
            await asyncio.sleep(0)
            assert ended == ["a.test"]

        drive_asyncio(attempt)
        assert ended == ["a.test"]

    def test_cancelling_the_lookup_cancels_the_coroutine(self) -> None:
        begun, ended = [], []

        async def resolver(host: str, port: int) -> list[str]:
            begun.append(host)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(host)
            return []

        async def attempt(backend: Backend) -> None:
            task = asyncio.ensure_future(resolve(backend, "a.test", 80, resolver, FOREVER))
            while not begun:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            assert ended == ["a.test"]

        drive_asyncio(attempt)
        assert ended == ["a.test"]


class TestSystem:
    @on_both
    def test_its_order_is_kept(
        self, drive: Drive[list[ResolvedAddress]], answers: dict[bytes, list[str] | int]
    ) -> None:
        answers[b"a.test"] = ["10.0.0.1", "::1", "10.0.0.2"]
        assert [pair[1][0] for pair in find(drive, "a.test")] == ["10.0.0.1", "::1", "10.0.0.2"]
        assert answers[b"flags of a.test"] == [str(int(socket.AI_ADDRCONFIG))]

    @on_both
    def test_an_unknown_name(self, drive: Drive[list[ResolvedAddress]], answers: dict[bytes, list[str] | int]) -> None:
        with pytest.raises(ResolveError, match=r"nowhere\.test") as caught:
            find(drive, "nowhere.test")
        assert caught.value.errno == socket.EAI_NONAME

    def test_a_name_of_the_loopback_interface_only(self, answers: dict[bytes, list[str] | int]) -> None:
        # AI_ADDRCONFIG hides IPv6 where only the loopback interface has it; the second question does without.
        find_first = iter([socket.EAI_NONAME, ["::1"]])
        real = socket.getaddrinfo

        def getaddrinfo(name: bytes, *args: int) -> list[object]:
            answers[name] = next(find_first)
            return real(name, *args)  # type: ignore[return-value]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", getaddrinfo)
            assert find(drive_blocking, "ip6-name") == [(V6, ("::1", 80, 0, 0))]
        assert answers[b"flags of ip6-name"] == [str(int(socket.AI_ADDRCONFIG)), "0"]

    def test_a_failing_server_is_asked_once(self, answers: dict[bytes, list[str] | int]) -> None:
        answers[b"a.test"] = socket.EAI_AGAIN
        with pytest.raises(ResolveError):
            find(drive_blocking, "a.test")
        assert len(answers[b"flags of a.test"]) == 1  # type: ignore[arg-type]

    def test_localhost_for_real(self) -> None:
        found = find(drive_blocking, "localhost")
        assert found
        assert {address[0] for _, address in found} <= {"127.0.0.1", "::1"}

    def test_localhost_without_an_entry(self, answers: dict[bytes, list[str] | int]) -> None:
        found = find(drive_blocking, "localhost")
        assert (V4, ("127.0.0.1", 80)) in found

    @pytest.mark.parametrize("host", ["a.localhost", "A.LOCALHOST."])
    def test_names_under_localhost_are_nobody_elses(self, host: str, answers: dict[bytes, list[str] | int]) -> None:
        assert (V4, ("127.0.0.1", 80)) in find(drive_blocking, host)
        assert answers == {}
        assert find(drive_blocking, host, {"a.localhost": "10.0.0.1"}) == [(V4, ("10.0.0.1", 80))]

    @pytest.mark.parametrize("host", ["bücher.example", "a\0b.test", "a" * 70 + ".test", "a..b", "."])
    def test_what_is_no_name(self, host: str) -> None:
        with pytest.raises(ResolveError):
            find(drive_blocking, host)

    def test_an_answer_that_comes_too_late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        done = threading.Event()

        def getaddrinfo(*args: object) -> list[object]:
            done.wait(10)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(ConnectTimeout, match=r"slow\.test"):
            drive_blocking(lambda backend: resolve(backend, "slow.test", 80, None, backend.now() + 0.02))
        done.set()
