"""The server role of the HTTP/1 machine: requests in, responses out."""

from __future__ import annotations

import re

from ..errors import LocalProtocolError, RemoteProtocolError
from ..wire.h1_head import encode_head, format_fields, format_status_line, is_authority, parse_request_line
from ..wire.headers import Headers
from ..wire.reason_phrases import reason_phrase
from .h1 import DEFAULT_LIMITS, Exchange, H1Machine, required_field
from .h1_events import ConnectionEnded, Event, RequestReceived
from .h1_framing import BodyKind, connection_options, frame_request, outgoing_length
from .h1_limits import H1Limits

__all__ = ["H1ServerMachine"]

_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^#]*)").fullmatch
_IS_ZERO = re.compile(r"[ \t]*q[ \t]*=[ \t]*0(?:\.0{0,3})?[ \t]*").fullmatch


class H1ServerMachine(H1Machine):
    """Receives requests and sends their responses, in order. See `H1Machine`.

    Args:
        scheme: "http" or "https", told in `:scheme` for requests whose target does not say.

    Attributes:
        compress_transfers: whether a chunked response without Content-Encoding is sent as `gzip, chunked` to a client
            whose TE field asks for it (RFC 9112 section 7.4).
    """

    def __init__(self, version: float = 1.1, limits: H1Limits = DEFAULT_LIMITS, scheme: str = "http") -> None:
        super().__init__(version, limits)
        self.scheme = scheme
        self.compress_transfers = True
        self._skipped_line = False
        self._newest = Exchange("", version, True)

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _read_head(self) -> Event | None:
        # One empty line before a request line is skipped (RFC 9112 section 2.2): some old clients end a body with it.
        if self._data[self._position : self._position + 2] == b"\r\n" and not self._skipped_line:
            self._skipped_line = True
            self._position += 2
        if not self.keep_alive:
            return ConnectionEnded() if self.ended else None
        return super()._read_head()

    def _head_received(self, text: str) -> Event:
        line_end = text.index("\r\n")
        method, target, version = parse_request_line(text[:line_end])
        headers = self._with_pseudo_fields(method, target, version, self._parse_fields(text, line_end + 2))
        framing = frame_request(headers, version)
        exchange = self._exchange_for(method, version, headers)
        has_body = framing.kind is not BodyKind.NONE
        exchange.expects_continue = exchange.expects_continue and has_body
        if exchange.may_switch:
            self._undecided = exchange
        self._skipped_line = False
        self._newest = exchange
        self.exchanges.append(exchange)
        self._in_message = True
        self._begin_body(framing)
        return RequestReceived(headers, version, has_body, exchange.expects_continue)

    def _exchange_for(self, method: str, version: float, headers: Headers) -> Exchange:
        """What of a request's head matters to the response and the connection. HTTP/1.0 knows no upgrade, Expect or TE."""
        first = headers.first_values()
        if version == 1.0:
            return Exchange(method, version, not self._says_close(headers, version))
        options = (connection_options(headers) or frozenset()) if "connection" in first else frozenset()
        exchange = Exchange(method, version, "close" not in options, "upgrade" in options and "upgrade" in first)
        if "expect" in first:
            for expectation in (headers.get_comma_separated("expect") or "").split(","):
                if expectation.strip(" \t").lower() not in ("100-continue", ""):
                    raise RemoteProtocolError(f"unknown expectation {expectation.strip()[:40]!r}", 417)
                exchange.expects_continue = True
        if "te" in options and "te" in first:
            exchange.accepts_gzip = _accepts_gzip(headers.get_comma_separated("te") or "")
        return exchange

    def _with_pseudo_fields(self, method: str, target: str, version: float, fields: list[tuple[str, str]]) -> Headers:
        hosts = [value for name, value in fields if len(name) == 4 and name.lower() == "host"]
        if len(hosts) > 1:
            raise RemoteProtocolError("more than one Host field")
        if not hosts and version != 1.0:
            raise RemoteProtocolError("an HTTP/1.1 request without a Host field")
        authority = hosts[0] if hosts else None
        # RFC 9110 section 7.2: empty where the target has no authority.
        if authority and not is_authority(authority):
            raise RemoteProtocolError(f"malformed Host field {authority[:60]!r}")
        pseudo = [(":method", method)]
        if method == "CONNECT":
            if not is_authority(target, port_needed=True):
                raise RemoteProtocolError(f"the target of CONNECT is not host:port: {target[:60]!r}")
            pseudo.append((":authority", target))
        else:
            scheme, authority, path = self._split_target(method, target, authority)
            pseudo.append((":scheme", scheme))
            if authority is not None:
                pseudo.append((":authority", authority))
            pseudo.append((":path", path))
        pseudo += [field for field in fields if len(field[0]) != 4 or field[0].lower() != "host"]
        return Headers.adopt(pseudo)

    def _split_target(self, method: str, target: str, authority: str | None) -> tuple[str, str | None, str]:
        """Tell the forms of a target apart (RFC 9112 section 3.2); an absolute one overrides Host."""
        if "#" in target:
            raise RemoteProtocolError(f"a fragment in the request target {target[:60]!r}")
        if target[0] == "/" or (target == "*" and method == "OPTIONS"):
            return self.scheme, authority, target
        match = _ABSOLUTE(target)
        if match is None:
            raise RemoteProtocolError(f"malformed request target {target[:60]!r}")
        scheme, authority, path = match.groups()
        if "@" in authority:
            # RFC 9110 section 4.2.4: most likely there to make one name look like another.
            raise RemoteProtocolError("user information in the request target")
        if not is_authority(authority):
            raise RemoteProtocolError(f"malformed authority in the request target {target[:60]!r}")
        if not path and method == "OPTIONS":
            return scheme.lower(), authority, "*"  # RFC 9112 section 3.2.4
        return scheme.lower(), authority, path if path[:1] == "/" else "/" + path

    def _message_ended(self) -> None:
        exchange = self._newest
        exchange.expects_continue = False
        if exchange.may_switch:
            self._step = self._read_undecided
        if not exchange.keep_alive:
            # What the client sends after its last request is not looked at (RFC 9112 section 9.6).
            self.keep_alive = False
        self._in_message = False

    def _read_undecided(self) -> Event | None:
        """Leave what follows a request that may switch protocols alone until the answer has begun: it may be no HTTP."""
        if self._undecided is None:
            if self.switched:
                self._body_kind = BodyKind.TUNNEL
                self._step = self._read_switched
            else:
                self._step = self._read_head
            return self._step()
        return ConnectionEnded() if self.ended and self._position == len(self._data) else None

    @property
    def receiving(self) -> bool:
        """As in `H1Machine`; also while a request that may switch protocols has no final response.

        In both cases the next request cannot be read yet.
        """
        return self._in_message or self._undecided is not None

    # -- sending -------------------------------------------------------------------------------------------------------

    def send_response(self, headers: Headers, end_stream: bool) -> bytes:
        """Open a response to the oldest unanswered request and return its head.

        Args:
            headers: begins with `:status`. A status of 1xx other than 101 is informational: a final one must follow.
            end_stream: the response has no body. Otherwise `send_data` and `send_end` must follow, except after 101 and
                a 2xx to CONNECT, which turn the connection into a tunnel.

        Raises:
            LocalProtocolError: the response cannot be sent so; the machine is as before.
            InvalidHeader: a field must not go on the wire.
        """
        self._check_idle()
        if not self.exchanges:
            raise LocalProtocolError("there is no request to answer")
        exchange = self.exchanges[0]
        status = required_field(headers, ":status")
        text = format_status_line(self.version, status, reason_phrase(status)) + format_fields(headers.raw_fields())
        first = headers.first_values()
        framed = "transfer-encoding" in first or "content-length" in first
        if status[0] == "1":
            return self._send_informational(exchange, status, text, framed)
        if exchange.method == "CONNECT" and status[0] == "2":
            if framed:
                raise LocalProtocolError("a 2xx response to CONNECT has neither Transfer-Encoding nor Content-Length")
            output = encode_head(f"{text}\r\n")
            self._switch()
            return output
        if status == "204" and framed:
            raise LocalProtocolError("a 204 response has neither Transfer-Encoding nor Content-Length")
        return self._send_final(exchange, headers, status, text, end_stream)

    def _send_informational(self, exchange: Exchange, status: str, text: str, framed: bool) -> bytes:
        if 1.0 in (exchange.version, self.version):
            raise LocalProtocolError("an informational response in HTTP/1.0")
        if framed:
            raise LocalProtocolError("an informational response has neither Transfer-Encoding nor Content-Length")
        output = encode_head(f"{text}\r\n")
        if status == "101":
            if not exchange.upgrade:
                raise LocalProtocolError("101 Switching Protocols to a request without Upgrade")
            self._switch()
        elif status == "100":
            exchange.expects_continue = False
        return output

    def _switch(self) -> None:
        self.exchanges.popleft()
        self.keep_alive = False
        self.sender.begin(BodyKind.TUNNEL)
        # What is being received of the request goes on; only after its end is the rest another protocol's.
        self.switched = True
        self._undecided = None

    def _send_final(self, exchange: Exchange, headers: Headers, status: str, text: str, end_stream: bool) -> bytes:
        bodiless = exchange.method == "HEAD" or status in ("204", "304")
        if bodiless:
            kind, added = self._frame_bodiless(exchange, headers), ""
        else:
            kind, added = self._frame_final(exchange, headers, end_stream)
        options = connection_options(headers) or frozenset()
        keep_alive = exchange.keep_alive and "close" not in options and kind is not BodyKind.CLOSE
        if keep_alive and len(self.exchanges) == 1 and self._reads_no_more(exchange):
            keep_alive = False
        if not keep_alive:
            if "close" not in options:
                added += "Connection: close\r\n"
        elif 1.0 in (exchange.version, self.version) and "keep-alive" not in options:
            added += "Connection: keep-alive\r\n"
        output = encode_head(f"{text}{added}\r\n")
        exchange.keep_alive = keep_alive
        if exchange is self._undecided:
            self._undecided = None
        self.sender.begin(kind, may_be_missing=bodiless)
        return output + self.send_end() if end_stream else output

    def _reads_no_more(self, exchange: Exchange) -> bool:
        """Whether no request can follow the newest one, which `exchange` is."""
        if not self.keep_alive:
            return True
        if not self._in_message:
            return False
        # The rest of this request cannot be read, or the client holds it back until it is told to go on.
        return self._fault is not None or (exchange.expects_continue and self._position == len(self._data))

    def _frame_bodiless(self, exchange: Exchange, headers: Headers) -> BodyKind:
        if headers.has("content-length"):
            return self.sender.choose_framing(headers, chunked_allowed=False, close_allowed=False)
        if headers.has("transfer-encoding") and 1.0 in (exchange.version, self.version):
            raise LocalProtocolError("Transfer-Encoding to an HTTP/1.0 peer")
        return BodyKind.NONE

    def _frame_final(self, exchange: Exchange, headers: Headers, end_stream: bool) -> tuple[BodyKind, str]:
        first = headers.first_values()
        if end_stream and "transfer-encoding" not in first:
            if outgoing_length(headers):
                raise LocalProtocolError("Content-Length announces a body, but there is none")
            return BodyKind.NONE, "" if "content-length" in first else "Content-Length: 0\r\n"
        chunked = exchange.version != 1.0 and self.version != 1.0
        kind = self.sender.choose_framing(headers, chunked_allowed=chunked, close_allowed=True)
        if kind is not BodyKind.CHUNKED or "transfer-encoding" in first:
            return kind, ""
        if exchange.accepts_gzip and self.compress_transfers and "content-encoding" not in first:
            self.sender.compress("gzip")
            return kind, "Transfer-Encoding: gzip, chunked\r\n"
        return kind, "Transfer-Encoding: chunked\r\n"

    def expect_refusal(self) -> None:
        """Queue the request whose head or framing could not be understood, so that `send_response` can refuse it."""
        self.exchanges.append(Exchange("", 1.1, False))

    def refuse_further(self) -> None:
        """Close after the responses under way: no further request is read (graceful shutdown, failed handlers)."""
        self.keep_alive = False
        if self.exchanges:
            self.exchanges[-1].keep_alive = False

    def _message_sent(self) -> None:
        if not self.exchanges.popleft().keep_alive:
            # RFC 9112 section 9.6: nothing follows a response that said close.
            self.keep_alive = False
            self.sender.abort()


def _accepts_gzip(te: str) -> bool:
    """Whether a TE field lists gzip with a weight above zero (RFC 9110 section 10.1.4)."""
    for item in te.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip(" \t") in ("gzip", "x-gzip"):
            return not _IS_ZERO(weight)
    return False
