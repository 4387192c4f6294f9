"""The machine: settings, windows, goodbyes and faults, without a connection."""

from __future__ import annotations

from itertools import pairwise

import pytest
from h2.events import DataReceived, RequestReceived, ResponseReceived, StreamEnded
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from drivetrain.engine.protocol.h2_gate import GoAwayReceived
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.protocol.h2_machine import H2Machine

REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")]
RESPONSE = [(b":status", b"200")]


def pair(client: H2Limits | None = None, server: H2Limits | None = None) -> tuple[H2Machine, H2Machine]:
    one, two = H2Machine("client", client or H2Limits()), H2Machine("server", server or H2Limits())
    one.begin()
    two.begin()
    two.receive(one.take_output(), 0.0)
    one.receive(two.take_output(), 0.0)
    one.settings_received()
    two.settings_received()
    return one, two


def frames_of(data: bytes) -> list[Frame]:
    frames = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        frames.append(frame)
        data = data[9 + length :]
    return frames


def test_windows_and_settings_are_announced() -> None:
    machine = H2Machine("server", H2Limits(max_concurrent_streams=7, stream_window=70_000, connection_window=90_000))
    machine.begin()
    settings, window = frames_of(machine.take_output())
    assert isinstance(settings, SettingsFrame)
    assert settings.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 7
    assert settings.settings[SettingsFrame.INITIAL_WINDOW_SIZE] == 70_000
    assert isinstance(window, WindowUpdateFrame)
    assert window.window_increment == 90_000 - 65_535
    assert machine.take_output() == b""


@given(st.lists(st.integers(0, 600), max_size=6))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    client, server = pair()
    client.open_stream(REQUEST, True)
    server.receive(client.take_output(), 0.0)
    server.send_headers(1, RESPONSE, False)
    server.send_data(1, b"hello", False)
    server.say_goaway(0, b"bye")
    server.send_data(1, b"world", True)
    data = server.take_output() + b"\0\0\1\0\0\0\0\0\0x"  # DATA on no stream
    places = sorted(min(cut, len(data)) for cut in [0, *cuts, len(data)])
    events = [e for a, b in pairwise(places) for e in client.receive(data[a:b], 0.0)]
    kinds = [type(e) for e in events if isinstance(e, ResponseReceived | DataReceived | StreamEnded | GoAwayReceived)]
    assert kinds == [ResponseReceived, DataReceived, GoAwayReceived, DataReceived, StreamEnded]
    assert isinstance(client.error, RemoteProtocolError)
    assert isinstance(frames_of(client.take_output())[-1], GoAwayFrame)
    assert client.receive(b"more", 0.0) == []


def test_a_flood_is_answered_with_goaway() -> None:
    _, server = pair(server=H2Limits(max_control_frames=3, control_frames_per_second=0))
    data = SettingsFrame(0).serialize() * 5
    server.receive(data, 0.0)
    assert isinstance(server.error, LimitExceeded)
    goaway = frames_of(server.take_output())[-1]
    assert isinstance(goaway, GoAwayFrame)
    assert goaway.error_code == 0xB
    assert server.said_goaway
    assert not server.may_open


def test_goaway_from_the_peer_lets_streams_run_on() -> None:
    client, server = pair()
    stream_id = client.open_stream(REQUEST, True)
    events = server.receive(client.take_output(), 0.0)
    assert any(isinstance(event, RequestReceived) for event in events)
    client.receive(GoAwayFrame(0, last_stream_id=1).serialize(), 0.0)
    assert not client.may_open
    with pytest.raises(LocalProtocolError):
        client.open_stream(REQUEST, True)
    server.send_headers(stream_id, RESPONSE, True)
    assert any(isinstance(event, StreamEnded) for event in client.receive(server.take_output(), 0.0))
    client.receive(GoAwayFrame(0, last_stream_id=3).serialize(), 0.0)
    assert isinstance(client.error, RemoteProtocolError)


def test_reset_of_streams_that_are_gone_is_nothing() -> None:
    client, server = pair()
    stream_id = client.open_stream(REQUEST, True)
    server.receive(client.take_output(), 0.0)
    server.send_headers(stream_id, RESPONSE, True)
    client.receive(server.take_output(), 0.0)
    assert client.free_streams == 100  # which makes the library drop what is closed
    client.take_output()
    client.reset(stream_id, 8)
    assert client.take_output() == b""
    other = client.open_stream(REQUEST, False)
    client.take_output()
    client.reset(other, 0x1234)
    client.reset(other, 8)
    (reset,) = frames_of(client.take_output())
    assert isinstance(reset, RstStreamFrame)
    assert reset.error_code == 0x1234


def test_sendable_follows_windows_below_zero() -> None:
    client, _ = pair(server=H2Limits(stream_window=1000))
    stream_id = client.open_stream(REQUEST, False)
    assert client.sendable(stream_id) == 1000
    client.send_data(stream_id, b"x" * 900, False)
    client.receive(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 100}).serialize(), 0.0)
    assert client.sendable(stream_id) == 0
    client.receive(WindowUpdateFrame(stream_id, window_increment=801).serialize(), 0.0)
    assert client.sendable(stream_id) == 1


def test_streams_before_the_settings() -> None:
    machine = H2Machine("client", H2Limits())
    machine.begin()
    assert machine.free_streams == 100
    machine.settings_received()
    assert machine.free_streams > 100


def test_a_wrong_preface() -> None:
    server = H2Machine("server", H2Limits())
    server.begin()
    server.receive(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 0.0)
    assert isinstance(server.error, RemoteProtocolError)
