"""Rooms and lines of a connection pool: who may open a connection, and who is next. The base of `pool_ledger`."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ..backends.base import Waiter
from .pool_limits import PoolLimits
from .pool_records import Orders, Origin, Slot, Ticket

__all__ = ["Rooms"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


class Rooms(Generic[K, C]):
    """The part of the books that is about limits and waiting. Every method requires holding the pool's guard."""

    def __init__(self, limits: PoolLimits) -> None:
        self._max_total = sys.maxsize if limits.max_connections is None else limits.max_connections
        self._max_per_origin = sys.maxsize if limits.max_per_origin is None else limits.max_per_origin
        self._max_shared = sys.maxsize if limits.max_shared_per_origin is None else limits.max_shared_per_origin
        self._max_idle = sys.maxsize if limits.max_idle is None else limits.max_idle
        self.expiry = math.inf if limits.keepalive_expiry is None else limits.keepalive_expiry  # seconds
        self._origins: dict[K, Origin[K, C]] = {}
        self._slots: dict[C, Slot[K, C]] = {}
        # Not a plain dict: finding the first entry of one again and again scans the gaps left at its front.
        self._idle: OrderedDict[Slot[K, C], None] = OrderedDict()
        self._hungry: OrderedDict[Origin[K, C], None] = OrderedDict()
        self._prune_at = -math.inf  # a time before which nothing idle can have expired
        self._rooms = self._waiting = 0
        self._draining = self._busy_shared = self._shared_users = 0
        self._created = self._reused = self._waits = 0
        self._closures = self._expired = self._stale = self._evicted = 0

    def find(self, connection: C) -> Slot[K, C] | None:
        """The slot of a connection, or None when it is not in the books."""
        return self._slots.get(connection)

    def is_awaited(self, origin: Origin[K, C]) -> bool:
        """Whether the line waits for somebody to open, or to check, a connection that may be for everybody."""
        return origin.sharing and origin.circulating <= origin.checks and self._under_way(origin) > 0

    # Standing in line

    def enqueue(self, origin: Origin[K, C], fresh: bool, create_waiter: Callable[[], Waiter]) -> Ticket[K, C]:
        """Stand in line after `take_room` failed."""
        ticket = Ticket(origin, self._waits, fresh, create_waiter())
        ticket.early = self.is_awaited(origin)
        self._waits += 1
        self._waiting += 1
        origin.tickets[ticket] = None
        if self._may_open(origin):
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

    # Rooms

    def give_room_back(self, origin: Origin[K, C]) -> Ticket[K, C] | None:
        """Return a room; the ticket that got it must be woken."""
        origin.rooms -= 1
        self._rooms -= 1
        if not origin.tickets:
            self._drop_if_unused(origin)
        elif self._may_open(origin):
            self._hungry.setdefault(origin)
        if not self._hungry or self._rooms >= self._max_total:
            return None
        fed, _ = self._hungry.popitem(last=False)
        ticket = self._grant_room(fed)
        if fed.tickets and self._may_open(fed):
            self._hungry[fed] = None
        return ticket

    def give_up_room(self, origin: Origin[K, C], failed: bool) -> Orders[K, C]:
        """Return the room of an opening that failed or was cancelled.

        A failure lets the line try with one more at a time than before, so that it gets through by 1, 2, 4, … tries.
        """
        orders: Orders[K, C] = Orders()
        if failed and not origin.circulating:
            origin.tries += 1
        ticket = self.give_room_back(origin)
        if ticket is not None:
            orders.wake.append(ticket)
        if failed and origin.tickets:
            self._serve(origin, orders)
        return orders

    def _may_open(self, origin: Origin[K, C]) -> bool:
        """Whether the origin may have one more room, if the total allows.

        Where connections are shared one is opened at a time: it may have room for everybody.
        """
        if origin.rooms >= self._max_per_origin:
            return False
        if not origin.sharing:
            return True
        under_way = self._under_way(origin)
        if origin.circulating <= origin.checks:
            return under_way < origin.tries
        return not under_way and origin.circulating < self._max_shared

    def _under_way(self, origin: Origin[K, C]) -> int:
        return origin.rooms - origin.slots + origin.checks

    def _grant_room(self, origin: Origin[K, C]) -> Ticket[K, C]:
        ticket = next(iter(origin.tickets))
        ticket.early = ticket.early and origin.sharing and origin.circulating <= origin.checks
        origin.rooms += 1
        self._rooms += 1
        self._remove(ticket)
        ticket.granted = True
        return ticket

    def _serve(self, origin: Origin[K, C], orders: Orders[K, C]) -> None:
        """Let the line of an origin have what there is: uses of shared connections first, then rooms."""
        while origin.tickets and (slot := self._join(origin)) is not None:
            ticket = next(iter(origin.tickets))
            self._remove(ticket)
            ticket.granted = True
            ticket.slot = slot
            orders.wake.append(ticket)
        while origin.tickets and self._rooms < self._max_total and self._may_open(origin):
            orders.wake.append(self._grant_room(origin))
        if origin.tickets and self._may_open(origin):
            self._hungry.setdefault(origin)
            # Where anybody lacks a room of the total nothing stays idle: closed, these give theirs to the line.
            wanted = 1 if origin.sharing else min(len(origin.tickets), self._max_per_origin - origin.rooms)
            for _ in range(min(wanted, len(self._idle))):
                self._evicted += 1
                orders.close.append(self._take_oldest_of(next(iter(self._idle)).origin))
        else:
            self._hungry.pop(origin, None)

    def _join(self, origin: Origin[K, C]) -> Slot[K, C] | None:
        """Become a user of a shared connection with room for one more, if there is one."""
        while origin.roomy:
            slot = next(iter(origin.roomy))
            assert slot.shared is not None
            left = slot.shared.shares - slot.users
            if left <= 1:  # this one takes the last place; or it has shrunk unannounced, and takes nobody
                del origin.roomy[slot]
            if left >= 1:
                if not slot.users:
                    self._busy_shared += 1
                slot.users += 1
                self._shared_users += 1
                self._reused += 1
                return slot
        return None

    def withdraw(self, slot: Slot[K, C]) -> None:
        """Take a shared connection out of circulation: whoever uses it keeps it, nobody joins. Idempotent."""
        if not slot.retired:
            slot.retired = True
            self._draining += 1
            slot.origin.circulating -= 1
            slot.origin.roomy.pop(slot, None)

    def _take_oldest_of(self, origin: Origin[K, C]) -> Slot[K, C]:
        slot = origin.idle.popleft()
        del self._idle[slot]
        slot.in_use = True
        if slot.shared is not None:
            slot.doomed = True
            self.withdraw(slot)
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
