"""The same coroutine on every real backend: `@on_both` gives a test a `drive` that runs `function(backend)`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from drivetrain.engine.backends import asyncio_, blocking
from drivetrain.engine.backends.base import Backend

T = TypeVar("T")
Drive = Callable[[Callable[[Backend], Coroutine[Any, Any, T]]], T]


def drive_blocking(function: Callable[[Backend], Coroutine[Any, Any, T]]) -> T:
    return blocking.run(function(blocking.BlockingBackend()))


def drive_asyncio(function: Callable[[Backend], Coroutine[Any, Any, T]]) -> T:
    async def main() -> T:
        return await function(asyncio_.AsyncioBackend())

    return asyncio.run(main())


on_both = pytest.mark.parametrize(
    "drive", [pytest.param(drive_blocking, id="blocking"), pytest.param(drive_asyncio, id="asyncio")]
)
