"""CPython's own tests of urllib.request, once with the standard library and once for each way of putting the engine below it.

The ways are the mode: the names of `drivetrain.compat.urllib_api` in `urllib.request` ("module"), and
`drivetrain.compat.install` ("install"). The suites are those of the Python that runs this, from its `test` package. Each run
has a process of its own, because `urllib.request` is changed for it. Exit status: 0 when the engine passes what the original
passes, 1 when not, 2 when there is nothing to run.

    python -m conformance.cpython_urllib [--verbose]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import subprocess
import sys
import tempfile
import traceback
import unittest
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import drivetrain.compat
import drivetrain.compat.urllib_api as engine_api
from conformance.comparison import FAILED, HEADING, PASSED, SKIPPED, Review, Run, compare, load, save
from drivetrain.engine import Client

# Suite -> whether it sends requests.
SUITES = {"test_urllib2_localnet": True, "test_urllib2": False, "test_urllib_response": False}
MODES = ("module", "install")

REVIEWED = {
    "test.test_urllib2.TrivialTests.test___all__": Review(
        "wants every name of urllib.request.__all__ to say that it was defined there; ours say where they come from",
        "is exposed in 'urllib.request' but defined in 'drivetrain.compat.urllib_api",
    ),
}

_MINUTES = 10


class Outcomes(unittest.TextTestResult):
    """Notes the outcome of each test by its name; a failed subtest fails its test."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def _fail(self, test: unittest.TestCase, err: Any) -> None:
        self.outcomes[test.id()] = FAILED
        self.texts[test.id()] = "".join(traceback.format_exception(*err))

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().startTest(test)
        self.outcomes[test.id()] = PASSED

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.outcomes[test.id()] = SKIPPED

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self.outcomes[test.id()] = SKIPPED

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self.outcomes[test.id()] = FAILED

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self._fail(test, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        # Of a class or module too, whose id is that of the fixture.
        super().addError(test, err)
        self._fail(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(test, err)


def put_in_place(suite: ModuleType) -> None:
    """Let `urllib.request`, and what the suite took from it, lead to the engine."""
    for name in engine_api.__all__:
        ours = getattr(engine_api, name)
        original = getattr(urllib.request, name, None)
        if original is None or original is ours:
            continue
        setattr(urllib.request, name, ours)
        if getattr(suite, name, None) is original:
            setattr(suite, name, ours)


def count_exchanges() -> list[int]:
    """Count what goes through the engine's client; the count is the list's one element."""
    count = [0]
    original = Client.exchange

    def exchange(self: Client, *args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        return original(self, *args, **kwargs)

    Client.exchange = exchange  # type: ignore[method-assign]
    return count


def run_here(suite: str, mode: str, result: Path) -> None:
    """Run a suite in this process, which is a child's, and write its outcomes."""
    exchanges = count_exchanges()
    module = importlib.import_module(f"test.{suite}")
    if mode == "module":
        put_in_place(module)
    elif mode == "install":
        drivetrain.compat.install("urllib")
    tests = unittest.defaultTestLoader.loadTestsFromModule(module)
    found = unittest.TextTestRunner(verbosity=2, resultclass=Outcomes).run(tests)
    assert isinstance(found, Outcomes)
    save(result, found.outcomes, found.texts, exchanges[0])


def run_apart(suite: str, mode: str, verbose: bool) -> Run:
    """Run a suite in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "conformance.cpython_urllib", "--child", suite, mode, str(result)]
        try:
            process = subprocess.run(
                command,
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_MINUTES * 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"{suite} did not end in {_MINUTES} minutes ({mode})", file=sys.stderr)
            return Run(suite, mode, {}, {}, 0)
        if verbose:
            print(process.stdout)
        if not result.exists():
            print(process.stdout, file=sys.stderr)
            return Run(suite, mode, {}, {}, 0)
        return load(result, suite, mode)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true", help="show what the suites print")
    parser.add_argument("--child", nargs=3, metavar=("SUITE", "MODE", "RESULT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        suite, mode, result = arguments.child
        run_here(suite, mode, Path(result))
        return 0
    missing = [suite for suite in SUITES if not has_suite(suite)]
    if missing:
        print(
            f"{sys.executable} lacks its own tests ({', '.join(missing)} of the package `test`). Debian has them in "
            "libpython3.x-testsuite; a Python that was built from source, or comes from python.org, has them too.",
            file=sys.stderr,
        )
        return 2
    print(f"Python {sys.version.split()[0]}\n{HEADING}")
    faults = []
    for suite, uses_network in SUITES.items():
        original = run_apart(suite, "original", arguments.verbose)
        for mode in MODES:
            faults += compare(original, run_apart(suite, mode, arguments.verbose), REVIEWED, uses_network=uses_network)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def has_suite(suite: str) -> bool:
    """Whether this Python came with it. Some distributions ship `test`, but not the suites in it."""
    try:
        return importlib.util.find_spec(f"test.{suite}") is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
