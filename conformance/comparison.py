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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAILED", "HEADING", "PASSED", "SKIPPED", "Review", "Run", "compare", "line_of", "load", "save"]

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
_FORMAT = "{:<22} {:<8} {:>7} {:>7} {:>7}"
HEADING = _FORMAT.format("suite", "mode", PASSED, FAILED, SKIPPED)


@dataclass(frozen=True)
class Review:
    """Why the engine need not pass a test.

    Attributes:
        reason: what the test asks for that is the original's own affair.
        text: what the failure says where it is that.
    """

    reason: str
    text: str


@dataclass(frozen=True)
class Run:
    """One run of one suite.

    Attributes:
        suite: what was run.
        mode: "original" or "engine".
        outcomes: the outcome of each test by its name.
        failures: what the failed ones said.
        exchanges: how many requests went through the engine.
    """

    suite: str
    mode: str
    outcomes: Mapping[str, str]
    failures: Mapping[str, str]
    exchanges: int


def save(path: Path, outcomes: Mapping[str, str], failures: Mapping[str, str], exchanges: int) -> None:
    """Write what a child process found."""
    found = {"outcomes": dict(outcomes), "failures": dict(failures), "exchanges": exchanges}
    path.write_text(json.dumps(found), encoding="utf-8")


def load(path: Path, suite: str, mode: str) -> Run:
    """Read what a child process wrote with `save`."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Run(suite, mode, found["outcomes"], found["failures"], found["exchanges"])


def line_of(run: Run) -> str:
    """The run as a line under `HEADING`."""
    count = Counter(run.outcomes.values())
    return _FORMAT.format(run.suite, run.mode, count[PASSED], count[FAILED], count[SKIPPED])


def compare(original: Run, engine: Run, reviewed: Mapping[str, Review], *, uses_network: bool) -> list[str]:
    """Print both runs and their differences.

    Args:
        original, engine: the runs.
        reviewed: the tests that the engine need not pass, by name.
        uses_network: whether the suite sends requests, so that a run without any proves nothing.

    Returns:
        What makes the comparison fail, in lines; nothing when it does not.
    """
    print(line_of(original))
    print(line_of(engine))
    faults = []
    for name, outcome in original.outcomes.items():
        ours = engine.outcomes.get(name, "was not run")
        said = engine.failures.get(name, "")
        review = reviewed.get(name)
        if outcome == FAILED:
            print(f"  failed with the original too: {name} ({ours} with the engine)")
        elif ours == PASSED and review is not None:
            print(f"  passes now, needs no review any more: {name}")
        elif outcome == PASSED and ours != PASSED:
            if review is not None and review.text in said:
                print(f"  reviewed: {name}: {review.reason}")
            else:
                faults.append(f"{engine.suite}: {name} passes with the original; with the engine: {ours}\n{said}")
    if PASSED not in original.outcomes.values():
        faults.append(f"{original.suite}: nothing passes with the original, so nothing was compared")
    if uses_network and not engine.exchanges:
        faults.append(f"{engine.suite}: no request went through the engine, so nothing was tested")
    if original.exchanges:
        faults.append(f"{original.suite}: {original.exchanges} requests of the original went through the engine")
    return faults
