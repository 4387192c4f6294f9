"""The framing of one chunk of the chunked transfer coding (RFC 9112 section 7.1)."""

from __future__ import annotations

import re

from ..errors import RemoteProtocolError

__all__ = ["format_chunk", "parse_chunk_line"]

# Sixteen digits name more than any machine holds; more of them only serve to overflow somebody's integer. White space is
# taken before the semicolon of an extension only ("bad white space").
_CHUNK_LINE = re.compile(r"([0-9A-Fa-f]{1,16})([ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?").fullmatch


def parse_chunk_line(line: str) -> tuple[int, str]:
    """Parse a chunk-size line without its CRLF into (size in bytes, what follows the digits: "" or the extensions).

    Raises:
        RemoteProtocolError: it is malformed.
    """
    match = _CHUNK_LINE(line)
    if match is None:
        raise RemoteProtocolError(f"malformed chunk-size line {line[:40]!r}")
    digits, extensions = match.groups()
    return int(digits, 16), extensions or ""


def format_chunk(data: bytes) -> bytes:
    """Format one chunk. Empty data would be the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)
