"""Header and trailer sections of HTTP/2: `Headers` to fields for HPACK and back (RFC 9113 section 8.2 and 8.3).

Both ends of a connection call these functions, so each rule stands here once.

Sending, `to_h2_fields`: names in lower case, pseudo-header fields first. What belongs to an HTTP/1 connection is left out,
so that requests made for HTTP/1 pass: Connection and the fields it names, Keep-Alive, Proxy-Connection, Upgrade, and the
bare `chunked` of Transfer-Encoding, which HTTP/2 does by itself. `Host` becomes `:authority`, in whose place it stands, as
in HTTP/1, when a program gives both. What cannot be meant for HTTP/2 is a `LocalProtocolError`, nothing having been sent.

Receiving, `from_h2_fields`: strict. A malformed section is an `H2Error` PROTOCOL_ERROR of the stream, and its message
names fields but never quotes their values. What comes out looks as over HTTP/1: `Host` is gone in favour of
`:authority`, crumbs of cookies are joined, text is ISO-8859-1, the never-index flag is set where the wire or the name
asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import NoReturn

from hpack import NeverIndexedHeaderTuple

from ..errors import InvalidHeader, LocalProtocolError
from ..util import TOKEN
from .field_values import split_list
from .h1_head import is_authority
from .h2_errors import H2Error, H2ErrorCode
from .headers import Headers

__all__ = ["SectionKind", "WireField", "content_length", "from_h2_fields", "to_h2_fields"]

WireField = tuple[bytes, bytes]
"""A field as HPACK has it: a plain pair, or one of hpack's `HeaderTuple` and `NeverIndexedHeaderTuple`."""


class SectionKind(Enum):
    """What a field section belongs to."""

    REQUEST = "request"
    """A request's header section, one promised by a server included."""
    RESPONSE = "response"
    """A response's header section, an interim one's included."""
    TRAILERS = "trailers"
    """What follows a body."""


_Pseudo = dict[str, str]

_REQUEST_PSEUDO = frozenset((":method", ":scheme", ":authority", ":path", ":protocol"))
_ALL_PSEUDO = _REQUEST_PSEUDO | {":status"}
_PSEUDO_IN = {name.encode(): name for name in _ALL_PSEUDO}
_PSEUDO_OUT = {name: name.encode() for name in _ALL_PSEUDO}
_PSEUDO_ALLOWED = {
    SectionKind.REQUEST: _REQUEST_PSEUDO,
    SectionKind.RESPONSE: frozenset((":status",)),
    SectionKind.TRAILERS: frozenset[str](),
}
# RFC 9113 section 8.2.2.
_CONNECTION_SPECIFIC = frozenset(("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"))
_SPECIAL = _CONNECTION_SPECIFIC | {"cookie", "host", "te"}
# A crumb as short as this can be guessed byte by byte by who sees the compressed length (RFC 7541 section 7.1.3).
_SHORT_CRUMB = 20
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_is_token = re.compile(TOKEN).fullmatch
_is_status = re.compile("[1-9][0-9][0-9]").fullmatch
_is_path = re.compile('[!"$-~]+').fullmatch  # visible, without "#"
_is_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*").fullmatch
_is_length = re.compile("[0-9]{1,18}").fullmatch
_control_in = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search

# Names that passed the checks: going out, b"" stands for those with a treatment of their own, which coming in are left
# out. Bounded: names from outside must not make them grow for ever.
_names_out: dict[str, bytes] = {}
_names_in: dict[bytes, str] = {}
_MAX_NAMES = 1024


# Sending


def to_h2_fields(headers: Headers) -> list[WireField]:
    """Turn a message's headers or trailers into fields for HPACK; see the module.

    Which section it is shows in the pseudo-header fields: `:method`, `:status` or none of them.

    Returns:
        Pairs of bytes, `NeverIndexedHeaderTuple` for those that are never indexed.

    Raises:
        InvalidHeader: a name or value that must not go on the wire.
        LocalProtocolError: pseudo-header fields that are unknown, repeated, missing or do not fit; a Transfer-Encoding
            other than chunked; status 101.
    """
    pseudo: _Pseudo = {}
    never: set[str] = set()
    fields: list[WireField] = []
    special: list[tuple[int, str, str, bool]] = []
    for name, value, never_index in headers.each():
        wire_name = _names_out.get(name)
        if wire_name is None:
            wire_name = _learn_name(name)
        if not wire_name:
            if name[:1] == ":":
                if name in pseudo:
                    raise LocalProtocolError(f"{name} is there twice")
                pseudo[name] = value
                if never_index:
                    never.add(name)
            else:
                special.append((len(fields), name.lower(), value, never_index))
            continue
        wire_value = _value_out(name, value)
        fields.append(NeverIndexedHeaderTuple(wire_name, wire_value) if never_index else (wire_name, wire_value))
    if special:
        fields = _add_special(fields, special, pseudo)
    if pseudo:
        fields[:0] = _pseudo_out(pseudo, never)
    return fields


