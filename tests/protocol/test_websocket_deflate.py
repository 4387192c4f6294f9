"""permessage-deflate: what the machine makes of it, and what an attacker cannot."""

from __future__ import annotations

import itertools
import os
import tracemalloc
import zlib

import pytest

from drivetrain.engine.errors import UsageError
from drivetrain.engine.protocol.websocket_deflate import (
    DeflateOptions,
    DeflateParameters,
    MessageDeflater,
    MessageInflater,
)
from drivetrain.engine.protocol.websocket_events import Failed, Piece
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from drivetrain.engine.protocol.websocket_machine import to_payload
from tests.protocol.websocket_support import frame, new, read, reads

CONT, TEXT, BINARY, PING = 0, 1, 2, 9
RSV1 = 4
PLAIN = DeflateParameters()
HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"  # RFC 7692 section 7.2.3.1


def packed(data: bytes, bits: int = 15) -> bytes:
    return MessageDeflater(bits, no_takeover=True).deflate(data, last=True)


class TestExamplesOfTheRfc:
    def test_one_block(self) -> None:
        assert read(new(deflate=PLAIN), frame(TEXT, HELLO, rsv=RSV1)) == [("message", "Hello")]

    def test_in_fragments(self) -> None:
        data = frame(TEXT, HELLO[:3], fin=False, rsv=RSV1) + frame(CONT, HELLO[3:])
        assert read(new(deflate=PLAIN), data) == [("message", "Hello")]

    def test_sharing_a_window(self) -> None:
        data = frame(TEXT, HELLO, rsv=RSV1) + frame(TEXT, b"\xf2\x00\x11\x00\x00", rsv=RSV1)
        assert read(new(deflate=PLAIN), data) == [("message", "Hello")] * 2

    def test_a_block_without_compression(self) -> None:
        payload = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"
        assert read(new(deflate=PLAIN), frame(TEXT, payload, rsv=RSV1)) == [("message", "Hello")]

    @pytest.mark.parametrize("padding", [b"\x00", b""])
    def test_a_final_block(self, padding: bytes) -> None:
        payload = b"\xf3\x48\xcd\xc9\xc9\x07\x00" + padding
        data = frame(TEXT, payload, rsv=RSV1) + frame(TEXT, HELLO, rsv=RSV1)
        assert read(new(deflate=PLAIN), data) == [("message", "Hello")] * 2

    def test_two_blocks(self) -> None:
        payload = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"
        assert read(new(deflate=PLAIN), frame(TEXT, payload, rsv=RSV1)) == [("message", "Hello")]

    def test_nothing(self) -> None:
        assert read(new(deflate=PLAIN), frame(TEXT, b"\x00", rsv=RSV1)) == [("message", "")]


@pytest.mark.parametrize("takeover", [False, True])
def test_messages_without_anything_in_them(takeover: bool) -> None:
    deflate = DeflateParameters(not takeover, not takeover)
    sender, receiver = new("client", deflate), new("server", deflate)
    for message in ("", "a", "", "", b"", b"b", b""):
        assert read(receiver, sender.send_part(*to_payload(message, None), compress=True)) == [("message", message)]


@pytest.mark.parametrize(
    ("server_no", "client_no", "server_bits", "client_bits"),
    [*itertools.product([False, True], [False, True], [9, 12, 15], [9, 15]), (False, False, 8, 8)],
)
def test_every_combination_both_ways(server_no: bool, client_no: bool, server_bits: int, client_bits: int) -> None:
    deflate = DeflateParameters(server_no, client_no, server_bits, client_bits)
    client, server = new("client", deflate), new("server", deflate)
    noise = os.urandom(1000)
    for sender, receiver in ((client, server), (server, client)):
        for message in (b"abc" * 1000, noise, b"abc" * 1000, noise * 40, "é" * 5000):
            assert read(receiver, sender.send_part(*to_payload(message, None))) == [("message", message)]


