"""An HTTP/2 connection against a scripted peer: goodbyes, refusals, windows, the end in the middle."""

from __future__ import annotations

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import (
    ClosedError,
    ConnectionClosed,
    IncompleteMessage,
    LocalProtocolError,
    ReadTimeout,
    RemoteProtocolError,
    StreamRefused,
    WriteError,
    WriteTimeout,
)
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.h2_errors import H2Error
from tests.connection.h2_support import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    Peer,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
    accept,
    ask,
    duo,
    exchange,
    get,
    meet,
    ok,
    serve,
)


def test_goaway_in_the_middle() -> None:
    peer = Peer("client")

    async def main() -> None:
        connection = peer.connection
        await peer.begin()
        first, second = await ask(connection), await ask(connection)
        await peer.say(
            GoAwayFrame(0, last_stream_id=1), peer.answer(1), DataFrame(1, b"still here", flags=["END_STREAM"])
        )
        with pytest.raises(StreamRefused):
            await second.get_headers()
        await first.get_headers()
        assert await first.get_body_as_string() == b"still here"
        assert not connection.is_open_for_more
        assert not connection.is_usable()
        with pytest.raises(StreamRefused):
            await ask(connection)
        assert connection.streams == {}

    peer.run(main())


def test_those_in_the_queue_are_refused_at_goaway() -> None:
    peer = Peer("client")
    refused: list[int] = []

    async def wait(number: int) -> None:
        with pytest.raises(StreamRefused):
            await ask(peer.connection)
        refused.append(number)

    async def main() -> None:
        await peer.begin(max_concurrent_streams=0)
        await peer.connection.take_input()
        tasks = [peer.backend.spawn(wait(number), "wait") for number in range(5)]
        await peer.backend.sleep_until(peer.backend.now() + 1)
        assert not refused
        await peer.say(GoAwayFrame(0, last_stream_id=0))
        for task in tasks:
            assert await task.join(peer.backend.now() + 5)

    peer.run(main())
    assert sorted(refused) == [0, 1, 2, 3, 4]


def test_the_limit_of_streams_may_change() -> None:
    peer = Peer("client")
    opened: list[int] = []

    async def wait(number: int) -> None:
        await ask(peer.connection)
        opened.append(number)

    async def main() -> None:
        await peer.begin(max_concurrent_streams=1)
        await peer.connection.take_input()
        for number in range(6):
            peer.backend.spawn(wait(number), "wait")
        for limit, count in [(1, 1), (3, 3), (2, 3), (6, 6)]:
            await peer.say(SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: limit}))
            await peer.backend.sleep_until(peer.backend.now() + 1)
            assert opened == list(range(count))

    peer.run(main())
    assert [frame.stream_id for frame in peer.heard(HeadersFrame)] == [1, 3, 5, 7, 9, 11]


def test_refused_streams_and_resets() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin()
        refused, reset, strange = [await ask(peer.connection) for _ in range(3)]
        await peer.say(
            RstStreamFrame(1, error_code=7), RstStreamFrame(3, error_code=8), RstStreamFrame(5, error_code=0x1234)
        )
        with pytest.raises(StreamRefused):
            await refused.get_headers()
        with pytest.raises(H2Error, match="CANCEL"):
            await reset.get_headers()
        with pytest.raises(H2Error, match="0x1234"):
            await strange.get_headers()
        assert peer.connection.is_usable()

    peer.run(main())


def test_a_complete_answer_before_a_reset_is_kept() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin()
        stream = peer.connection.new_stream()
        await stream.write_headers(get("/", method="POST"), False)
        await peer.say(peer.answer(1), DataFrame(1, b"no", flags=["END_STREAM"]), RstStreamFrame(1, error_code=0))
        await stream.get_headers()
        assert await stream.get_body_as_string() == b"no"
        with pytest.raises(H2Error):
            await stream.write_chunk(b"more")
        assert await stream.find_answer(FOREVER)
        assert peer.connection.streams == {}

    peer.run(main())


def test_the_end_in_the_middle() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin()
        half, none = await ask(peer.connection), await ask(peer.connection)
        await peer.say(peer.answer(1), DataFrame(1, b"half"))
        peer.hear()
        await peer.stream.send_eof(FOREVER)
        with pytest.raises(ConnectionClosed):
            await none.get_headers()
        await half.get_headers()
        assert await half.get_next_chunk() == b"half"
        for _ in range(2):
            with pytest.raises(IncompleteMessage):
                await half.get_next_chunk()
        with pytest.raises(StreamRefused):
            await ask(peer.connection)

    peer.run(main())


