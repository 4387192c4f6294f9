"""The HTTP/1.0 and HTTP/1.1 machine, client and server (RFC 9112): what both roles share, and the two roles.

A machine knows no socket and no clock. `receive` takes bytes, `next_event` tells what they mean, the `send_…` methods
return the bytes to write. Laws:

- requests and responses are matched in order: an `Exchange` is queued when a request passes and leaves when its final
  response is complete, which is what makes pipelining, HEAD and CONNECT come out right (RFC 9112 section 9.3.2);
- `can_continue` is the only judge of reuse: both sides complete, nobody said close, no fault (and on a client no stray bytes);
- a machine that raised `RemoteProtocolError` reads nothing more;
- while it is open whether a request switches the connection to another protocol (CONNECT, Upgrade), nothing follows it: a
  client sends no further request, and a server does not look at the bytes after it before it has answered.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque

from ..errors import LocalProtocolError
from ..wire.headers import Headers
from .h1_framing import connection_options
from .h1_limits import H1Limits
from .h1_receiver import H1Receiver
from .h1_sender import H1Sender, SendState

__all__ = ["DEFAULT_LIMITS", "Exchange", "H1Machine", "required_field"]

DEFAULT_LIMITS = H1Limits()


class Exchange:
    """A request under way and what of it decides how its response is framed.

    Attributes:
        method, version: of the request, as it was sent or received.
        keep_alive: whether the connection may outlive the exchange, as far as both sides have said by now.
        upgrade: whether the request offers to switch protocols (RFC 9110 section 7.8).
        expects_continue: whether the client waits for 100 Continue.
        accepts_gzip: whether the client takes gzip as a transfer coding (server role).
    """

    __slots__ = ("accepts_gzip", "expects_continue", "keep_alive", "method", "upgrade", "version")

    def __init__(self, method: str, version: float, keep_alive: bool, upgrade: bool = False) -> None:
        self.method = method
        self.version = version
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        self.expects_continue = False
        self.accepts_gzip = False

    @property
    def may_switch(self) -> bool:
        """Whether the response can make the connection something else than HTTP/1."""
        return self.upgrade or self.method == "CONNECT"


class H1Machine(H1Receiver):
    """What both roles share. Use `h1_client.H1ClientMachine` or `h1_server.H1ServerMachine`.

    Args:
        version: 1.0 or 1.1, what this side speaks.
        limits: bounds on the peer's input.

    Attributes:
        sender: the sending half.
        exchanges: requests whose responses are not complete, oldest first.
        keep_alive: whether the connection may outlive the exchanges under way. A user may set it to False.
        switched: whether the connection has become a tunnel or another protocol's.

    Not synchronised: one user at a time, except that one may receive while another sends. So each attribute that the other
    half reads is written by one half only, or only ever set to the same value.
    """

    def __init__(self, version: float = 1.1, limits: H1Limits = DEFAULT_LIMITS) -> None:
        super().__init__(limits)
        self.version = version
        self.sender = H1Sender()
        self.exchanges: deque[Exchange] = deque()
        self.keep_alive = True
        self.switched = False
        self._in_message = False
        # The newest request while it is open whether it switches protocols.
        self._undecided: Exchange | None = None

    def send_data(self, data: bytes) -> bytes:
        """Frame a piece of the open message's body and return the bytes to write (none for no data)."""
        return self.sender.data(data)

    def send_end(self, trailers: Headers | None = None) -> bytes:
        """Complete the open message, with a trailer section where it is chunked, and return the bytes to write."""
        output = self.sender.end(trailers)
        self._message_sent()
        return output

    @abstractmethod
    def _message_sent(self) -> None:
        """Told when this side's message is complete."""

    @property
    def is_sending(self) -> bool:
        """Whether a message is open on this side."""
        return self.sender.state is SendState.BODY

    @property
    def receiving(self) -> bool:
        """Whether a message is being received: its head was reported and its end was not."""
        return self._in_message

    @property
    def can_continue(self) -> bool:
        """Whether another exchange may follow once the ones under way are complete, and nothing stands against it now."""
        return (
            self.keep_alive
            and not self.switched
            and not self.receiving
            and not self.exchanges
            and not (self.ended and self._position == len(self._data))
            and self._fault is None
            and self.sender.state is SendState.IDLE
        )

    def _check_idle(self) -> None:
        if self.sender.state is SendState.BODY:
            raise LocalProtocolError("the message before is not complete")
        if self.sender.state is not SendState.IDLE:
            raise LocalProtocolError("nothing more can be sent on this connection")

    def _says_close(self, headers: Headers, version: float) -> bool:
        """Whether the head of a message asks for the connection to end after it (RFC 9112 section 9.3)."""
        options = connection_options(headers)
        if options is None:
            return version == 1.0
        return "close" in options or (version == 1.0 and "keep-alive" not in options)


def required_field(headers: Headers, name: str) -> str:
    """The value of a pseudo-header field that must be there, or `LocalProtocolError`."""
    value = headers.get(name)
    if value is None:
        raise LocalProtocolError(f"the headers have no {name}")
    return value
