"""The client role for servers that are not what RFC 9112 wants of them, as far as `http.client` gets along with them.

What the strict machine takes is taken by it, in the same way. Only where that gives up is a response read once more, with
`http.client`'s eyes; its connection then ends with it, so that nothing that was misread can be taken for another response.
"""

from __future__ import annotations

import re

from ..errors import IncompleteMessage, LimitExceeded, RemoteProtocolError
from ..wire.h1_odd_head import find_odd_head_end, parse_odd_head
from ..wire.headers import Headers
from .h1_client import H1ClientMachine
from .h1_events import Event
from .h1_framing import Framing, frame_odd_response, frame_response

__all__ = ["H1TolerantClientMachine"]

_is_chunk_size = re.compile("[0-9A-Fa-f]{1,16}").fullmatch


class H1TolerantClientMachine(H1ClientMachine):
    """Sends as `H1ClientMachine` and receives more than that.

    What it takes beyond:

    - heads with bare line feeds, folded lines, lines that are no fields, control characters other than CR and NUL, status
      lines with blanks too many, and heads that end with the connection after a whole line;
    - Transfer-Encoding beside Content-Length, which it overrides, or with codings that nobody knows; a Content-Length that
      is no number, which says nothing. Two lengths that differ are refused;
    - chunk sizes followed by blanks or a bare line feed, and trailer sections that are malformed or missing.
    """

    _fault_of_head = RemoteProtocolError("")

    def _read_head(self) -> Event | None:
        start = self._position
        try:
            return super()._read_head()
        except LimitExceeded:
            raise
        except RemoteProtocolError as fault:
            if not self.exchanges or start == len(self._data):
                raise
            self._fault_of_head = fault
        self._position = start
        self._scanned = 0
        self._step = self._read_odd_head
        return self._read_odd_head()

    def _read_odd_head(self) -> Event | None:
        data, start = self._data, self._position
        end = find_odd_head_end(data, start, self._scanned)
        complete = end >= 0
        if not complete:
            end = len(data)
        self._check_odd_head(start, end, complete)
        if not complete and not self.ended:
            self._scanned = end
            return None
        first = bytes(data[start:end]).partition(b"\n")
        if not complete and data[-1:] != b"\n":
            cut = IncompleteMessage("the connection ended inside a header section")
            cut.line = first[0] + first[1]
            raise cut
        parsed = parse_odd_head(data[start:end].decode("latin-1"))
        if parsed is None:
            self._fault_of_head.line = first[0] + first[1]
            raise self._fault_of_head
        version, status, reason, fields = parsed
        if len(fields) > self.limits.max_fields:
            self._refuse_fields()
        self._position = end
        self._scanned = 0
        self._step = self._read_head
        self._end_connection()
        return self._response(version, status, reason, fields)

    def _check_odd_head(self, start: int, end: int, complete: bool) -> None:
        """Refuse what passes the limits; of a head that is not complete, all lines but the last have time until it is."""
        data, limits = self._data, self.limits
        if end - start > limits.max_head:
            raise LimitExceeded(f"header section longer than {limits.max_head} bytes", 431)
        longest = end - max(start, data.rfind(b"\n", start, end) + 1)
        if complete and end - start > limits.max_line:
            longest = max(map(len, data[start:end].split(b"\n")))
        if longest > limits.max_line:
            raise LimitExceeded(f"field line longer than {limits.max_line} bytes", 431)

    def _end_connection(self) -> None:
        """Let nothing follow the response that is being received."""
        self.exchanges[0].keep_alive = False

    def _frame(self, headers: Headers, method: str, status: str) -> Framing:
        try:
            return frame_response(headers, method, status)
        except RemoteProtocolError:
            framing = frame_odd_response(headers)
        self._end_connection()
        return framing

    def _parse_chunk_line(self, line: bytes) -> tuple[int, str]:
        try:
            return super()._parse_chunk_line(line)
        except RemoteProtocolError as fault:
            digits, _, extensions = line.decode("latin-1").partition(";")
            size = digits.strip()
            if not _is_chunk_size(size):
                fault.part, fault.line = "chunk size", line + b"\n"
                raise
        self._end_connection()
        return int(size, 16), extensions

    def _read_trailers(self) -> Event | None:
        try:
            return super()._read_trailers()
        except LimitExceeded:
            raise
        except RemoteProtocolError:
            # The body is whole, and nobody is told of what follows.
            self.take_buffered()
            self._end_connection()
            return self._end_message()
