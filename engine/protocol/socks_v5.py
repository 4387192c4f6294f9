"""SOCKS 5 (RFC 1928) with user name and password (RFC 1929)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..errors import RemoteProtocolError, SocksError, UsageError
from .socks_machine import Conversation, SocksMachine, check_credential, encode_host, pack_ip

__all__ = ["SOCKS5_REPLIES", "Socks5Machine", "Socks5Reply"]


class Socks5Reply(NamedTuple):
    """What a reply code means: the errno it corresponds to, and a text."""

    errno: int
    text: str


SOCKS5_REPLIES: Mapping[int, Socks5Reply] = MappingProxyType(
    {
        1: Socks5Reply(errno.ECONNABORTED, "general failure of the SOCKS server"),
        2: Socks5Reply(errno.EACCES, "not allowed by the proxy's rules"),
        3: Socks5Reply(errno.ENETUNREACH, "network unreachable"),
        4: Socks5Reply(errno.EHOSTUNREACH, "host unreachable"),
        5: Socks5Reply(errno.ECONNREFUSED, "connection refused"),
        6: Socks5Reply(errno.ETIMEDOUT, "TTL expired"),
        7: Socks5Reply(errno.EOPNOTSUPP, "command not supported"),
        8: Socks5Reply(errno.EAFNOSUPPORT, "address type not supported"),
    }
)
"""Reply codes of RFC 1928 section 6, with errnos as lua-http has them (1, which it has no errno for, as aborted)."""

_VERSION, _CONNECT, _RESERVED = 5, 1, 0
_NO_AUTHENTICATION, _USER_PASSWORD, _NONE_ACCEPTABLE = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_PASSWORD_VERSION = 1


class Socks5Machine(SocksMachine):
    """A CONNECT request to a SOCKS 5 server. See `SocksMachine`.

    Args:
        host: an IP address without brackets, or a name in ASCII form, which the server then resolves.
        port: from 1 to 65535.
        credentials: user name and password. They are offered beside no authentication at all: the server chooses. The
            user name has 1 to 255 bytes; the password may also be empty, which RFC 1929 has no room for but servers take.

    Raises:
        UsageError: something does not fit the protocol.
    """

    def __init__(self, host: str, port: int, credentials: tuple[str, str] | None = None) -> None:
        if not 0 < port <= 0xFFFF:
            raise UsageError(f"port {port} is not a number from 1 to 65535")
        self._credentials: bytes | None = None
        if credentials is not None:
            user = check_credential(credentials[0], "user name", 1)
            password = check_credential(credentials[1], "password", 0)
            self._credentials = b"%c%c%s%c%s" % (_PASSWORD_VERSION, len(user), user, len(password), password)
        packed = pack_ip(host)
        if packed is None:
            name = encode_host(host)
            address = b"%c%c%s" % (_NAME, len(name), name)
        else:
            address = b"%c%s" % (_IPV4 if len(packed) == 4 else _IPV6, packed)
        self._request = b"%c%c%c%s%s" % (_VERSION, _CONNECT, _RESERVED, address, port.to_bytes(2, "big"))
        super().__init__()

    def _converse(self) -> Conversation:
        methods = [_NO_AUTHENTICATION] + ([_USER_PASSWORD] if self._credentials is not None else [])
        self._say(bytes([_VERSION, len(methods), *methods]))
        version, method = yield 2
        self._check_version(version)
        if method == _NONE_ACCEPTABLE:
            wanted = "other authentication" if self._credentials is not None else "authentication"
            raise SocksError(errno.EACCES, f"the SOCKS proxy wants {wanted}")
        if method not in methods:
            raise RemoteProtocolError(
                f"the SOCKS proxy chose the authentication method {method}, which was not offered"
            )
        if method == _USER_PASSWORD:
            yield from self._authenticate(self._credentials or b"")
        self._say(self._request)
        # In pieces, for there are servers that send no more of a refusal than its code.
        version, code = yield 2
        self._check_version(version)
        if code:
            raise _refusal(code)
        # The reserved byte should be 0; nothing depends on it.
        _, kind = yield 2
        if kind == _NAME:
            (length,) = yield 1
            host = (yield length).decode("latin-1") if length else ""
        elif kind in (_IPV4, _IPV6):
            family = socket.AF_INET if kind == _IPV4 else socket.AF_INET6
            host = socket.inet_ntop(family, (yield 4 if kind == _IPV4 else 16))
        else:
            raise RemoteProtocolError(f"the SOCKS proxy's reply has an address of the unknown type {kind}")
        self.bound = host, int.from_bytes((yield 2), "big")

    def _authenticate(self, credentials: bytes) -> Conversation:
        self._say(credentials)
        version, status = yield 2
        if version != _PASSWORD_VERSION:
            raise RemoteProtocolError(f"the SOCKS proxy answers the password in version {version}, not 1")
        if status:
            raise SocksError(errno.EACCES, "the SOCKS proxy refused the user name or password")

    @staticmethod
    def _check_version(version: int) -> None:
        if version != _VERSION:
            raise RemoteProtocolError(f"the proxy does not speak SOCKS 5: its answer begins with byte {version}")


def _refusal(code: int) -> SocksError:
    reply = SOCKS5_REPLIES.get(code)
    if reply is None:
        return SocksError(f"the SOCKS proxy refused the connection with the unassigned code {code}", code=code)
    return SocksError(reply.errno, f"the SOCKS proxy made no connection: {reply.text}", code=code)
