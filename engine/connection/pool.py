"""Connections kept for reuse, shared by threads or tasks, within limits and with a queue.

The pool knows nothing of HTTP: it moves objects that can be asked `is_usable()` and told to `close()` (`Poolable`). Who gets what
is decided by `pool_ledger`, whose docstring has the laws of order and fairness; this module adds guard, clock,
waiting, forks.

- The guard covers steps of the ledger only: opening, checking, closing and waking happen outside it.
- Whoever owns a connection, a use of one or the room for one (a caller, a ticket that was served) passes it on when it
  fails or is cancelled, and wakes who gets it.

A connection is *exclusive*, or it is *shared*: several users hold it at once (HTTP/2), see `Shareable` and `pool_sharing`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from ..backends.base import Backend
from ..errors import ClosedError, ConnectTimeout, PoolTimeout, UsageError
from .pool_forks import restart_in_forked_child
from .pool_ledger import Ledger
from .pool_limits import PoolLimits, PoolStatistics
from .pool_records import Orders, Origin, Poolable, Slot, Ticket

__all__ = ["Pool"]


K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Poolable)

# Seconds after which a guard that is still held is taken to be held by this very thread, further down its stack.
_GUARD_PATIENCE = 0.05
# How often, in seconds, a thread that waits looks for what became garbage meanwhile.
_LOOK_AROUND = 0.5


class Pool(Generic[K, C]):
    """Connections by key, within `limits`.

    Thread-safe with a blocking backend; with an async backend it belongs to the tasks of one loop. After a fork the
    child has an empty pool with new figures; the connections in it stay the parent's.

    A key (scheme, host, port, proxy, TLS identity) is hashed on every request: use a tuple of a few strings, or a
    class that computes its hash once, and keep one object per origin so that comparing is a test of identity. An attribute
    `may_share` that is true says that the connections may turn out to be shared: the first one is then waited for.

    Args:
        backend: gives clock, guard and waiters.
        limits: see `PoolLimits`.
        opener: `await opener(key, deadline)` makes a connection or raises; it is cancelled with the caller of
        `acquire`.
    """

    def __init__(self, backend: Backend, limits: PoolLimits, opener: Callable[[K, float], Awaitable[C]]) -> None:
        self._backend = backend
        self._now = backend.now
        self._limits = limits
        self._opener = opener
        self._closed = False
        self._guard = backend.create_guard()
        self._is_locked: Callable[[], bool] | None = getattr(self._guard, "locked", None)
        self._ledger: Ledger[K, C] = Ledger(limits)
        self._abandoned: deque[tuple[C, bool]] = deque()
        self._inherited: list[C] = []
        restart_in_forked_child(self)

    @property
    def limits(self) -> PoolLimits:
        """The limits given."""
        return self._limits

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def statistics(self) -> PoolStatistics:
        """A consistent snapshot of the figures."""
        with self._guard:
            return self._ledger.statistics()

    async def acquire(
        self,
        key: K,
        deadline: float,
        fresh: bool = False,
        wait_limit: float | None = None,
        open_limit: float | None = None,
    ) -> tuple[C, bool]:
        """Return a connection, for the caller alone unless it is a shared one, and whether it has served others before.

        Takes a shared connection with room for one more, or the idle connection used last; opens one when there is none
        and the limits allow, closing the one idle longest where the total is used up; else waits in line. The caller must
        `release` the connection. Cancelling loses nothing: what was being handed over goes to the next in line.

        While somebody opens the first connection to an origin that `may_share`, the others wait, which is part of their
        connecting: `open_limit` counts from then, also for who opens after all, because the one who did failed (its
        error is its own). So nobody who waits learns later than `open_limit` that the origin does not answer. If the
        connection is not for sharing, or is full, they go on as usual, with both limits together.

        Args:
            key: the origin; see the class.
            deadline: on the backend's clock, for queue and opening together. Not looked at where neither is needed.
            fresh: never take one that has been idle: for the one retry after such a connection failed. A shared one that
                is in use will do; the answer says False all the same.
            wait_limit, open_limit: seconds for standing in line and for opening, each within the deadline; None for no
                limit of their own.

        Raises:
            PoolTimeout: none became free in time.
            ConnectTimeout: … or was opened in time by the one who did it for all.
            ClosedError: the pool is closed, or was closed meanwhile.
            EngineError: whatever `opener` raises.
        """
        if not fresh:
            slot: Slot[K, C] | None = None
            try:
                with self._guard:
                    slot = self._ledger.take_idle(key)
                if slot is not None and (self._is_alive(slot) if slot.shared is None else self._joins(slot)):
                    return slot.connection, True
            except BaseException:
                if slot is not None:
                    self._drop(slot)
                raise
            if slot is not None:
                open_by = self._earlier(deadline, open_limit)
                return await self._use(slot.origin, self._replace(slot), fresh, open_by)
        return await self._open_or_wait(key, deadline, fresh, wait_limit, open_limit)

    def release(self, connection: C, reusable: bool) -> None:
        """Give back what `acquire` returned, once per use. Never waits.

        A connection that is not `reusable`, or comes back after `close`, is closed; a shared one gets no new users and is
        closed when the last of its users has released it, or now if it `is_closed` anyway. So is one that the pool does
        not know (any more): that is what a forked child does with the connections its parent was using. Not for
        finalizers: see `release_from_finalizer`.

        Raises:
            UsageError: the connection is idle in the pool: it was released before.
        """
        if self._is_locked is not None and self._is_locked() and not self._may_enter():
            self._abandoned.append((connection, reusable))
            return
        if self._abandoned:
            self._close_abandoned()
        if reusable:
            now = self._now()
            with self._guard:
                if not self._closed and self._ledger.keep(connection, now):
                    return
        self._release_slowly(connection, reusable)

    def _may_enter(self) -> bool:
        """Whether the guard, held just now, can be had: another thread holds it for microseconds.

        The garbage collector may run somebody's finalizer that closes a response (file wrappers do) in the middle of an
        operation of this very thread; waiting for the guard would then be for ever.
        """
        guard: Any = self._guard
        if guard.acquire(timeout=_GUARD_PATIENCE):
            guard.release()
            return True
        return False

    def release_from_finalizer(self, connection: C) -> None:
        """Leave a connection whose user was garbage to be closed by the next call that releases or opens one.

        A shared one loses that user and stays with the others: a stream that has to be reset is not the pool's affair.
        For `__del__` and weak reference callbacks: they run in the middle of anything, a pool operation of the same
        thread included, and must not take its guard. Callers waiting in line notice only at that next call.
        """
        self._abandoned.append((connection, True))

    def capacity_changed(self, connection: C) -> None:
        """Told that the `shares` of a connection grew or shrank: serve who waits for them.

        From any thread (async: in the loop), also from `is_usable`; not under a guard that `close` needs, and not from
        finalizers. Unknown and exclusive connections are ignored.
        """
        with self._guard:
            slot = self._ledger.find(connection)
            orders = None if slot is None else self._ledger.capacity_changed(slot)
        self._carry_out(orders)

    def retire(self, connection: C) -> None:
        """Give a shared connection no new users: the peer said goodbye, ids ran out, it broke. Idempotent.

        Its users keep it; the last one's `release` closes it. If it `is_closed` or has no users it is closed now. Where to
        call it from: see `capacity_changed`.
        """
        with self._guard:
            slot = self._ledger.find(connection)
            orders = None if slot is None else self._ledger.retire(slot)
        self._carry_out(orders)

    def detach(self, connection: C) -> None:
        """Forget a connection in use: from now on it speaks another protocol, and its user closes it.

        Raises:
            UsageError: it is not in use, or is a shared one.
        """
        with self._guard:
            slot = self._ledger.find(connection)
            if slot is None:
                return
            if not slot.in_use:
                raise UsageError("a connection that is shared or not in use cannot be detached from the pool")
            self._ledger.forget(slot)
            served = self._ledger.give_room_back(slot.origin)
        _wake(served)

    def close_idle(self) -> None:
        """Close the connections that nobody uses."""
        with self._guard:
            idle = self._ledger.take_all_idle()
        self._retire(idle)
        self._close_abandoned()

    def close(self) -> None:
        """Close what is idle, fail who waits with `ClosedError`, and close the rest as it is released. Idempotent."""
        with self._guard:
            self._closed = True
            failed = self._ledger.fail_waiters()
            self._ledger.retire_all()
            idle = self._ledger.take_all_idle()
        for ticket in failed:
            ticket.waiter.wake()
        self._retire(idle)
        self._close_abandoned()

    def _is_alive(self, slot: Slot[K, C]) -> bool:
        return self._now() - slot.idle_since < self._ledger.expiry and slot.connection.is_usable()

    def _joins(self, slot: Slot[K, C]) -> bool:
        """Whether the caller is a user of this shared connection, if need be after checking it for everybody."""
        if slot.users:
            return True
        if not self._is_alive(slot):
            return False
        with self._guard:
            orders = self._ledger.confirm(slot)
        self._carry_out(orders)
        return orders is not None

    def _drop(self, slot: Slot[K, C]) -> None:
        """Give up what was to be used, because the caller was interrupted."""
        if slot.users:
            self._release_slowly(slot.connection, True)
        else:
            self._retire((slot,))

    def _earlier(self, deadline: float, limit: float | None) -> float:
        return deadline if limit is None else min(deadline, self._now() + limit)

    async def _open_or_wait(
        self, key: K, deadline: float, fresh: bool, wait_limit: float | None, open_limit: float | None
    ) -> tuple[C, bool]:
        if self._abandoned:
            self._close_abandoned()
        slot = victim = ticket = None
        with self._guard:
            if self._closed:
                raise ClosedError("the connection pool is closed")
            # Since the first look one may have been released.
            slot = self._ledger.take_fresh(key) if fresh else self._ledger.take_idle(key)
            if slot is None:
                origin, granted, victim = self._ledger.take_room(key)
                if not granted:
                    ticket = self._ledger.enqueue(origin, fresh, self._backend.create_waiter)
            else:
                origin = slot.origin
        if victim is not None:
            victim.connection.close()
        open_by = self._earlier(deadline, open_limit)
        if ticket is not None:
            slot = await self._wait(ticket, deadline, wait_limit, open_limit)
            if not ticket.early:
                open_by = self._earlier(deadline, open_limit)
        return await self._use(origin, slot, fresh, open_by)

    async def _wait(
        self, ticket: Ticket[K, C], deadline: float, wait_limit: float | None, open_limit: float | None
    ) -> Slot[K, C] | None:
        """Wait for the grant and return its slot, or None for a room; the caller then owns it."""
        awaited = ticket.early and open_limit is not None
        try:
            woken = await self._watch(ticket, self._earlier(deadline, open_limit if awaited else wait_limit))
            if not woken and awaited and self._now() < deadline:
                with self._guard:
                    awaited = self._ledger.is_awaited(ticket.origin)
                if not awaited:
                    await self._watch(ticket, self._earlier(deadline, wait_limit))
            with self._guard:
                if ticket.granted:  # if only between the deadline and this line: still as good as any
                    return ticket.slot
                closed, figures = self._closed, self._ledger.statistics()
                awaited = ticket.early and self._ledger.is_awaited(ticket.origin)
                if open_limit is None and self._now() < deadline:
                    awaited = False  # it is `wait_limit` that ran out
                self._ledger.dequeue(ticket)
        except BaseException:
            self._forsake(ticket)
            raise
        if closed:
            raise ClosedError("the connection pool was closed while a connection was waited for")
        if awaited:
            raise ConnectTimeout("the connection that another caller was opening for all was not ready in time")
        raise PoolTimeout(
            f"no connection became free in time: {figures.in_use} in use, {figures.opening} being opened, "
            f"{figures.waiting} waiting"
        )

    async def _watch(self, ticket: Ticket[K, C], until: float) -> bool:
        """Wait to be served, and take back meanwhile what users left who became garbage: they can tell nobody."""
        while self._backend.colour == "blocking" and until > (soon := self._now() + _LOOK_AROUND):
            if await ticket.waiter.wait(soon):
                return True
            if self._abandoned:
                self._close_abandoned()
        return await ticket.waiter.wait(until)

    def _forsake(self, ticket: Ticket[K, C]) -> None:
        """Leave the line, and pass on what was granted meanwhile."""
        with self._guard:
            served, slot = self._ledger.forsake(ticket)
        _wake(served)
        if slot is not None:
            self._release_slowly(slot.connection, True)

    async def _use(self, origin: Origin[K, C], slot: Slot[K, C] | None, fresh: bool, open_by: float) -> tuple[C, bool]:
        """Find the caller's connection alive or go to the next; without one, open it in the caller's room."""
        while slot is not None:
            try:
                alive = self._is_alive(slot) if slot.shared is None else self._joins(slot)
            except BaseException:
                self._drop(slot)
                raise
            if alive:
                return slot.connection, not fresh
            slot = self._replace(slot)
        try:
            connection = await self._opener(origin.key, open_by)
        except BaseException as error:
            with self._guard:
                orders = self._ledger.give_up_room(origin, isinstance(error, Exception))
            self._carry_out(orders)
            raise
        with self._guard:
            _, orders = self._ledger.add(origin, connection)
            closed = self._closed
        self._carry_out(orders)
        if closed:
            self._release_slowly(connection, False)
            raise ClosedError("the connection pool was closed while a connection was opened")
        return connection, False

    def _replace(self, slot: Slot[K, C]) -> Slot[K, C] | None:
        """Close a dead connection; return the next idle one of its origin, or None: the room is then the caller's.

        Who was served once does not queue again behind those who came later.
        """
        slot.connection.close()
        served = None
        with self._guard:
            self._ledger.count_dead(slot, self._now())
            self._ledger.strike_out(slot)
            found = self._ledger.take_idle(slot.origin.key)
            closed = self._closed
            if found is not None or closed:
                served = self._ledger.give_room_back(slot.origin)
        _wake(served)
        if closed:
            raise ClosedError("the connection pool is closed")
        return found

    def _release_slowly(self, connection: C, reusable: bool) -> None:
        """Release where there is more to do than to make a connection idle."""
        served, surplus = None, []
        with self._guard:
            slot = self._ledger.find(connection)
            if slot is not None and not slot.in_use and not slot.users:
                raise UsageError("the connection was released before")
            orders = None
            if slot is not None and slot.shared is not None:
                orders = self._ledger.leave(slot, reusable and not self._closed, self._now())
            elif slot is not None and reusable and not self._closed:
                now = self._now()
                served, spent = self._ledger.pass_on(slot, now)
                surplus = [slot] if spent else self._ledger.take_surplus(now)
            elif slot is not None:
                surplus = [slot]
        _wake(served)
        self._carry_out(orders)
        if slot is None:
            connection.close()
        self._retire(surplus)

    def _carry_out(self, orders: Orders[K, C] | None) -> None:
        if orders is not None:
            for ticket in orders.wake:
                ticket.waiter.wake()
            self._retire(orders.close)

    def _retire(self, slots: Iterable[Slot[K, C]]) -> None:
        """Close connections that were taken out of circulation, and only then give their rooms to others."""
        for slot in slots:
            slot.connection.close()
            with self._guard:
                self._ledger.strike_out(slot)
                served = self._ledger.give_room_back(slot.origin)
            _wake(served)

    def _close_abandoned(self) -> None:
        while True:
            try:
                connection, reusable = self._abandoned.popleft()
            except IndexError:  # another thread may have taken the last
                return
            with self._guard:
                orders, slot = None, self._ledger.find(connection)
                lost = slot is not None and slot.in_use and slot.shared is None  # not if released after all
                if slot is not None and slot.users:
                    orders = self._ledger.leave(slot, reusable and not self._closed, self._now())
            if slot is not None and lost:
                self._retire((slot,))
            self._carry_out(orders)

    def restart_in_child(self) -> None:
        """Begin anew in a forked child: only the forking thread lives on, and another may have held the guard."""
        inherited = self._ledger.idle_connections()
        self._guard = self._backend.create_guard()
        self._is_locked = getattr(self._guard, "locked", None)
        self._ledger = Ledger(self._limits)
        self._abandoned = deque()
        if self._backend.colour == "blocking":
            for connection in inherited:
                connection.close()  # the descriptor only: no goodbye on the parent's TLS session
        else:
            # Closing through a loop removes the socket from the epoll set, which the child shares with the parent's
            # loop. Kept, so that no finalizer does it either.
            self._inherited += inherited


def _wake(ticket: Ticket[Any, Any] | None) -> None:
    if ticket is not None:
        ticket.waiter.wake()