def test_an_idle_connection_learns_of_its_end_before_the_next_request() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin()
        await peer.stream.send_eof(FOREVER)
        stream = peer.connection.new_stream()
        with pytest.raises(StreamRefused):
            await stream.write_headers(get(), True)

    peer.run(main())


def test_windows_that_shrink_below_zero() -> None:
    peer = Peer("client")

    async def upload() -> None:
        stream = peer.connection.new_stream()
        await stream.write_message(get("/", method="POST"), bytes(3000), FOREVER)

    def received() -> int:
        return sum(len(frame.data) for frame in peer.heard(DataFrame))

    async def main() -> None:
        await peer.begin(initial_window_size=1000)
        await peer.connection.take_input()
        task = peer.backend.spawn(upload(), "upload")
        for frame, size in [
            (None, 1000),
            (SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 500}), 0),
            (WindowUpdateFrame(1, window_increment=400), 0),
            (WindowUpdateFrame(1, window_increment=200), 100),
            (SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1500}), 1000),
            (WindowUpdateFrame(1, window_increment=5000), 900),
        ]:
            if frame is not None:
                await peer.say(frame)
            await peer.backend.sleep_until(peer.backend.now() + 1)
            assert received() == size
        assert await task.join(FOREVER)

    peer.run(main())


def test_ping_and_its_time_limit() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin()
        with pytest.raises(ReadTimeout):
            await peer.connection.ping(2)
        first = peer.heard(PingFrame)[0].opaque_data
        task = peer.backend.spawn(peer.connection.ping(20), "ping")  # type: ignore[arg-type]
        await peer.backend.sleep_until(peer.backend.now() + 3)
        second = peer.heard(PingFrame)[0].opaque_data
        assert first != second
        await peer.say(PingFrame(0, opaque_data=first, flags=["ACK"]))
        await peer.backend.sleep_until(peer.backend.now() + 3)
        assert not task.done  # type: ignore[attr-defined]
        await peer.say(PingFrame(0, opaque_data=second, flags=["ACK"]), PingFrame(0, opaque_data=b"mine....", flags=[]))
        assert await task.join(FOREVER)
        assert task.result == 6.0  # type: ignore[attr-defined]
        assert peer.heard(PingFrame)[0].opaque_data == b"mine...."
        assert not peer.connection._pings

    peer.run(main())


def test_padding_counts_for_the_windows() -> None:
    peer = Peer("client", H2Limits(stream_window=1000, connection_window=66_000))

    async def main() -> None:
        await peer.begin()
        await peer.say(SettingsFrame(0, flags=["ACK"]))
        stream = await ask(peer.connection)
        await peer.say(peer.answer(1))
        await stream.get_headers()
        peer.hear()
        total = 0
        for _ in range(20):
            await peer.say(DataFrame(1, b"x" * 300, pad_length=199, flags=["PADDED"]))
            assert await stream.get_next_chunk() == b"x" * 300
            total += sum(frame.window_increment for frame in peer.heard(WindowUpdateFrame) if frame.stream_id == 1)
        assert total == 20 * 500

    peer.run(main())


def test_data_for_a_stream_that_was_given_up_is_credited() -> None:
    peer = Peer("client", H2Limits(stream_window=60_000, connection_window=66_000))

    async def main() -> None:
        await peer.begin()
        stream = await ask(peer.connection)
        await peer.say(peer.answer(1), *[DataFrame(1, bytes(10_000))] * 3)
        await stream.get_headers()
        await stream.shutdown()
        await peer.say(*[DataFrame(1, bytes(10_000))] * 3)
        await peer.connection.take_input()
        await peer.connection.flush_now()
        updates = [f.window_increment for f in peer.heard(WindowUpdateFrame) if f.stream_id == 0]
        assert sum(updates[1:]) >= 33_000  # the first raises the window at the beginning

    peer.run(main())


def test_a_peer_that_speaks_something_else() -> None:
    peer = Peer("client")

    async def main() -> None:
        stream = await ask(peer.connection)
        await peer.stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n", FOREVER)
        with pytest.raises(RemoteProtocolError, match="not speak HTTP/2"):
            await stream.get_headers()

    peer.run(main())


