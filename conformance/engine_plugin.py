"""A pytest plugin for the suites of requests and of what is built on it: puts the engine below, and writes each test's outcome.

It runs in the suites' environment: `conformance.library_suites` copies it there.
"""

from __future__ import annotations

import importlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import requests.sessions

import drivetrain.compat
from conformance.watching import Watch
from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter

WAYS = ("mount", "module", "install")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption(
        "--engine",
        choices=WAYS,
        help="mount: every new session mounts the engine; module: the names of requests lead to drivetrain's module; "
        "install: the engine is installed below requests",
    )
    group.addoption("--outcomes", type=Path, required=False, help="where to write the outcomes as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(config.getoption("--outcomes")), "conformance-recorder")
    way = config.getoption("--engine")
    if way == "mount":
        # The name that `Session.__init__` looks up. Adapters that a test makes itself stay requests' own.
        requests.sessions.HTTPAdapter = EngineAdapter  # type: ignore[assignment]
    elif way == "module":
        replace_module()
    elif way == "install":
        drivetrain.compat.install("requests")


def replace_module() -> None:
    """Let `import requests`, and the names of its submodules, lead to drivetrain's module."""
    ours = requests_api.__name__
    importlib.import_module(f"{ours}.help")  # which requests itself imports only when asked
    for name, module in list(sys.modules.items()):
        if name == ours or name.startswith(f"{ours}."):
            name = f"requests{name.removeprefix(ours)}"
            if name in sys.modules:
                sys.modules[name] = module


class Tarpit:
    """An address on this machine that does not answer: connecting to it takes until a timeout.

    requests' tests have one in a network that is not theirs, whose silence nobody can promise.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        # They fill the queue of those that nobody accepts; the system then ignores who comes later.
        self._waiting = [socket.socket() for _ in range(4)]
        for waiting in self._waiting:
            waiting.setblocking(False)
            waiting.connect_ex(self._listener.getsockname())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for one in (*self._waiting, self._listener):
            one.close()


class Recorder:
    """Notes outcomes, and what went through the engine."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.outcomes: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.watch = Watch()
        self.tarpit = Tarpit()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for module in {item.module for item in items if hasattr(item, "module")}:
            if hasattr(module, "TARPIT"):
                module.TARPIT = self.tarpit.url

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.outcomes[report.nodeid] = "failed"
            self.failures[report.nodeid] = report.longreprtext

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = self.outcomes.setdefault(report.nodeid, report.outcome)
        if known == "passed":
            # Set-up, test and tear-down report one after the other; the first that did not pass decides.
            self.outcomes[report.nodeid] = report.outcome
        if report.failed:
            self.failures.setdefault(report.nodeid, report.longreprtext)

    def pytest_sessionfinish(self) -> None:
        self.tarpit.close()
        if self.path is not None:
            found = {
                "outcomes": self.outcomes,
                "failures": self.failures,
                "exchanges": self.watch.exchanges,
                "past": self.watch.past,
            }
            self.path.write_text(json.dumps(found), encoding="utf-8")
