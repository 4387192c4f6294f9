"""A pytest plugin for requests' own suite: mounts the engine on every session, and writes each test's outcome to a file.

It stands alone, since it runs in the suite's environment: `conformance.requests_suite` copies it there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests.sessions

from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import Client


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--mount-engine", action="store_true", help="let every new session mount the engine")
    group.addoption("--outcomes", type=Path, required=False, help="where to write the outcomes as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(config.getoption("--outcomes")), "conformance-recorder")
    if config.getoption("--mount-engine"):
        # The name that `Session.__init__` looks up. Adapters that a test makes itself stay requests' own.
        requests.sessions.HTTPAdapter = EngineAdapter  # type: ignore[assignment]


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
