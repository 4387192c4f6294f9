"""Connections through SOCKS proxies: lua-http's `http.socks` (SOCKS 5, and 4 and 4a besides)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..backends.base import FOREVER, Backend, ByteStream
from ..errors import ClosedError, ConnectTimeout, NetworkError, ProxyError, SocksError, Timeout, UsageError
from ..protocol.happy_eyeballs import order_addresses
from ..protocol.socks_machine import check_credential
from ..protocol.socks_v4 import Socks4Machine
from ..protocol.socks_v5 import Socks5Machine
from ..util import is_ip
from .dial import DialOptions
from .prefixed_stream import PrefixedStream
from .proxy import Proxy, reach_proxy
from .resolve import resolve

if TYPE_CHECKING:
    from ..protocol.socks_machine import SocksMachine

__all__ = ["SocksClient", "negotiate_socks"]

# Refusals that are about the address asked for, so that another one of the host may do: SOCKS 5's "general failure", which
# some servers give for all of them, and "unreachable", "refused", "expired", "address type"; SOCKS 4's one refusal.
_ABOUT_THE_ADDRESS = frozenset({1, 3, 4, 5, 6, 8, 91})


async def negotiate_socks(stream: ByteStream, machine: SocksMachine, deadline: float) -> ByteStream:
    """Let `machine` talk to the proxy at the other end of `stream`, which then leads to the host it asked for.

    Returns:
        The stream, or one with what was received too early in front.

    Raises:
        SocksError: the proxy refused, or the connection to it broke.
        RemoteProtocolError: it does not speak SOCKS as it should.
        ConnectTimeout: it did not answer by the deadline.
    """
    try:
        while True:
            output = machine.take_output()
            if output:
                await stream.send_all(output, deadline)
            if machine.is_done:
                return PrefixedStream(stream, machine.rest) if machine.rest else stream
            machine.receive(await stream.receive_some(machine.needed, deadline))
    except Timeout as error:
        raise ConnectTimeout("the SOCKS proxy did not make the connection in time") from error
    except NetworkError as error:
        if isinstance(error, ProxyError):
            raise
        text = f"the connection to the SOCKS proxy broke: {error.strerror or error}"
        raise (SocksError(text) if error.errno is None else SocksError(error.errno, text)) from error


class SocksClient:
    """A connection to be made through a SOCKS proxy (lua-http's `socks` object). See the faces `Socks` and `AsyncSocks`.

    One negotiation each; `clone` makes another one to the same proxy.

    Args:
        backend: does the I/O.
        proxy: where the proxy is and what it speaks. Connecting waits until `negotiate_by`.
        link: a connection to the proxy that exists already, a socket or a stream; it belongs to this object.
        dial: how to connect, and how to resolve names here.

    Attributes:
        needs_resolve: whether names are resolved here, not by the proxy; may be changed before negotiating.
        bound: host and port from which the proxy connected, as it says; None before.
    """

    def __init__(
        self,
        backend: Backend,
        proxy: Proxy,
        link: socket.socket | ByteStream | None = None,
        dial: DialOptions | None = None,
    ) -> None:
        if not proxy.is_socks:
            raise UsageError(f"{proxy} is no SOCKS proxy")
        self.backend = backend
        self.proxy = proxy
        self.needs_resolve = not proxy.resolves
        self.bound: tuple[str, int] | None = None
        self._credentials = None if proxy.username is None else (proxy.username, proxy.password or "")
        self._link = link
        self._was_given = link is not None
        self._dial = dial or DialOptions()
        self._spent = ""
        self._tunnel: ByteStream | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.proxy}>"

    def clone(self) -> SocksClient:
        """Another one to the same proxy, with the same settings and without a connection.

        Raises:
            UsageError: this one was made from a connection, so there is no address to connect to.
        """
        if self._was_given:
            raise UsageError("it was made from a connection: a clone would have none")
        clone = SocksClient(self.backend, self.proxy, dial=self._dial)
        clone.needs_resolve = self.needs_resolve
        clone._credentials = self._credentials
        return clone

    def add_username_password_auth(self, username: str, password: str) -> None:
        """Offer the proxy these credentials (RFC 1929), beside no authentication at all; SOCKS 4 takes the name alone.

        Raises:
            UsageError: longer than 255 bytes, or no name. Nothing was sent.
        """
        check_credential(username, "user name", 1)
        check_credential(password, "password", 0)
        self._credentials = username, password

    async def negotiate(self, host: str, port: int, timeout: float | None = None) -> None:
        """Have the proxy connect to `host`, in at most `timeout` seconds; `take_socket` then has the connection.

        When names are resolved here, all addresses of the host are tried, as long as the proxy's refusals are about the
        address; on a connection that was given there is only one attempt.

        Args:
            host: an IP address without brackets, or a name in ASCII form.
            port: from 1 to 65535.
            timeout: None for no limit.

        Raises:
            SocksError: the proxy refused.
            ProxyError: it is out of reach.
            ResolveError: the host has no address.
            RemoteProtocolError: the proxy does not speak SOCKS as it should.
            ConnectTimeout: time is up.
            ClosedError: this object was used before, or closed.
            UsageError: host or port cannot be told to a proxy.
        """
        await self.negotiate_by(host, port, FOREVER if timeout is None else self.backend.now() + timeout)

    async def negotiate_by(self, host: str, port: int, deadline: float) -> None:
        """`negotiate` with a deadline."""
        if self._spent:
            raise ClosedError(self._spent)
        self._spent = "this SOCKS connection was negotiated before: make a clone"
        try:
            greeted = self._link is None and await self._greet(host, port, deadline)
            targets = await self._targets(host, port, deadline)
            machines = [self._machine(target, port) for target in targets]
            if greeted:
                machines[0].take_output()
            while True:
                machine = machines.pop(0)
                try:
                    self._tunnel = await self._attempt(machine, deadline)
                except SocksError as error:
                    if not machines or error.code not in _ABOUT_THE_ADDRESS:
                        raise
                else:
                    self.bound = machine.bound
                    return
        finally:
            if self._tunnel is None:
                self._drop_link()

    async def _greet(self, host: str, port: int, deadline: float) -> bool:
        """Connect, and begin with what does not depend on the host's address; True when the proxy was greeted.

        Whose proxy is not there, or does not answer, need not know whether the host has an address.
        """
        self._link = stream = await reach_proxy(self.backend, self.proxy, deadline, dial=self._dial)
        if self._version != 5 or is_ip(host) or not self.needs_resolve:
            return False
        try:
            await stream.send_all(self._machine("127.0.0.1", port).take_output(), deadline)
            self._link = PrefixedStream(stream, await stream.receive_some(2, deadline))
        except Timeout as error:
            raise ConnectTimeout("the SOCKS proxy did not answer in time") from error
        except NetworkError:
            return False  # the negotiation will find the connection broken, and say so
        return True

    async def _targets(self, host: str, port: int, deadline: float) -> list[str]:
        if is_ip(host) or not self.needs_resolve:
            return [host]
        found = order_addresses(await resolve(self.backend, host, port, self._dial.resolver, deadline))
        targets = [str(address[0]) for family, address in found if self._version == 5 or family == socket.AF_INET]
        # The first one tells what is wrong where SOCKS 4 has no use for any of them.
        targets = targets or [str(found[0][1][0])]
        return targets[:1] if self._was_given else targets

    @property
    def _version(self) -> int:
        return 4 if self.proxy.scheme.startswith("socks4") else 5

    def _machine(self, host: str, port: int) -> SocksMachine:
        if self._version == 5:
            return Socks5Machine(host, port, self._credentials)
        return Socks4Machine(host, port, self._credentials[0] if self._credentials else "")

    async def _attempt(self, machine: SocksMachine, deadline: float) -> ByteStream:
        stream: ByteStream
        if self._link is None:
            stream = await reach_proxy(self.backend, self.proxy, deadline, dial=self._dial)
        elif isinstance(self._link, ByteStream):
            stream = self._link
        else:
            stream = await self.backend.adopt_socket(self._link)
        self._link = None
        try:
            return await negotiate_socks(stream, machine, deadline)
        except BaseException:
            stream.close()
            raise

    def take_socket(self) -> ByteStream | None:
        """Hand over the connection, which is the caller's from then on; None when there is none (any more).

        Before `negotiate` that is the connection this object was made from, if it was a stream.
        """
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is None and isinstance(self._link, ByteStream):
            tunnel, self._link = self._link, None
        self._spent = self._spent or "the socket of this SOCKS connection was taken"
        return tunnel

    def close(self) -> None:
        """Release the connection, unless it was taken. Idempotent."""
        self._spent = "this SOCKS connection was closed"
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None
        self._drop_link()

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
