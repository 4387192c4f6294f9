"""What the books of a connection pool consist of: origins, connections, places in line. No I/O, no clock, no lock."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from ..backends.base import Waiter

__all__ = ["Orders", "Origin", "Poolable", "Shareable", "Slot", "Ticket"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


class Poolable(Protocol):
    """What the pool asks of a connection. Connections are told apart by identity: do not define `__eq__` on them."""

    def is_usable(self) -> bool:
        """Tell without waiting whether the connection can serve again: neither closed nor ended, and nothing unread.

        Costs one poll of the socket. What arrives while no exchange is on is a `408`, a goodbye or an attack; on a shared
        connection possibly a ping or settings, to be dealt with here. Asked of a connection without users, by one caller
        at a time, who holds no guard: it may call `Pool.retire` and `Pool.capacity_changed`.
        """

    def close(self) -> None:
        """Release the socket now: no wait, no goodbye to the peer. Idempotent; never raises."""


class Shareable(Protocol):
    """What a connection has beside `Poolable` to be held by several users at once (HTTP/2).

    Both are read at any time, by any thread, under the pool's guard: plain values, no lock and no I/O behind them.
    """

    @property
    def shares(self) -> int:
        """How many users it takes at once at present; may change at any time, see `Pool.capacity_changed`.

        A connection whose `shares` is None or missing when it is opened is exclusive for good.
        """

    @property
    def is_closed(self) -> bool:
        """Whether nothing can come or go on it any more, so that waiting for its users to finish is pointless."""


class Origin(Generic[K, C]):
    """What is known of one key; in the books while there is a room or a ticket.

    Attributes:
        idle: connections nobody uses, the one used last at the end.
        roomy: shared connections in use that take more users.
        rooms: connections of this origin, those being opened included; `slots` of them are open.
        circulating: shared connections that may get new users; of `checks` somebody finds out whether they still live.
        sharing: whether a connection to be opened is expected to be shared, and waited for.
        tries: how many may be opened at once while none is known to work.
    """

    __slots__ = ("checks", "circulating", "idle", "key", "rooms", "roomy", "sharing", "slots", "tickets", "tries")

    def __init__(self, key: K) -> None:
        self.key = key
        self.rooms = self.slots = 0
        self.circulating = self.checks = 0
        self.tries = 1
        self.sharing = bool(getattr(key, "may_share", False))
        self.idle: deque[Slot[K, C]] = deque()
        self.roomy: OrderedDict[Slot[K, C], None] = OrderedDict()
        self.tickets: OrderedDict[Ticket[K, C], None] = OrderedDict()


class Slot(Generic[K, C]):
    """One open connection and where it belongs; made once per connection.

    Attributes:
        in_use: one alone has it: the user of an exclusive connection, or who checks or closes it.
        shared: the connection again if it is a shared one.
        users: how many use it, for a shared one.
        checking: somebody finds out whether this shared connection, idle until now, still lives.
        retired: gets no new users.
        doomed: somebody is closing it.
    """

    __slots__ = ("checking", "connection", "doomed", "idle_since", "in_use", "origin", "retired", "shared", "users")

    def __init__(self, origin: Origin[K, C], connection: C) -> None:
        self.origin = origin
        self.connection = connection
        self.in_use = True
        self.idle_since = 0.0
        self.shared: Shareable | None = None
        self.users = 0
        self.checking = self.retired = self.doomed = False


class Ticket(Generic[K, C]):
    """A place in the queue. Once `granted` it owns `slot`, or where that is None the room to open a connection.

    Attributes:
        early: it waits, or when it got its room had waited, for somebody to get the origin's first connection.
    """

    __slots__ = ("early", "fresh", "granted", "number", "origin", "slot", "waiter")

    def __init__(self, origin: Origin[K, C], number: int, fresh: bool, waiter: Waiter) -> None:
        self.origin = origin
        self.number = number
        self.fresh = fresh
        self.waiter = waiter
        self.early = self.granted = False
        self.slot: Slot[K, C] | None = None


class Orders(Generic[K, C]):
    """What is left to do after a step, without the guard: tickets to wake, connections to close."""

    __slots__ = ("close", "wake")

    def __init__(self) -> None:
        self.wake: list[Ticket[K, C]] = []
        self.close: list[Slot[K, C]] = []
