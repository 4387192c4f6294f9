"""Agreeing on permessage-deflate (RFC 7692 section 7.1): what a client offers, what a server makes of it.

An offer with a parameter that is unknown, twice there or makes no sense is declined by a server, as the RFC wants, and the
next one looked at; in an answer the same makes the client fail the handshake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import WebSocketHandshakeError
from ..util import TOKEN
from ..wire.field_values import split_list, unquote
from .websocket_deflate import DeflateOptions, DeflateParameters

__all__ = ["NAME", "Extension", "accept_deflate", "format_offer", "parse_extensions", "read_answer"]

NAME = "permessage-deflate"
_MAX_BITS = 15
_ITEM = re.compile(
    rf'({TOKEN})((?:[ \t]*;[ \t]*{TOKEN}(?:[ \t]*=[ \t]*(?:{TOKEN}|"(?:[^"\\]|\\.)*"))?)*)[ \t]*'
).fullmatch
_PARAMETER = re.compile(rf';[ \t]*({TOKEN})(?:[ \t]*=[ \t]*({TOKEN}|"(?:[^"\\]|\\.)*"))?').finditer
_BITS = re.compile(r"[89]|1[0-5]").fullmatch
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")

Extension = tuple[str, list[tuple[str, str | None]]]
"""A name and its parameters, each with its value or None."""


def parse_extensions(values: Iterable[str]) -> list[Extension]:
    """Read Sec-WebSocket-Extensions fields.

    Raises:
        WebSocketHandshakeError: they do not follow the grammar of RFC 6455 section 9.1.
    """
    found: list[Extension] = []
    for value in values:
        for item in split_list(value):
            match = _ITEM(item)
            if match is None:
                raise WebSocketHandshakeError(f"malformed Sec-WebSocket-Extensions: {item[:60]!r}")
            parameters = [
                (each[1].lower(), None if each[2] is None else unquote(each[2])) for each in _PARAMETER(match[2])
            ]
            found.append((match[1].lower(), parameters))
    return found


def format_offer(options: DeflateOptions) -> str:
    """What a client offers."""
    parts = [NAME]
    parts += [name for name in _FLAGS if getattr(options, name)]
    if options.server_max_window_bits not in (None, _MAX_BITS):
        parts.append(f"server_max_window_bits={options.server_max_window_bits}")
    bits = options.client_max_window_bits
    parts.append("client_max_window_bits" if bits in (None, _MAX_BITS) else f"client_max_window_bits={bits}")
    return "; ".join(parts)


def _read(parameters: list[tuple[str, str | None]], *, is_offer: bool) -> dict[str, int | None] | None:
    """The parameters by name, None where they make no sense. Windows have their bits, or None where none were given."""
    read: dict[str, int | None] = {}
    for name, value in parameters:
        if name in read:
            return None
        if name in _FLAGS:
            if value is not None:
                return None
            read[name] = None
        elif name in _WINDOWS:
            if value is None:
                # Only the client's window may be offered without saying how large (section 7.1.2.2).
                if not is_offer or name == "server_max_window_bits":
                    return None
                read[name] = None
            elif _BITS(value):
                read[name] = int(value)
            else:
                return None
        else:
            return None
    return read


def accept_deflate(offers: Iterable[Extension], options: DeflateOptions) -> tuple[str, DeflateParameters] | None:
    """What a server answers to what was offered, and what it means; None where nothing suits."""
    for name, parameters in offers:
        read = _read(parameters, is_offer=True) if name == NAME else None
        if read is None:
            continue
        server_bits = min(read.get("server_max_window_bits") or _MAX_BITS, options.server_max_window_bits or _MAX_BITS)
        if server_bits < 9:
            continue  # zlib cannot
        client_bits = _MAX_BITS
        if "client_max_window_bits" in read:
            client_bits = min(read["client_max_window_bits"] or _MAX_BITS, options.client_max_window_bits or _MAX_BITS)
        agreed = DeflateParameters(
            options.server_no_context_takeover or "server_no_context_takeover" in read,
            options.client_no_context_takeover or "client_no_context_takeover" in read,
            server_bits,
            client_bits,
        )
        parts = [NAME]
        parts += [flag for flag in _FLAGS if getattr(agreed, flag)]
        if server_bits < _MAX_BITS or "server_max_window_bits" in read:
            parts.append(f"server_max_window_bits={server_bits}")
        if client_bits < _MAX_BITS:
            parts.append(f"client_max_window_bits={client_bits}")
        return "; ".join(parts), agreed
    return None


def read_answer(answer: list[Extension], offered: DeflateOptions | None) -> DeflateParameters | None:
    """What a server has agreed to; None where it does not compress.

    Raises:
        WebSocketHandshakeError: it agreed to something that was not offered, or that makes no sense.
    """
    if not answer:
        return None
    if len(answer) > 1 or answer[0][0] != NAME or offered is None:
        names = ", ".join(name for name, _ in answer)
        raise WebSocketHandshakeError(f"the server uses an extension that was not offered: {names[:80]}")
    read = _read(answer[0][1], is_offer=False)
    if read is None:
        raise WebSocketHandshakeError("the server's parameters of permessage-deflate make no sense")
    server_bits = read.get("server_max_window_bits") or _MAX_BITS
    if offered.server_max_window_bits is not None and server_bits > offered.server_max_window_bits:
        raise WebSocketHandshakeError("the server's window is larger than was asked for")
    if offered.server_no_context_takeover and "server_no_context_takeover" not in read:
        raise WebSocketHandshakeError("the server keeps its window in spite of what was asked for")
    client_bits = read.get("client_max_window_bits") or _MAX_BITS
    return DeflateParameters(
        "server_no_context_takeover" in read,
        "client_no_context_takeover" in read or offered.client_no_context_takeover,
        server_bits,
        # A smaller window than was agreed on is always right.
        min(client_bits, offered.client_max_window_bits or _MAX_BITS),
    )
