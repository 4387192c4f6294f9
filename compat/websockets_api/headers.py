"""Reading and writing the header fields of the opening handshake (RFC 6455 section 9.1, RFC 9110 section 5.6).

The functions that read a part of a field take the field, where to begin, and its name for error messages, and return what
they found with the place behind it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from drivetrain.compat.websockets_api.exceptions import InvalidHeaderFormat, InvalidHeaderValue
from drivetrain.compat.websockets_api.typing import (
    ConnectionOption,
    ExtensionHeader,
    ExtensionName,
    ExtensionParameter,
    Subprotocol,
    UpgradeProtocol,
)

__all__ = [
    "build_authorization_basic",
    "build_extension",
    "build_extension_item",
    "build_extension_list",
    "build_host",
    "build_quoted_string",
    "build_subprotocol",
    "build_subprotocol_list",
    "build_www_authenticate_basic",
    "parse_OWS",
    "parse_authorization_basic",
    "parse_connection",
    "parse_connection_option",
    "parse_end",
    "parse_extension",
    "parse_extension_item",
    "parse_extension_item_param",
    "parse_extension_list",
    "parse_list",
    "parse_quoted_string",
    "parse_subprotocol",
    "parse_subprotocol_item",
    "parse_subprotocol_list",
    "parse_token",
    "parse_token68",
    "parse_upgrade",
    "parse_upgrade_protocol",
    "peek_ahead",
    "validate_subprotocols",
]

T = TypeVar("T")

_TOKEN = r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"
_token = re.compile(_TOKEN)
_protocol = re.compile(f"{_TOKEN}(?:/{_TOKEN})?")
_token68 = re.compile(r"[-A-Za-z0-9._~+/]+=*")
_blanks = re.compile(r"[\t ]*")
_quoted = re.compile(r'"((?:[\t !\x23-\x5b\x5d-\x7e]|\\[\t -\x7e\x80-\xff])*)"')
_escaped = re.compile(r"\\(.)", re.DOTALL)
_quotable = re.compile(r"[\t -\x7e\x80-\xff]*")
_to_escape = re.compile(r'["\\]')


def build_host(host: str, port: int, secure: bool, *, always_include_port: bool = False) -> str:
    """Write a `Host` field.

    Args:
        host: name or address.
        port: left out when it is the usual one.
        secure: whether that is 443, not 80.
        always_include_port: never leave it out.
    """
    try:
        is_ipv6 = ipaddress.ip_address(host).version == 6
    except ValueError:  # a name
        is_ipv6 = False
    name = f"[{host}]" if is_ipv6 else host
    usual = 443 if secure else 80
    return f"{name}:{port}" if always_include_port or port != usual else name


# --- parts of fields -------------------------------------------------------------------------------------------------


def peek_ahead(header: str, pos: int) -> str | None:
    """The character at a place; None at the end."""
    return header[pos] if pos < len(header) else None


def parse_OWS(header: str, pos: int) -> int:  # noqa: N802  # as the grammar has it
    """Go past blanks, if there are any."""
    found = _blanks.match(header, pos)
    return found.end() if found else pos


def _match(pattern: re.Pattern[str], what: str, header: str, pos: int, header_name: str) -> re.Match[str]:
    found = pattern.match(header, pos)
    if found is None:
        raise InvalidHeaderFormat(header_name, f"expected {what}", header, pos)
    return found


def parse_token(header: str, pos: int, header_name: str) -> tuple[str, int]:
    """Read a token.

    Raises:
        InvalidHeaderFormat: there is none.
    """
    found = _match(_token, "token", header, pos, header_name)
    return found[0], found.end()


def parse_quoted_string(header: str, pos: int, header_name: str) -> tuple[str, int]:
    """Read a quoted string; what is returned has no quotes and no escapes.

    Raises:
        InvalidHeaderFormat: there is none.
    """
    found = _match(_quoted, "quoted string", header, pos, header_name)
    return _escaped.sub(r"\1", found[1]), found.end()


def build_quoted_string(value: str) -> str:
    """Write a quoted string.

    Raises:
        ValueError: a character cannot be in one.
    """
    if _quotable.fullmatch(value) is None:
        raise ValueError("invalid characters for quoted-string encoding")
    return '"' + _to_escape.sub(r"\\\g<0>", value) + '"'


def parse_token68(header: str, pos: int, header_name: str) -> tuple[str, int]:
    """Read what is written like a token68, as credentials are (RFC 9110 section 11.2).

    Raises:
        InvalidHeaderFormat: there is none.
    """
    found = _match(_token68, "token68", header, pos, header_name)
    return found[0], found.end()


def parse_end(header: str, pos: int, header_name: str) -> None:
    """See that nothing follows.

    Raises:
        InvalidHeaderFormat: something does.
    """
    if pos < len(header):
        raise InvalidHeaderFormat(header_name, "trailing data", header, pos)


def parse_list(
    parse_item: Callable[[str, int, str], tuple[T, int]], header: str, pos: int, header_name: str
) -> list[T]:
    """Read the rest of a field as a list with commas, of one item at least. Empty places are passed over.

    Args:
        parse_item: reads an item.
        header: the field, with no blanks at its ends.
        pos: where to begin.
        header_name: of the field.

    Raises:
        InvalidHeaderFormat: it is not such a list.
    """
    items: list[T] = []
    pos = _skip_commas(header, pos)
    while not items or pos < len(header):
        item, pos = parse_item(header, pos, header_name)
        items.append(item)
        pos = parse_OWS(header, pos)
        if pos < len(header) and header[pos] != ",":
            raise InvalidHeaderFormat(header_name, "expected comma", header, pos)
        pos = _skip_commas(header, pos)
    return items


def _skip_commas(header: str, pos: int) -> int:
    while peek_ahead(header, pos) == ",":
        pos = parse_OWS(header, pos + 1)
    return pos


# --- Connection, Upgrade ---------------------------------------------------------------------------------------------


def parse_connection_option(header: str, pos: int, header_name: str) -> tuple[ConnectionOption, int]:
    """Read one of the options of a `Connection` field; raises as `parse_token` does."""
    option, pos = parse_token(header, pos, header_name)
    return ConnectionOption(option), pos


def parse_connection(header: str) -> list[ConnectionOption]:
    """Read a `Connection` field; raises as `parse_list` does."""
    return parse_list(parse_connection_option, header, 0, "Connection")


def parse_upgrade_protocol(header: str, pos: int, header_name: str) -> tuple[UpgradeProtocol, int]:
    """Read one of the protocols of an `Upgrade` field, with its version if it has one.

    Raises:
        InvalidHeaderFormat: there is none.
    """
    found = _match(_protocol, "protocol", header, pos, header_name)
    return UpgradeProtocol(found[0]), found.end()


def parse_upgrade(header: str) -> list[UpgradeProtocol]:
    """Read an `Upgrade` field; raises as `parse_list` does."""
    return parse_list(parse_upgrade_protocol, header, 0, "Upgrade")


# --- Sec-WebSocket-Extensions ----------------------------------------------------------------------------------------


def parse_extension_item_param(header: str, pos: int, header_name: str) -> tuple[ExtensionParameter, int]:
    """Read a parameter of an extension: its name, and its value or None.

    Raises:
        InvalidHeaderFormat: there is none, or what is quoted is not a token.
    """
    name, pos = parse_token(header, pos, header_name)
    pos = parse_OWS(header, pos)
    if peek_ahead(header, pos) != "=":
        return (name, None), pos
    start = parse_OWS(header, pos + 1)
    if peek_ahead(header, start) == '"':
        value, pos = parse_quoted_string(header, start, header_name)
        if _token.fullmatch(value) is None:
            raise InvalidHeaderFormat(header_name, "invalid quoted header content", header, start)
    else:
        value, pos = parse_token(header, start, header_name)
    return (name, value), parse_OWS(header, pos)


def parse_extension_item(header: str, pos: int, header_name: str) -> tuple[ExtensionHeader, int]:
    """Read an extension: its name and its parameters.

    Raises:
        InvalidHeaderFormat: there is none.
    """
    name, pos = parse_token(header, pos, header_name)
    pos = parse_OWS(header, pos)
    parameters: list[ExtensionParameter] = []
    while peek_ahead(header, pos) == ";":
        parameter, pos = parse_extension_item_param(header, parse_OWS(header, pos + 1), header_name)
        parameters.append(parameter)
    return (ExtensionName(name), parameters), pos


def parse_extension(header: str) -> list[ExtensionHeader]:
    """Read a `Sec-WebSocket-Extensions` field as pairs of a name and parameters; raises as `parse_list` does."""
    return parse_list(parse_extension_item, header, 0, "Sec-WebSocket-Extensions")


def build_extension_item(name: ExtensionName, parameters: Sequence[ExtensionParameter]) -> str:
    """Write an extension. Values are tokens, so none is quoted."""
    written = [key if value is None else f"{key}={value}" for key, value in parameters]
    return "; ".join([name, *written])


def build_extension(extensions: Sequence[ExtensionHeader]) -> str:
    """Write a `Sec-WebSocket-Extensions` field."""
    return ", ".join(build_extension_item(name, parameters) for name, parameters in extensions)


# --- Sec-WebSocket-Protocol ------------------------------------------------------------------------------------------


def parse_subprotocol_item(header: str, pos: int, header_name: str) -> tuple[Subprotocol, int]:
    """Read a subprotocol; raises as `parse_token` does."""
    name, pos = parse_token(header, pos, header_name)
    return Subprotocol(name), pos


def parse_subprotocol(header: str) -> list[Subprotocol]:
    """Read a `Sec-WebSocket-Protocol` field; raises as `parse_list` does."""
    return parse_list(parse_subprotocol_item, header, 0, "Sec-WebSocket-Protocol")


def build_subprotocol(subprotocols: Sequence[Subprotocol]) -> str:
    """Write a `Sec-WebSocket-Protocol` field."""
    return ", ".join(subprotocols)


def validate_subprotocols(subprotocols: Sequence[Subprotocol]) -> None:
    """See that `build_subprotocol` can write them.

    Raises:
        TypeError: they are not a list of names.
        ValueError: a name is not a token.
    """
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list, not a str")
    if not isinstance(subprotocols, Sequence):
        raise TypeError("subprotocols must be a list")
    for name in subprotocols:
        if _token.fullmatch(name) is None:
            raise ValueError(f"invalid subprotocol: {name}")


# Their names before version 10.
parse_extension_list = parse_extension
build_extension_list = build_extension
parse_subprotocol_list = parse_subprotocol
build_subprotocol_list = build_subprotocol


# --- Authorization ---------------------------------------------------------------------------------------------------


def build_www_authenticate_basic(realm: str) -> str:
    """Write a `WWW-Authenticate` field that asks for Basic credentials (RFC 7617 section 2)."""
    return f'Basic realm={build_quoted_string(realm)}, charset="UTF-8"'


def parse_authorization_basic(header: str) -> tuple[str, str]:
    """Read Basic credentials from an `Authorization` field, as UTF-8; other bytes become surrogates.

    Returns:
        Name and password.

    Raises:
        InvalidHeaderFormat: it is not such a field.
        InvalidHeaderValue: it has other credentials.
    """
    scheme, pos = parse_token(header, 0, "Authorization")
    if scheme.lower() != "basic":
        raise InvalidHeaderValue("Authorization", f"unsupported scheme: {scheme}")
    if peek_ahead(header, pos) != " ":
        raise InvalidHeaderFormat("Authorization", "expected space after scheme", header, pos)
    credentials, pos = parse_token68(header, pos + 1, "Authorization")
    parse_end(header, pos, "Authorization")
    try:
        plain = base64.b64decode(credentials.encode())
    except binascii.Error:
        raise InvalidHeaderValue("Authorization", "expected base64-encoded credentials") from None
    username, colon, password = plain.decode(errors="surrogateescape").partition(":")
    if not colon:
        raise InvalidHeaderValue("Authorization", "expected username:password credentials")
    return username, password


def build_authorization_basic(username: str, password: str) -> str:
    """Write an `Authorization` field with Basic credentials, in UTF-8; surrogates become the bytes they stand for."""
    if ":" in username:
        raise AssertionError("a colon in the name would end it")
    plain = f"{username}:{password}".encode(errors="surrogateescape")
    return f"Basic {base64.b64encode(plain).decode('ascii')}"
