"""CPython's own tests of urllib and of cookie jars, from the package `test` of the Python that runs this.

Each run has a process of its own, because `urllib.request` is changed for it. How the engine gets below the suites:

- "module": the names of `drivetrain.compat.urllib_api` replace those of `urllib.request`;
- "install": `drivetrain.compat.install("urllib")`;
- "store", for cookie jars: `drivetrain.engine.StoreCookieJar` is the `CookieJar`.

Run as a program, it is the child: `python -m conformance.cpython_suites SUITE MODE RESULT`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import platform
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
from conformance.comparison import FAILED, PASSED, SKIPPED, CannotRun, Run, Suite, load, save
from conformance.reviewed import REVIEWED
from conformance.watching import Watch, bare_environment
from drivetrain.engine import StoreCookieJar

__all__ = ["SUITES", "suites"]

_OPENERS = ("module", "install")
# Suite -> its modes, and whether it sends requests.
SUITES = {
    "test_urllib2_localnet": (_OPENERS, True),
    "test_urllib2": (_OPENERS, False),
    "test_urllib_response": (_OPENERS, False),
    "test_urllib": (_OPENERS, False),
    "test_http_cookiejar": (("install", "store"), False),
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


class StoreJar(StoreCookieJar):
    """`StoreCookieJar` with the constructor of `CookieJar`."""

    def __init__(self, policy: Any = None) -> None:
        super().__init__(policy=policy)


def put_in_place(suite: ModuleType) -> None:
    """Let `urllib.request`, and what the suite took from it, lead to the engine."""
    for name in (*engine_api.__all__, "URLopener", "FancyURLopener"):
        ours, original = getattr(engine_api, name, None), getattr(urllib.request, name, None)
        if ours is None or original is None or original is ours:
            continue
        setattr(urllib.request, name, ours)
        if getattr(suite, name, None) is original:
            setattr(suite, name, ours)


def run_here(suite: str, mode: str, result: Path) -> None:
    """Run a suite in this process, which is a child's, and write its outcomes."""
    watch = Watch()
    module = importlib.import_module(f"test.{suite}")
    if mode == "module":
        put_in_place(module)
    elif mode == "install":
        drivetrain.compat.install("urllib")
    elif mode == "store":
        module.CookieJar = StoreJar  # type: ignore[attr-defined]
    tests = unittest.defaultTestLoader.loadTestsFromModule(module)
    found = unittest.TextTestRunner(verbosity=2, resultclass=Outcomes).run(tests)
    assert isinstance(found, Outcomes)
    save(result, found.outcomes, found.texts, watch.exchanges, watch.past)


def run_apart(suite: str, verbose: bool, mode: str) -> Run:
    """Run a suite in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "conformance.cpython_suites", suite, mode, str(result)]
        try:
            process = subprocess.run(
                command,
                cwd=Path(__file__).parents[1],
                env=bare_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_MINUTES * 60,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise CannotRun(f"{suite} did not end in {_MINUTES} minutes ({mode})") from late
        if verbose:
            print(process.stdout)
        if not result.exists():
            raise CannotRun(f"{suite} did not run ({mode}):\n{process.stdout}")
        return load(result, suite, mode)


def has_suite(suite: str) -> bool:
    """Whether this Python came with it. Some distributions ship `test`, but not the suites in it."""
    try:
        return importlib.util.find_spec(f"test.{suite}") is not None
    except ModuleNotFoundError:
        return False


def suites(names: list[str], verbose: bool = False) -> list[Suite]:
    """The suites of these names.

    Raises:
        CannotRun: this Python lacks them.
    """
    missing = [name for name in names if not has_suite(name)]
    if missing:
        raise CannotRun(
            f"{sys.executable} lacks its own tests ({', '.join(missing)} of the package `test`). Debian has them in "
            "libpython3-testsuite; a Python that was built from source, or comes from python.org, has them too."
        )
    return [
        Suite(
            name,
            platform.python_version(),
            *SUITES[name],
            run=functools.partial(run_apart, name, verbose),
            reviewed=REVIEWED[name],
        )
        for name in names
    ]


if __name__ == "__main__":
    run_here(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
