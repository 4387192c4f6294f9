"""Server push: promising, taking, refusing."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import ContinuationFrame, PushPromiseFrame

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.connection.h2_push import H2PromisedStream, H2PushedStream, max_unclaimed
from drivetrain.engine.errors import (
    ClosedError,
    LocalProtocolError,
    ReadTimeout,
    RemoteProtocolError,
    StreamRefused,
    UsageError,
)
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.hpack_context import HpackContext
from tests.connection.h2_support import (
    DataFrame,
    Duo,
    GoAwayFrame,
    Peer,
    RstStreamFrame,
    SettingsFrame,
    accept,
    ask,
    duo,
    exchange,
    get,
    meet,
    ok,
    serve,
)

TAKES = H2Limits(enable_push=True)
STYLE = get("/style.css")


def promise(peer: Peer, parent: int, number: int, **changes: str | None) -> PushPromiseFrame:
    fields = {":method": "GET", ":scheme": "http", ":authority": "x", ":path": f"/{number}"}
    for name, value in changes.items():
        fields[name.replace("__", ":").replace("_", "-")] = value  # type: ignore[assignment]
    block = peer.encoder.encode([(name, value) for name, value in fields.items() if value is not None])
    return PushPromiseFrame(parent, number, block, flags=["END_HEADERS"])


async def asked(both: Duo) -> tuple[Any, Any]:
    """A request that the server has read."""
    stream = await ask(both.client)
    answering = await accept(both.server)
    await answering.get_headers(5)
    return stream, answering


class TestExchange:
    def test_the_promised_request_comes_first(self) -> None:
        both = duo(client=TAKES)

        async def main() -> Any:
            stream, answering = await asked(both)
            pushed = await answering.push_promise(STYLE, 5)
            assert isinstance(pushed, H2PromisedStream)
            assert (pushed.id, pushed.state) == (2, "reserved (local)")
            # On its own side the promised request can be read too.
            assert (await pushed.get_headers(5)).get(":path") == "/style.css"
            assert await pushed.get_next_chunk(5) is None
            await answering.write_message(ok(), b"page", FOREVER)
            found = await both.client.get_next_incoming_stream(5)
            assert isinstance(found, H2PushedStream)
            assert (found.id, found.state) == (2, "reserved (remote)")
            request = await found.get_headers(5)
            await pushed.write_headers(ok("200", ("content-type", "text/css")), False)
            assert pushed.state == "half closed (remote)"
            response = await found.get_headers(5)
            assert found.state == "half closed (local)"
            await pushed.write_chunk(b"style", False)
            await pushed.write_headers(Headers([("check", "sum")]), True)
            body = await found.get_body_as_string(5)
            trailers = await found.get_headers(5)
            await stream.get_headers(5)
            return request, response, body, trailers, await stream.get_body_as_string(5), found, pushed

        request, response, body, trailers, page, found, pushed = both.run(main())
        assert request.get(":path") == "/style.css" == found.request.get(":path")
        assert response.get("content-type") == "text/css"
        assert (body, trailers.get("check"), page) == (b"style", "sum", b"page")
        assert (found.state, pushed.state) == ("closed", "closed")
        assert not both.client.streams
        assert not both.server.streams

    def test_complete_before_it_is_fetched(self) -> None:
        both = duo(client=TAKES)

        async def main() -> tuple[bytes, Any]:
            stream, answering = await asked(both)
            pushed = await answering.push_promise(STYLE)
            await pushed.write_message(ok(), b"style" * 1000, FOREVER)
            await answering.write_message(ok(), b"page", FOREVER)
            await stream.get_headers(5)
            await stream.get_body_as_string(5)
            found = await both.client.get_next_incoming_stream(0)
            assert (await found.get_headers(0)).get(":path") == "/style.css"
            assert (await found.get_headers(0)).get(":status") == "200"
            return await found.get_body_as_string(0), found

        body, found = both.run(main())
        assert body == b"style" * 1000
        assert found.response.headers.get(":status") == "200"

    def test_head_with_a_length(self) -> None:
        both = duo(client=TAKES)

        async def main() -> Any:
            _, answering = await asked(both)
            pushed = await answering.push_promise(get("/", method="HEAD"))
            with pytest.raises(LocalProtocolError):
                await pushed.write_chunk(b"too early")
            await pushed.write_headers(ok("200", ("content-length", "5")), True)
            found = await both.client.get_next_incoming_stream(5)
            await found.get_headers(5)
            head = await found.get_headers(5)
            assert await found.get_next_chunk(5) is None
            return head

        assert both.run(main()).get("content-length") == "5"

    def test_several_and_the_order_of_ids(self) -> None:
        both = duo(client=TAKES)

        async def main() -> list[bytes]:
            _, answering = await asked(both)
            pushed = [await answering.push_promise(get(f"/{number}")) for number in range(3)]
            assert [stream.id for stream in pushed] == [2, 4, 6]
            for stream in reversed(pushed):
                await stream.write_message(ok(), str(stream.id).encode(), FOREVER)
            bodies = []
            for _ in pushed:
                found = await both.client.get_next_incoming_stream(5)
                await found.get_headers(5)
                await found.get_headers(5)
                bodies.append(await found.get_body_as_string(5))
            return bodies

        assert both.run(main()) == [b"2", b"4", b"6"]
        assert not both.server.priorities

    def test_frame_by_frame(self) -> None:
        both = duo(client=TAKES)
        context = HpackContext(0)
        context.encode_headers(STYLE)
        block = context.render_data()

        async def main() -> Any:
            _, answering = await asked(both)
            pushed = both.server.new_promised_stream()
            assert (pushed.id, pushed.state) == (2, "idle")
            await answering.write_push_promise_frame(2, block[:4], False, 9)
            assert pushed.state == "idle"
            await answering.write_continuation_frame(block[4:])
            assert pushed.state == "reserved (local)"
            await pushed.write_headers_frame(ok())
            await pushed.write_data_frame(b"style", True)
            found = await both.client.get_next_incoming_stream(5)
            request = await found.get_headers(5)
            await found.get_headers(5)
            return request, await found.get_body_as_string(5)

        request, body = both.run(main())
        assert (request.get(":path"), body) == ("/style.css", b"style")

    def test_a_large_promise_is_split(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1, "END_STREAM"))
            stream = await accept(peer.connection, 1)
            await stream.push_promise(get("/", *[(f"x-{n}", "v" * 1000) for n in range(30)]))

        peer.run(main())
        frames = [f for f in peer.hear() if isinstance(f, (PushPromiseFrame, ContinuationFrame))]
        assert len(frames) > 1
        assert frames[0].promised_stream_id == 2
        assert [f.body_len for f in frames[:-1]] == [16384] * (len(frames) - 1)

    def test_given_up_by_the_server(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            _, answering = await asked(both)
            pushed = await answering.push_promise(STYLE)
            found = await both.client.get_next_incoming_stream(5)
            await found.get_headers(5)
            await pushed.shutdown()
            with pytest.raises(H2Error) as caught:
                await found.get_headers(5)
            assert caught.value.code == H2ErrorCode.CANCEL
            assert list(both.server.streams) == [1]

        both.run(main())

    def test_given_up_by_the_client(self) -> None:
        both = duo(client=TAKES)

        async def main() -> Any:
            _, answering = await asked(both)
            pushed = await answering.push_promise(STYLE)
            found = await both.client.get_next_incoming_stream(5)
            await found.shutdown()
            with pytest.raises(ClosedError):
                await found.get_next_chunk(5)
            await both.server.step(5)
            with pytest.raises(H2Error):
                await pushed.write_message(ok(), b"style", FOREVER)
            return pushed

        assert both.run(main()).state == "closed"
        assert list(both.client.streams) == [1]


class TestServer:
    def test_a_client_that_takes_none(self) -> None:
        both = duo()

        async def main() -> None:
            _, answering = await asked(both)
            with pytest.raises(LocalProtocolError):
                await answering.push_promise(STYLE)
            await answering.write_message(ok(), b"page", FOREVER)

        both.run(main())
        assert not both.server.picked

    def test_a_client_does_not_push(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            stream, _ = await asked(both)
            with pytest.raises(LocalProtocolError):
                await stream.push_promise(STYLE)
            with pytest.raises(LocalProtocolError):
                both.client.new_promised_stream()

        both.run(main())

    def test_a_client_that_goes_away(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            _, answering = await asked(both)
            await both.client.write_goaway_frame()
            await both.server.step(5)
            with pytest.raises(StreamRefused):
                await answering.push_promise(STYLE)

        both.run(main())

    def test_a_connection_that_broke(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            _, answering = await asked(both)
            both.server.close()
            with pytest.raises(ClosedError):
                await answering.push_promise(STYLE)

        both.run(main())

    def test_as_many_as_the_client_takes(self) -> None:
        both = duo(client=H2Limits(enable_push=True, max_concurrent_streams=2))

        async def main() -> None:
            _, answering = await asked(both)
            first = await answering.push_promise(STYLE)
            await answering.push_promise(STYLE)
            with pytest.raises(LocalProtocolError):
                await answering.push_promise(STYLE)
            await first.write_message(ok(), b"", FOREVER)
            await answering.push_promise(STYLE)

        both.run(main())

    @pytest.mark.parametrize(
        "headers",
        [
            get("/", method="POST"),
            get("/", method="DELETE"),
            get("/", ("content-length", "5")),
            Headers([(":method", "GET"), (":scheme", "ftp"), (":path", "/")]),
            ok(),
        ],
    )
    def test_requests_that_cannot_be_promised(self, headers: Headers) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            _, answering = await asked(both)
            with pytest.raises(LocalProtocolError):
                await answering.push_promise(headers)
            # Nothing was spoilt.
            await (await answering.push_promise(STYLE)).write_message(ok(), b"style", FOREVER)

        both.run(main())
        assert not both.server.picked

    def test_not_after_the_response(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            _, answering = await asked(both)
            pushed = await answering.push_promise(STYLE)
            with pytest.raises(LocalProtocolError):
                await pushed.push_promise(STYLE)
            await answering.write_message(ok(), b"", FOREVER)
            with pytest.raises(LocalProtocolError):
                await answering.push_promise(STYLE)

        both.run(main())

    def test_ids_of_the_frame_writer(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            _, answering = await asked(both)
            for wrong in (2, 3, 4):
                with pytest.raises(LocalProtocolError):
                    await answering.write_push_promise_frame(wrong, STYLE)
            with pytest.raises(UsageError):
                await answering.write_push_promise_frame(0, STYLE)
            with pytest.raises(UsageError):
                both.server.new_promised_stream(3)

        both.run(main())

    def test_no_informational_response_on_it(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            _, answering = await asked(both)
            pushed = await answering.push_promise(STYLE)
            with pytest.raises(LocalProtocolError):
                await pushed.write_headers(ok("103"), False)
            await pushed.write_message(ok(), b"style", FOREVER)

        both.run(main())
        assert not both.server.is_closed

    def test_pushes_do_not_count_among_the_clients_streams(self) -> None:
        both = duo(client=TAKES, server=H2Limits(max_concurrent_streams=2))

        async def main() -> None:
            _, answering = await asked(both)
            for _ in range(3):
                await answering.push_promise(STYLE)
            await ask(both.client, "/second")
            assert (await (await accept(both.server)).get_headers(5)).get(":path") == "/second"  # type: ignore[union-attr]

        both.run(main())


class TestClient:
    def test_refuses_unless_told_otherwise(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = await ask(peer.connection)
            await peer.begin()
            await peer.say(promise(peer, 1, 2))
            with pytest.raises(RemoteProtocolError):
                await stream.get_headers(1)

        peer.run(main())
        frames = peer.hear()
        announced = next(frame for frame in frames if isinstance(frame, SettingsFrame)).settings
        assert announced[SettingsFrame.ENABLE_PUSH] == 0
        assert [f.error_code for f in frames if isinstance(f, GoAwayFrame)] == [H2ErrorCode.PROTOCOL_ERROR]

    def test_announces_that_it_takes_them(self) -> None:
        peer = Peer("client", TAKES)
        peer.run(peer.connection.connect(1))
        assert peer.heard(SettingsFrame)[0].settings[SettingsFrame.ENABLE_PUSH] == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"__method": "POST"},
            {"__authority": "elsewhere.test"},
            {"__authority": "x:8080"},
            {"__scheme": "https"},
            {"content_length": "3"},
            {"__path": None},
            {"__authority": None},
            {"connection": "close"},
        ],
    )
    def test_promises_that_are_refused(self, changes: dict[str, str | None]) -> None:
        peer = Peer("client", TAKES)

        async def main() -> bytes:
            stream = await ask(peer.connection)
            await peer.begin()
            await peer.say(promise(peer, 1, 2, **changes), promise(peer, 1, 4))
            await peer.say(peer.answer(1), DataFrame(1, b"page", flags=["END_STREAM"]))
            await stream.get_headers(1)
            assert (await peer.connection.get_next_incoming_stream(0)).id == 4
            return await stream.get_body_as_string(1)

        assert peer.run(main()) == b"page"
        resets = [(f.stream_id, f.error_code) for f in peer.heard(RstStreamFrame)]
        assert resets == [(2, H2ErrorCode.PROTOCOL_ERROR)]

    def test_the_default_port_is_the_same_authority(self) -> None:
        peer = Peer("client", TAKES)

        async def main() -> Any:
            await ask(peer.connection)
            await peer.begin()
            await peer.say(promise(peer, 1, 2, __authority="X:80"))
            return await peer.connection.get_next_incoming_stream(1)

        assert peer.run(main()).id == 2

    def test_more_than_it_fetches(self) -> None:
        limits = H2Limits(enable_push=True, stream_window=1000, connection_window=65535)
        most = max_unclaimed(limits.connection_window, limits.stream_window)
        peer = Peer("client", limits)

        async def main() -> list[int]:
            stream = await ask(peer.connection)
            await peer.begin()
            await peer.say(
                *[promise(peer, 1, 2 * number) for number in range(1, most + 4)], peer.answer(1, "END_STREAM")
            )
            await stream.get_headers(1)
            found = []
            for _ in range(most):
                found.append((await peer.connection.get_next_incoming_stream(0)).id)
            with pytest.raises(ReadTimeout):
                await peer.connection.get_next_incoming_stream(0)
            return found

        assert peer.run(main()) == [2 * number for number in range(1, most + 1)]
        resets = [(f.stream_id, f.error_code) for f in peer.heard(RstStreamFrame)]
        assert resets == [(2 * number, H2ErrorCode.REFUSED_STREAM) for number in range(most + 1, most + 4)]
        assert most == 32

    def test_more_than_it_announced(self) -> None:
        peer = Peer("client", H2Limits(enable_push=True, max_concurrent_streams=1))

        async def main() -> None:
            await ask(peer.connection)
            await peer.begin()
            await peer.say(promise(peer, 1, 2), promise(peer, 1, 4))
            await peer.connection.step(1)

        peer.run(main())
        assert [(f.stream_id, f.error_code) for f in peer.heard(RstStreamFrame)] == [(4, H2ErrorCode.REFUSED_STREAM)]

    def test_what_is_not_fetched_holds_up_nobody(self) -> None:
        """The pushes that wait hold less than the connection's window, so a download beside them goes on."""
        limits = H2Limits(enable_push=True, stream_window=65535, connection_window=65535 * 4)
        both = duo(client=limits)

        async def push(answering: Any) -> None:
            for number in range(8):
                pushed = await answering.push_promise(get(f"/{number}"))
                both.backend.spawn(fill(pushed), "pusher")
            await answering.write_message(ok(), b"page", FOREVER)

        async def fill(pushed: Any) -> None:
            try:
                await pushed.write_message(ok(), b"x" * 200_000, FOREVER)
            except H2Error as error:
                refused.append(error)
            except StreamRefused as error:
                refused.append(error)
            except ClosedError as error:
                refused.append(error)

        async def big(stream: Any) -> None:
            await stream.get_headers()
            await stream.write_message(ok(), b"y" * 1_000_000, FOREVER)

        refused: list[Exception] = []

        async def main() -> int:
            stream = await ask(both.client)
            await push(await accept(both.server))
            await stream.get_headers(5)
            await stream.get_body_as_string(5)
            both.backend.spawn(serve(both.server, both.backend, big), "server")
            length = len(await exchange(both.client))
            both.client.close()
            return length

        assert both.run(main()) == 1_000_000
        assert len(refused) >= 6

    def test_goaway_of_the_server_leaves_them(self) -> None:
        peer = Peer("client", TAKES)

        async def main() -> bytes:
            stream = await ask(peer.connection)
            await peer.begin()
            await peer.say(promise(peer, 1, 2))
            pushed = await peer.connection.get_next_incoming_stream(1)
            await peer.say(GoAwayFrame(0, last_stream_id=1))
            await peer.say(peer.answer(2), DataFrame(2, b"style", flags=["END_STREAM"]), peer.answer(1, "END_STREAM"))
            await pushed.get_headers(1)
            await pushed.get_headers(1)
            await stream.get_headers(1)
            assert await peer.connection.get_next_incoming_stream(1) is None
            return await pushed.get_body_as_string(1)

        assert peer.run(main()) == b"style"

    def test_turned_off_while_connected(self) -> None:
        both = duo(client=TAKES)

        async def main() -> None:
            stream, answering = await asked(both)
            stepping = both.backend.spawn(both_step(), "server")
            assert await both.client.settings({"ENABLE_PUSH": False}, 5)
            assert await stepping.join(FOREVER)
            with pytest.raises(LocalProtocolError):
                await answering.push_promise(STYLE)
            await meet(both)
            assert stream.state == "half closed (local)"

        async def both_step() -> None:
            await both.server.step(5)

        both.run(main())
