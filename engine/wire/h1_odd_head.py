"""Heads of responses that RFC 9112 forbids and that servers have got away with, read as `http.client` reads them.

Laws:

- lines may end in a line feed alone; the head ends with the first empty line, or where the connection ends;
- a line that begins with a blank goes on with the field before: line end and blanks become one blank (RFC 9112 section 5.2),
  where `http.client` leaves them; at the first line that is no field the fields end, whatever follows;
- a bare CR or NUL is never taken: what is a line end to one reader and none to another is how one response becomes two;
- nothing here is for requests, nor for a connection that is to be used again.
"""

from __future__ import annotations

import re

from .h1_head import Field

__all__ = ["find_odd_head_end", "parse_odd_head", "parse_odd_length"]

_find_empty_line = re.compile(rb"\n\r?\n").search
_has_refused = re.compile("\r(?!\n)|\0").search
_lines_of = re.compile(r"[^\n]*\n|[^\n]+").findall
_begins_field = re.compile("[!-9;-~]*:").match
_is_status = re.compile("0*[1-9][0-9][0-9]").fullmatch


def find_odd_head_end(data: bytes | bytearray, start: int, scanned: int) -> int:
    """Where the first head in `data[start:]` ends, its empty line included; -1 if it is not complete.

    Args:
        scanned: how far the data was searched before.
    """
    found = _find_empty_line(data, max(start, scanned - 2))
    return -1 if found is None else found.end()


def parse_odd_head(text: str) -> tuple[float, str, str, list[Field]] | None:
    """Parse a head, its empty line left out or not.

    Returns:
        (version 1.0 or 1.1, three-digit status, reason, fields); None where it is no head even so.
    """
    if not text or _has_refused(text):
        return None
    status_line, *lines = _lines_of(text)
    words = status_line.split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not _is_status(words[1]):
        return None
    version = 1.0 if words[0] in ("HTTP/1.0", "HTTP/0.9") else 1.1
    if version == 1.1 and not words[0].startswith("HTTP/1."):
        return None
    return version, words[1][-3:], words[2].strip() if len(words) > 2 else "", _fields_of(lines)


def _fields_of(lines: list[str]) -> list[Field]:
    fields: list[tuple[str, list[str]]] = []
    values: list[str] | None = None
    for line in lines:
        if line[0] in " \t":
            if values is not None:
                values.append(line.strip())
            continue
        if line.startswith("From "):  # as in an mbox
            values = None
            continue
        if not _begins_field(line):
            break
        name, _, value = line.partition(":")
        values = [value.strip()]
        if name:
            fields.append((name, values))
    return [(name, " ".join(filter(None, parts))) for name, parts in fields]


def parse_odd_length(value: str) -> int | None:
    """The length that a Content-Length says, None where it is none: then the body lasts until the connection ends."""
    try:
        length = int(value)
    except ValueError:
        return None
    return length if length >= 0 else None
