"""The client role of the HTTP/1 machine: requests out, responses in."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import IncompleteMessage, LimitExceeded, LocalProtocolError, RemoteProtocolError
from ..wire.h1_head import (
    Field,
    encode_head,
    format_fields,
    format_request_line,
    is_authority,
    parse_fields,
    parse_status_line,
)
from ..wire.headers import Headers
from .h1 import Exchange, H1Machine, required_field
from .h1_events import ConnectionEnded, Event, InformationalReceived, ResponseReceived
from .h1_framing import BodyKind, Framing, frame_response, outgoing_length, plain_length
from .h1_sender import SendState

__all__ = ["H1ClientMachine"]

_is_visible = re.compile(r"[!-~]+").fullmatch
# Makes a named tuple without a call of a function that is written in Python.
_made = tuple.__new__

# RFC 9110 section 8.6: these methods give content a meaning, so its absence is said; others (GET, DELETE, …) stay silent.
_METHODS_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
# As every request of the clients begins.
_PSEUDO_FIELDS = (":method", ":scheme", ":authority", ":path")
# Members of enumerations, which are slow to look up, for every request looks at several.
_IDLE = SendState.IDLE
_NONE, _LENGTH, _CHUNKED = BodyKind.NONE, BodyKind.LENGTH, BodyKind.CHUNKED
_CLOSE, _TUNNEL = BodyKind.CLOSE, BodyKind.TUNNEL


class _Plain(NamedTuple):
    """A request without body that asked for nothing out of the ordinary: fields and text before and after its target."""

    version: float
    method: str
    before: list[tuple[str, str]]
    after: list[tuple[str, str]]
    start: str
    rest: str


class H1ClientMachine(H1Machine):
    """Sends requests and receives their responses, in order. See `H1Machine`."""

    _informational = 0
    # The last authority and its Host line: a connection mostly has one.
    _host = ("", "Host: \r\n")
    _last: _Plain | None = None
    # What was sent last in the manner of `_last`: fields, and bytes.
    _again: tuple[list[Field] | None, bytes] = (None, b"")

    # -- sending -------------------------------------------------------------------------------------------------------

    def send_request(self, headers: Headers, end_stream: bool) -> bytes:
        """Open a request and return its head.

        Args:
            headers: `:method`, `:path` (CONNECT: `:authority`), and `:authority` unless there is a `Host` field. A `Host`
                field is sent as and where it stands; otherwise `Host` is sent first, from `:authority`.
            end_stream: the request has no body. Otherwise `send_data` and `send_end` must follow.

        Raises:
            LocalProtocolError: the request cannot be sent so; the machine is as before.
            InvalidHeader: a field must not go on the wire.
        """
        if self.sender.state is not _IDLE or not self.keep_alive:
            self._check_idle()
            raise LocalProtocolError("the connection closes after the request before")
        if self._undecided is not None:
            raise LocalProtocolError("the request before may switch protocols and is not answered")
        if end_stream and self._last is not None:
            again = self._send_alike(headers.raw_fields(), self._last)
            if again is not None:
                return again
        first = headers.first_values()
        method = first.get(":method") or required_field(headers, ":method")
        line, host = self._format_start(headers, method)
        text = host + format_fields(headers.raw_fields())
        version = self.version
        if end_stream or method == "CONNECT":
            kind = _NONE
            if "transfer-encoding" in first or ("content-length" in first and outgoing_length(headers)):
                raise LocalProtocolError("the headers announce a body, but there is none")
            if method in _METHODS_WITH_CONTENT and "content-length" not in first:
                text += "Content-Length: 0\r\n"
        else:
            kind = self.sender.choose_framing(headers, chunked_allowed=version != 1.0, close_allowed=False)
            if kind is _CHUNKED and "transfer-encoding" not in first:
                text += "Transfer-Encoding: chunked\r\n"
        text += "\r\n"
        output = encode_head(line + text)
        keep_alive = version != 1.0 if "connection" not in first else not self._says_close(headers, version)
        exchange = Exchange(method, version, keep_alive, "upgrade" in first and version != 1.0)
        exchange.expects_continue = not end_stream and first.get("expect", "").lower() == "100-continue"
        if exchange.may_switch:
            self._undecided = exchange
        self.exchanges.append(exchange)
        if not keep_alive:
            self.keep_alive = False
        if not end_stream:
            self.sender.begin(kind)
        elif keep_alive and not exchange.may_switch:
            fields = headers.raw_fields()
            if tuple(name for name, _ in fields[:4]) == _PSEUDO_FIELDS:
                start, target = f"{method} ", fields[3][1]
                rest = line[len(start) + len(target) :] + text
                self._again = (None, b"")
                self._last = _Plain(version, method, fields[:3], fields[4:], start, rest)
        return output

    def _send_alike(self, fields: list[tuple[str, str]], last: _Plain) -> bytes | None:
        """`send_request` where only the target differs from the last time, as on most connections; None where more does.

        Checking and formatting the same fields again, and finding out what they say, costs more than comparing them.
        """
        version = last.version
        if self.version != version:
            return None
        known, output = self._again
        if fields != known:
            before, after, start, rest = last[2:]
            if len(fields) < 4 or fields[4:] != after or fields[:3] != before:
                return None
            name, target = fields[3]
            # Of the rest, `format_request_line` has more to say.
            if name != ":path" or not _is_visible(target):
                return None
            output = (start + target + rest).encode("latin-1")
            self._again = fields[:], output
        self.exchanges.append(Exchange(last.method, version, True))
        return output

    def _format_start(self, headers: Headers, method: str) -> tuple[str, str]:
        """The request line, and the Host line, empty where the fields have their own."""
        first = headers.first_values()
        authority = first.get(":authority")
        if method == "CONNECT":
            target = required_field(headers, ":authority")
            if not is_authority(target, port_needed=True):
                raise LocalProtocolError(f"the target of CONNECT is not host:port: {target[:80]!r}")
            line = format_request_line(method, target, self.version)
        else:
            line = format_request_line(method, first.get(":path") or required_field(headers, ":path"), self.version)
        if "host" in first:
            if len(headers.get_as_sequence("host")) > 1:
                raise LocalProtocolError("more than one Host field")
            return line, ""
        if authority is None:
            if self.version != 1.0:
                raise LocalProtocolError("the headers have neither :authority nor Host")
            return line, ""
        if authority != self._host[0]:
            # RFC 9110 section 4.2.4: a sender does not generate user information.
            if authority and not is_authority(authority):
                raise LocalProtocolError(f":authority is not host[:port]: {authority.rpartition('@')[2][:80]!r}")
            self._host = (authority, f"Host: {authority}\r\n")
        return line, self._host[1]

    def _message_sent(self) -> None:
        """Nothing to do: the exchange stays queued until its response is complete."""

    @property
    def can_continue(self) -> bool:
        """As in `H1Machine`; bytes that no request asked for also make the connection unfit for another one."""
        return (
            self.keep_alive
            and self._position == len(self._data)
            and not self.exchanges
            and not self.ended
            and not self._in_message
            and not self.switched
            and self._fault is None
            and self.sender.state is _IDLE
        )

    # -- receiving -----------------------------------------------------------------------------------------------------

    @property
    def awaits_head(self) -> bool:
        """See `H1Receiver.awaits_head`."""
        return (
            self._position == len(self._data)
            and not self._in_message
            and self.keep_alive
            and not self.ended
            and not self.switched
            and self._fault is None
        )

    def _head_received(self, text: str) -> Event:
        if not self.exchanges:
            raise RemoteProtocolError("a response came without a request")
        line_end = text.index("\r\n")
        version, status, reason = parse_status_line(text[:line_end])
        fields = parse_fields(text, line_end + 2)
        if len(fields) > self.limits.max_fields:
            self._refuse_fields()
        return self._response(version, status, reason, fields)

    def _response(self, version: float, status: str, reason: str, fields: list[Field]) -> Event:
        """What a head means; `fields` are ours from now on."""
        exchange = self.exchanges[0]
        fields.insert(0, (":status", status))
        headers = Headers.adopt(fields)
        if status[0] == "1" and status != "101":
            return self._informational_received(headers, version, reason)
        first = headers.first_values()
        connection = first.get("connection")
        # Where no name is repeated, one look tells that the connection is kept, as most are.
        unique = len(first) == len(fields)
        usual = connection is None or (unique and connection.lower() == "keep-alive")
        if usual and unique and version == 1.1:
            length = plain_length(first, exchange.method, status)
            if length is not None:
                self._begin_response(exchange)
                self._begin_length(length)
                return _made(ResponseReceived, (headers, version, reason, length > 0, length, False))
        if version == 1.0 or not usual:
            if self._says_close(headers, version) or (version == 1.0 and "transfer-encoding" in first):
                exchange.keep_alive = False
        if status == "101":
            return self._switch(headers, version, reason)
        framing = self._frame(headers, exchange.method, status)
        kind = framing.kind
        if kind is _TUNNEL:
            return self._switch(headers, version, reason)
        if kind is _CLOSE:
            exchange.keep_alive = False
        self._begin_response(exchange)
        self._begin_body(framing)
        if kind is _LENGTH:
            return ResponseReceived(headers, version, reason, framing.length > 0, framing.length, False)
        has_body = kind is not _NONE
        return ResponseReceived(headers, version, reason, has_body, None if has_body else 0, False)

    def _begin_response(self, exchange: Exchange) -> None:
        """Told of the final response's head, of a response that does not switch protocols."""
        if exchange is self._undecided:
            self._undecided = None
        self._informational = 0
        self._in_message = True

    def _frame(self, headers: Headers, method: str, status: str) -> Framing:
        return frame_response(headers, method, status)

    def _informational_received(self, headers: Headers, version: float, reason: str) -> Event:
        self._informational += 1
        if self._informational > self.limits.max_informational:
            text = f"more than {self.limits.max_informational} informational responses"
            raise LimitExceeded(text, part="informational count")
        self._scanned = 0
        return InformationalReceived(headers, version, reason)

    def _switch(self, headers: Headers, version: float, reason: str) -> Event:
        """101 or a 2xx to CONNECT: what follows is no longer HTTP/1 (RFC 9110 sections 15.2.2 and 9.3.6)."""
        if headers.get(":status") == "101":
            if not self.exchanges[0].upgrade:
                raise RemoteProtocolError("101 Switching Protocols was not asked for")
            if self.is_sending:
                raise RemoteProtocolError("101 Switching Protocols in the middle of the request")
        self.exchanges.popleft()
        self.switched = True
        self._undecided = None
        self._body_kind = _TUNNEL
        self.sender.begin(_TUNNEL)
        self._step = self._read_switched
        return ResponseReceived(headers, version, reason, True, None, True)

    def _message_ended(self) -> None:
        self._in_message = False
        if not self.exchanges.popleft().keep_alive:
            self.keep_alive = False
            if self.exchanges:
                # RFC 9112 section 9.6: nothing after a response that says close is one.
                self._step = self._closed

    def _closed(self) -> Event:
        return ConnectionEnded()

    def _ended_between_messages(self) -> Event:
        if self._informational:
            raise IncompleteMessage("the connection ended between an informational response and the final one")
        return ConnectionEnded()
