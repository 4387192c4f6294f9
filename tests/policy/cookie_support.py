"""Tables of cookie cases, and a store with a clock that stands still until it is told otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drivetrain.engine.policy.cookie_store import CookieStore

DATA = Path(__file__).with_name("data")
NOW = 1_000_000_000.0


def cases(name: str) -> list[dict[str, Any]]:
    """The rows of a table without its first, which tells what it is about."""
    rows: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    assert list(rows[0]) == ["about"]
    return rows[1:]


def title(case: dict[str, Any]) -> str:
    return f"{case['section']}: {case['case']}"


class Clock:
    """Seconds since the epoch, by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def new_store(**settings: Any) -> tuple[CookieStore, Clock]:
    store = CookieStore(settings.pop("psl", True))
    store.time = clock = Clock()
    for name, value in settings.items():
        setattr(store, name, value)
    return store, clock
