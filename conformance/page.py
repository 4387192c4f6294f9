"""The figures of docs/compatibility.md: made of what was written down of the last run with each version of Python.

The rest of that document is written by hand; what stands between two marks is replaced.
"""

from __future__ import annotations

import datetime
import json
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from conformance.comparison import FAILED, ORIGINAL, PASSED, SKIPPED, Run, Suite, Verdict
from conformance.reviewed import REVIEWED

__all__ = ["PAGE", "RESULTS", "is_whole", "put_in", "read_results", "render", "results_of", "update"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
RESULTS = ROOT / "conformance" / "results"

_BEGIN = "<!-- written by make conformance: begin -->\n"
_END = "<!-- written by make conformance: end -->\n"

Results = dict[str, Any]


def results_of(done: Iterable[tuple[Suite, Run, Sequence[Verdict]]]) -> Results:
    """What is kept of the suites that were run with this Python."""
    suites = {}
    for suite, original, verdicts in done:
        both = sorted(name for name, outcome in original.outcomes.items() if outcome == FAILED)
        runs = {ORIGINAL: _counts(original)}
        for verdict in verdicts:
            runs[verdict.run.mode] = {**_counts(verdict.run), "reviewed": sorted(verdict.reviewed)}
        suites[suite.name] = {"version": suite.version, "failed with the original": both, "runs": runs}
    return {
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "suites": suites,
    }


def _counts(run: Run) -> dict[str, Any]:
    count = Counter(run.outcomes.values())
    return {kind: count[kind] for kind in (PASSED, FAILED, SKIPPED)}


def read_results() -> list[Results]:
    """What is kept, the oldest Python first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")]
    return sorted(found, key=lambda results: [int(part) for part in _minor(results).split(".")])


def _minor(results: Results) -> str:
    return ".".join(results["python"].split(".")[:2])


def update(results: Results) -> None:
    """Keep these in the place of older ones of the same Python, and write the document anew."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{_minor(results)}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(put_in(PAGE.read_text(encoding="utf-8"), render(read_results())), encoding="utf-8")


def put_in(page: str, figures: str) -> str:
    """The document with other figures."""
    before, _, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError(f"{PAGE.name} lacks the marks between which the figures go")
    return f"{before}{_BEGIN}\n{figures}\n{_END}{after}"


def is_whole(results: Results) -> bool:
    """Whether every suite is in it, run with the original and with the engine."""
    return set(results["suites"]) == set(REVIEWED) and all(
        ORIGINAL in suite["runs"] and len(suite["runs"]) > 1 for suite in results["suites"].values()
    )


def render(every: Sequence[Results]) -> str:
    """The figures as Markdown."""
    parts = [_table(every), _versions(every), _reviewed(every), _failed_anyway(every)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(every: Sequence[Results]) -> str:
    rows = [["suite", "mode", *(f"Python {_minor(results)}" for results in every)]]
    for suite in REVIEWED:
        modes = {mode: None for results in every for mode in results["suites"].get(suite, {"runs": {}})["runs"]}
        for mode in modes:
            cells = []
            for results in every:
                run = results["suites"].get(suite, {"runs": {}})["runs"].get(mode)
                cells.append("" if run is None else f"{run[PASSED]} {run[FAILED]} {run[SKIPPED]}")
            rows.append([f"`{suite}`", mode, *cells])
    return _markdown(rows, "ll" + "r" * len(every))


def _markdown(rows: list[list[str]], sides: str) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = [
        [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ]
        for row in rows
    ]
    rule = ["-" * (width - 1) + ":" if side == "r" else "-" * width for width, side in zip(widths, sides, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def _versions(every: Sequence[Results]) -> str:
    lines = []
    for results in every:
        others = [
            f"{name} {suite['version']}"
            for name, suite in results["suites"].items()
            if suite["version"] != results["python"]
        ]
        lines.append(f"- Python {results['python']}, {', '.join(others)}: {results['date']}")
    return "\n".join(lines)


def _reviewed(every: Sequence[Results]) -> str:
    """What failed with the engine only, by suite and reason."""
    lines = []
    for suite, reviews in REVIEWED.items():
        found: dict[tuple[str, str], set[str]] = {}
        for results in every:
            for mode, run in results["suites"].get(suite, {"runs": {}})["runs"].items():
                for test in (test for test in reviews if test in run.get("reviewed", ())):
                    found.setdefault((mode, reviews[test].reason), set()).add(test)
        modes: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (mode, reason), tests in found.items():
            modes.setdefault((reason, tuple(sorted(tests))), []).append(mode)
        for (reason, tests), where in modes.items():
            named = ", ".join(f"`{_short(test)}`" for test in tests)
            lines.append(f"- `{suite}` ({', '.join(where)}): {reason}: {named}.")
    if not lines:
        return ""
    return "Failed with the engine only, and reviewed:\n\n" + "\n".join(lines)


def _short(test: str) -> str:
    return test.rpartition("::")[2] if "::" in test else test.rpartition(".")[2]


def _failed_anyway(every: Sequence[Results]) -> str:
    lines = []
    for results in every:
        for name, suite in results["suites"].items():
            if suite["failed with the original"]:
                named = ", ".join(f"`{_short(test)}`" for test in suite["failed with the original"])
                lines.append(f"- `{name}`, Python {_minor(results)}: {named}.")
    if not lines:
        return ""
    return "Failed with the original too where this was run:\n\n" + "\n".join(lines)
