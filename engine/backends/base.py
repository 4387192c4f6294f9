"""What the engine asks of an I/O library: streams, connects, waiting, time.

Everything above is `async def` written once against these classes. A *blocking* backend does its system call inside the
leaf coroutine and never suspends; an *async* backend suspends on its event loop. Laws:

- a `deadline` is an absolute time on the backend's own clock (`Backend.now`), `math.inf` for none;
- a timeout leaves the stream usable and loses no byte; so does a cancellation;
- errors leave here already in the types of `errors`; no `OSError`, `ssl.SSLError` or loop exception gets out;
- what `send_some` did not report as sent comes first in the next send, unchanged (TLS may have encrypted it already);
- at most one receiver and one sender at a time per stream; the two may overlap; any number may `interrupt` them.
"""

from __future__ import annotations

import math
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from ..errors import ReadTimeout

__all__ = [
    "FOREVER",
    "Address",
    "Backend",
    "ByteStream",
    "Colour",
    "ConnectAttempt",
    "Interrupted",
    "Listener",
    "SocketOption",
    "TaskHandle",
    "Waiter",
]

T = TypeVar("T")
Colour = Literal["blocking", "async"]
FOREVER = math.inf

SocketOption = tuple[int, int, int | bytes] | tuple[int, int, None, int]
"""Level, name and value of an option, as `socket.socket.setsockopt` takes them."""


class Address(NamedTuple):
    """One end of a connection, as lua-http's `localname`/`peername` give it.

    For `AF_INET`/`AF_INET6` `host` is the numeric address and `port` the port; for `AF_UNIX` `host` is the path and `port`
    is None; for something unconnected or in memory `family` is `AF_UNSPEC` (0).
    """

    family: int
    host: str | None = None
    port: int | None = None


class Interrupted(ReadTimeout):
    """A receive was ended by `ByteStream.interrupt` before its deadline; nothing is lost."""


class ByteStream(ABC):
    """One connected, full-duplex stream of bytes. See the module's laws."""

    @abstractmethod
    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        """Wait for input and return between 1 and `max_bytes` bytes of it; b"" means the peer ended its side.

        Raises:
            ReadTimeout: nothing came before `deadline` (input that is already there is returned even when it has passed).
            Interrupted: nothing came before `interrupt` was called.
            ReadError: the connection broke.
        """

    @abstractmethod
    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        """Send a leading part of `data`, at least one byte unless `data` is empty, and return its length in bytes.

        With `or_readable`, return 0 as soon as input (or its end) is waiting while nothing could be sent: an HTTP/1 client
        must notice an early answer while it uploads. `interrupt` has the same effect.

        Raises:
            WriteTimeout: not one byte was taken before `deadline`.
            WriteError: the connection broke.
        """

    async def send_all(self, data: bytes | bytearray | memoryview, deadline: float) -> None:
        """Send the whole of `data`. After an error how much was sent is unknown: use `send_some` where that matters."""
        sent = await self.send_some(data, deadline)
        if sent < len(data):
            with memoryview(data) as view:
                while sent < len(view):
                    sent += await self.send_some(view[sent:], deadline)

    @abstractmethod
    async def send_eof(self, deadline: float) -> None:
        """End this side's output (half-close; `close_notify` on TLS). Receiving goes on. Idempotent."""

    def allow_interrupts(self) -> None:  # noqa: B027 - what needs no preparation need not say so
        """Make ready for `interrupt`, before anybody receives. Costs the blocking backend descriptors. Idempotent."""

    @abstractmethod
    def interrupt(self) -> None:
        """End the wait of whoever receives, or sends with `or_readable`; where nobody waits, the next such wait.

        To say "look again": somebody who did not wait may take it instead, and who was woken anyhow may be told twice. Never
        waits, never raises. From any thread on a blocking backend, once interrupts were allowed.
        """

    @property
    def is_waiting_for_input(self) -> bool:
        """Whether whoever receives is still waiting, so that what ends that from outside (Ctrl-C) ends nothing else.

        Where it is False, what was received may be lost on its way to who asked for it. Tasks are cancelled only while they
        wait, so with an async backend it is always True.
        """
        return True

    def announce_input(self, callback: Callable[[], None] | None) -> bool:
        """Have `callback` called whenever input, or the end of it, comes while nobody receives; None for no more.

        It may be called once too often, and must be short. Returns False where that cannot be done because nothing notices
        input unless somebody waits for it.
        """
        return False

    @abstractmethod
    def is_readable(self) -> bool:
        """Tell without waiting whether `receive_some` would return at once: with data, at the peer's end, or with an error.

        True of a closed stream. On TLS this looks at what lies below, so bytes that are not application data may make it true.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the stream now, without waiting and without an exchange of goodbyes. Idempotent; never raises."""

    def abort(self) -> None:
        """Close, and drop what was reported as sent but is not on its way yet. Idempotent, also after `close`."""
        self.close()

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether `close` was called."""

    @property
    def ended_cleanly(self) -> bool:
        """False when the peer's end came without the goodbye its protocol has (`close_notify` on TLS); True otherwise."""
        return True

    @property
    @abstractmethod
    def local_address(self) -> Address:
        """This end of the connection."""

    @property
    @abstractmethod
    def peer_address(self) -> Address:
        """The next hop: the proxy, where there is one."""

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS session, or None on a stream in clear."""
        return None

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor below, for polling in a foreign loop; -1 where there is none or it is closed."""


