"""The part of a pool's books that is about shared connections: those that several users hold at once.

Laws:

- a shared connection counts one room however many use it. It is *in circulation* until it is retired; retired, it stays
  with its users and is closed by the last of them, or at once when it is closed anyway;
- while an origin's callers wait no connection in circulation has room for them, so a newcomer never overtakes;
- where connections are expected to be shared, at most `max_shared_per_origin` circulate and one is opened at a time, for
  everybody; who waits for the very first does so as part of connecting. An opening that fails lets two of the line try,
  so that a line of n is through after log2(n) failures on end, not n. One that turns out exclusive lets them all;
- a connection that was idle is checked by one alone before anybody uses it, while others stand in line;
- without users nobody reads a connection: one that then has no room for any would never learn better, and is closed;
- no origin starves another: when a use ends and the one who waits longest needs a room, the connection is retired,
  provided that there are fewer retired ones, whose rooms will come back, than origins in need of one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

from .pool_records import Orders, Origin, Slot, Ticket
from .pool_rooms import Rooms

__all__ = ["SharedBooks"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


class SharedBooks(Rooms[K, C]):
    """Steps with shared connections. Every method requires holding the pool's guard."""

    def add(self, origin: Origin[K, C], connection: C) -> tuple[Slot[K, C], Orders[K, C]]:
        """Enter the connection that was opened in a room of `origin`, and tell who waited for how it turns out."""
        orders: Orders[K, C] = Orders()
        slot = self._slots[connection] = Slot(origin, connection)
        origin.slots += 1
        origin.tries = 1
        self._created += 1
        shared: Any = connection
        if getattr(connection, "shares", None) is None:
            if not origin.sharing:
                return slot, orders
            origin.sharing = False
        else:
            slot.shared = shared
            surplus = origin.circulating >= self._max_shared
            origin.circulating += 1
            origin.sharing = True
            self._begin_sharing(slot)
            if surplus:  # its opener needed it; one for everybody is there
                self.withdraw(slot)
        self._serve(origin, orders)
        return slot, orders

    def take_shared(self, origin: Origin[K, C]) -> Slot[K, C] | None:
        """Take a use of a shared connection, or else an idle connection; a shared one that was idle is to be `confirm`ed.

        With one that is in use the slot has `users`, and needs no check.
        """
        slot = self._join(origin)
        if slot is None and origin.idle:
            slot = origin.idle.pop()
            del self._idle[slot]
            slot.in_use = True
            self._reused += 1
            if slot.shared is not None:
                slot.checking = True
                origin.checks += 1
        return slot

    def confirm(self, slot: Slot[K, C]) -> Orders[K, C] | None:
        """Let everybody use the shared connection that was checked; None when it is not fit for it."""
        if slot.retired or slot.shared is None or slot.shared.shares <= 0:
            return None
        orders: Orders[K, C] = Orders()
        slot.checking = False
        slot.origin.checks -= 1
        self._begin_sharing(slot)
        self._serve(slot.origin, orders)
        return orders

    def leave(self, slot: Slot[K, C], reusable: bool, now: float) -> Orders[K, C]:
        """End one use of a shared connection."""
        orders: Orders[K, C] = Orders()
        origin, shared = slot.origin, slot.shared
        assert shared is not None
        slot.users -= 1
        self._shared_users -= 1
        if not slot.users:
            self._busy_shared -= 1
        if slot.doomed:
            return orders
        if not reusable:
            self.withdraw(slot)
        starving = self.starving(next(iter(origin.tickets), None)) is not None
        if slot.users:
            if slot.retired:
                if not reusable and shared.is_closed:
                    self._doom(slot, orders)
            elif starving and self._draining < len(self._hungry):
                self.withdraw(slot)
            elif slot.users < shared.shares:
                origin.roomy[slot] = None
        elif slot.retired or starving or shared.shares <= 0:
            self._doom(slot, orders)
        else:
            origin.roomy[slot] = None
        self._serve(origin, orders)
        if not slot.users and not slot.doomed:
            del origin.roomy[slot]
            self._make_idle(slot, now)
            orders.close += self.take_surplus(now)
        return orders

    def leave_quietly(self, slot: Slot[K, C], now: float) -> bool:
        """End a use where there is nothing else to do; on False nothing has changed, and `leave` is due."""
        shared, origin = slot.shared, slot.origin
        if shared is None or slot.retired or not slot.users or origin.tickets or self._hungry:
            return False
        shares = shared.shares
        if slot.users == 1:
            if shares <= 0 or now >= self._prune_at or len(self._idle) >= self._max_idle:
                return False
            origin.roomy.pop(slot, None)
            self._busy_shared -= 1
            self._make_idle(slot, now)
        elif slot.users <= shares and slot not in origin.roomy:
            origin.roomy[slot] = None
        slot.users -= 1
        self._shared_users -= 1
        return True

    def capacity_changed(self, slot: Slot[K, C]) -> Orders[K, C]:
        """Look again at how many users a shared connection takes."""
        orders: Orders[K, C] = Orders()
        shared, origin = slot.shared, slot.origin
        if shared is None or slot.retired or slot.checking:
            return orders
        if slot.users < shared.shares:
            if slot.users:
                origin.roomy[slot] = None
                self._serve(origin, orders)
        elif slot.users:
            origin.roomy.pop(slot, None)
        else:
            self._remove_idle(slot)
            self._doom(slot, orders)
        return orders

    def retire(self, slot: Slot[K, C]) -> Orders[K, C]:
        """Give a shared connection no new users; close it when it has none left, or is closed anyway."""
        orders: Orders[K, C] = Orders()
        shared = slot.shared
        if shared is None or slot.doomed:
            return orders
        self.withdraw(slot)
        if slot.checking:  # who checks finds out
            return orders
        if not slot.users:
            self._remove_idle(slot)
        if not slot.users or shared.is_closed:
            self._doom(slot, orders)
        self._serve(slot.origin, orders)
        return orders

    def retire_all(self) -> None:
        """Give no shared connection new users: the pool is closed, and nobody waits any more."""
        for slot in self._slots.values():
            if slot.shared is not None:
                self.withdraw(slot)

    def forget(self, slot: Slot[K, C]) -> None:
        """Strike out a connection that goes its own way; its room stays taken."""
        origin = slot.origin
        del self._slots[slot.connection]
        origin.slots -= 1
        if slot.shared is None:
            return
        if slot.checking:
            origin.checks -= 1
        if slot.users:
            self._busy_shared -= 1
            self._shared_users -= slot.users
        self.withdraw(slot)
        self._draining -= 1

    def strike_out(self, slot: Slot[K, C]) -> None:
        """Strike out a connection that was closed; its room stays taken."""
        self.forget(slot)
        self._closures += 1

    def starving(self, mine: Ticket[K, C] | None) -> Origin[K, C] | None:
        """The origin that lacks a room of the total and has waited longer than `mine`, the head of another line."""
        origin = next(iter(self._hungry), None)
        if origin is not None and (mine is None or next(iter(origin.tickets)).number < mine.number):
            return origin
        return None

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

    def _begin_sharing(self, slot: Slot[K, C]) -> None:
        """Make who opened or checked a shared connection its first user, whatever it says of room."""
        slot.in_use = False
        slot.users = 1
        self._busy_shared += 1
        self._shared_users += 1
        if slot.shared is not None and slot.shared.shares > 1:
            slot.origin.roomy[slot] = None

    def _doom(self, slot: Slot[K, C], orders: Orders[K, C]) -> None:
        self.withdraw(slot)
        slot.doomed = True
        orders.close.append(slot)

    def _make_idle(self, slot: Slot[K, C], now: float) -> None:
        slot.in_use = False
        slot.idle_since = now
        slot.origin.idle.append(slot)
        self._idle[slot] = None

    def _remove_idle(self, slot: Slot[K, C]) -> None:
        """Take one out of the middle: an origin has no more idle shared connections than may circulate, mostly one."""
        del self._idle[slot]
        slot.origin.idle.remove(slot)
