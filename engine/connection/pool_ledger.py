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
- while an origin's callers wait it has no idle connection that they want, and while anybody lacks a room of the total (an
  origin in `_hungry`) the total is used up and nothing at all is idle, or just being closed for it. Hence a newcomer
  never overtakes, one room given back serves at most one ticket, and a connection becomes idle only when nobody waits
  for it.

The books are in three parts, each the base of the next: `pool_rooms` (limits and lines), `pool_sharing` (shared
connections, with laws of its own), and this one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from .pool_limits import PoolStatistics
from .pool_records import Origin, Slot, Ticket
from .pool_sharing import SharedBooks

__all__ = ["Ledger"]

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


class Ledger(SharedBooks[K, C]):
    """The books. Every method requires holding the pool's guard."""

    # Taking

    def take_idle(self, key: K) -> Slot[K, C] | None:
        """Take a use of a shared connection of `key`, see `take_shared`, or the idle connection used last."""
        origin = self._origins.get(key)
        if origin is None:
            return None
        if origin.circulating:
            return self.take_shared(origin)
        if not origin.idle:
            return None
        slot = origin.idle.pop()
        del self._idle[slot]
        slot.in_use = True
        self._reused += 1
        return slot

    def take_fresh(self, key: K) -> Slot[K, C] | None:
        """Take a use of a shared connection in use: it has served, but its users would know if it were stale."""
        origin = self._origins.get(key)
        return None if origin is None else self._join(origin)

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
        if origin.tickets:
            return origin, False, None
        if not self._may_open(origin):
            if origin.idle and not (self.is_awaited(origin) and origin.rooms < self._max_per_origin):
                victim = origin.idle[0]  # idle, yet unwanted: the caller insists on a fresh one
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

    # Giving back

    def keep(self, connection: C, now: float) -> bool:
        """Make a connection idle if there is nothing else to do; on False nothing has changed, and `pass_on` is due."""
        slot = self._slots.get(connection)
        if slot is None or not slot.in_use:
            return slot is not None and self.leave_quietly(slot, now)
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
        if self.starving(mine) is not None:
            return None, True
        if mine is None:
            self._make_idle(slot, now)
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

    def count_dead(self, slot: Slot[K, C], now: float) -> None:
        """Note that a connection taken for reuse turned out too old or stale."""
        self._reused -= 1
        if self.is_expired(slot, now):
            self._expired += 1
        else:
            self._stale += 1

    # Clearing out

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
            users=count - idle - self._busy_shared + self._shared_users,
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
