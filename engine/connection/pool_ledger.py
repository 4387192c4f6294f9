"""The books of a connection pool: who holds, who waits, who is next. No I/O, no clock, no lock, no await.

Every method of `Ledger` is one step that leaves the books consistent; the pool takes its guard around each, and does
what the step asks for (close this, wake that) after letting the guard go. Laws:

- a *room* is the right to have one connection. It is taken before a connection is opened and given back after it was
  closed, so that the limits hold for sockets and not just for counters;
- every step is O(1), amortised: nothing scans connections or origins. The idle connections of an origin are used
  last in, first out, so that surplus ones expire; all idle ones also stand in one list by age, for eviction and
  expiry;
- who waits is served in strict order within an origin. Rooms of the total go round the origins that lack one, and a
  connection that comes free goes to whoever has waited longer: the head of its own origin, or of the first of those.
  So no origin starves another;
- while an origin's callers wait it has no idle connection, and while anybody lacks a room of the total (an origin in
  `_hungry`) the total is used up and nothing at all is idle. Hence a newcomer never overtakes, one room given back
  serves at most one ticket, and a connection becomes idle only when nobody waits for it.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ..backends.base import Waiter
from .pool_limits import PoolLimits, PoolStatistics

__all__ = ["Ledger", "Origin", "Slot", "Ticket"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


class Origin(Generic[K, C]):
    """What is known of one key; in the books while there is a room or a ticket."""

    __slots__ = ("idle", "key", "rooms", "tickets")

    def __init__(self, key: K) -> None:
        self.key = key
        self.rooms = 0
        self.idle: deque[Slot[K, C]] = deque()
        self.tickets: OrderedDict[Ticket[K, C], None] = OrderedDict()


class Slot(Generic[K, C]):
    """One open connection and where it belongs; made once per connection."""

    __slots__ = ("connection", "idle_since", "in_use", "origin")

    def __init__(self, origin: Origin[K, C], connection: C) -> None:
        self.origin = origin
        self.connection = connection
        self.in_use = True
        self.idle_since = 0.0


class Ticket(Generic[K, C]):
    """A place in the queue. Once `granted` it owns `slot`, or where that is None the room to open a connection."""

    __slots__ = ("fresh", "granted", "number", "origin", "slot", "waiter")

    def __init__(self, origin: Origin[K, C], number: int, fresh: bool, waiter: Waiter) -> None:
        self.origin = origin
        self.number = number
        self.fresh = fresh
        self.waiter = waiter
        self.granted = False
        self.slot: Slot[K, C] | None = None


class Ledger(Generic[K, C]):
    """The books. Every method requires holding the pool's guard."""

    def __init__(self, limits: PoolLimits) -> None:
        self._max_total = sys.maxsize if limits.max_connections is None else limits.max_connections
        self._max_per_origin = sys.maxsize if limits.max_per_origin is None else limits.max_per_origin
        self._max_idle = sys.maxsize if limits.max_idle is None else limits.max_idle
        self.expiry = math.inf if limits.keepalive_expiry is None else limits.keepalive_expiry  # seconds
        self._origins: dict[K, Origin[K, C]] = {}
        self._slots: dict[C, Slot[K, C]] = {}
        # Not a plain dict: finding the first entry of one again and again scans the gaps left at its front.
        self._idle: OrderedDict[Slot[K, C], None] = OrderedDict()
        self._hungry: OrderedDict[Origin[K, C], None] = OrderedDict()
        self._prune_at = -math.inf  # a time before which nothing idle can have expired
        self._rooms = self._waiting = 0
        self._created = self._reused = self._waits = 0
        self._closures = self._expired = self._stale = self._evicted = 0

    def find(self, connection: C) -> Slot[K, C] | None:
        """The slot of a connection, or None when it is not in the books."""
        return self._slots.get(connection)

    # Taking

    def take_idle(self, key: K) -> Slot[K, C] | None:
        """Take the connection of `key` used last out of the idle ones."""
        origin = self._origins.get(key)
        if origin is None or not origin.idle:
            return None
        slot = origin.idle.pop()
        del self._idle[slot]
        slot.in_use = True
        self._reused += 1
        return slot

    def take_room(self, key: K) -> tuple[Origin[K, C], bool, Slot[K, C] | None]:
        """Try to take a room for a new connection; to be called when no idle one will do.

        Returns:
            the origin; whether it got the room (if not, `enqueue`); and an idle connection that lost its room to it,
            which must be closed before the new one is opened.
        """
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = Origin(key)
        # Nobody is overtaken: while anyone waits in this line there is neither a room nor an idle connection for it.
        victim: Slot[K, C] | None = None
        if origin.rooms >= self._max_per_origin:
            victim = origin.idle[0] if origin.idle else None  # idle, yet unwanted: the caller insists on a fresh one
        elif self._rooms >= self._max_total:
            victim = next(iter(self._idle), None)
        else:
            origin.rooms += 1
            self._rooms += 1
            return origin, True, None
        if victim is None:
            return origin, False, None
        origin.rooms += 1  # before the victim's room goes: it may be the last of the same origin
        self._rooms += 1
        self._take_oldest_of(victim.origin)
        self._evicted += 1
        self.strike_out(victim)
        self.give_room_back(victim.origin)  # serves nobody: where something is idle, no one lacks a room of the total
        return origin, True, victim

    def enqueue(self, origin: Origin[K, C], fresh: bool, create_waiter: Callable[[], Waiter]) -> Ticket[K, C]:
        """Stand in line after `take_room` failed."""
        ticket = Ticket(origin, self._waits, fresh, create_waiter())
        self._waits += 1
        self._waiting += 1
        origin.tickets[ticket] = None
        if origin.rooms < self._max_per_origin:
            self._hungry[origin] = None
        return ticket

    def dequeue(self, ticket: Ticket[K, C]) -> None:
        """Leave the line without having been served. Idempotent."""
        origin = ticket.origin
        if ticket in origin.tickets:
            self._remove(ticket)
            self._drop_if_unused(origin)

    def forsake(self, ticket: Ticket[K, C]) -> tuple[Ticket[K, C] | None, Slot[K, C] | None]:
        """Leave the line, served or not.

        Returns:
            the ticket that got the room, to be woken, or the connection to be passed on, where `ticket` owned one.
        """
        self.dequeue(ticket)
        if not ticket.granted:
            return None, None
        if ticket.slot is None:
            return self.give_room_back(ticket.origin), None
        self._reused -= 1
        return None, ticket.slot

    def add(self, origin: Origin[K, C], connection: C) -> Slot[K, C]:
        """Enter the connection that was opened in a room of `origin`."""
        slot = self._slots[connection] = Slot(origin, connection)
        self._created += 1
        return slot

    # Giving back

    def keep(self, connection: C, now: float) -> bool:
        """Make a connection idle if there is nothing else to do; on False nothing has changed, and `pass_on` is due."""
        slot = self._slots.get(connection)
        if slot is None or not slot.in_use:
            return False
        origin = slot.origin
        if origin.tickets or self._hungry or now >= self._prune_at or len(self._idle) >= self._max_idle:
            return False
        slot.in_use = False
        slot.idle_since = now
        origin.idle.append(slot)
        self._idle[slot] = None
        return True

    def pass_on(self, slot: Slot[K, C], now: float) -> tuple[Ticket[K, C] | None, bool]:
        """Give a good connection to whoever is next, or make it idle.

        Returns:
            the ticket served, to be woken; and whether the one who is next needs the room only: then close the
            connection.
        """
        origin = slot.origin
        mine = next(iter(origin.tickets), None)
        starving = next(iter(self._hungry), None)
        if starving is not None and (mine is None or next(iter(starving.tickets)).number < mine.number):
            return None, True
        if mine is None:
            slot.in_use = False
            slot.idle_since = now
            origin.idle.append(slot)
            self._idle[slot] = None
            return None, False
        if mine.fresh:
            return None, True
        self._remove(mine)
        if origin in self._hungry:
            self._hungry.move_to_end(origin)  # this was its turn
        mine.granted = True
        mine.slot = slot
        slot.idle_since = now
        self._reused += 1
        return mine, False

    def forget(self, slot: Slot[K, C]) -> None:
        """Strike out a connection that goes its own way; its room stays taken."""
        del self._slots[slot.connection]

    def strike_out(self, slot: Slot[K, C]) -> None:
        """Strike out a connection that was closed; its room stays taken."""
        del self._slots[slot.connection]
        self._closures += 1

    def count_dead(self, slot: Slot[K, C], now: float) -> None:
        """Note that a connection taken for reuse turned out too old or stale."""
        self._reused -= 1
        if self.is_expired(slot, now):
            self._expired += 1
        else:
            self._stale += 1

    def give_room_back(self, origin: Origin[K, C]) -> Ticket[K, C] | None:
        """Return a room; the ticket that got it must be woken."""
        origin.rooms -= 1
        self._rooms -= 1
        if origin.tickets:
            self._hungry.setdefault(origin)
        else:
            self._drop_if_unused(origin)
        if not self._hungry or self._rooms >= self._max_total:
            return None
        fed, _ = self._hungry.popitem(last=False)
        ticket = next(iter(fed.tickets))
        fed.rooms += 1
        self._rooms += 1
        self._remove(ticket)
        ticket.granted = True
        if fed.tickets and fed.rooms < self._max_per_origin:
            self._hungry[fed] = None
        return ticket

    # Clearing out

    def is_expired(self, slot: Slot[K, C], now: float) -> bool:
        """Whether the connection was idle for too long."""
        return not now - slot.idle_since < self.expiry

    def take_surplus(self, now: float) -> list[Slot[K, C]]:
        """Take out the idle connections that are too old or too many, to be closed."""
        surplus = []
        oldest = next(iter(self._idle), None)
        while oldest is not None and (len(self._idle) > self._max_idle or self.is_expired(oldest, now)):
            if self.is_expired(oldest, now):
                self._expired += 1
            else:
                self._evicted += 1
            surplus.append(self._take_oldest_of(oldest.origin))
            oldest = next(iter(self._idle), None)
        self._prune_at = (now if oldest is None else oldest.idle_since) + self.expiry
        return surplus

    def idle_connections(self) -> list[C]:
        """The connections that nobody uses, oldest first."""
        return [slot.connection for slot in list(self._idle)]

    def take_all_idle(self) -> list[Slot[K, C]]:
        """Take out every idle connection, to be closed."""
        return [self._take_oldest_of(slot.origin) for slot in list(self._idle)]

    def fail_waiters(self) -> list[Ticket[K, C]]:
        """Empty the queue; the tickets, none of them granted, must be woken."""
        tickets = [ticket for origin in self._origins.values() for ticket in origin.tickets]
        for ticket in tickets:
            self.dequeue(ticket)
        return tickets

    def statistics(self) -> PoolStatistics:
        """The figures as they stand."""
        count, idle = len(self._slots), len(self._idle)
        return PoolStatistics(
            open=count,
            idle=idle,
            in_use=count - idle,
            opening=self._rooms - count,
            waiting=self._waiting,
            created=self._created,
            reused=self._reused,
            waits=self._waits,
            closed=self._closures,
            expired=self._expired,
            stale=self._stale,
            evicted=self._evicted,
        )

    def _take_oldest_of(self, origin: Origin[K, C]) -> Slot[K, C]:
        slot = origin.idle.popleft()
        del self._idle[slot]
        slot.in_use = True
        return slot

    def _remove(self, ticket: Ticket[K, C]) -> None:
        origin = ticket.origin
        del origin.tickets[ticket]
        self._waiting -= 1
        if not origin.tickets:
            self._hungry.pop(origin, None)

    def _drop_if_unused(self, origin: Origin[K, C]) -> None:
        if not origin.rooms and not origin.tickets:
            del self._origins[origin.key]