class Waiter(ABC):
    """A one-shot signal between two users of a backend."""

    @abstractmethod
    def wake(self) -> None:
        """Make `wait` return True, now or whenever it is called. From any thread on a blocking backend. Idempotent."""

    @abstractmethod
    async def wait(self, deadline: float) -> bool:
        """Wait until woken (True) or until the deadline (False)."""


class ConnectAttempt(ABC):
    """A connection being opened, one contender of a race."""

    @abstractmethod
    async def take(self) -> ByteStream:
        """Return the connected stream, or raise `ConnectError` with the errno of the failure. Call once, when finished."""

    @abstractmethod
    def abandon(self) -> None:
        """Give the attempt up and release its socket. Idempotent."""


class TaskHandle(ABC):
    """Something started by `Backend.spawn`."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask the task to end at its next wait (on a blocking backend: no effect; close what it waits on instead)."""

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in this very task, which therefore cannot wait for it."""
        return False

    @abstractmethod
    async def join(self, deadline: float) -> bool:
        """Wait until the task is over; False when the deadline came first. The task's own error is not raised here."""


class Listener(ABC):
    """A bound, listening socket."""

    @abstractmethod
    async def accept(self, deadline: float) -> ByteStream | None:
        """Wait for a client and return its stream; None when the deadline passed or the listener was closed meanwhile.

        Raises:
            NetworkError: with the errno of a failing `accept` (EMFILE and the like): the listener stays usable.
        """

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where it listens, with the port the system chose."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening; a waiting `accept` returns None. Idempotent, from any thread."""

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor, or -1 once closed."""


class Backend(ABC):
    """One I/O library. Instances hold no per-connection state and may be shared."""

    colour: ClassVar[Colour]

    @abstractmethod
    def now(self) -> float:
        """Seconds on the backend's monotonic clock; every deadline is a point on it."""

    @abstractmethod
    def create_guard(self) -> AbstractContextManager[Any]:
        """A mutex for short critical sections without any wait inside: a real lock between threads, nothing on a loop."""

    @abstractmethod
    def create_waiter(self) -> Waiter:
        """A new one-shot signal."""

    @abstractmethod
    async def sleep_until(self, deadline: float) -> None:
        """Do nothing until `deadline`."""

    @abstractmethod
    async def run_blocking(self, function: Callable[[], T], deadline: float) -> T:
        """Call something that may block (name resolution, files) without blocking an event loop.

        Raises:
            Timeout: it was not done by `deadline`; it is then left to finish unwatched in a daemon thread.
        """

    @abstractmethod
    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> TaskHandle:
        """Run an engine coroutine beside the caller: a daemon thread, or a task of the running loop."""

    @abstractmethod
    def start_connect(
        self,
        family: int,
        address: tuple[Any, ...] | str,
        local_address: tuple[Any, ...] | None = None,
        socket_options: tuple[SocketOption, ...] | None = None,
    ) -> ConnectAttempt:
        """Begin a non-blocking stream connection to a `socket`-style address and return at once.

        Args:
            socket_options: set before it is bound and connected, in the place of TCP_NODELAY. What is no socket ignores them.

        Raises:
            ConnectError: it failed immediately (no route, family not supported, bind or option refused).
            UsageError: an option is none.
        """

    @abstractmethod
    async def wait_any_connect(self, attempts: list[ConnectAttempt], deadline: float) -> ConnectAttempt | None:
        """Wait until one of `attempts` succeeded or failed and return it; None at the deadline."""

    @abstractmethod
    async def adopt_socket(self, sock: socket.socket) -> ByteStream:
        """Take over a connected socket (set non-blocking) as a stream of this backend; no byte waiting on it is lost."""

    @abstractmethod
    def adopt_listener(self, sock: socket.socket) -> Listener:
        """Take over a listening socket (set non-blocking)."""
