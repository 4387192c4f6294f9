"""The originals' own test suites, each once as it is and once for each way of putting the engine below it.

Nothing of the suites is kept here: those of libraries are fetched from the package index into a temporary folder, those of
CPython are in the `test` package of the Python that runs this. Runs go side by side, each in a process of its own: most of
their time is waiting.

Exit status: 0 when the engine passes what the original passes, but for what was reviewed; 1 when not; 2 when a suite could
not be had or did not run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from conformance import cpython_suites, library_suites, page
from conformance.comparison import HEADING, ORIGINAL, CannotRun, Run, Suite, Verdict, compare, judge, line_of

NAMES = [*library_suites.LIBRARIES, *cpython_suites.SUITES]


class Running:
    """The runs of all suites, side by side.

    Args:
        jobs: how many at a time.
        modes: only these, where a suite has them; nothing for all.
    """

    def __init__(self, jobs: int, modes: Sequence[str]) -> None:
        self._pool = ThreadPoolExecutor(jobs)
        self._modes = modes
        self._started: list[tuple[Suite, dict[str, Future[Run]]]] = []

    def start(self, suites: Sequence[Suite]) -> None:
        """Begin with these; the longest first."""
        for suite in suites:
            modes = [ORIGINAL, *(mode for mode in suite.modes if not self._modes or mode in self._modes)]
            self._started.append((suite, {mode: self._pool.submit(suite.run, mode) for mode in modes}))

    def finish(self) -> list[tuple[Suite, Run, list[Verdict]]]:
        """Wait, and print a suite as soon as all of its runs are there."""
        done = []
        with self._pool:
            print(HEADING, flush=True)
            for suite, futures in sorted(self._started, key=lambda pair: NAMES.index(pair[0].name), reverse=True):
                runs = {mode: future.result() for mode, future in futures.items()}
                original = runs.pop(ORIGINAL)
                print(line_of(original))
                verdicts = []
                for run in runs.values():
                    verdict = compare(original, run, suite.reviewed, uses_network=suite.uses_network)
                    print("\n".join([line_of(run), *(f"  {note}" for note in verdict.notes)]), flush=True)
                    verdicts.append(verdict)
                done.append((suite, original, verdicts))
        return done[::-1]


def faults_of(done: Sequence[tuple[Suite, Run, Sequence[Verdict]]]) -> list[str]:
    """What makes it fail, in lines."""
    faults = []
    for _, original, verdicts in done:
        faults += judge(original)
        for verdict in verdicts:
            faults += verdict.faults
    return faults


def run_in(folder: Path, arguments: argparse.Namespace) -> int:
    """Run what was asked for, working in an empty folder; returns the exit status."""
    running = Running(arguments.jobs, arguments.modes)
    names = arguments.suites or NAMES
    # What has to be fetched first holds nothing else up.
    running.start(cpython_suites.suites([n for n in names if n in cpython_suites.SUITES], arguments.verbose))
    libraries = [name for name in names if name in library_suites.LIBRARIES]
    if libraries:
        running.start(library_suites.suites(libraries, folder, arguments.pytest, arguments.verbose))
    done = running.finish()
    faults = faults_of(done)
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults and arguments.write:
        page.update(page.results_of(done))
    return 1 if faults else 0


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--modes", type=lambda text: text.split(","), default=[], help="only these, with commas")
    parser.add_argument("--jobs", type=int, default=6, help="how many runs at a time (default: 6)")
    parser.add_argument("--verbose", action="store_true", help="show what the suites print")
    parser.add_argument("--folder", type=Path, help="work here, and leave everything to be looked at; must not exist")
    parser.add_argument("--pytest", action="append", default=[], metavar="WORD", help="a further argument of pytest")
    parser.add_argument(
        "--write", action="store_true", help="write the figures into docs/compatibility.md, where nothing failed"
    )
    arguments = parser.parse_args(words)
    unknown = [name for name in arguments.suites if name not in NAMES]
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)}")
    if arguments.write and (arguments.suites or arguments.modes or arguments.pytest):
        parser.error("only a whole run is written down")
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    arguments = parse(words)
    try:
        if arguments.folder is not None:
            arguments.folder.mkdir(parents=True)
            return run_in(arguments.folder.resolve(), arguments)
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            return run_in(Path(folder).resolve(), arguments)
    except CannotRun as fault:
        print(fault, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
