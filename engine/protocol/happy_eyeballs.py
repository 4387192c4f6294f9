"""The race between the addresses of one host (Happy Eyeballs, RFC 8305 sections 4 and 5), without sockets or clock.

The driver starts connections and reports how they end; the machine says which address is next and when. Laws:

- every address is tried at most once, in the order of `order_addresses`;
- the next attempt starts when the head start of the one before has passed, or at once when no attempt is left running
  or the attempt started last has failed;
- after the first success nothing is started any more, and the attempts still running are the losers;
- when every address has failed, `failures` holds all of them in the order in which they failed.

A driver looks like this::

    race = Race(order_addresses(found), head_start=0.25)
    while not race.is_over:
        while (number := race.start_next(now())) is not None:
            begin(number, race.addresses[number])   # race.failed(number, error) if it cannot even begin
        … wait for an attempt to end, or until race.next_start …
        race.failed(number, error)  or  race.succeeded(number)
"""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["DEFAULT_HEAD_START", "Race", "order_addresses"]

A = TypeVar("A")

DEFAULT_HEAD_START = 0.25
"""Seconds between two attempts: RFC 8305 section 8 recommends 250 ms."""


def order_addresses(addresses: Iterable[tuple[int, A]]) -> list[tuple[int, A]]:
    """Order the (family, address) pairs of one host for a race (RFC 8305 section 4).

    IPv6 comes first and the families alternate for as long as both last; within a family the resolver's order, which is
    that of RFC 6724, is kept. An address that is given twice is kept once.
    """
    six: list[tuple[int, A]] = []
    others: list[tuple[int, A]] = []
    for pair in addresses:
        family = six if pair[0] == socket.AF_INET6 else others
        if pair not in family:
            family.append(pair)
    ordered: list[tuple[int, A]] = []
    for number in range(max(len(six), len(others))):
        ordered += six[number : number + 1]
        ordered += others[number : number + 1]
    return ordered


class Race(Generic[A]):
    """One race over addresses, which it names by their number in the order given. See the module's laws.

    Args:
        addresses: (family, address) pairs in the order to try them.
        head_start: seconds an attempt runs before the next one may start beside it; 0 starts all at once, `math.inf`
            waits for each to fail.

    Attributes:
        addresses: what was given.
        failures: (number, error) of each attempt that failed, in the order of failing.
        winner: the number of the address that was reached, or None.
        next_start: when the next attempt falls due, on the clock of the caller; `math.inf` when that depends on a failure
            or no address is left, `-math.inf` for at once.

    Raises:
        UsageError: `head_start` is negative or not a number.
    """

    __slots__ = ("_head_start", "_next", "_running", "addresses", "failures", "next_start", "winner")

    def __init__(self, addresses: Sequence[tuple[int, A]], head_start: float = DEFAULT_HEAD_START) -> None:
        if not head_start >= 0:
            raise UsageError(f"the head start must be zero seconds or more, not {head_start!r}")
        self.addresses = tuple(addresses)
        self.failures: list[tuple[int, Exception]] = []
        self.winner: int | None = None
        self.next_start = -math.inf if self.addresses else math.inf
        self._head_start = head_start
        self._next = 0
        self._running: set[int] = set()

    @property
    def running(self) -> frozenset[int]:
        """The numbers of the attempts that were started and have not ended; after a success, the losers to abandon."""
        return frozenset(self._running)

    @property
    def is_over(self) -> bool:
        """Whether there is a winner, or every address has failed."""
        return self.winner is not None or (self._next == len(self.addresses) and not self._running)

    def start_next(self, now: float) -> int | None:
        """Return the number of the address to try now, which counts as running from here on; None: wait.

        Call it again until it gives None: with a head start of zero several are due at once.
        """
        if now < self.next_start or self._next == len(self.addresses) or self.winner is not None:
            return None
        number = self._next
        self._next += 1
        self._running.add(number)
        self.next_start = now + self._head_start if self._next < len(self.addresses) else math.inf
        return number

    def failed(self, number: int, error: Exception) -> None:
        """Report that a running attempt failed, even if it failed at once."""
        self._running.remove(number)
        self.failures.append((number, error))
        # The head start is for the attempt started last: an older one that fails meanwhile takes nothing from it.
        last = number == self._next - 1
        if (last or not self._running) and self._next < len(self.addresses) and self.winner is None:
            self.next_start = -math.inf

    def succeeded(self, number: int) -> None:
        """Report that a running attempt is connected: it wins unless one did before."""
        self._running.remove(number)
        if self.winner is None:
            self.winner = number
            self.next_start = math.inf
