"""One contender in a process of its own, driven by lines of JSON on standard input.

The first line names the contender and the job; the answer is `ready` (with the memory that a first operation took, in a
process that has done nothing else), `unavailable` with a reason, or `absent` when the contender does not do such work.
Each further line `{"count": n}` is one round of n operations; the answer is its wall and CPU time. The end of the input
ends the process. CPU time is user and system time of this process, all threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.metadata
import inspect
import json
import re
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.job import Job

__all__ = ["main"]


def memory_now() -> int:
    """Resident memory in bytes; on Linux also makes `memory_peak` start anew."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return _status("VmRSS")
    except OSError:
        return memory_peak()


def memory_peak() -> int:
    """The most memory that was resident at a time, in bytes."""
    try:
        return _status("VmHWM")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return int(line.split()[1]) * 1024


def reason(error: Exception) -> str:
    """An error in one short line, without the paths of this machine that an ImportError ends with."""
    text = re.sub(r" \((/[^)]*|unknown location)\)", "", f"{type(error).__name__}: {error}")
    return text if len(text) <= 160 else f"{text[:159]}…"


class Worker:
    """A contender made ready: `round(count)` does the work and returns the bytes moved."""

    def __init__(self, make: Callable[[Job], Any], job: Job, colour: str) -> None:
        self._job = job
        self._colour = colour
        self._threads = ThreadPoolExecutor(job.concurrency) if colour == "sync" and job.concurrency > 1 else None
        self._is_async = inspect.isasyncgenfunction(inspect.unwrap(make))
        self._context = make(job)
        if self._is_async:
            self._loop = asyncio.new_event_loop()
            self._operation = self._loop.run_until_complete(self._context.__aenter__())
        else:
            self._operation = self._context.__enter__()

    def round(self, count: int) -> int:
        if self._is_async:
            return self._loop.run_until_complete(self._several(count))
        operation = self._operation
        if self._colour == "batch":
            moved: int = operation(count)
            return moved
        if self._threads is not None:
            return sum(self._threads.map(lambda share: sum(operation() for _ in range(share)), self._shares(count)))
        return sum(operation() for _ in range(count))

    def _shares(self, count: int) -> list[int]:
        """How many operations each of those who work at the same time does."""
        lanes = min(self._job.concurrency, count)
        return [count // lanes + (lane < count % lanes) for lane in range(lanes)]

    async def _several(self, count: int) -> int:
        async def some(share: int) -> int:
            total = 0
            for _ in range(share):
                total += await self._operation()
            return total

        return sum(await asyncio.gather(*map(some, self._shares(count))))

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()
        if self._is_async:
            self._loop.run_until_complete(self._context.__aexit__(None, None, None))
            self._loop.close()
        else:
            self._context.__exit__(None, None, None)


def measure(worker: Worker, job: Job, count: int) -> dict[str, float]:
    """One round; seconds. A body of another length than expected is an error."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    moved = worker.round(count)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if moved != count * job.size:
        raise ValueError(f"{moved} bytes moved instead of {count * job.size}")
    return {"wall": wall / count, "cpu": cpu / count}


def prepare(order: dict[str, Any]) -> tuple[Worker | None, Job, dict[str, Any]]:
    job = Job(**order["job"])
    try:
        module = importlib.import_module(f"bench.contenders.{order['module']}")
    except Exception as error:
        return None, job, {"unavailable": reason(error)}
    make = getattr(getattr(module, "work", module), job.work, None)
    if make is None:
        return None, job, {"absent": True}
    version = importlib.metadata.version(order["distribution"]) if order["distribution"] else None
    try:
        worker = Worker(make, job, order["colour"])
        before = memory_now()
        measure(worker, job, 1)
        growth = memory_peak() - before
        measure(worker, job, order["warm_up"])
    except Exception as error:
        return None, job, {"unavailable": f"failed: {reason(error)}", "version": version}
    return worker, job, {"ready": True, "version": version, "growth": growth}


def main() -> None:
    """Answer orders until the input ends."""
    orders = map(json.loads, sys.stdin)
    answers, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not spoil the answers
    worker, job, answer = prepare(next(orders))
    print(json.dumps(answer), file=answers, flush=True)
    if worker is None:
        return
    with contextlib.closing(worker):
        for order in orders:
            try:
                answer = measure(worker, job, order["count"])
            except Exception as error:
                answer = {"unavailable": f"failed: {reason(error)}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
