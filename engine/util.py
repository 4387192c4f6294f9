"""Small helpers that lua-http calls `http.util`: percent-encoding, queries, paths, authorities, dates, quoting.

Text is `str`; where bytes matter (percent-encoding) it stands for UTF-8, and bytes that are not UTF-8 pass through both
ways as lone surrogates (`surrogateescape`), so that encoding and decoding are exact inverses for every byte string.
"""

from __future__ import annotations

import math
import re
import socket
import time as _time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from .errors import InvalidURL, UsageError

__all__ = [
    "TOKEN",
    "decode_uri",
    "decode_uri_component",
    "dict_to_query",
    "encode_uri",
    "encode_uri_component",
    "imf_date",
    "is_ip",
    "is_safe_method",
    "maybe_quote",
    "query_args",
    "remove_dot_segments",
    "resolve_relative_path",
    "scheme_to_port",
    "split_authority",
    "to_authority",
]

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""Regular expression source of `token` (RFC 9110 section 5.6.2)."""

scheme_to_port: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443, "ws": 80, "wss": 443})
"""Default port of each scheme the engine speaks, read-only."""

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))

_NOT_URI = re.compile(rb"[^;,/?:@&=+$A-Za-z0-9\-_.!~*'()#]")
_NOT_URI_COMPONENT = re.compile(rb"[^A-Za-z0-9\-_.!~*'()]")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_URI_RESERVED = frozenset(b"#$&+,/:;=?@")
_BYTES = tuple(bytes((code,)) for code in range(256))


def _escape_byte(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match.group()[0]


def _unescape_byte(match: re.Match[bytes]) -> bytes:
    return _BYTES[int(match.group(1), 16)]


def _unescape_unreserved_byte(match: re.Match[bytes]) -> bytes:
    code = int(match.group(1), 16)
    return match.group() if code in _URI_RESERVED else _BYTES[code]


def _encode(pattern: re.Pattern[bytes], text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else _to_bytes(text)
    return pattern.sub(_escape_byte, raw).decode("ascii")


def _decode(replace: Callable[[re.Match[bytes]], bytes], text: str) -> str:
    if "%" not in text:
        return text
    return _ESCAPE.sub(replace, _to_bytes(text)).decode("utf-8", "surrogateescape")


def _to_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(f"a lone surrogate at index {error.start} has no UTF-8 form") from error


def encode_uri(text: str | bytes) -> str:
    """Percent-encode everything but the characters of a whole URI, as JavaScript's `encodeURI` does.

    Kept are letters, digits, ``- _ . ! ~ * ' ( )`` and ``; , / ? : @ & = + $ #``. A "%" is encoded too.

    Raises:
        UsageError: `text` holds a surrogate that stands for no byte.
    """
    return _encode(_NOT_URI, text)


def encode_uri_component(text: str | bytes) -> str:
    """Percent-encode everything but letters, digits and ``- _ . ! ~ * ' ( )``, as `encodeURIComponent` does.

    Raises:
        UsageError: `text` holds a surrogate that stands for no byte.
    """
    return _encode(_NOT_URI_COMPONENT, text)


def decode_uri(text: str) -> str:
    """Undo percent-encoding except for the escapes of ``; , / ? : @ & = + $ #``, which stay as they are written.

    A "%" that starts no escape stays too. Escapes that are not UTF-8 give lone surrogates (see the module).
    """
    return _decode(_unescape_unreserved_byte, text)


def decode_uri_component(text: str) -> str:
    """Undo every percent-escape; a "%" that starts none stays. "+" is not a space here."""
    return _decode(_unescape_byte, text)


def query_args(query: str) -> Iterator[tuple[str, str | None]]:
    """Iterate over the (name, value) pairs of a query string without its "?", percent-decoded, in order.

    The value is None where there is no "="; empty segments ("a&&b") are skipped. "+" is left as it is: this is the
    URI's query, not a form.
    """
    for segment in query.split("&"):
        if segment:
            name, equals, value = segment.partition("=")
            yield decode_uri_component(name), decode_uri_component(value) if equals else None


def dict_to_query(args: Mapping[str, str]) -> str:
    """Encode `args` as "name=value&…", in the order of the names so that equal mappings give equal queries."""
    return "&".join(f"{encode_uri_component(name)}={encode_uri_component(args[name])}" for name in sorted(args))


def remove_dot_segments(path: str) -> str:
    """Resolve the "." and ".." segments of an absolute path (RFC 3986 section 5.2.4); ".." stops at the root."""
    if "/." not in path:
        return path
    segments = path.split("/")
    kept: list[str] = []
    for segment in segments[1:]:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def resolve_relative_path(orig_path: str, relative_path: str) -> str:
    """Resolve `relative_path` against `orig_path`: merge, then remove dot segments (RFC 3986 sections 5.2.3, 5.2.4).

    Both are paths only, without query. The result is absolute if either is; a relative one never climbs above its
    start. An empty `relative_path` gives `orig_path`. Unlike lua-http, empty segments ("//") are kept and a final ".."
    keeps its slash, as the RFC has it.
    """
    if not relative_path:
        return orig_path
    if relative_path.startswith("/"):
        return remove_dot_segments(relative_path)
    merged = orig_path[: orig_path.rfind("/") + 1] + relative_path
    if merged.startswith("/"):
        return remove_dot_segments(merged)
    return remove_dot_segments("/" + merged)[1:]


def is_safe_method(method: str) -> bool:
    """Tell whether `method` is one of the safe methods of RFC 9110 section 9.2.1: GET, HEAD, OPTIONS, TRACE."""
    return method in _SAFE_METHODS


def is_ip(text: str) -> bool:
    """Tell whether `text` is an IPv4 address in dotted decimal form or an IPv6 address without brackets.

    An IPv6 zone ("fe80::1%eth0") is allowed.
    """
    if ":" not in text:
        return _is_address(socket.AF_INET, text)
    address, percent, zone = text.partition("%")
    return bool(zone or not percent) and _is_address(socket.AF_INET6, address)


def _is_address(family: int, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):  # ValueError: not ASCII, or a NUL
        return False
    return True


def split_authority(authority: str, scheme: str) -> tuple[str, int | None]:
    """Split an `:authority` or Host value into host and port.

    The port is the scheme's default where none is given, None if the scheme has none either. Brackets around an IPv6
    address are taken off; a bare IPv6 address is taken for a host without port.

    Raises:
        InvalidURL: userinfo, an unclosed or misplaced bracket, or a port that is not a number from 0 to 65535.
    """
    authority = authority.strip(" \t")
    if "@" in authority:
        raise InvalidURL("user information is not allowed in an authority")
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket:
            raise InvalidURL(f"unclosed bracket in {authority[:300]!r}")
        if rest and not rest.startswith(":"):
            raise InvalidURL(f"only a port may follow the bracket in {authority[:300]!r}")
        port = rest[1:]
    elif authority.count(":") > 1 and is_ip(authority):
        host, port = authority, ""
    else:
        host, _, port = authority.partition(":")
    if "[" in host or "]" in host:
        raise InvalidURL(f"misplaced bracket in {authority[:300]!r}")
    return host, _parse_port(port) if port else scheme_to_port.get(scheme)


def _parse_port(text: str) -> int:
    digits = text.lstrip("0") or "0"
    if text.isascii() and text.isdigit() and len(digits) <= 5 and int(digits) <= 65535:
        return int(digits)
    raise InvalidURL(f"port {text[:20]!r} is not a number from 0 to 65535")


def to_authority(host: str, port: int | None, scheme: str) -> str:
    """Join host and port to an authority; the port is left out if it is None or the scheme's default.

    An IPv6 address gets its brackets, and loses its zone, which means nothing to a peer (RFC 6874 section 4).
    """
    if ":" in host:
        host = f"[{host.partition('%')[0]}]"
    if port is None or port == scheme_to_port.get(scheme):
        return host
    return f"{host}:{port}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# The newest answer of imf_date: servers ask for the current second again and again. It is replaced as one tuple, so that
# a thread always sees a second together with its own text.
_last_date = [(0, "Thu, 01 Jan 1970 00:00:00 GMT")]


def imf_date(time: float | None = None) -> str:
    """Format seconds since the epoch (default: now) as IMF-fixdate (RFC 9110 section 5.6.7), rounded down.

    Raises:
        UsageError: the year would not have four digits.
    """
    try:
        second = math.floor(_time.time() if time is None else time)
        known, text = _last_date[0]
        if known == second:
            return text
        year, month, day, hour, minute, secs, weekday, _, _ = _time.gmtime(second)
    except (OverflowError, OSError, ValueError) as error:
        raise UsageError(f"{time} seconds since the epoch is no date") from error
    if not 0 <= year <= 9999:
        raise UsageError(f"the year {year} does not have four digits")
    text = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month]} {year:04} {hour:02}:{minute:02}:{secs:02} GMT"
    _last_date[0] = (second, text)
    return text


_IS_TOKEN = re.compile(TOKEN).fullmatch
_IS_QUOTABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_TO_ESCAPE = re.compile(r'[\\"]')


def maybe_quote(text: str) -> str | None:
    """Return `text` itself if it is a token, else as a quoted-string, or None if it can be neither (RFC 9110 5.6.4)."""
    if _IS_TOKEN(text):
        return text
    if _IS_QUOTABLE(text):
        return f'"{_TO_ESCAPE.sub(_escape_quoted, text)}"'
    return None


def _escape_quoted(match: re.Match[str]) -> str:
    return "\\" + match.group()
