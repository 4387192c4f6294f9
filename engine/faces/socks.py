"""The faces of SOCKS connections: lua-http's `http.socks`, blocking and asyncio."""

from __future__ import annotations

import socket
from typing import ClassVar, TypeVar

from ..backends.asyncio_ import AsyncioBackend
from ..backends.base import Backend, ByteStream
from ..backends.blocking import BlockingBackend, run
from ..connection.proxy import Proxy
from ..connection.socks import SocksClient

__all__ = ["AsyncSocks", "Socks", "SocksBase"]

B = TypeVar("B", bound="SocksBase")


class SocksBase:
    """What both colours share."""

    __slots__ = ("core",)

    _backend: ClassVar[type[Backend]]

    def __init__(self, core: SocksClient) -> None:
        self.core = core

    @classmethod
    def connect(cls: type[B], uri: str | Proxy) -> B:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        """A connection to be made through the proxy at `uri`; `negotiate` makes it.

        Args:
            uri: see `Proxy.from_uri`. "socks5" and "socks4" resolve names here, "socks5h" and "socks4a" on the proxy.

        Raises:
            InvalidURL, UsageError: it is not that of a SOCKS proxy.
        """
        return cls(SocksClient(cls._backend(), Proxy.from_uri(uri) if isinstance(uri, str) else uri))

    @classmethod
    def fdopen(cls: type[B], sock: socket.socket | ByteStream) -> B:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        """Speak SOCKS 5 on a connection that exists already, which belongs to the result; names are resolved here."""
        return cls(SocksClient(cls._backend(), Proxy("socks5", "localhost", 1080), sock))

    @property
    def needs_resolve(self) -> bool:
        """Whether names are resolved here, not by the proxy; may be changed before `negotiate`."""
        return self.core.needs_resolve

    @needs_resolve.setter
    def needs_resolve(self, value: bool) -> None:
        self.core.needs_resolve = value

    @property
    def bound(self) -> tuple[str, int] | None:
        """Host and port from which the proxy connected, as it says; None before `negotiate`."""
        return self.core.bound

    def clone(self: B) -> B:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        """See `SocksClient.clone`."""
        return type(self)(self.core.clone())

    def add_username_password_auth(self, username: str, password: str) -> None:
        """See `SocksClient.add_username_password_auth`."""
        self.core.add_username_password_auth(username, password)

    def take_socket(self) -> ByteStream | None:
        """See `SocksClient.take_socket`."""
        return self.core.take_socket()

    def close(self) -> None:
        """See `SocksClient.close`."""
        self.core.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.core.proxy}>"


class Socks(SocksBase):
    """A connection through a SOCKS proxy, for callers that block.

    Attributes:
        core: the `SocksClient` behind it, for engine coroutines.
    """

    __slots__ = ()

    _backend = BlockingBackend

    def negotiate(self, host: str, port: int, timeout: float | None = None) -> None:
        """See `SocksClient.negotiate`."""
        run(self.core.negotiate(host, port, timeout))


class AsyncSocks(SocksBase):
    """A connection through a SOCKS proxy, for asyncio.

    Attributes:
        core: the `SocksClient` behind it.
    """

    __slots__ = ()

    _backend = AsyncioBackend

    async def negotiate(self, host: str, port: int, timeout: float | None = None) -> None:
        """See `SocksClient.negotiate`."""
        await self.core.negotiate(host, port, timeout)
