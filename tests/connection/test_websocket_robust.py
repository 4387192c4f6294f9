"""WebSockets in unlucky moments: output that is left behind, floods, keep-alive in every state, the end of a receiver."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from drivetrain.engine import run_blocking
from drivetrain.engine.backends.base import FOREVER, Address, ByteStream
from drivetrain.engine.backends.blocking import BlockingBackend
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.tls_stream import wrap_tls
from drivetrain.engine.connection.websocket import WebSocketConnection
from drivetrain.engine.connection.websocket_parts import MessageParts
from drivetrain.engine.errors import ReadTimeout, WebSocketClosed, WebSocketProtocolError, WriteTimeout
from drivetrain.engine.protocol.websocket_deflate import DeflateParameters
from drivetrain.engine.protocol.websocket_events import CloseReceived, Piece, PingReceived, PongReceived
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from drivetrain.engine.protocol.websocket_machine import WebSocketMachine
from tests.connection.websocket_support import CONT, PING, PONG, TEXT, Pair, Scripted, frame, pair
from tests.support.certificates import Certificates


async def later(backend: MemoryBackend, seconds: float) -> None:
    await backend.sleep_until(backend.now() + seconds)


# -- what comes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(5, 118), (100, 118), (125, 118), (126, 116), (130, 112)])
def test_two_messages_of_a_client_in_one_read(first: int, second: int) -> None:
    # Of such sizes that the length byte of the first, mask bit and all, is that of both.
    scripted = Scripted("server")

    async def scene() -> list[object]:
        both = frame(TEXT, "a" * first, masked=True) + frame(TEXT, "b" * second, masked=True)
        await scripted.stream.send_all(both, FOREVER)
        return [await scripted.websocket.receive(10) for _ in range(2)]

    assert scripted.run(scene()) == ["a" * first, "b" * second]


class Flood(ByteStream):
    """A peer that says the same for ever."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self.reads = 0

    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        self.reads += 1
        assert self.reads < 10_000_000
        return self._said

    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        return len(data)

    async def send_eof(self, deadline: float) -> None: ...

    def interrupt(self) -> None: ...

    def is_readable(self) -> bool:
        return True

    def close(self) -> None: ...

    @property
    def is_closed(self) -> bool:
        return False

    @property
    def local_address(self) -> Address:
        return Address(0)

    peer_address = local_address

    def fileno(self) -> int:
        return -1


@pytest.mark.parametrize(
    "said", [frame(PING, b""), frame(PONG, b"x"), frame(CONT, "", False)], ids=["ping", "pong", "part"]
)
@pytest.mark.parametrize("timeout", [0, 0.02])
def test_a_flood_does_not_outlast_the_time_limit(said: bytes, timeout: float) -> None:
    stream = Flood(said)
    websocket = WebSocketConnection(stream, BlockingBackend(), WebSocketMachine("client"))
    if said[0] == 0:
        websocket.machine.receive(frame(TEXT, "", False))
    began = time.monotonic()
    with pytest.raises(ReadTimeout):
        run_blocking(websocket.receive(timeout))
    assert time.monotonic() - began < 5


def test_empty_parts_of_a_message_cost_nothing() -> None:
    parts = MessageParts()
    for _ in range(10_000):
        parts.add("")
    assert len(parts._small) + len(parts._large) == 1
    parts.add("end")
    assert parts.join() == "end"


def test_a_message_with_a_hole_is_not_delivered() -> None:
    scripted = Scripted(limits=WebSocketLimits(max_queue=2))
    websocket = scripted.websocket

    async def scene() -> None:
        for at, part in enumerate("abc"):
            await scripted.say(TEXT if at == 0 else CONT, part, False)
        with pytest.raises(ReadTimeout):
            await websocket.ping(b"x", 5)  # reads for the queue, until that is full
        closing = scripted.backend.spawn(websocket.close(timeout=50), "close")  # drops what there is no room for
        await later(scripted.backend, 1)
        websocket.machine.receive(frame(CONT, "d") + frame(TEXT, "e"))
        websocket._unparsed = True  # who receives looks at it before who closes
        with pytest.raises(ReadTimeout):
            await websocket.receive(1)
        await scripted.say(TEXT, "f")
        with pytest.raises(ReadTimeout):
            await websocket.receive(1)
        await scripted.say_close()
        scripted.stream.close()
        assert await websocket.receive(1) is None
        assert await closing.join(FOREVER)

    scripted.run(scene())


