"""A pytest plugin for requests' own suite: puts the engine below it, and writes each test's outcome to a file.

It stands alone, since it runs in the suite's environment: `conformance.requests_suite` copies it there.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import requests.sessions

import drivetrain.compat
from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import Client

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


class Recorder:
    """Notes outcomes, and how many requests went through the engine."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.outcomes: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.exchanges = 0
        original = Client.exchange

        def exchange(client: Client, *args: Any, **kwargs: Any) -> Any:
            self.exchanges += 1
            return original(client, *args, **kwargs)

        Client.exchange = exchange  # type: ignore[method-assign, assignment]

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
        if self.path is not None:
            found = {"outcomes": self.outcomes, "failures": self.failures, "exchanges": self.exchanges}
            self.path.write_text(json.dumps(found), encoding="utf-8")
