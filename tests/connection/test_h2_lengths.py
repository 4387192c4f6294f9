"""Bodies and the lengths their heads announce, both ways: a mismatch is one stream's affair (RFC 9113 section 8.1.1)."""

from __future__ import annotations

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import LocalProtocolError
from drivetrain.engine.wire.h2_errors import H2Error
from tests.connection.h2_support import (
    DataFrame,
    Duo,
    HeadersFrame,
    Peer,
    RstStreamFrame,
    accept,
    ask,
    duo,
    exchange,
    get,
    ok,
    serve,
)

LENGTH = ("content-length", "5")


class TestReceiving:
    @pytest.mark.parametrize(
        "body", [[b"1234"], [b"123456"], [b"123", b"456", b"789"], []], ids=["short", "long", "long in pieces", "none"]
    )
    def test_a_wrong_answer_harms_its_stream_only(self, body: list[bytes]) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            bad, good = await ask(peer.connection), await ask(peer.connection)
            flags = [] if body else ["END_STREAM"]
            await peer.say(peer.headers(1, [(":status", "200"), LENGTH], *flags))
            for piece in body:
                await peer.say(DataFrame(1, piece, flags=["END_STREAM"] if piece is body[-1] else []))
            await peer.say(peer.answer(3, "END_STREAM"))
            assert await good.get_headers() is not None
            with pytest.raises(H2Error, match="content-length") as caught:
                await bad.get_body_as_string()
            assert caught.value.stream_error
            assert peer.connection.is_usable()
            assert peer.connection.streams == {}

        async def with_head() -> None:
            await main()

        peer.run(with_head())

    @pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("GET", "304"), ("GET", "204")])
    def test_answers_without_a_body_may_say_a_length(self, method: str, status: str) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            stream = peer.connection.new_stream()
            await stream.write_headers(get(method=method), True)
            await peer.say(peer.headers(1, [(":status", status), LENGTH], "END_STREAM"))
            assert await stream.get_headers() is not None
            assert await stream.get_body_as_string() == b""

        peer.run(main())

    def test_a_wrong_request_is_reset(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.begin()
            fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/"), LENGTH]
            await peer.say(peer.headers(1, fields), DataFrame(1, b"123", flags=["END_STREAM"]))
            await peer.say(peer.headers(3, fields, "END_STREAM"), peer.ask(5, "END_STREAM"))
            while (stream := await accept(peer.connection)).id != 5:
                with pytest.raises(H2Error):
                    await stream.get_body_as_string()
            assert [(frame.stream_id, frame.error_code) for frame in peer.heard(RstStreamFrame)] == [(1, 1), (3, 1)]
            assert not peer.connection.is_closed

        peer.run(main())


class TestSending:
    def check(self, both: Duo, message: str, body: list[bytes], trailers: bool = False) -> None:
        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend), "server")
            stream = both.client.new_stream()
            await stream.write_headers(get("/bad", LENGTH, method="POST"), False)
            with pytest.raises(LocalProtocolError, match=message):
                for piece in body:
                    await stream.write_chunk(piece, end_stream=piece is body[-1] and not trailers)
                await stream.write_headers(ok().__class__([("x", "y")]), True)
            assert stream.state == "closed"
            assert await exchange(both.client, "/good") == b"/good"
            assert both.client.streams == {}

        both.run(main())

    def test_too_much(self) -> None:
        self.check(duo(), "longer", [b"123", b"456"])

    def test_too_little(self) -> None:
        self.check(duo(), "shorter", [b"12", b"34"])

    def test_too_little_before_trailers(self) -> None:
        self.check(duo(), "shorter", [b"1234"], trailers=True)

    def test_a_whole_message_that_is_wrong_is_not_begun(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            stream = peer.connection.new_stream()
            with pytest.raises(LocalProtocolError, match="content-length"):
                await stream.write_message(get("/", LENGTH, method="POST"), b"1234", FOREVER)
            with pytest.raises(LocalProtocolError, match="content-length"):
                await stream.write_headers(get("/", LENGTH), True)
            with pytest.raises(LocalProtocolError, match="malformed"):
                await stream.write_headers(get("/", ("content-length", "x")), True)
            assert stream.state == "idle"
            assert peer.heard(HeadersFrame) == []
            await stream.write_message(get("/", LENGTH, method="POST"), b"12345", FOREVER)

        peer.run(main())

    def test_answers_are_held_to_theirs_too(self) -> None:
        both = duo()

        async def handler(stream) -> None:
            path = (await stream.get_headers()).get(":path")
            with pytest.raises(LocalProtocolError, match="content-length"):
                if path == "/whole":
                    await stream.write_message(ok("200", LENGTH), b"123", FOREVER)
                else:
                    await stream.write_headers(ok("200", LENGTH), False)
                    await stream.write_chunk(b"123", True)
            await stream.shutdown()

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, handler), "server")
            whole, pieces = await ask(both.client, "/whole"), await ask(both.client, "/pieces")
            head = await whole.get_headers()
            assert head is not None
            assert head.get(":status") == "503"
            with pytest.raises(H2Error):
                await pieces.get_headers()
                await pieces.get_body_as_string()

        both.run(main())