def _learn_name(name: str) -> bytes:
    """The name as it goes on the wire; b"" for a pseudo-header field and a name with a treatment of its own."""
    lower = name.lower()
    if lower in _SPECIAL or name in _ALL_PSEUDO:
        wire_name = b""
    elif _is_token(name):
        wire_name = lower.encode("ascii")
    elif name[:1] == ":":
        raise LocalProtocolError(f"unknown pseudo-header field {name[:60]!r}")
    else:
        raise InvalidHeader(f"field name is not a token: {name[:80]!r}")
    if len(_names_out) < _MAX_NAMES and len(name) <= 64:
        _names_out[name] = wire_name
    return wire_name


def _value_out(name: str, value: str) -> bytes:
    if not (value.isascii() and value.isprintable()) and _control_in(value):
        raise InvalidHeader(f"a control character in the value of field {name[:80]!r}")
    try:
        return value.encode("latin-1").strip(b" \t")
    except UnicodeEncodeError as error:
        raise InvalidHeader(
            f"the value of field {name[:80]!r} has the character {value[error.start]!r}: encode it first"
        ) from None


def _add_special(
    fields: list[WireField], special: list[tuple[int, str, str, bool]], pseudo: _Pseudo
) -> list[WireField]:
    """Put what becomes of `special`, (position, lower-case name, value, never_index), where it stood among `fields`."""
    merged: list[WireField] = []
    done = 0
    dropped: set[bytes] = set()
    hosts: list[str] = []
    for position, name, value, never_index in special:
        merged += fields[done:position]
        done = position
        if name == "cookie":
            merged += _crumbs(_value_out(name, value), never_index)
        elif name == "host":
            if ":method" in pseudo:
                hosts.append(value)
            else:  # an ordinary field outside of requests
                wire_value = _value_out(name, value)
                merged.append(NeverIndexedHeaderTuple(b"host", wire_value) if never_index else (b"host", wire_value))
        elif name == "te":
            if any(coding.lower() == "trailers" for coding in split_list(value)):
                merged.append((b"te", b"trailers"))
        elif name == "connection":
            dropped.update(option.lower().encode("latin-1", "replace") for option in split_list(value))
        elif name == "transfer-encoding" and value.strip(" \t").lower() != "chunked":
            raise LocalProtocolError("HTTP/2 has no transfer codings; Transfer-Encoding cannot be sent")
    merged += fields[done:]
    if hosts:
        _replace_authority(pseudo, hosts)
    dropped.discard(b"te")
    return [field for field in merged if field[0] not in dropped] if dropped else merged


def _crumbs(cookie: bytes, never_index: bool) -> list[WireField]:
    """Split a Cookie value into its pairs, each a field, as RFC 9113 section 8.2.3 suggests for better compression."""
    return [
        NeverIndexedHeaderTuple(b"cookie", crumb) if never_index or len(crumb) < _SHORT_CRUMB else (b"cookie", crumb)
        for crumb in [piece.strip(b" \t") for piece in cookie.split(b"; ")]
    ]


def _replace_authority(pseudo: _Pseudo, hosts: list[str]) -> None:
    if len(hosts) > 1:
        raise LocalProtocolError("more than one Host field")
    if pseudo[":method"] != "CONNECT" or ":protocol" in pseudo:
        pseudo[":authority"] = hosts[0].strip(" \t")


def _pseudo_out(pseudo: _Pseudo, never: set[str]) -> list[WireField]:
    kind = SectionKind.REQUEST if ":method" in pseudo else SectionKind.RESPONSE
    if pseudo.get(":method") == "CONNECT" and ":protocol" not in pseudo:
        # Requests made for HTTP/1 have them; a tunnel knows neither (RFC 9113 section 8.5).
        pseudo.pop(":scheme", None)
        pseudo.pop(":path", None)
    fault = _pseudo_fault(pseudo, kind, True)
    if fault:
        raise LocalProtocolError(fault)
    fields: list[WireField] = [(_PSEUDO_OUT[name], value.encode("ascii")) for name, value in pseudo.items()]
    if never:
        fields = [
            NeverIndexedHeaderTuple(*field) if name in never else field
            for name, field in zip(pseudo, fields, strict=True)
        ]
    return fields


