"""HTTP/1 heads and field lines: text to values and back (RFC 9112 sections 2 to 5).

Laws:

- a head is parsed with one regular-expression pass; only when something does not fit are its lines looked at one by one,
  to name the fault;
- line ends are CRLF and nothing else, on both roles: a bare LF or CR, a fold (obs-fold), white space before a colon, NUL
  and other controls are refused, because two parsers that read such a message differently are what request smuggling needs;
- text is ISO-8859-1, so that every byte survives (RFC 9110 section 5.5);
- nothing with CR, LF or NUL inside a value, and no name that is not a token, is ever formatted;
- the time taken is linear in the length of the text, whatever it holds.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..errors import InvalidHeader, LocalProtocolError, RemoteProtocolError
from ..util import TOKEN

__all__ = [
    "Field",
    "check_method",
    "check_target",
    "encode_head",
    "format_fields",
    "format_request_line",
    "format_status_line",
    "is_authority",
    "parse_field_line",
    "parse_fields",
    "parse_request_line",
    "parse_status_line",
]

Field = tuple[str, str]

_VALUE = r"[^\x00-\x08\x0a-\x1f\x7f]*"
# The value begins with no blank: a blank that two parts of the pattern could take would cost quadratic time on a line
# of blanks that does not fit.
_FIELDS = re.compile(rf"^({TOKEN}):[ \t]*((?:[^\x00-\x20\x7f]{_VALUE})?)\r\n", re.MULTILINE)
_IS_TOKEN = re.compile(TOKEN).fullmatch
_IS_VALUE = re.compile(_VALUE).fullmatch
_IS_TARGET = re.compile(r"[!-~]+").fullmatch
_REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]+) HTTP/1\.([01])").fullmatch
# The space after the code is left out by some servers together with the reason phrase, as RFC 9112 section 4 foresees
# for recipients that parse by white space; nothing else is relaxed.
_STATUS_LINE = re.compile(rf"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ({_VALUE}))?").fullmatch
_IS_STATUS = re.compile(r"[1-9][0-9][0-9]").fullmatch
_ANY_VERSION = re.compile(r"HTTP/[0-9]+(\.[0-9]+)?").fullmatch
_BARE_LF = re.compile(r"(?<!\r)\n").search
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_CONTROL_NAMES = {"\r": "bare CR", "\n": "bare LF", "\0": "NUL"}
_REG_NAME = r"[0-9A-Za-z\-._~!$&'()*+,;=]"
_PERCENT = r"%[0-9A-Fa-f]{2}"
_ADDRESS = rf"\[(?:[0-9A-Fa-f:.]+(?:%[0-9A-Za-z\-._~%]+)?|[vV][0-9A-Fa-f]+\.(?:{_REG_NAME}|:)+)\]"
_HOST = rf"(?:{_ADDRESS}|(?:{_REG_NAME}|{_PERCENT}){_REG_NAME}*(?:{_PERCENT}{_REG_NAME}*)*)"
_IS_AUTHORITY = re.compile(rf"{_HOST}(?::([0-9]{{0,5}}))?").fullmatch
_PSEUDO_NAMES = frozenset((":method", ":scheme", ":authority", ":path", ":status", ":protocol"))

# Names that passed the token check. Programs use few names; the bound keeps one that makes them up from growing the set.
_known_names: set[str] = set()
_KNOWN_NAMES_MAX = 1000


def parse_fields(text: str, start: int = 0) -> list[Field]:
    """Parse the field lines in `text[start:]`, every one of which ends in CRLF, the blank line left out.

    Returns:
        (name, value) pairs in order, names in the sender's case, values without surrounding white space.

    Raises:
        RemoteProtocolError: naming the first line that is not a field line.
    """
    fields: list[Field] = _FIELDS.findall(text, start)
    # A line that the pattern skipped shows as a difference, as every line has exactly one LF if all is well.
    if len(fields) != text.count("\n", start):
        raise _name_the_fault(text[start:])
    if " \r\n" in text or "\t\r\n" in text:
        return [(name, value.rstrip(" \t")) for name, value in fields]
    return fields


def _name_the_fault(text: str) -> RemoteProtocolError:
    if _BARE_LF(text):
        return RemoteProtocolError("bare LF in a header section")
    for line in text.split("\r\n")[:-1]:
        try:
            parse_field_line(line)
        except RemoteProtocolError as error:
            return error
    return RemoteProtocolError("malformed header section")


def parse_field_line(line: str) -> Field:
    """Parse one field line without its CRLF (RFC 9112 section 5).

    Raises:
        RemoteProtocolError: naming the fault.
    """
    name, colon, value = line.partition(":")
    if line[:1] in (" ", "\t"):
        raise RemoteProtocolError("folded field line (obs-fold)")
    if not colon:
        raise RemoteProtocolError(f"field line without a colon: {line[:60]!r}")
    if not name:
        raise RemoteProtocolError("field line without a name")
    if name[-1] in " \t":
        raise RemoteProtocolError(f"white space before the colon of field {name.strip()[:60]!r}")
    if not _IS_TOKEN(name):
        raise RemoteProtocolError(f"field name is not a token: {name[:60]!r}")
    value = value.strip(" \t")
    if not _IS_VALUE(value):
        raise RemoteProtocolError(f"{_control_in(value)} in the value of field {name[:60]!r}")
    return name, value


def _control_in(text: str) -> str:
    """Name the first control character of `text`, "" without any."""
    found = _CONTROL(text)
    return _CONTROL_NAMES.get(found.group(), f"control character {found.group()!r}") if found else ""


def _line_fault(what: str, line: str, version: str) -> RemoteProtocolError:
    """Say what is wrong with a start line that does not fit; `version` is what stands where the version is due."""
    control = _control_in(line)
    if control:
        return RemoteProtocolError(f"{control} in the {what}", part=what)
    if _ANY_VERSION(version) and version not in ("HTTP/1.0", "HTTP/1.1"):
        return RemoteProtocolError(f"HTTP version not supported: {version[:20]}", 505)
    return RemoteProtocolError(f"malformed {what}: {line[:80]!r}", part=what)


def parse_request_line(line: str) -> tuple[str, str, float]:
    """Parse a request line without its CRLF into (method, target, version 1.0 or 1.1) (RFC 9112 section 3).

    Raises:
        RemoteProtocolError: status 505 for another HTTP version, 400 otherwise.
    """
    match = _REQUEST_LINE(line)
    if match is None:
        raise _line_fault("request line", line, line.rpartition(" ")[2])
    method, target, minor = match.groups()
    return method, target, 1.1 if minor == "1" else 1.0


@lru_cache(32)
def parse_status_line(line: str) -> tuple[float, str, str]:
    """Parse a status line without its CRLF into (version 1.0 or 1.1, three-digit status, reason) (RFC 9112 section 4).

    The reason phrase comes without blanks around it.

    Raises:
        RemoteProtocolError: naming the fault.
    """
    match = _STATUS_LINE(line)
    if match is None:
        raise _line_fault("status line", line, line.partition(" ")[0])
    minor, status, reason = match.groups()
    return (1.1 if minor == "1" else 1.0), status, (reason or "").strip(" \t")


def is_authority(text: str, port_needed: bool = False) -> bool:
    """Whether `text` is `uri-host [":" port]` (RFC 9110 section 7.2): a host, no user information, a port if any.

    Args:
        text: what may be the value of Host or the authority of a target.
        port_needed: whether there must be a port, and one that can be connected to, as CONNECT wants.
    """
    match = _IS_AUTHORITY(text)
    if match is None:
        return False
    port = match.group(1)
    return 0 < int(port) < 65536 if port else not port_needed


def check_method(method: str) -> None:
    """Refuse a method that is not a token (RFC 9110 section 9.1) with `LocalProtocolError`."""
    if not _IS_TOKEN(method):
        raise LocalProtocolError(f"method is not a token: {method!r}")


def check_target(target: str) -> None:
    """Refuse a request target that is empty or holds spaces, controls or non-ASCII with `LocalProtocolError`."""
    if not _IS_TARGET(target):
        raise LocalProtocolError(
            f"request target is empty or holds characters that must be percent-encoded: {target!r}"
        )


def format_request_line(method: str, target: str, version: float) -> str:
    """Format a request line with its CRLF; raises `LocalProtocolError` for a bad method or target."""
    if method not in _known_names:
        check_method(method)
        _remember(method)
    # What follows is `_IS_TARGET` in three quick steps.
    if not target.isascii() or not target.isprintable() or " " in target or not target:
        check_target(target)
    return f"{method} {target} HTTP/1.1\r\n" if version != 1.0 else f"{method} {target} HTTP/1.0\r\n"


def format_status_line(version: float, status: str, reason: str) -> str:
    """Format a status line with its CRLF; raises `LocalProtocolError` for a bad status or reason."""
    if not _IS_STATUS(status) or not _IS_VALUE(reason):
        raise LocalProtocolError(f"bad status line: {status!r} {reason!r}")
    return f"HTTP/{'1.0' if version == 1.0 else '1.1'} {status} {reason}\r\n"


def format_fields(fields: list[Field]) -> str:
    """Format field lines, each with its CRLF, leaving out pseudo-header fields (names that begin with a colon).

    Raises:
        InvalidHeader: a name is not a token, or a value holds CR, LF or NUL. The value is not repeated in the message.
    """
    lines = [
        f"{name}: {value}\r\n"
        for name, value in fields
        if name in _known_names or (name not in _PSEUDO_NAMES and _is_sent(name))
    ]
    text = "".join(lines)
    count = len(lines)
    if text.count("\n") != count or text.count("\r") != count or "\0" in text:
        _refuse_value(fields)
    return text


def encode_head(text: str) -> bytes:
    """Turn formatted lines into bytes; raises `InvalidHeader` for a character that is not in ISO-8859-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHeader(f"a field holds the character {text[error.start]!r}: encode it first") from None


def _is_sent(name: str) -> bool:
    """Whether a field of a name seen for the first time goes on the wire; refuses it if it must not."""
    if name[:1] == ":":
        return False
    if not _IS_TOKEN(name):
        raise InvalidHeader(f"field name is not a token: {name!r}")
    _remember(name)
    return True


def _remember(name: str) -> None:
    if len(_known_names) < _KNOWN_NAMES_MAX and len(name) <= 64:
        _known_names.add(name)


def _refuse_value(fields: list[Field]) -> None:
    for name, value in fields:
        if "\r" in value or "\n" in value or "\0" in value:
            raise InvalidHeader(f"CR, LF or NUL in the value of field {name!r}")