def test_graceful_shutdown() -> None:
    both = duo()

    async def close() -> None:
        await both.server.shutdown(60)

    async def main() -> None:
        await meet(both)
        stream = await ask(both.client)
        theirs = await accept(both.server)
        task = both.backend.spawn(close(), "shutdown")
        with pytest.raises(ReadTimeout):
            await stream.get_headers(1)
        assert not both.client.is_usable()
        assert await both.server.get_next_incoming_stream() is None
        await theirs.write_message(ok(), b"done", FOREVER)
        assert await task.join(both.backend.now() + 1)
        await stream.get_headers()
        assert await stream.get_body_as_string() == b"done"
        await both.client.shutdown(1)

    both.run(main())
    assert both.client.streams == {}
    assert both.server.streams == {}


def test_close_wakes_everybody() -> None:
    both = duo()
    ended: list[int] = []

    async def wait(number: int) -> None:
        stream = await ask(both.client)
        with pytest.raises(ClosedError):
            await stream.get_headers()
        ended.append(number)

    async def main() -> None:
        tasks = [both.backend.spawn(wait(number), "wait") for number in range(10)]
        await both.backend.sleep_until(both.backend.now() + 1)
        both.client.close()
        both.client.close()
        for task in tasks:
            assert await task.join(both.backend.now() + 1)

    both.run(main())
    assert sorted(ended) == list(range(10))
    assert both.client.is_closed


def test_roles_and_misuse() -> None:
    both = duo()

    async def main() -> None:
        with pytest.raises(LocalProtocolError):
            both.server.new_stream()
        with pytest.raises(LocalProtocolError):
            await both.client.new_stream().get_headers()
        both.backend.spawn(serve(both.server, both.backend), "server")
        assert await exchange(both.client, "/x", b"y") == b"/xy"
        assert both.client.requests == both.server.requests == 1
        assert "client" in repr(both.client)

    both.run(main())


def test_an_answer_is_read_though_the_peer_stopped_listening() -> None:
    peer = Peer("client", capacity=100_000)

    async def main() -> None:
        await peer.begin(initial_window_size=1_000_000)
        await peer.connection.take_input()
        stream = peer.connection.new_stream()
        await stream.write_headers(get("/", method="POST"), False)
        peer.hear()
        await peer.say(peer.headers(1, [(":status", "413")]), DataFrame(1, b"too much", flags=["END_STREAM"]))
        peer.stream.close()
        await stream.write_chunk(bytes(1000))
        with pytest.raises(WriteError):
            await stream.write_chunk(bytes(1000))
        assert peer.connection.is_closed
        assert await stream.find_answer(peer.backend.now() + 5)
        head = await stream.get_headers()
        assert head is not None
        assert head.get(":status") == "413"
        assert await stream.get_body_as_string() == b"too much"
        await stream.shutdown()

    peer.run(main())


@pytest.mark.parametrize("ended", [False, True])
def test_polling_while_the_peer_takes_nothing(ended: bool) -> None:
    peer = Peer("client", capacity=500)

    async def main() -> None:
        await peer.begin()
        stream = peer.connection.new_stream()
        stream.write_timeout = 1
        with pytest.raises(WriteTimeout):
            await stream.write_message(get("/", method="POST"), bytes(5000), FOREVER)
        with pytest.raises(ReadTimeout):
            await stream.get_headers(0)
        await peer.say(peer.answer(1))
        assert await stream.get_headers(0) is not None
        if ended:
            await peer.stream.send_eof(FOREVER)
            with pytest.raises(IncompleteMessage):
                await stream.get_next_chunk(5)
        else:
            with pytest.raises(ReadTimeout):
                await stream.get_next_chunk(5)
        await stream.shutdown()

    peer.run(main())


def test_a_body_before_its_head_is_refused() -> None:
    both = duo()

    async def main() -> None:
        stream = await ask(both.client)
        theirs = await accept(both.server)
        with pytest.raises(LocalProtocolError):
            await theirs.write_chunk(b"x")
        await theirs.write_message(ok(), b"x", FOREVER)
        with pytest.raises(LocalProtocolError):
            await theirs.write_chunk(b"y")
        await stream.get_headers()
        assert await stream.get_body_as_string() == b"x"

    both.run(main())
