"""Running the children of one scenario in turns: A B C, A B C, …, so that a slow moment of the machine hits everybody."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.contenders import CONTENDERS, Contender
from bench.job import Job
from bench.scenarios import Scenario

__all__ = ["Result", "measure_imports", "measure_work"]

ROOT = Path(__file__).resolve().parents[1]
VERSION_OF = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"


@dataclass
class Result:
    """What was measured of one contender; seconds an operation, one entry a round; bytes of memory."""

    name: str
    ours: bool
    version: str | None = None
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    growth: int | None = None
    unavailable: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with times rounded to a tenth of a microsecond."""
        data = asdict(self)
        data["wall"] = [round(value, 7) for value in self.wall]
        data["cpu"] = [round(value, 7) for value in self.cpu]
        return data


def environment() -> dict[str, str]:
    """The caller's without proxies (all stays on the loopback) and trust stores (requests prefers them to `verify`).

    Bytecode is written: our modules are run from the source tree, those of others came compiled from their packages.
    """
    stores = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONDONTWRITEBYTECODE")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and name.upper() not in stores
    }


def interpreter(contender: Contender) -> str | None:
    """The Python that has the contender; None when its own environment was not made."""
    if contender.environment is None:
        return sys.executable
    path = ROOT / contender.environment / "bin" / "python"
    return str(path) if path.exists() else None


class Child:
    """The process of one contender, on these CPUs. Use as a context manager."""

    def __init__(self, contender: Contender, job: Job, warm_up: int, cpus: set[int] | None = None) -> None:
        self.result = Result(contender.name, contender.ours)
        self.absent = False
        self._process: subprocess.Popen[str] | None = None
        python = interpreter(contender)
        if python is None:
            self.result.unavailable = f"{contender.environment} was not made (make bench does)"
            return
        command = [python, "-m", "bench.child"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if cpus is not None:
            os.sched_setaffinity(self._process.pid, cpus)
        order = {
            "module": contender.module,
            "distribution": contender.distribution,
            "colour": contender.colour,
            "job": job.as_dict(),
        }
        answer = self._ask({**order, "warm_up": warm_up})
        self.absent = "absent" in answer
        self.result.version = answer.get("version")
        self.result.growth = answer.get("growth")

    def round(self, count: int) -> None:
        """One round of measurement, unless the contender has dropped out."""
        if self.absent or self.result.unavailable:
            return
        answer = self._ask({"count": count})
        if "wall" in answer:
            self.result.wall.append(answer["wall"])
            self.result.cpu.append(answer["cpu"])

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"unavailable": "failed: the process died"}
        self.result.unavailable = answer.get("unavailable")
        return answer

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def measure_work(scenario: Scenario, job: Job, rounds: int, count: int, cpus: set[int] | None = None) -> list[Result]:
    """Every contender of the scenario's colours, `rounds` times in turns, on these CPUs."""
    with contextlib.ExitStack() as stack:
        chosen = [
            contender
            for contender in CONTENDERS
            if contender.colour in scenario.colours and contender.websocket is scenario.websocket
        ]
        warm_up = min(count, 50 * scenario.concurrency)
        children = [stack.enter_context(Child(contender, job, warm_up, cpus)) for contender in chosen]
        for _ in range(rounds):
            for child in children:
                child.round(count)
    return [child.result for child in children if not child.absent]


def run_once(python: str, statement: str) -> tuple[float, float]:
    """Wall and CPU seconds of one interpreter that runs a statement; its failure is an error."""
    started = time.perf_counter()
    process = subprocess.Popen([python, "-c", statement], cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ImportError(f"`{statement}` failed")
    return wall, usage.ru_utime + usage.ru_stime


def version_of(python: str, distribution: str | None) -> str | None:
    if distribution is None:
        return None
    command = [python, "-c", VERSION_OF, distribution]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def measure_imports(rounds: int) -> list[Result]:
    """Import time of each library, less that of an empty interpreter of the same environment in the same turn."""
    pairs: list[tuple[Result, Contender, str]] = []
    results = []
    for contender in (contender for contender in CONTENDERS if contender.imports):
        result = Result(contender.name, contender.ours)
        results.append(result)
        python = interpreter(contender)
        if python is None:
            result.unavailable = f"{contender.environment} was not made (make bench does)"
            continue
        result.version = version_of(python, contender.distribution)
        pairs.append((result, contender, python))
    for result, contender, python in _turns(pairs, rounds):
        if result.unavailable:
            continue
        try:
            empty, full = run_once(python, "pass"), run_once(python, f"import {contender.imports}")
        except ImportError as error:
            result.unavailable = str(error)
            continue
        result.wall.append(max(full[0] - empty[0], 0.0))
        result.cpu.append(max(full[1] - empty[1], 0.0))
    return results


def _turns(pairs: list[tuple[Result, Contender, str]], rounds: int) -> Iterator[tuple[Result, Contender, str]]:
    for turn in range(rounds + 1):
        yield from pairs
        if turn == 0:  # the first turn compiles and fills caches
            for result, _, _ in pairs:
                result.wall.clear()
                result.cpu.clear()
