"""What two runs of one suite, with the original and with the engine below it, say about each other.

Laws:

- only what the original passes counts: a test that fails with both says nothing about the engine;
- a test that was lost on the way (its module broke, the run ended early) counts as failed;
- a difference is forgiven only by name, with a reason and a piece of the failure's text, in a list that somebody reviewed:
  a test that fails in another way than the one that was looked at is not forgiven.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "FAILED",
    "HEADING",
    "ORIGINAL",
    "PASSED",
    "SKIPPED",
    "CannotRun",
    "Review",
    "Run",
    "Suite",
    "Verdict",
    "compare",
    "joined",
    "judge",
    "line_of",
    "load",
    "save",
]

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
ORIGINAL = "original"
_FORMAT = "{:<22} {:<8} {:>7} {:>7} {:>7}"
HEADING = _FORMAT.format("suite", "mode", PASSED, FAILED, SKIPPED)


class CannotRun(Exception):
    """A suite could not be had, or did not run."""


@dataclass(frozen=True)
class Review:
    """Why the engine need not pass a test.

    Attributes:
        reason: what the test asks for that is the original's own affair.
        text: what the failure says where it is that.
        modes: in which it fails; nothing for all.
    """

    reason: str
    text: str
    modes: tuple[str, ...] = ()

    def forgives(self, run: Run, test: str) -> bool:
        """Whether that is how the test failed."""
        return self.concerns(run.mode) and self.text in run.failures.get(test, "")

    def concerns(self, mode: str) -> bool:
        """Whether the test is expected to fail in a mode."""
        return not self.modes or mode in self.modes


@dataclass(frozen=True)
class Run:
    """One run of one suite.

    Attributes:
        suite: what was run.
        mode: "original", or how the engine got below it.
        outcomes: the outcome of each test by its name.
        failures: what the failed ones said.
        exchanges: how many requests went through the engine.
        past: how many connections http.client, or urllib3's pools, opened past it.
    """

    suite: str
    mode: str
    outcomes: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)
    exchanges: int = 0
    past: int = 0


@dataclass(frozen=True)
class Suite:
    """A suite that can be run.

    Attributes:
        name: what it is called.
        version: of the original that it is for.
        modes: how the engine gets below the original.
        uses_network: whether it sends requests, so that a run without any proves nothing.
        run: runs it, in a process of its own, in the mode that is given: "original" or one of `modes`.
        reviewed: the tests that the engine need not pass, by name.
    """

    name: str
    version: str
    modes: tuple[str, ...]
    uses_network: bool
    run: Callable[[str], Run]
    reviewed: Mapping[str, Review]


@dataclass(frozen=True)
class Verdict:
    """What came out of a run with the engine.

    Attributes:
        run: it.
        notes: what a reader may want to know, in lines.
        faults: what makes it fail, in lines; nothing when it does not.
        reviewed: the tests that did not pass and were forgiven.
    """

    run: Run
    notes: list[str]
    faults: list[str]
    reviewed: list[str]


def save(path: Path, outcomes: Mapping[str, str], failures: Mapping[str, str], exchanges: int, past: int) -> None:
    """Write what a child process found."""
    found = {"outcomes": dict(outcomes), "failures": dict(failures), "exchanges": exchanges, "past": past}
    path.write_text(json.dumps(found), encoding="utf-8")


def load(path: Path, suite: str, mode: str) -> Run:
    """Read what a child process wrote with `save`."""
    return Run(suite, mode, **json.loads(path.read_text(encoding="utf-8")))


def joined(one: Run, other: Run) -> Run:
    """Two parts of a run as one."""
    return Run(
        one.suite,
        one.mode,
        {**one.outcomes, **other.outcomes},
        {**one.failures, **other.failures},
        one.exchanges + other.exchanges,
        one.past + other.past,
    )


def line_of(run: Run) -> str:
    """The run as a line under `HEADING`."""
    count = Counter(run.outcomes.values())
    return _FORMAT.format(run.suite, run.mode, count[PASSED], count[FAILED], count[SKIPPED])


def judge(original: Run) -> Iterator[str]:
    """What makes the run with the original worthless, in lines."""
    if PASSED not in original.outcomes.values():
        yield f"{original.suite}: nothing passes with the original, so nothing was compared"
    if original.exchanges:
        yield f"{original.suite}: {original.exchanges} requests of the original went through the engine"


def compare(original: Run, engine: Run, reviewed: Mapping[str, Review], *, uses_network: bool) -> Verdict:
    """Judge a run with the engine.

    Args:
        original, engine: the runs.
        reviewed, uses_network: see `Suite`.
    """
    notes, faults = [], []
    forgiven: dict[str, str] = {}
    for name, outcome in original.outcomes.items():
        ours = engine.outcomes.get(name, "was not run")
        review = reviewed.get(name)
        if outcome == FAILED:
            notes.append(f"failed with the original too: {name} ({ours} with the engine)")
        elif ours == PASSED and review is not None and review.concerns(engine.mode):
            notes.append(f"passes now, needs no review any more: {name}")
        elif outcome == PASSED and ours != PASSED:
            if review is not None and review.forgives(engine, name):
                forgiven[name] = review.reason
            else:
                said = engine.failures.get(name, "")
                faults.append(
                    f"{engine.suite} {engine.mode}: {name} passes with the original; with the engine: {ours}\n{said}"
                )
    if uses_network and not engine.exchanges:
        faults.append(f"{engine.suite} {engine.mode}: no request went through the engine, so nothing was tested")
    for reason, count in Counter(forgiven.values()).items():
        notes.append(f"reviewed, {count} failed: {reason}")
    if engine.exchanges or engine.past:
        notes.append(f"{engine.exchanges} requests through the engine, {engine.past} connections past it")
    return Verdict(engine, notes, faults, list(forgiven))
