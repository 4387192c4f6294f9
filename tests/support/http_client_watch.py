"""Connections that `http.client` makes, seen without replacing anything there: the engine looks whether somebody has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["http_client_refused", "http_client_watched"]

_listeners: list[list[str]] = []
_refusals: list[bool] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event == "http.client.connect":
        for heard in _listeners:
            heard.append(args[1])
        if _refusals:
            raise AssertionError("http.client connects")


sys.addaudithook(_hear)


@contextmanager
def http_client_watched() -> Iterator[list[str]]:
    """The hosts that http.client connects to."""
    heard: list[str] = []
    _listeners.append(heard)
    try:
        yield heard
    finally:
        _listeners[:] = [other for other in _listeners if other is not heard]


@contextmanager
def http_client_refused() -> Iterator[None]:
    """Every connection of http.client is an error."""
    _refusals.append(True)
    try:
        yield
    finally:
        _refusals.pop()