# What both directions check


def _pseudo_fault(pseudo: _Pseudo, kind: SectionKind, extended_connect: bool) -> str | None:
    """Say what is wrong with the pseudo-header fields of a section (RFC 9113 section 8.3), None when nothing is."""
    alien = pseudo.keys() - _PSEUDO_ALLOWED[kind]
    if alien:
        return f"{min(alien)} in the fields of {'trailers' if kind is SectionKind.TRAILERS else f'a {kind.value}'}"
    if kind is SectionKind.REQUEST:
        return _request_fault(pseudo, extended_connect)
    if kind is SectionKind.RESPONSE:
        status = pseudo.get(":status")
        if status is None or not _is_status(status):
            return "no :status" if status is None else f"malformed :status {status[:20]!r}"
        if status == "101":
            return "status 101, which HTTP/2 does not have"  # RFC 9113 section 8.6
    return None


def _request_fault(pseudo: _Pseudo, extended_connect: bool) -> str | None:
    get = pseudo.get
    path = get(":path")
    fault = _origin_fault(get(":method"), get(":scheme"), get(":authority"), get(":protocol"), path is not None)
    if fault or path is None:
        return fault
    if ":protocol" in pseudo and not extended_connect:
        return ":protocol without the setting that allows it"
    if not _is_path(path):
        return "malformed :path"
    if path[0] != "/" and pseudo[":scheme"].lower() in _DEFAULT_PORTS and (path != "*" or get(":method") != "OPTIONS"):
        return "malformed :path"
    return None


# Small, because the strings may be long; the few that a connection repeats are what it is for.
@lru_cache(64)
def _origin_fault(
    method: str | None, scheme: str | None, authority: str | None, protocol: str | None, has_path: bool
) -> str | None:
    """What is wrong with the parts of a request's start that many requests have in common."""
    if method is None or not _is_token(method):
        return "no :method" if method is None else ":method is not a token"
    if protocol is not None:
        # RFC 8441 section 4.
        if method != "CONNECT" or not _is_token(protocol):
            return ":protocol in a request that is no CONNECT" if method != "CONNECT" else ":protocol is not a token"
    elif method == "CONNECT":
        if scheme is not None or has_path:
            return "CONNECT with :scheme or :path"
        return None if is_authority(authority or "", True) else "the :authority of CONNECT is not host:port"
    if scheme is None or not _is_scheme(scheme):
        return "no :scheme" if scheme is None else "malformed :scheme"
    if not has_path:
        return "no :path"
    if not authority:
        # RFC 9113 section 8.3.1.
        return "neither :authority nor Host" if scheme.lower() in _DEFAULT_PORTS else None
    return None if is_authority(authority) else ":authority is not host[:port]"


# Receiving


def from_h2_fields(fields: Iterable[WireField], kind: SectionKind, *, extended_connect: bool = False) -> Headers:
    """Turn the fields of a received section into `Headers`; see the module.

    Args:
        fields: pairs of bytes as HPACK yields them, `NeverIndexedHeaderTuple` where the wire had the flag.
        kind: what the section belongs to.
        extended_connect: whether this side has sent SETTINGS_ENABLE_CONNECT_PROTOCOL, so that `:protocol` may come.

    Raises:
        H2Error: PROTOCOL_ERROR of the stream, the section is malformed.
    """
    pseudo: _Pseudo = {}
    regular: list[tuple[str, str]] = []
    never: list[str | int] = []
    special = False
    for field in fields:
        raw_name, raw_value = field
        value = raw_value.decode("latin-1")
        if not (value.isprintable() and value.isascii()) or value.strip() != value:
            _check_value(raw_name, value)
        name = _names_in.get(raw_name)
        if name is None:
            name = _name_in(raw_name)
            if name[0] == ":":
                if name in pseudo or regular:
                    _malformed(f"{name} is there twice" if name in pseudo else f"{name} after other fields")
                pseudo[name] = value
                if type(field) is NeverIndexedHeaderTuple:
                    never.append(name)
                continue
            special = special or name in _SPECIAL
        if type(field) is NeverIndexedHeaderTuple:
            never.append(len(regular))
        regular.append((name, value))
    if special:
        regular, never = _treat_special(regular, never, pseudo, kind)
    fault = _pseudo_fault(pseudo, kind, extended_connect)
    if fault:
        _malformed(fault)
    headers = Headers.adopt([*pseudo.items(), *regular] if pseudo else regular)
    if never:
        _set_flags(headers, never, list(pseudo))
    return headers


