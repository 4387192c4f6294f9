"""What the gate lets through, cuts out and counts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import LimitExceeded, RemoteProtocolError
from drivetrain.engine.protocol.h2_gate import PREFACE_SIZE, Allowance, GoAwayReceived, H2Gate
from drivetrain.engine.protocol.h2_limits import H2Limits

SETTINGS = SettingsFrame(0).serialize()
LIMITS = H2Limits(max_resets=3, resets_per_second=1, max_control_frames=4, control_frames_per_second=2)

ordinary = st.one_of(
    st.builds(
        lambda data, end: DataFrame(1, data, flags=["END_STREAM"] if end else []), st.binary(max_size=40), st.booleans()
    ),
    st.builds(lambda data: HeadersFrame(1, data, flags=["END_HEADERS"]), st.binary(max_size=40)),
    st.just(WindowUpdateFrame(0, window_increment=5)),
)
goaways = st.builds(
    lambda last, code, data: GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=data),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=40),
)


def passed(parts: list[bytes | GoAwayReceived]) -> list[bytes | GoAwayReceived]:
    """Parts with neighbouring bytes joined."""
    joined: list[bytes | GoAwayReceived] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, bytes) and isinstance(last, bytes):
            joined[-1] = last + part
        else:
            joined.append(part)
    return joined


@given(st.lists(st.one_of(ordinary, goaways), max_size=8), st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_any_split_gives_the_same_parts(frames: list[Frame], cuts: list[int], server: bool) -> None:
    preface = b"p" * PREFACE_SIZE if server else b""
    expected: list[bytes | GoAwayReceived] = [preface + SETTINGS]
    data = preface + SETTINGS
    for frame in frames:
        data += frame.serialize()
        if isinstance(frame, GoAwayFrame):
            expected.append(GoAwayReceived(frame.last_stream_id, frame.error_code, frame.additional_data))
        else:
            expected.append(frame.serialize())
    places = sorted(min(cut, len(data)) for cut in [0, *cuts, len(data)])
    gate = H2Gate(H2Limits(), server)
    parts = [part for a, b in pairwise(places) for part in gate.split(data[a:b], 0.0)]
    assert passed(parts) == passed(expected)


@pytest.mark.parametrize(
    "frame",
    [
        SettingsFrame(0),
        PingFrame(0, opaque_data=b"12345678"),
        PriorityFrame(1),
        DataFrame(1),
        ExtensionFrame(0xBB, 0, flag_byte=0, body=b""),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_floods_are_counted_and_allowances_grow_back(frame: Frame) -> None:
    gate = H2Gate(LIMITS, False)
    data = frame.serialize()
    list(gate.split(SETTINGS, 100.0))
    for _ in range(3):
        assert list(gate.split(data, 100.0)) == [data]
    assert list(gate.split(data, 100.5)) == [data]
    with pytest.raises(LimitExceeded):
        list(gate.split(data, 100.5))


def test_what_is_no_flood() -> None:
    gate = H2Gate(LIMITS, False)
    harmless = [
        SettingsFrame(0, flags=["ACK"]),
        PingFrame(0, opaque_data=b"12345678", flags=["ACK"]),
        DataFrame(1, b"x"),
        DataFrame(1, flags=["END_STREAM"]),
        WindowUpdateFrame(1, window_increment=1),
        RstStreamFrame(1),  # by a server
    ]
    data = b"".join(frame.serialize() for frame in harmless) * 50
    assert b"".join(part for part in gate.split(SETTINGS + data, 0.0) if isinstance(part, bytes)) == SETTINGS + data


def test_resets_are_counted_on_a_server() -> None:
    gate = H2Gate(LIMITS, True)
    reset = RstStreamFrame(1).serialize()
    assert len(list(gate.split(b"p" * PREFACE_SIZE + SETTINGS + reset * 3, 5.0))) == 5
    with pytest.raises(LimitExceeded, match="reset"):
        list(gate.split(reset, 5.5))
    with pytest.raises(LimitExceeded):
        gate.count_reset(5.5)


def test_continuations() -> None:
    gate = H2Gate(H2Limits(max_continuations=2), False)
    head = HeadersFrame(1, b"a").serialize()
    middle, last = ContinuationFrame(1, b"b").serialize(), ContinuationFrame(1, b"c", flags=["END_HEADERS"]).serialize()
    for _ in range(2):
        assert passed(list(gate.split((b"" if _ else SETTINGS) + head + middle + last, 0.0)))
    with pytest.raises(LimitExceeded, match="CONTINUATION"):
        list(gate.split(head + middle + middle + last, 0.0))


def test_what_came_before_a_fault_comes_out() -> None:
    gate = H2Gate(H2Limits(), False)
    parts = gate.split(SETTINGS + DataFrame(1, b"x").serialize() + b"\0\0\1\7\0\0\0\0\0", 0.0)
    assert next(parts) == SETTINGS
    assert next(parts) == DataFrame(1, b"x").serialize()
    with pytest.raises(RemoteProtocolError, match="GOAWAY"):
        next(parts)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        SettingsFrame(0, flags=["ACK"]).serialize(),
        PingFrame(0, opaque_data=b"12345678").serialize(),
        SETTINGS + b"\0\0\x08\7\0\0\0\0\1" + bytes(8),
        SETTINGS + b"\1\0\0\7\0\0\0\0\0",
        SETTINGS + HeadersFrame(1, b"a").serialize() + GoAwayFrame(0).serialize(),
    ],
    ids=["http/1", "ack first", "ping first", "goaway on a stream", "huge goaway", "goaway inside headers"],
)
def test_faults(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        list(H2Gate(H2Limits(), False).split(data, 0.0))


def test_an_allowance_never_exceeds_its_burst() -> None:
    allowance = Allowance(2, 10)
    assert [allowance.take(1000.0) for _ in range(3)] == [True, True, False]
    assert allowance.take(999.0) is False


def test_windows_may_be_opened_in_small_steps_for_what_was_sent() -> None:
    gate = H2Gate(H2Limits(max_small_frames=10, small_frames_per_second=0), after_preface=False)
    update = WindowUpdateFrame(1, window_increment=1024).serialize()
    list(gate.split(SETTINGS, 0.0))
    for _ in range(50):
        gate.data_sent(10 * 1024)
        list(gate.split(update * 10, 0.0))
    with pytest.raises(LimitExceeded, match="WINDOW_UPDATE"):
        list(gate.split(update * 11, 0.0))