def test_the_window_is_kept_or_not() -> None:
    noise = os.urandom(500)
    for no_takeover in (False, True):
        sender = new("server", DeflateParameters(no_takeover, no_takeover))
        first, second = (sender.send_part(*to_payload(noise, None)) for _ in range(2))
        assert (len(second) > 400) is no_takeover
        assert first[0] == second[0] == 0xC2


def test_the_window_is_no_larger_than_agreed_on() -> None:
    noise = os.urandom(5000)
    small = new("server", DeflateParameters(server_max_window_bits=9))
    assert len(small.send_part(*to_payload(noise * 2, None))) > 9900
    large = new("server", PLAIN)
    assert len(large.send_part(*to_payload(noise * 2, None))) < 5200


def test_a_window_that_zlib_does_not_have_is_not_used() -> None:
    client = new("client", DeflateParameters(client_max_window_bits=8))
    assert client.send_part(*to_payload(b"x" * 100, None), compress=True)[0] == 0x82


class TestEachMessageMayChoose:
    def test_what_to_do(self) -> None:
        sender, receiver = new("server", PLAIN), new("client", PLAIN)
        text = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        for compress, first in ((True, 0xC2), (False, 0x82), (None, 0xC2)):
            data = sender.send_part(*to_payload(text, None), compress=compress)
            assert data[0] == first
            assert read(receiver, data) == [("message", text)]

    def test_small_ones_may_be_left_alone(self) -> None:
        sender = new("server", PLAIN, options=DeflateOptions(min_size=50))
        assert sender.send_part(*to_payload(b"x" * 49, None))[0] == 0x82
        assert sender.send_part(*to_payload(b"x" * 50, None))[0] == 0xC2
        assert sender.send_part(*to_payload(b"x", None), compress=True)[0] == 0xC2

    def test_without_an_agreement_there_is_no_choice(self) -> None:
        assert new("server").send_part(*to_payload(b"x" * 50, None), compress=True)[0] == 0x82

    def test_only_the_first_frame_says_it(self) -> None:
        sender = new("server", PLAIN)
        binary = to_payload(b"", None)[0]
        parts = [sender.send_part(binary, b"a" * 50, last) for last in (False, False, True)]
        assert [part[0] for part in parts] == [0x42, 0x00, 0x80]
        assert read(new("client", PLAIN), b"".join(parts)) == [("message", b"a" * 150)]


class TestFaults:
    def test_the_bit_where_it_does_not_belong(self) -> None:
        for data in (
            frame(TEXT, HELLO[:3], fin=False, rsv=RSV1) + frame(CONT, HELLO[3:], rsv=RSV1),
            frame(PING, b"a", rsv=RSV1),
            frame(TEXT, HELLO, rsv=RSV1 | 2),
        ):
            assert read(new(deflate=PLAIN), data)[-1] == ("failed", 1002)

    @pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", b"\x07"])
    def test_what_is_not_packed(self, payload: bytes) -> None:
        assert read(new(deflate=PLAIN), frame(BINARY, payload, rsv=RSV1))[-1] == ("failed", 1007)

    def test_text_that_is_none_once_it_is_unpacked(self) -> None:
        assert read(new(deflate=PLAIN), frame(TEXT, packed(b"\xff"), rsv=RSV1)) == [("failed", 1007)]

    def test_final_blocks_without_end(self) -> None:
        assert read(new(deflate=PLAIN), frame(BINARY, b"\x03\x00" * 5000, rsv=RSV1))[-1] == ("failed", 1008)

    def test_a_control_frame_in_between_changes_nothing(self) -> None:
        data = frame(TEXT, HELLO[:3], fin=False, rsv=RSV1) + frame(PING, b"p") + frame(CONT, HELLO[3:])
        assert read(new(deflate=PLAIN), data) == [("ping", b"p"), ("message", "Hello")]


