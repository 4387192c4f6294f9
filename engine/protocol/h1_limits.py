"""Limits on what an HTTP/1 peer can make this side keep in memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["H1Limits"]


@dataclass(frozen=True, slots=True)
class H1Limits:
    """Sizes in bytes unless said. Passing one raises `LimitExceeded` with the status a server answers it with.

    The defaults are what the common servers converge on: nginx takes lines of 8 KiB, Apache httpd 8190 bytes and 100
    fields, lua-http 100 fields.

    Args:
        max_line: a request line, status line, field line or chunk-size line.
        max_head: a whole header section with its start line.
        max_fields: field lines in a header or trailer section.
        max_trailers: a whole trailer section.
        max_chunk_extensions: chunk extensions in one message, all chunks together.
        max_informational: 1xx responses before a final one (a count).
        max_body: the body of one message, compression of the transfer removed; None for no limit, as bodies are read
            piece by piece.
    """

    max_line: int = 8 * 1024
    max_head: int = 64 * 1024
    max_fields: int = 100
    max_trailers: int = 16 * 1024
    max_chunk_extensions: int = 16 * 1024
    max_informational: int = 100
    max_body: int | None = None