async def _ignore(doing: object) -> None:
    try:
        await doing  # type: ignore[misc]
    except (ReadTimeout, WebSocketClosed):
        return


# -- keep-alive ---------------------------------------------------------------------------------------------------------


async def _pinged(scripted: Scripted, count: int) -> list[float]:
    """When the next Pings come; they are answered at once."""
    times = []
    while len(times) < count:
        event = await scripted.hear(1000)
        assert isinstance(event, PingReceived), event
        times.append(scripted.backend.now())
        await scripted.say(PONG, event.data)
    return times


def test_a_pong_in_time_does_not_bring_the_next_ping_forward() -> None:
    scripted = Scripted()

    async def scene() -> list[float]:
        began = scripted.backend.now()
        scripted.websocket.keep_alive(20, 5)
        task = scripted.backend.spawn(_ignore(scripted.websocket.receive(300)), "receive")
        times = await _pinged(scripted, 4)
        scripted.websocket.abort()
        assert await task.join(FOREVER)
        return [when - began for when in times]

    assert scripted.run(scene()) == [20, 40, 60, 80]


def test_keeping_alive_by_looking_only() -> None:
    scripted = Scripted()
    websocket = scripted.websocket

    async def scene() -> list[float]:
        began = scripted.backend.now()
        websocket.keep_alive(20, 5)
        hearing: list[float] = []

        async def hear() -> None:
            hearing.extend(await _pinged(scripted, 2))

        task = scripted.backend.spawn(hear(), "peer")
        for _ in range(50):
            await later(scripted.backend, 1)
            with pytest.raises(ReadTimeout):
                await websocket.receive(0)
        assert await task.join(FOREVER)
        return [when - began for when in hearing]

    times = scripted.run(scene())
    assert times == [pytest.approx(20, abs=2), pytest.approx(40, abs=3)]


def test_keeping_alive_while_there_is_no_room() -> None:
    scripted = Scripted(limits=WebSocketLimits(max_queue=1))
    websocket = scripted.websocket

    async def scene() -> None:
        began = scripted.backend.now()
        websocket.keep_alive(20, 5)
        pump = scripted.backend.spawn(websocket.pump(), "pump")
        await scripted.say(TEXT, "a")
        await scripted.say(TEXT, "b")
        event = await scripted.hear(30)
        assert isinstance(event, PingReceived)
        assert scripted.backend.now() == began + 20
        await later(scripted.backend, 1)
        assert await websocket.receive(1) == "a"
        assert await websocket.receive(1) == "b"
        await scripted.say(PONG, event.data)
        await _pinged(scripted, 2)
        await scripted.say(TEXT, "c")
        await scripted.say(TEXT, "d")  # and nobody takes them, or reads the Pong
        assert isinstance(await scripted.hear(30), PingReceived)
        event = await scripted.hear(30)
        assert isinstance(event, CloseReceived)
        assert event.close.code == 1011
        assert await pump.join(scripted.backend.now() + 10)

    scripted.run(scene())


# -- roles --------------------------------------------------------------------------------------------------------------


class Racing(WebSocketConnection):
    """Whoever receives leaves at the very moment in which the pump is about to wait for that."""

    __slots__ = ("left",)

    def _new_attendant(self):  # type: ignore[no-untyped-def]
        if not getattr(self, "left", False):
            self.left = True
            self._leave_receiving()
        return super()._new_attendant()


def test_the_pump_notices_one_who_leaves_while_it_steps_aside() -> None:
    scripted = Scripted()
    websocket = Racing(scripted.websocket.stream, scripted.backend, WebSocketMachine("client"))
    websocket._receiving = True

    async def scene() -> object:
        pump = scripted.backend.spawn(websocket.pump(), "pump")
        await later(scripted.backend, 1)
        assert websocket.left
        await scripted.say(PING, b"there?")
        answer = await scripted.hear(5)
        websocket.abort()
        assert await pump.join(FOREVER)
        return answer

    assert scripted.run(scene()) == PongReceived(b"there?")


