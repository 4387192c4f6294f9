"""The HTTP/2 machine, client and server: the h2 library with this side's settings, defences and way of saying goodbye.

It knows no socket and no clock (`now` is an argument). Laws:

- input goes through the gate first (`h2_gate`); a peer that floods gets GOAWAY with ENHANCE_YOUR_CALM;
- GOAWAY is handled here in both directions and never by the library, which would take no frame after it although streams
  the peer still answers run to their end (RFC 9113 section 6.8);
- every output, whoever caused it, comes out of `take_output`, in order.

Not synchronised: callers hold their connection's guard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import Event
from h2.exceptions import ProtocolError as LibraryError
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from ..errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from ..wire.h2_errors import H2Error
from ..wire.h2_fields import WireField
from ..wire.hpack_context import DEFAULT_HEADER_TABLE_SIZE, header_list_size
from .h2_gate import GoAwayReceived, H2Gate
from .h2_library import Library, OrderedSettings
from .h2_limits import H2Limits

__all__ = ["H2Event", "H2Machine"]

H2Event = Event | GoAwayReceived

_FIRST_WINDOW = 65_535  # of every connection and stream, until it is changed (RFC 9113 section 6.9.2)
# Streams to open before the peer's SETTINGS say how many it takes; what servers commonly allow.
_STREAMS_BEFORE_SETTINGS = 100


class H2Machine:
    """One side of an HTTP/2 connection.

    Args:
        role: "client" or "server".
        limits: what this side announces and enforces.

    Attributes:
        library: the h2 connection itself.
        goaway: what the peer said when it began to close, None before.
        error: what the peer did wrong that ended the connection, None before.
        highest_remote: the highest stream id the peer opened.
        own_settings: this side's settings, as the peer has acknowledged them.
        announced_connect_protocol: whether this side has said that it takes extended CONNECT (RFC 8441).
        last_stream_said: the stream that the last GOAWAY of this side named, 2**31 - 1 before.
        highest_picked: the highest stream id that a program picked for later.
    """

    def __init__(self, role: Literal["client", "server"], limits: H2Limits) -> None:
        client = role == "client"
        self.role = role
        self.limits = limits
        # Header sections are checked by wire.h2_fields, which tells a bad message from a bad connection.
        self.library = Library(
            H2Configuration(
                client_side=client,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        values = {
            SettingCodes.HEADER_TABLE_SIZE: limits.header_table_size,
            SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
            SettingCodes.MAX_FRAME_SIZE: limits.max_frame_size,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
        }
        if client:
            values[SettingCodes.ENABLE_PUSH] = int(limits.enable_push)
        self.announced_connect_protocol = limits.enable_connect_protocol and not client
        values[SettingCodes.ENABLE_CONNECT_PROTOCOL] = int(self.announced_connect_protocol)
        self.own_settings = OrderedSettings(client=client, initial_values=values)
        self.own_settings.on_acknowledged = self._own_settings_changed
        self.library.local_settings = self.own_settings
        # What the settings say holds for our own input from the first frame on: nothing is accepted that would have to be
        # refused later, and a peer that heeds the settings is never wrong.
        self.library.max_inbound_frame_size = limits.max_frame_size
        self.library.decoder.max_header_list_size = limits.max_header_list_size
        self.library.decoder.max_allowed_table_size = max(DEFAULT_HEADER_TABLE_SIZE, limits.header_table_size)
        self.goaway: GoAwayReceived | None = None
        self.error: RemoteProtocolError | None = None
        self.highest_remote = 0
        self.highest_picked = 0
        self.last_stream_said = 2**31 - 1
        self._gate = H2Gate(limits, after_preface=not client)
        self._settings_seen = False
        self._max_section: int | None = None
        self._max_streams = _STREAMS_BEFORE_SETTINGS
        self._own_output = b""
        self._said_goaway = False

    def begin(self, upgrade: bytes | None = None) -> None:
        """Queue the preface (client), the settings and the connection's window.

        Args:
            upgrade: the connection comes from an upgrade of HTTP/1.1 (RFC 7540 section 3.2), which leaves stream 1 with a
                complete request: what its HTTP2-Settings field said, with padding, on a server; anything on a client.
        """
        if upgrade is None:
            self.library.initiate_connection()
        else:
            self.library.initiate_upgrade_connection(upgrade if self.role == "server" else None)
            self.highest_remote = 1 if self.role == "server" else 0
        # A peer that has not seen the settings yet may open more streams than they allow. The library would end the
        # connection over that; the connection refuses the streams instead (RFC 9113 section 5.1.2).
        self.library.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 2**31 - 1
        self.library.local_settings.acknowledge()
        # What is less than every connection begins with binds the peer once it has acknowledged it (RFC 9113 section 6.5.3).
        less: dict[int, int] = {SettingCodes.HEADER_TABLE_SIZE: self.limits.header_table_size}
        if self.limits.stream_window < _FIRST_WINDOW:
            less[SettingCodes.INITIAL_WINDOW_SIZE] = self.limits.stream_window
            self.own_settings.hold_back(SettingCodes.INITIAL_WINDOW_SIZE, _FIRST_WINDOW)
            self.library.change_windows(_FIRST_WINDOW - self.limits.stream_window)  # that of an upgrade's stream
        self.own_settings.note_sent(less)
        more = self.limits.connection_window - _FIRST_WINDOW
        if more > 0:
            self.library.increment_flow_control_window(more)

    # -- input ---------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[H2Event]:
        """Take input and return what it means.

        A fault of the peer does not hide what came before it: it is put into `error`, for the caller to raise when it has
        acted on the events, and the GOAWAY that says why is in the output.
        """
        events: list[H2Event] = []
        if self.error is not None:
            return events
        self.library.bury_dead()
        try:
            for part in self._gate.split(data, now):
                if isinstance(part, GoAwayReceived):
                    if self.goaway is not None and part.last_stream_id > self.goaway.last_stream_id:
                        raise RemoteProtocolError("a second GOAWAY raises the last stream id")
                    self.goaway = part
                    events.append(part)
                elif self._gate.whole:
                    events += self.library.receive_frame(part, self._gate.kind, self._gate.flags)
                else:
                    events += self.library.receive_data(part)
        except LimitExceeded as error:
            self.say_goaway(ErrorCodes.ENHANCE_YOUR_CALM, str(error).encode())
            self.error = error
        except RemoteProtocolError as error:
            code = int(error.code) if isinstance(error, H2Error) else ErrorCodes.PROTOCOL_ERROR
            self.say_goaway(code, str(error).encode())
            self.error = error
        except LibraryError as error:
            # The library has queued its GOAWAY, unless the preface was wrong.
            self._said_goaway = True
            self.error = RemoteProtocolError(f"HTTP/2: {type(error).__name__}: {error}")
            self.error.__cause__ = error
        return events

    def settings_received(self) -> None:
        """SETTINGS of the peer's came: its own limits hold from now on."""
        self._settings_seen = True
        self._max_section = self.library.remote_settings.max_header_list_size
        self._max_streams = self.library.remote_settings.max_concurrent_streams

    @property
    def settings_seen(self) -> bool:
        """Whether the peer's first SETTINGS came, and with them all that its side of the connection begins with."""
        return self._settings_seen

    @property
    def missing_input(self) -> int:
        """How many bytes must still come, at least, of what has begun to come; 0 between frames."""
        return self._gate.missing

    def frame_taken(self) -> None:
        """A frame of the peer's was taken away by a program that handles it itself."""
        self._gate.begin()

    @property
    def open_section(self) -> int | None:
        """The number of the header section whose end has not come yet, None when there is none such."""
        return self._gate.open_section

    def count_fault(self, now: float) -> None:
        """Count a stream that had to be reset for the peer's fault; raises `LimitExceeded` when there were too many."""
        try:
            self._gate.count_reset(now)
        except LimitExceeded as error:
            self.say_goaway(ErrorCodes.ENHANCE_YOUR_CALM, str(error).encode())
            raise

    def _own_settings_changed(self, values: Mapping[int, int]) -> None:
        """The peer has acknowledged values of this side's: they are the limits from now on."""
        names = {
            SettingCodes.HEADER_TABLE_SIZE: "header_table_size",
            SettingCodes.MAX_CONCURRENT_STREAMS: "max_concurrent_streams",
            SettingCodes.INITIAL_WINDOW_SIZE: "stream_window",
            SettingCodes.MAX_FRAME_SIZE: "max_frame_size",
            SettingCodes.MAX_HEADER_LIST_SIZE: "max_header_list_size",
        }
        changes: dict[str, Any] = {name: values[setting] for setting, name in names.items() if setting in values}
        if changes:
            self.limits = self._gate.limits = replace(self.limits, **changes)

    # -- output --------------------------------------------------------------------------------------------------------

    def take_output(self) -> bytes | bytearray:
        """Everything to be sent, in order."""
        output = self.library.take_output()
        if self._own_output:
            output[:0] = self._own_output
            self._own_output = b""
        return output

    def put(self, frames: bytes) -> None:
        """Queue frames that were made elsewhere, behind what is queued."""
        self._own_output += self.library.data_to_send() + frames

    def say_goaway(self, code: int, debug_data: bytes = b"", last_stream_id: int | None = None) -> None:
        """Queue a GOAWAY; streams already open are not touched."""
        self._own_output += self.library.data_to_send()
        if last_stream_id is None:
            last_stream_id = min(self.highest_remote, self.last_stream_said)
        self.last_stream_said = last_stream_id
        frame = GoAwayFrame(
            0,
            last_stream_id=last_stream_id,
            error_code=int(code),
            additional_data=debug_data,
        )
        self._own_output += frame.serialize()
        self._said_goaway = True

    @property
    def said_goaway(self) -> bool:
        """Whether this side has begun to close."""
        return self._said_goaway

    # -- streams -------------------------------------------------------------------------------------------------------

    @property
    def may_open(self) -> bool:
        """Whether neither side has begun to close, and stream ids are left."""
        return self.goaway is None and not self._said_goaway and self.library.highest_outbound_stream_id < 2**31 - 3

    @property
    def max_outbound_streams(self) -> int:
        """How many streams of this side may be open at once."""
        return self._max_streams

    @property
    def free_streams(self) -> int:
        """How many more streams this side may open now, as far as the peer's limit goes."""
        return self.library.free_slots(self._max_streams)

    def open_stream(self, fields: list[WireField], end_stream: bool, stream_id: int | None = None) -> int:
        """Take the next stream id, or one picked before, and queue its HEADERS; the caller has looked at `free_streams`."""
        if not self.may_open:
            raise LocalProtocolError("the connection takes no new streams")
        if stream_id is None:
            stream_id = self.next_stream_id()
        self.send_headers(stream_id, fields, end_stream)
        return stream_id

    def next_stream_id(self) -> int:
        """The id after all that were used or picked by this side."""
        number = self.library.get_next_available_stream_id()
        return number if number > self.highest_picked else self.highest_picked + 2

    def sendable(self, stream_id: int) -> int:
        """How many bytes of DATA may go out on a stream in one frame now; never negative."""
        library = self.library
        stream = library.streams.get(stream_id)
        if stream is None:
            return 0
        window = min(library.outbound_flow_control_window, stream.outbound_flow_control_window)
        return max(0, min(window, library.max_outbound_frame_size))

    def reset(self, stream_id: int, code: int) -> None:
        """Queue RST_STREAM unless the stream is closed already."""
        try:
            self.library.reset_stream(stream_id, ErrorCodes(code) if code in set(ErrorCodes) else code)
        except LibraryError:
            # Closed meanwhile: there is nothing left to reset.
            return

    def consumed(self, stream_id: int, length: int) -> None:
        """Tell that the reader has taken `length` bytes (padding included), which opens the windows again."""
        if length:
            self.library.acknowledge_received_data(length, stream_id)

    def send_data(self, stream_id: int, data: bytes | memoryview, end_stream: bool) -> None:
        """Queue DATA of at most `sendable` bytes."""
        self._send(self.library.send_data, stream_id, data, end_stream=end_stream)
        self._gate.data_sent(len(data))

    def send_end(self, stream_id: int) -> None:
        """Queue an empty DATA frame that ends the message."""
        self._send(self.library.end_stream, stream_id)

    def send_headers(self, stream_id: int, fields: list[WireField], end_stream: bool) -> None:
        """Queue a header block: a response, an informational one, or a trailer section.

        Raises:
            LocalProtocolError: it has no place here, or is larger than the peer takes; nothing was queued.
        """
        if self._max_section is not None and (size := header_list_size(fields)) > self._max_section:
            raise LocalProtocolError(f"header fields of {size} bytes; the peer takes {self._max_section}")
        self._send(self.library.send_headers, stream_id, fields, end_stream=end_stream)

    @staticmethod
    def _send(function: Callable[..., None], *arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except LibraryError as error:
            raise LocalProtocolError(f"HTTP/2: {type(error).__name__}: {error}") from error
