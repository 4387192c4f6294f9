"""Several threads on one connection, and what goes on while none of them is in it."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from drivetrain.compat.websockets_api.exceptions import ConcurrencyError, ConnectionClosedError, ConnectionClosedOK
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.sync.client import ClientConnection, connect
from tests.protocol.websocket_support import close_payload, frame
from tests.support.servers import RawServer, read_until_eof
from tests.support.websocket_handlers import Served, serving_sync
from tests.support.websocket_raw import accept_raw, read_frame, saying

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
THREADS = 50
NAME = "drivetrain: WebSocket"


def opened(port: int, path: str = "/", **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}{path}", **{"legacy": True, "proxy": None, "compression": None, **options})


def helpers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells of."""
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("it did not happen")


@pytest.fixture
def served() -> Iterator[Served]:
    with serving_sync() as server:
        yield server
    assert server.errors == []


# --- while nobody is in it --------------------------------------------------------------------------------------------


def test_pings_are_answered_while_nobody_receives() -> None:
    answered = threading.Event()

    def handler(sock: socket.socket) -> None:
        accept_raw(sock)
        for data in (b"1", b"2"):
            sock.sendall(frame(PING, data))
            assert read_frame(sock)[:2] == (PONG, data)
        answered.set()
        assert read_frame(sock).opcode == CLOSE

    with RawServer(handler) as server, opened(server.port):
        assert answered.wait(10)


def test_it_is_closed_while_nobody_receives() -> None:
    with RawServer(saying(frame(TEXT, "last") + frame(CLOSE, close_payload(1001, "bye")))) as server:
        websocket = opened(server.port)
        assert websocket.wait_closed(10)
        assert (websocket.state, websocket.close_code, websocket.close_reason) == (State.CLOSED, 1001, "bye")
        assert websocket.recv() == "last"
        with pytest.raises(ConnectionClosedOK, match="bye"):
            websocket.recv()
        with pytest.raises(ConnectionClosedOK, match="bye"):
            websocket.send("x")


def test_its_state_changes_by_itself() -> None:
    with RawServer(saying(b"", then=lambda sock: None)) as server:
        websocket = opened(server.port)
        wait_until(lambda: websocket.state is State.CLOSED)
        assert websocket.close_code == 1006


def test_pings_are_sent_while_nobody_receives() -> None:
    pinged = threading.Event()

    def handler(sock: socket.socket) -> None:
        accept_raw(sock)
        for _ in range(3):
            ping = read_frame(sock)
            assert ping.opcode == PING
            sock.sendall(frame(PONG, ping.payload))
        pinged.set()
        while read_frame(sock).opcode != CLOSE:
            pass

    with RawServer(handler) as server, opened(server.port, ping_interval=0.05) as websocket:
        assert pinged.wait(10)
        wait_until(lambda: websocket.latency > 0)


@pytest.mark.parametrize("receives", [True, False])
def test_a_peer_that_does_not_answer_is_given_up(receives: bool) -> None:
    with RawServer(saying(b"", then=read_until_eof)) as server:
        websocket = opened(server.port, ping_interval=0.05, ping_timeout=0.05, close_timeout=0.1)
        if not receives:
            assert websocket.wait_closed(10)
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv(10)
        assert str(caught.value) == "sent 1011 (internal error) keepalive ping timeout; no close frame received"


def test_a_ping_is_waited_for_while_nobody_receives(served: Served) -> None:
    with opened(served.port) as websocket:
        events = [websocket.ping(), websocket.ping("a"), websocket.ping(b"b", ack_on_close=True)]
        assert [event.wait(10) for event in events] == [True] * 3
        assert websocket.latency > 0


def test_pings_that_nobody_answered_when_it_is_closed() -> None:
    with RawServer(saying(b"")) as server:
        websocket = opened(server.port)
        plain, told = websocket.ping("a"), websocket.ping("b", ack_on_close=True)
        with pytest.raises(ConcurrencyError, match="already waiting for a pong with the same data"):
            websocket.ping("a")
        websocket.close()
        assert told.wait(10)
        assert not plain.is_set()


# --- several threads --------------------------------------------------------------------------------------------------


def test_fifty_threads_send_while_one_receives(served: Served) -> None:
    with opened(served.port, max_queue=None) as websocket:

        def send(thread: int) -> bool:
            for number in range(10):
                websocket.send(f"{thread} {number}")
            return websocket.ping().wait(10)

        with ThreadPoolExecutor(THREADS) as pool:
            pongs = [pool.submit(send, thread) for thread in range(THREADS)]
            order: dict[str, list[int]] = {}
            for _ in range(THREADS * 10):
                thread, number = str(websocket.recv(10)).split()
                order.setdefault(thread, []).append(int(number))
            assert all(pong.result() for pong in pongs)
    assert len(order) == THREADS
    assert set(map(tuple, order.values())) == {tuple(range(10))}


