"""The h2 library on a blocking socket, many streams at a time in one loop: a new one begins as soon as one ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bench.contenders.raw_h2 import Exchange
from bench.job import Job


@contextlib.contextmanager
def h2_many(job: Job) -> Iterator[Callable[[int], int]]:
    exchange = Exchange(job)
    with exchange.sock:

        def operation(count: int) -> int:
            total = 0
            begun = min(job.concurrency, count)
            for _ in range(begun):
                exchange.send_head("GET")
            left = count
            while left:
                exchange.flush()
                for event in exchange.receive():
                    length, ended = exchange.take(event)
                    total += length
                    if ended:
                        left -= 1
                        if begun < count:
                            exchange.send_head("GET")
                            begun += 1
            return total

        yield operation