class TestLimits:
    def test_what_is_unpacked_counts(self) -> None:
        limits = WebSocketLimits(max_message_size=1000)
        for size, expected in ((1000, [("message", b"x" * 1000)]), (1001, [("failed", 1009)])):
            data = frame(BINARY, packed(b"x" * size), rsv=RSV1)
            assert read(new(deflate=PLAIN, limits=limits), data)[-1:] == expected

    def test_and_not_what_it_was_packed_to(self) -> None:
        noise = os.urandom(1000)
        data = frame(BINARY, packed(noise), rsv=RSV1)
        assert len(data) > 1004
        assert read(new(deflate=PLAIN, limits=WebSocketLimits(max_message_size=1000)), data) == [("message", noise)]

    def test_over_all_fragments(self) -> None:
        limits = WebSocketLimits(max_message_size=1000)
        whole = packed(b"x" * 600 + b"y" * 600)
        data = b"".join(
            frame(BINARY if not i else CONT, whole[i : i + 1], fin=False, rsv=0 if i else RSV1)
            for i in range(len(whole))
        )
        assert read(new(deflate=PLAIN, limits=limits), data + frame(CONT))[-1] == ("failed", 1009)

    def test_before_the_memory_is_used(self) -> None:
        bomb = packed(bytes(200 * 1024 * 1024))
        machine = new(deflate=PLAIN, limits=WebSocketLimits(max_message_size=1024 * 1024))
        tracemalloc.start()
        try:
            machine.receive(frame(BINARY, bomb, rsv=RSV1))
            pieces = []
            while not isinstance(event := machine.next_event(), Failed):
                assert isinstance(event, Piece)
                pieces.append(len(event.data))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sum(pieces) <= 1024 * 1024
        assert peak < 2 * 1024 * 1024

    def test_without_limits_it_is_unpacked_a_piece_at_a_time(self) -> None:
        size = 20 * 1024 * 1024
        machine = new(deflate=PLAIN, limits=WebSocketLimits(max_message_size=None))
        data = frame(BINARY, packed(bytes(size)), rsv=RSV1)
        tracemalloc.start()
        try:
            machine.receive(data)
            total = 0
            while (event := machine.next_event()) is not None:
                assert isinstance(event, Piece)
                assert len(event.data) <= 64 * 1024
                total += len(event.data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert total == size
        assert peak < 1024 * 1024

    def test_input_that_comes_meanwhile_waits(self) -> None:
        machine = new(deflate=PLAIN, limits=WebSocketLimits(max_message_size=None))
        data = frame(BINARY, packed(bytes(300000)), rsv=RSV1) + frame(PING, b"p")
        machine.receive(data[:-2])
        first = machine.next_event()
        machine.receive(data[-2:])
        assert isinstance(first, Piece)
        told = reads(machine)
        assert told[0][0] == "message"
        assert len(first.data) + len(told[0][1]) == 300000
        assert told[1] == ("ping", b"p")


def test_the_inflater_gives_no_more_than_is_asked_for() -> None:
    inflater = MessageInflater(15, no_takeover=False)
    inflater.feed(packed(b"abc" * 1000), last=True)
    pieces = []
    while inflater.has_more:
        pieces.append(inflater.inflate(7))
    assert max(map(len, pieces)) <= 7
    assert b"".join(pieces) == b"abc" * 1000


def test_what_others_pack_in_any_way_is_understood() -> None:
    data = os.urandom(300) * 5
    for level, strategy in itertools.product((0, 1, 9), (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY)):
        packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
        payload = (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        assert read(new(deflate=PLAIN), frame(BINARY, payload, rsv=RSV1), [1] * 100) == [("message", data)]


@pytest.mark.parametrize(
    "options",
    [{"server_max_window_bits": 8}, {"client_max_window_bits": 16}, {"level": 10}, {"mem_level": 0}, {"level": -2}],
)
def test_settings_must_make_sense(options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        DeflateOptions(**options)  # type: ignore[arg-type]


def test_each_part_of_a_message_can_be_unpacked_when_it_is_there() -> None:
    deflater, inflater = MessageDeflater(15, False), MessageInflater(15, False)
    parts = [b"one", b"", b"two" * 1000, b""]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        inflater.feed(deflater.deflate(part, last), last)
        assert inflater.inflate(10_000) == part
    inflater.feed(deflater.deflate(b"next", True), True)
    assert inflater.inflate(10) == b"next"
