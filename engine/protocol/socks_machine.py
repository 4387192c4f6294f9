"""What the SOCKS machines share: bytes in, bytes out, the same result however the server's bytes were split.

A machine asks a SOCKS server for one connection, as a client. Laws:

- what cannot be said in the protocol (an overlong name or password) is refused by the constructor, before a byte is sent;
- `needed` never goes beyond the server's present message: who reads no more than that leaves every byte of the tunnel
  in the stream; who does read more finds it in `rest`;
- a fault is final: it is raised again by every later call.

A driver looks like this::

    while True:
        … send machine.take_output() …
        if machine.is_done:
            break
        machine.receive(… up to machine.needed bytes, b"" at the end of input …)
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Generator

from ..errors import EngineError, SocksError, UsageError
from ..util import is_ip

__all__ = ["LONGEST_FIELD", "Conversation", "SocksMachine", "check_credential", "encode_host", "pack_ip"]

LONGEST_FIELD = 255
"""Bytes that fit a field with a length of one byte: names, user names, passwords."""

Conversation = Generator[int, bytes, None]
"""Yields how many bytes of the server it waits for, receives just so many, returns when the tunnel stands."""


class SocksMachine(ABC):
    """Asks for one connection. See the module's laws.

    Attributes:
        is_done: whether the tunnel stands.
        needed: how many bytes of the server are waited for, 0 when done.
        bound: host and port from which the server connects, as it says; None before it is done.
    """

    def __init__(self) -> None:
        self.is_done = False
        self.needed = 0
        self.bound: tuple[str, int] | None = None
        self._input = bytearray()
        self._output = bytearray()
        self._fault: EngineError | None = None
        self._conversation = self._converse()
        self.needed = next(self._conversation)

    @abstractmethod
    def _converse(self) -> Conversation:
        """Say what is to be said with `_say`, yield what is waited for."""

    def _say(self, data: bytes) -> None:
        self._output += data

    def take_output(self) -> bytes:
        """What is to be sent now, once."""
        data = bytes(self._output)
        self._output.clear()
        return data

    @property
    def rest(self) -> bytes:
        """Bytes that were received behind the server's last message: the tunnel's first."""
        return bytes(self._input) if self.is_done else b""

    def receive(self, data: bytes) -> None:
        """Take what came from the server; b"" says that it ended its side.

        Raises:
            SocksError: the server refused, or hung up.
            RemoteProtocolError: it does not speak SOCKS, or not this version.
        """
        if self._fault is not None:
            raise self._fault
        try:
            if not data and not self.is_done:
                raise SocksError("the SOCKS proxy hung up before it made the connection")
            self._input += data
            while not self.is_done and len(self._input) >= self.needed:
                message = bytes(self._input[: self.needed])
                del self._input[: self.needed]
                try:
                    self.needed = self._conversation.send(message)
                except StopIteration:
                    self.is_done, self.needed = True, 0
        except EngineError as error:
            self._fault = error
            raise


def pack_ip(host: str) -> bytes | None:
    """The 4 or 16 bytes of an IP address, None for a name.

    Raises:
        UsageError: an IPv6 zone, which means nothing to a server.
    """
    if not is_ip(host):
        return None
    if "%" in host:
        raise UsageError(f"the zone of {host} means nothing to a SOCKS proxy")
    return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)


def encode_host(host: str) -> bytes:
    """A host name as it goes into a request.

    Raises:
        UsageError: it is empty, longer than 255 bytes, not in ASCII (IDNA) form, or has blanks or controls.
    """
    if not (host.isascii() and host.isprintable()) or " " in host:
        raise UsageError(f"{host[:80]!r} is not a host name in ASCII form")
    if not 1 <= len(host) <= LONGEST_FIELD:
        raise UsageError(f"a host name for SOCKS has 1 to {LONGEST_FIELD} bytes, not {len(host)}")
    return host.encode("ascii")


def check_credential(text: str, what: str, shortest: int) -> bytes:
    """A user name or password as it goes on the wire: UTF-8, lone surrogates as the bytes they stand for.

    Raises:
        UsageError: too short or longer than 255 bytes. The message does not quote it.
    """
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UsageError(f"the SOCKS {what} has no form in UTF-8") from None
    if not shortest <= len(raw) <= LONGEST_FIELD:
        raise UsageError(f"a SOCKS {what} has {shortest} to {LONGEST_FIELD} bytes, not {len(raw)}")
    return raw
