"""Frames by hand on the machine: what is legal keeps the books right, what is not changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.errors import LocalProtocolError, UsageError
from drivetrain.engine.protocol.h2_by_hand import H2ByHand, HandBlock
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.protocol.h2_machine import H2Machine
from drivetrain.engine.wire.h2_fields import to_h2_fields
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.hpack_context import HpackContext

REQUEST = Headers([(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/")])
RESPONSE = Headers([(":status", "200")])
TRAILERS = Headers([("check", "sum")])
HEADS = {"request": REQUEST, "response": RESPONSE, "interim": Headers([(":status", "103")]), "trailers": TRAILERS}


def machines() -> tuple[H2Machine, H2Machine]:
    client, server = H2Machine("client", H2Limits(enable_push=True)), H2Machine("server", H2Limits())
    client.begin()
    server.begin()
    exchange(client, server)
    return client, server


def exchange(client: H2Machine, server: H2Machine) -> list[Any]:
    """Carry what is queued over, both ways, until nothing is; what the events were. Faults of the peer are raised."""
    events: list[Any] = []
    moved = True
    while moved:
        moved = False
        for sender, receiver in ((client, server), (server, client)):
            data = sender.take_output()
            if data:
                moved = True
                events += receiver.receive(data, 0.0)
                if receiver.error is not None:
                    raise receiver.error
    return events


def snapshot(machine: H2Machine) -> Any:
    """Everything that a refused frame must leave as it was."""
    library = machine.library
    streams = {
        number: (
            dict(vars(stream.state_machine)),
            stream.outbound_flow_control_window,
            stream.inbound_flow_control_window,
        )
        for number, stream in library.streams.items()
    }
    table = library.encoder.header_table
    return (
        library.state_machine.state,
        library.highest_outbound_stream_id,
        library.outbound_flow_control_window,
        library.inbound_flow_control_window,
        streams,
        list(table.dynamic_entries),
        table.maxsize,
        machine.own_settings.sent,
        machine.said_goaway,
    )


def do(hand: H2ByHand, action: tuple[Any, ...]) -> None:
    name, stream_id, *rest = action
    if name == "data":
        hand.data(stream_id, b"x" * rest[0], rest[1], rest[2])
    elif name in ("headers", "own block"):
        head = HEADS[rest[0]]
        block = HandBlock(fields=to_h2_fields(head))
        if name == "own block":
            context = HpackContext(0)
            context.encode_headers(head)
            block = HandBlock([context.render_data()])
        hand.headers(stream_id, block, rest[1], rest[2])
    elif name == "push":
        hand.push_promise(stream_id, rest[0], HandBlock(fields=to_h2_fields(REQUEST)))
    elif name == "reset":
        hand.reset(stream_id, rest[0])
    elif name == "window":
        hand.window_update(stream_id, rest[0])
    else:
        hand.ping(b"x" * rest[0], False)


numbers = st.integers(0, 6)
padding = st.none() | st.integers(0, 255)
actions = st.one_of(
    st.tuples(st.just("data"), numbers, st.sampled_from([0, 1, 500, 16384, 16385, 70000]), st.booleans(), padding),
    st.tuples(st.sampled_from(["headers", "own block"]), numbers, st.sampled_from(list(HEADS)), st.booleans(), padding),
    st.tuples(st.just("push"), numbers, numbers),
    st.tuples(st.just("reset"), numbers, st.integers(0, 20)),
    st.tuples(st.just("window"), numbers, st.sampled_from([0, 1, 1000, 2**31 - 1, 2**31])),
    st.tuples(st.just("ping"), numbers, st.integers(7, 9)),
)


@given(st.lists(st.tuples(st.sampled_from(["client", "server"]), actions), max_size=12))
@settings(max_examples=150, deadline=None)
def test_a_refusal_changes_nothing_and_the_rest_goes_on(steps: list[tuple[str, tuple[Any, ...]]]) -> None:
    client, server = machines()
    for role, action in steps:
        machine = client if role == "client" else server
        # What the streams above the machine see to: who may open a stream, and where trailers stand.
        if action[0] in ("headers", "own block"):
            known = action[1] in machine.library.streams
            if not known and (role != "client" or action[2] != "request" or action[1] % 2 == 0):
                continue
            if known and (action[2] == "request" or (role == "client" and action[2] != "trailers")):
                continue
            if action[2] == "response" and machine.library.streams[action[1]].state_machine.headers_sent:
                continue
            if action[2] == "trailers" and not machine.library.streams[action[1]].state_machine.headers_sent:
                continue
        if action[0] == "data" and role == "server":
            stream = machine.library.streams.get(action[1])
            if stream is None or not stream.state_machine.headers_sent:
                continue
        before = snapshot(machine)
        try:
            do(H2ByHand(machine), action)
        except (LocalProtocolError, UsageError):
            assert snapshot(machine) == before
            assert machine.take_output() == b""
        # The peer, another instance of the library, finds nothing wrong with what was let through.
        exchange(client, server)


def test_a_block_brings_the_table_along() -> None:
    client, server = machines()
    hand = H2ByHand(client)
    context = HpackContext()
    long = Headers([*REQUEST, ("x-mark", "m" * 50)])
    context.encode_headers(long)
    hand.headers(1, HandBlock([context.render_data()]), True)
    # The connection's own encoder finds in its table what the hand-made block added.
    hand.headers(3, HandBlock(fields=to_h2_fields(long)), True)
    frames = client.take_output()
    assert len(frames) < 2 * len(context.render_data())
    heads = [event for event in server.receive(frames, 0.0) if hasattr(event, "headers")]
    assert [dict(event.headers)[b"x-mark"] for event in heads] == [b"m" * 50] * 2


def test_pieces_are_frames_of_their_own() -> None:
    client, server = machines()
    context = HpackContext()
    context.encode_headers(REQUEST)
    block = context.render_data()
    H2ByHand(client).headers(1, HandBlock([block[:2], b"", block[2:]]), True)
    data = client.take_output()
    kinds = []
    rest = data
    while rest:
        kinds.append(rest[3])
        rest = rest[9 + int.from_bytes(rest[:3], "big") :]
    assert kinds == [1, 9, 9]
    assert any(getattr(event, "headers", None) for event in server.receive(data, 0.0))


def test_an_oversized_piece() -> None:
    client, _ = machines()
    hand = H2ByHand(client)
    before = snapshot(client)
    for block, padded in ((HandBlock([b"x" * 70000]), None), (HandBlock([b"x" * 65530]), 6)):
        with pytest.raises(LocalProtocolError):
            hand.headers(1, block, True, padded)
    assert snapshot(client) == before


def test_goaway_never_names_a_higher_stream() -> None:
    _, server = machines()
    hand = H2ByHand(server)
    hand.goaway(7, 0, b"")
    hand.goaway(5, 0, b"")
    with pytest.raises(LocalProtocolError):
        hand.goaway(7, 0, b"")
    hand.goaway(None, 0, b"")
    assert server.last_stream_said == 0