def test_fifty_threads_have_a_connection_each(served: Served) -> None:
    def talk(thread: int) -> str:
        with opened(served.port) as websocket:
            for number in range(10):
                websocket.send(f"{thread} {number}")
                assert websocket.recv(10) == f"{thread} {number}"
        return websocket.state.name

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(talk, range(THREADS))) == {"CLOSED"}


def test_another_thread_closes_it(served: Served) -> None:
    websocket = opened(served.port)
    closer = threading.Timer(0.05, websocket.close, (1001, "enough"))
    closer.start()
    with pytest.raises(ConnectionClosedOK, match="enough"):
        websocket.recv()
    closer.join()


def test_fifty_threads_close_it(served: Served) -> None:
    websocket = opened(served.port)
    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(lambda _: websocket.close(), range(THREADS))) == {None}
    assert websocket.close_code == 1000


def test_two_do_not_receive(served: Served) -> None:
    with opened(served.port) as websocket:
        received: list[Any] = []
        thread = threading.Thread(target=lambda: received.append(websocket.recv(10)))
        thread.start()

        said: list[str] = []

        def is_busy() -> bool:
            try:
                websocket.recv(0)
            except TimeoutError:
                return False
            except ConcurrencyError as error:
                said.append(str(error))
            return True

        wait_until(is_busy)
        assert said == ["cannot call recv while another thread is already running recv or recv_streaming"]
        with pytest.raises(ConcurrencyError, match="cannot call recv_streaming while"):
            next(websocket.recv_streaming())
        websocket.send("for the first")
        thread.join()
        assert received == ["for the first"]
        websocket.send("after")
        assert list(websocket.recv_streaming()) == ["after"]


def test_it_is_aborted_by_another_thread(served: Served) -> None:
    websocket = opened(served.port)
    closer = threading.Timer(0.05, websocket.close_socket)
    closer.start()
    with pytest.raises(ConnectionClosedError):
        websocket.recv()
    closer.join()
    assert websocket.state is State.CLOSED


# --- threads of its own -----------------------------------------------------------------------------------------------


def test_no_thread_is_left(served: Served) -> None:
    wait_until(lambda: not helpers())
    sockets = [opened(served.port) for _ in range(5)]
    wait_until(lambda: len(helpers()) == 5)
    for websocket in sockets:
        websocket.close()
    wait_until(lambda: not helpers())
    assert [websocket.state for websocket in sockets] == [State.CLOSED] * 5


def test_a_short_life_needs_no_thread_of_its_own(served: Served) -> None:
    wait_until(lambda: not helpers())
    for number in range(20):
        with opened(served.port) as websocket:
            websocket.send(str(number))
            assert websocket.recv(10) == str(number)
        assert len(helpers()) <= 1
    wait_until(lambda: not helpers())


def test_nothing_of_a_closed_connection_is_kept(served: Served) -> None:
    websocket = opened(served.port)
    websocket.ping().wait(10)
    websocket.close()
    kept = [weakref.ref(websocket), weakref.ref(websocket.core)]
    del websocket
    wait_until(lambda: not helpers())
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


def test_there_can_be_no_more_threads(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: not helpers())

    start = threading.Thread.start

    def start_but_for_helpers(thread: threading.Thread) -> None:
        if thread.name == NAME:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_but_for_helpers)
        with pytest.raises(RuntimeError, match="can't start"):
            opened(served.port)
    with opened(served.port) as websocket:
        websocket.send("again")
        assert websocket.recv(10) == "again"


def run_program(text: str) -> str:
    """Run a program in an interpreter of its own, which must end by itself; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_interpreter_ends_while_connections_are_open(served: Served) -> None:
    said = run_program(f"""
        from drivetrain.compat.websockets_api.sync.client import connect
        kept = [connect("ws://127.0.0.1:{served.port}/", proxy=None, legacy=True) for _ in range(3)]
        kept[0].ping().wait(10)
        kept[1].send("x")
        print(kept[1].recv())
    """)
    assert said == "x\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_hang(served: Served) -> None:
    said = run_program(f"""
        import os, warnings
        from drivetrain.compat.websockets_api.sync.client import connect
        warnings.simplefilter("ignore", DeprecationWarning)
        uri = "ws://127.0.0.1:{served.port}/"
        kept = connect(uri, proxy=None, legacy=True)
        kept.ping().wait(10)
        child = os.fork()
        if not child:
            with connect(uri, proxy=None) as own:
                own.ping().wait(10)
                own.send("child")
                print(own.recv(10), kept.wait_closed(0.1), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        kept.send("parent")
        print(kept.recv(10), flush=True)
    """)
    assert said == "child False\nparent\n"