def test_a_cancelled_close_ends_pings_under_way() -> None:
    class Cancelled(BaseException): ...

    class Stubborn(type(MemoryBackend().pipe()[0])):  # type: ignore[misc]
        async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
            raise Cancelled

    scripted = Scripted()
    websocket = scripted.websocket
    told: list[float | None] = []

    async def scene() -> None:
        await websocket.start_ping(b"x", told.append)
        websocket.stream.__class__ = Stubborn
        with pytest.raises(Cancelled):
            await websocket.close()

    scripted.run(scene())
    assert told == [None]
    assert websocket.is_closed
    assert websocket.is_over


def test_two_who_finish_end_this_side_once() -> None:
    scripted = Scripted()
    websocket, backend = scripted.websocket, scripted.backend
    ending: list[str] = []

    class Slow(type(websocket.stream)):  # type: ignore[misc]
        async def send_eof(self, deadline: float) -> None:
            ending.append("begin")
            assert ending.count("begin") == 1
            await backend.sleep_until(backend.now() + 1)
            await super().send_eof(deadline)

    websocket.stream.__class__ = Slow

    async def fail_to_receive() -> None:
        with pytest.raises(WebSocketProtocolError, match="reserved"):
            await websocket.receive()

    async def scene() -> None:
        pump = backend.spawn(websocket.pump(), "pump")
        receiver = backend.spawn(fail_to_receive(), "receive")
        await scripted.stream.send_all(b"\xf1\x00", FOREVER)
        assert isinstance(await scripted.hear(), CloseReceived)
        assert await scripted.hear() == "end"
        scripted.stream.close()
        assert await pump.join(FOREVER)
        assert await receiver.join(FOREVER)

    scripted.run(scene())
    assert ending == ["begin"]


def test_output_goes_on_after_input_that_is_none(certificates: Certificates) -> None:
    backend = MemoryBackend()
    near, far = backend.pipe(capacity=5_000)
    data = bytes(50_000)

    async def serve() -> None:
        guard = backend.create_guard()
        context = certificates.server_context()
        stream = await wrap_tls(
            far, context, server_side=True, server_hostname=None, guard=guard, deadline=backend.now() + 10
        )
        server = WebSocketConnection(stream, backend, WebSocketMachine("server"))
        await later(backend, 5)
        assert await server.receive() == data
        await server.send("thanks")
        await server.close()

    async def scene() -> None:
        serving = backend.spawn(serve(), "server")
        guard = backend.create_guard()
        context = certificates.client_context()
        stream = await wrap_tls(
            near, context, server_side=False, server_hostname="localhost", guard=guard, deadline=backend.now() + 10
        )
        client = WebSocketConnection(stream, backend, WebSocketMachine("client"))
        with pytest.raises(WriteTimeout):
            await client.send(data, timeout=1)
        assert near.is_readable()  # session tickets
        assert await client.receive(100) == "thanks"
        assert await client.receive(100) is None
        assert await serving.join(FOREVER)

    backend.run(scene())


def test_whether_a_message_was_taken_is_told() -> None:
    scripted = Scripted(limits=WebSocketLimits(max_outbox=1), capacity=100)
    websocket = scripted.websocket

    async def scene() -> list[object]:
        with pytest.raises(WriteTimeout, match="did not take the data"):
            await websocket.send("a" * 300, timeout=1)
        with pytest.raises(WriteTimeout, match="others had the turn"):
            await websocket.send("b", timeout=1)  # it sends for the first one
        hearing = scripted.backend.spawn(hear(), "peer")
        await websocket.send("c")
        assert await hearing.join(FOREVER)
        return heard

    async def hear() -> None:
        heard.extend([await scripted.hear(), await scripted.hear()])

    heard: list[object] = []
    assert scripted.run(scene()) == [Piece("a" * 300, True), Piece("c", True)]


# -- what is left -------------------------------------------------------------------------------------------------------


async def _say_and_close(both: Pair) -> None:
    await both.client.send("hello" * 100)
    assert await both.server.receive() == "hello" * 100
    closing = both.backend.spawn(both.server.close(), "close")
    assert await both.client.receive() is None
    assert await closing.join(FOREVER)


def test_a_closed_connection_is_freed_at_once() -> None:
    both = pair(deflate=DeflateParameters())
    both.run(_say_and_close(both))
    kept = [weakref.ref(both.client), weakref.ref(both.client.machine._library)]
    gc.collect()
    gc.disable()
    try:
        del both
        assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()