def _malformed(message: str) -> NoReturn:
    raise H2Error(H2ErrorCode.PROTOCOL_ERROR, message, stream_error=True)


def _check_value(name: bytes, value: str) -> None:
    if _control_in(value):
        _malformed(f"a control character in the value of field {name[:60]!r}")
    if value.strip(" \t") != value:
        _malformed(f"blanks around the value of field {name[:60]!r}")


def _name_in(raw_name: bytes) -> str:
    if raw_name in _PSEUDO_IN:
        return _PSEUDO_IN[raw_name]
    name = raw_name.decode("latin-1")
    if not _is_token(name) or name != name.lower():
        if name[:1] == ":":
            _malformed(f"unknown pseudo-header field {name[:60]!r}")
        _malformed(f"field name is not a token in lower case: {name[:60]!r}")
    if name not in _SPECIAL and len(_names_in) < _MAX_NAMES and len(name) <= 64:
        _names_in[raw_name] = name
    return name


def _treat_special(
    regular: list[tuple[str, str]], never: list[str | int], pseudo: _Pseudo, kind: SectionKind
) -> tuple[list[tuple[str, str]], list[str | int]]:
    """Join cookies where the first of them stood, take Host out, refuse what HTTP/2 does not have."""
    kept: list[tuple[str, str]] = []
    flagged = set(never)
    kept_never: list[str | int] = [name for name in never if isinstance(name, str)]
    cookies: list[str] = []
    hosts: list[str] = []
    first_cookie = -1
    for position, (name, value) in enumerate(regular):
        if name in _CONNECTION_SPECIFIC:
            _malformed(f"the connection-specific field {name}")
        if name == "te" and value.lower() != "trailers":
            _malformed("te with something else than trailers")
        if name == "host" and kind is SectionKind.REQUEST:
            hosts.append(value)
            continue
        if name == "cookie":
            cookies.append(value)
            if len(cookies) > 1:
                continue
            first_cookie = len(kept)
        if position in flagged:
            kept_never.append(len(kept))
        kept.append((name, value))
    if len(cookies) > 1:
        kept[first_cookie] = ("cookie", "; ".join(filter(None, cookies)))
    if hosts:
        _agree_on_authority(pseudo, hosts)
    return kept, kept_never


def _agree_on_authority(pseudo: _Pseudo, hosts: list[str]) -> None:
    """Take Host for a missing `:authority`; refuse one that names another (RFC 9113 section 8.3.1)."""
    if len(hosts) > 1:
        _malformed("more than one host field")
    authority = pseudo.get(":authority")
    if authority is None:
        if pseudo.get(":method") != "CONNECT" or ":protocol" in pseudo:
            pseudo[":authority"] = hosts[0]
    elif authority != hosts[0]:
        port = _DEFAULT_PORTS.get(pseudo.get(":scheme", "").lower(), "")
        if authority.lower().removesuffix(port) != hosts[0].lower().removesuffix(port):
            _malformed("host does not agree with :authority")


def _set_flags(headers: Headers, never: list[str | int], pseudo: list[str]) -> None:
    """Set the never-index flag of fields given by pseudo-header name or by position among the other fields."""
    for which in never:
        position = pseudo.index(which) if isinstance(which, str) else which + len(pseudo)
        _, value, already = headers.geti(position)
        if not already:
            headers.modifyi(position, value, True)


def content_length(headers: Headers) -> int | None:
    """Return the length that a received section announces, None without one (RFC 9110 section 8.6).

    The same length repeated counts as one.

    Raises:
        H2Error: PROTOCOL_ERROR of the stream, it is not digits only, is absurdly long, or differs between fields.
    """
    if "content-length" not in headers.first_values():
        return None
    values = headers.get_as_sequence("content-length")
    if not _is_length(values[0]):
        _malformed(f"malformed content-length {values[0][:40]!r}")
    if any(value != values[0] for value in values):
        _malformed("differing content-length fields")
    return int(values[0])
