"""SOCKS 4, and its extension 4a for names that the server resolves (documents of NEC and of Ying-Da Lee; there is no RFC)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from types import MappingProxyType

from ..errors import RemoteProtocolError, SocksError, UsageError
from .socks_machine import Conversation, SocksMachine, check_credential, encode_host, pack_ip

__all__ = ["SOCKS4_REPLIES", "Socks4Machine"]

SOCKS4_REPLIES: Mapping[int, tuple[int, str]] = MappingProxyType(
    {
        91: (errno.ECONNREFUSED, "rejected or failed"),
        92: (errno.EACCES, "the proxy cannot reach identd on this machine"),
        93: (errno.EACCES, "identd on this machine tells another user"),
    }
)
"""Reply codes of refusals, each with an errno and a text."""

_VERSION, _CONNECT, _GRANTED = 4, 1, 90
_NAME_FOLLOWS = b"\0\0\0\1"


class Socks4Machine(SocksMachine):
    """A CONNECT request to a SOCKS 4 server. See `SocksMachine`.

    Args:
        host: an IPv4 address, or a name in ASCII form, for which the server must know SOCKS 4a.
        port: from 1 to 65535.
        user: the user id, up to 255 bytes without NUL; SOCKS 4 has no passwords.

    Raises:
        SocksError: `host` is an IPv6 address: EAFNOSUPPORT, nothing is sent.
        UsageError: something else does not fit the protocol.
    """

    def __init__(self, host: str, port: int, user: str = "") -> None:
        if not 0 < port <= 0xFFFF:
            raise UsageError(f"port {port} is not a number from 1 to 65535")
        raw_user = check_credential(user, "user id", 0)
        if b"\0" in raw_user:
            raise UsageError("a SOCKS user id has no NUL")
        packed = pack_ip(host)
        name = b""
        if packed is None:
            packed, name = _NAME_FOLLOWS, encode_host(host) + b"\0"
        elif len(packed) != 4:
            raise SocksError(errno.EAFNOSUPPORT, f"SOCKS 4 knows no IPv6, so it cannot connect to [{host}]")
        elif packed.startswith(_NAME_FOLLOWS[:3]) and packed != b"\0\0\0\0":
            raise UsageError(f"{host} cannot be told to a SOCKS 4 proxy: it would wait for a name")
        self._request = b"%c%c%s%s%s\0%s" % (_VERSION, _CONNECT, port.to_bytes(2, "big"), packed, raw_user, name)
        super().__init__()

    def _converse(self) -> Conversation:
        self._say(self._request)
        version, code = yield 2
        if version:
            raise RemoteProtocolError(f"the proxy does not speak SOCKS 4: its answer begins with byte {version}")
        if code != _GRANTED:
            raise _refusal(code)
        answer = yield 6
        self.bound = socket.inet_ntop(socket.AF_INET, answer[2:]), int.from_bytes(answer[:2], "big")


def _refusal(code: int) -> SocksError:
    known = SOCKS4_REPLIES.get(code)
    if known is None:
        return SocksError(f"the SOCKS proxy refused the connection with the unassigned code {code}", code=code)
    return SocksError(known[0], f"the SOCKS proxy made no connection: {known[1]}", code=code)
