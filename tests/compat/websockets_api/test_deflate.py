"""Compression: what is offered, agreed on and refused, and frames on their way through it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from drivetrain.compat.websockets_api import exceptions
from drivetrain.compat.websockets_api.exceptions import NegotiationError, PayloadTooBig, ProtocolError
from drivetrain.compat.websockets_api.extensions import ClientExtensionFactory, Extension, ServerExtensionFactory
from drivetrain.compat.websockets_api.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
    enable_client_permessage_deflate,
    enable_server_permessage_deflate,
)
from drivetrain.compat.websockets_api.frames import Frame, Opcode

SERVER_ALONE, CLIENT_ALONE = ("server_no_context_takeover", None), ("client_no_context_takeover", None)
SERVER_BITS, CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"


def facts(extension: PerMessageDeflate) -> tuple[bool, bool, int, int]:
    """As the constructor takes them."""
    return (
        extension.remote_no_context_takeover,
        extension.local_no_context_takeover,
        extension.remote_max_window_bits,
        extension.local_max_window_bits,
    )


# --- negotiation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "params"),
    [
        ({}, [(CLIENT_BITS, None)]),
        ({"client_max_window_bits": None}, []),
        ({"client_max_window_bits": 9}, [(CLIENT_BITS, "9")]),
        (
            {"server_no_context_takeover": True, "client_no_context_takeover": True, "server_max_window_bits": 8},
            [SERVER_ALONE, CLIENT_ALONE, (SERVER_BITS, "8"), (CLIENT_BITS, None)],
        ),
    ],
)
def test_what_a_client_offers(settings: dict[str, Any], params: Any) -> None:
    assert ClientPerMessageDeflateFactory(**settings).get_request_params() == params


# Settings of the client, answer of the server, and the extension or what is said against it.
ANSWERS: list[tuple[dict[str, Any], Any, tuple[bool, bool, int, int] | str]] = [
    ({}, [], (False, False, 15, 15)),
    ({}, [SERVER_ALONE, CLIENT_ALONE, (SERVER_BITS, "10"), (CLIENT_BITS, "11")], (True, True, 10, 11)),
    ({"server_no_context_takeover": True}, [SERVER_ALONE], (True, False, 15, 15)),
    ({"server_no_context_takeover": True}, [], "expected server_no_context_takeover"),
    ({"client_no_context_takeover": True}, [], (False, True, 15, 15)),
    ({"server_max_window_bits": 10}, [(SERVER_BITS, "9")], (False, False, 9, 15)),
    ({"server_max_window_bits": 10}, [], "expected server_max_window_bits"),
    ({"server_max_window_bits": 10}, [(SERVER_BITS, "11")], "unsupported server_max_window_bits"),
    ({"client_max_window_bits": None}, [(CLIENT_BITS, "9")], "unexpected client_max_window_bits"),
    ({"client_max_window_bits": 10}, [], (False, False, 15, 10)),
    ({"client_max_window_bits": 10}, [(CLIENT_BITS, "9")], (False, False, 15, 9)),
    ({"client_max_window_bits": 10}, [(CLIENT_BITS, "11")], "unsupported client_max_window_bits"),
    ({}, [(CLIENT_BITS, "8")], "unsupported client_max_window_bits = 8, use 9"),
    ({}, [(CLIENT_BITS, None)], "missing value for parameter client_max_window_bits"),
    ({}, [(SERVER_BITS, None)], "missing value for parameter server_max_window_bits"),
    ({}, [(SERVER_BITS, "")], "empty value for parameter server_max_window_bits"),
    ({}, [(SERVER_BITS, "16")], "invalid value for parameter server_max_window_bits: 16"),
    ({}, [(SERVER_BITS, "010")], "invalid value for parameter server_max_window_bits: 010"),
    ({}, [("server_no_context_takeover", "x")], "invalid value for parameter server_no_context_takeover: x"),
    ({}, [SERVER_ALONE, SERVER_ALONE], "duplicate parameter: server_no_context_takeover"),
    ({}, [(CLIENT_BITS, "9"), (CLIENT_BITS, "9")], "duplicate parameter: client_max_window_bits"),
    ({}, [("tea", None)], "invalid parameter name: tea"),
]


@pytest.mark.parametrize(("settings", "params", "outcome"), ANSWERS)
def test_what_a_client_makes_of_an_answer(settings: dict[str, Any], params: Any, outcome: Any) -> None:
    check(lambda: facts(ClientPerMessageDeflateFactory(**settings).process_response_params(params, [])), outcome)


def check(call: Callable[[], Any], outcome: Any) -> None:
    """The outcome is what is returned, or what is said against it."""
    if isinstance(outcome, str):
        with pytest.raises(NegotiationError) as caught:
            call()
        assert str(caught.value) == outcome
    else:
        assert call() == outcome


# Settings of the server, offer of the client, then what is answered and the extension, or what is said against it.
OFFERS: list[tuple[dict[str, Any], Any, Any]] = [
    ({}, [], ([], (False, False, 15, 15))),
    ({}, [(CLIENT_BITS, None)], ([], (False, False, 15, 15))),
    ({}, [(CLIENT_BITS, "8")], ([(CLIENT_BITS, "8")], (False, False, 8, 15))),
    ({}, [SERVER_ALONE, CLIENT_ALONE], ([SERVER_ALONE, CLIENT_ALONE], (True, True, 15, 15))),
    ({"server_no_context_takeover": True}, [], ([SERVER_ALONE], (False, True, 15, 15))),
    ({"client_no_context_takeover": True}, [], ([CLIENT_ALONE], (True, False, 15, 15))),
    ({"server_max_window_bits": 12}, [], ([(SERVER_BITS, "12")], (False, False, 15, 12))),
    ({"server_max_window_bits": 12}, [(SERVER_BITS, "10")], ([(SERVER_BITS, "10")], (False, False, 15, 10))),
    ({"server_max_window_bits": 12}, [(SERVER_BITS, "15")], ([(SERVER_BITS, "12")], (False, False, 15, 12))),
    ({}, [(SERVER_BITS, "8")], "unsupported server_max_window_bits = 8, use 9"),
    ({"client_max_window_bits": 12}, [], ([], (False, False, 15, 15))),
    ({"client_max_window_bits": 12}, [(CLIENT_BITS, None)], ([(CLIENT_BITS, "12")], (False, False, 12, 15))),
    ({"client_max_window_bits": 12}, [(CLIENT_BITS, "10")], ([(CLIENT_BITS, "10")], (False, False, 10, 15))),
    ({"client_max_window_bits": 12}, [(CLIENT_BITS, "15")], ([(CLIENT_BITS, "12")], (False, False, 12, 15))),
    (
        {"client_max_window_bits": 12, "require_client_max_window_bits": True},
        [],
        "required client_max_window_bits",
    ),
    ({}, [SERVER_ALONE, SERVER_ALONE], "duplicate parameter: server_no_context_takeover"),
    ({}, [(CLIENT_BITS, "7")], "invalid value for parameter client_max_window_bits: 7"),
    ({}, [("tea", None)], "invalid parameter name: tea"),
]


@pytest.mark.parametrize(("settings", "params", "outcome"), OFFERS)
def test_what_a_server_makes_of_an_offer(settings: dict[str, Any], params: Any, outcome: Any) -> None:
    def answer() -> Any:
        answered, extension = ServerPerMessageDeflateFactory(**settings).process_request_params(params, [])
        return answered, facts(extension)

    check(answer, outcome)


BITS = some.none() | some.integers(9, 15)


@given(some.booleans(), some.booleans(), BITS, BITS | some.just(True), some.booleans(), some.booleans(), BITS, BITS)
def test_both_sides_come_to_the_same(
    a: bool, b: bool, c: int | None, d: Any, e: bool, f: bool, g: int | None, h: int | None
) -> None:
    client, server = ClientPerMessageDeflateFactory(a, b, c, d), ServerPerMessageDeflateFactory(e, f, g, h)
    answered, theirs = server.process_request_params(client.get_request_params(), [])
    ours = client.process_response_params(answered, [])
    # Each may do with less than the other allows.
    assert ours.remote_no_context_takeover == theirs.local_no_context_takeover
    assert ours.remote_max_window_bits == theirs.local_max_window_bits
    assert ours.local_no_context_takeover >= theirs.remote_no_context_takeover
    assert ours.local_max_window_bits <= theirs.remote_max_window_bits
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        for text in (b"hello " * 400, b"hello " * 400):
            frame = Frame(Opcode.TEXT, text)
            assert receiver.decode(sender.encode(frame)) == frame


def test_a_second_one_is_refused() -> None:
    first = [PerMessageDeflate(False, False, 15, 15)]
    with pytest.raises(NegotiationError, match="received duplicate permessage-deflate"):
        ClientPerMessageDeflateFactory().process_response_params([], first)
    with pytest.raises(NegotiationError, match="skipped duplicate permessage-deflate"):
        ServerPerMessageDeflateFactory().process_request_params([], first)


@pytest.mark.parametrize(
    ("factory", "settings", "fault"),
    [
        (ClientPerMessageDeflateFactory, {SERVER_BITS: 7}, "server_max_window_bits must be between 8 and 15"),
        (ClientPerMessageDeflateFactory, {CLIENT_BITS: 8}, "client_max_window_bits must be between 9 and 15"),
        (ServerPerMessageDeflateFactory, {SERVER_BITS: 8}, "server_max_window_bits must be between 9 and 15"),
        (ServerPerMessageDeflateFactory, {CLIENT_BITS: 16}, "client_max_window_bits must be between 8 and 15"),
        (
            ClientPerMessageDeflateFactory,
            {"compress_settings": {"wbits": 9}},
            "wbits, set client_max_window_bits instead",
        ),
        (
            ServerPerMessageDeflateFactory,
            {"compress_settings": {"wbits": 9}},
            "wbits, set server_max_window_bits instead",
        ),
        (
            ServerPerMessageDeflateFactory,
            {"require_client_max_window_bits": True},
            "require_client_max_window_bits is enabled, but client_max_window_bits isn't configured",
        ),
    ],
)
def test_settings_that_are_refused(factory: Any, settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        factory(**settings)


@pytest.mark.parametrize("args", [(False, False, 7, 15), (False, False, 15, 8), (False, False, 15, 15, {"wbits": 9})])
def test_extensions_that_cannot_be(args: Any) -> None:
    with pytest.raises(AssertionError):
        PerMessageDeflate(*args)


def test_the_usual_settings() -> None:
    (client,) = enable_client_permessage_deflate(None)
    assert isinstance(client, ClientPerMessageDeflateFactory)
    assert client.compress_settings == {"memLevel": 5}
    assert client.get_request_params() == [(CLIENT_BITS, None)]
    (server,) = enable_server_permessage_deflate([])
    assert isinstance(server, ServerPerMessageDeflateFactory)
    assert server.compress_settings == {"memLevel": 5}
    assert (server.server_max_window_bits, server.client_max_window_bits) == (12, 12)


def test_settings_of_ones_own_are_left_alone() -> None:
    class Other(ClientExtensionFactory, ServerExtensionFactory):
        name: Any = "other"

    for enable, factory in (
        (enable_client_permessage_deflate, ClientPerMessageDeflateFactory()),
        (enable_server_permessage_deflate, ServerPerMessageDeflateFactory()),
    ):
        given: list[Any] = [Other(), factory]
        assert list(enable(given)) == given
        added = enable(given[:1])
        assert (added[0], added[1].name, len(given)) == (given[0], "permessage-deflate", 2)


# --- frames ----------------------------------------------------------------------------------------------------------


def pair(**settings: Any) -> tuple[PerMessageDeflate, PerMessageDeflate]:
    alone = settings.get("alone", False)
    return PerMessageDeflate(alone, alone, 15, 15), PerMessageDeflate(alone, alone, 15, 15)


@given(some.lists(some.lists(some.binary(max_size=50), min_size=1, max_size=4), max_size=4), some.booleans())
def test_messages_in_fragments_come_through(messages: list[list[bytes]], alone: bool) -> None:
    sender, receiver = pair(alone=alone)
    for fragments in messages:
        for index, data in enumerate(fragments):
            opcode = Opcode.CONT if index else Opcode.BINARY
            frame = Frame(opcode, data, index == len(fragments) - 1)
            sent = sender.encode(frame)
            assert sent.rsv1 == (index == 0)
            ping = Frame(Opcode.PING, b"x")
            assert receiver.decode(sender.encode(ping)) is ping
            assert receiver.decode(sent) == frame


def test_the_wire() -> None:
    """RFC 7692 section 7.2.3."""
    sender, receiver = pair()
    hello = Frame(Opcode.TEXT, b"Hello")
    assert bytes(sender.encode(hello).data) == b"\xf2\x48\xcd\xc9\xc9\x07\x00"
    assert bytes(receiver.decode(Frame(Opcode.TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv1=True)).data) == b"Hello"
    assert bytes(receiver.decode(Frame(Opcode.TEXT, b"\xf2\x00\x11\x00\x00", rsv1=True)).data) == b"Hello"
    assert bytes(sender.encode(hello).data) == b"\xf2\x00\x11\x00\x00"
    stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"
    assert bytes(receiver.decode(Frame(Opcode.TEXT, stored, rsv1=True)).data) == b"Hello"


def test_what_is_not_compressed_is_left_alone() -> None:
    _, receiver = pair()
    frames = [Frame(Opcode.TEXT, b"a", fin=False), Frame(Opcode.CONT, b"b"), Frame(Opcode.BINARY, b"c")]
    assert [receiver.decode(frame) for frame in frames] == frames


def test_a_message_goes_on_as_it_began() -> None:
    sender, receiver = pair()
    receiver.decode(sender.encode(Frame(Opcode.TEXT, b"a", fin=False)))
    with pytest.raises(ProtocolError, match="RSV1 bit set in continuation frame"):
        receiver.decode(Frame(Opcode.CONT, b"", rsv1=True))


def test_garbage() -> None:
    _, receiver = pair()
    with pytest.raises(ProtocolError, match="decompression failed") as caught:
        receiver.decode(Frame(Opcode.TEXT, b"\xff\xff\xff", rsv1=True))
    assert isinstance(caught.value.__cause__, zlib.error)


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000])
@pytest.mark.parametrize("letter", [b"a", None])
def test_a_limit_is_exact(size: int, letter: bytes | None) -> None:
    data = letter * size if letter else bytes(index * index % 251 for index in range(size))
    for limit in {size - 1, size, size + 1, 0} - {-1}:
        sender, receiver = pair()
        frame = sender.encode(Frame(Opcode.BINARY, data))
        if limit < size:
            with pytest.raises(PayloadTooBig, match=f"frame exceeds limit of {limit} bytes"):
                receiver.decode(frame, max_size=limit)
        else:
            assert receiver.decode(frame, max_size=limit).data == data


def test_no_more_is_inflated_than_is_allowed() -> None:
    bomb = zlib.compressobj(wbits=-15)
    data = bomb.compress(bytes(50_000_000)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    _, receiver = pair()
    asked: list[int] = []
    inflate = receiver.decoder.decompress

    class Watched:
        def decompress(self, data: bytes, most: int) -> bytes:
            found: bytes = inflate(data, most)
            asked.append(len(found))
            return found

    receiver.decoder = Watched()
    with pytest.raises(PayloadTooBig):
        receiver.decode(Frame(Opcode.BINARY, data[:-4], rsv1=True), max_size=1000)
    assert asked == [1001]


def test_memory_is_given_back_where_it_is_of_no_use() -> None:
    sender, receiver = pair(alone=True)
    frame = Frame(Opcode.TEXT, b"x")
    assert receiver.decode(sender.encode(frame)) == frame
    assert not hasattr(sender, "encoder")
    assert not hasattr(receiver, "decoder")
    assert receiver.decode(sender.encode(frame)) == frame


def test_its_name() -> None:
    extension = PerMessageDeflate(True, False, 10, 11)
    assert (
        extension.name
        == ClientPerMessageDeflateFactory.name
        == ServerPerMessageDeflateFactory.name
        == "permessage-deflate"
    )
    assert repr(extension) == (
        "PerMessageDeflate(remote_no_context_takeover=True, local_no_context_takeover=False, "
        "remote_max_window_bits=10, local_max_window_bits=11)"
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: Extension().decode(Frame(Opcode.TEXT, b"")),
        lambda: Extension().encode(Frame(Opcode.TEXT, b"")),
        lambda: ClientExtensionFactory().get_request_params(),
        lambda: ClientExtensionFactory().process_response_params([], []),
        lambda: ServerExtensionFactory().process_request_params([], []),
    ],
)
def test_the_classes_to_derive_from_do_nothing(call: Callable[[], Any]) -> None:
    with pytest.raises(NotImplementedError):
        call()


def test_errors_of_negotiation_are_of_the_handshake() -> None:
    assert issubclass(NegotiationError, exceptions.InvalidHandshake)
