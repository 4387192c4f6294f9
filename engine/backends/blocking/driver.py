"""Running a coroutine that never suspends: the whole of the "event loop" of the blocking backend."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` to its end in this thread and return its result; its errors come through as they are.

    Works in any thread, inside a running event loop and in a notebook: nothing but the coroutine itself is involved.

    Raises:
        RuntimeError: it suspended: somebody awaited something of another colour. The message says who and what.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    culprit = _describe(coroutine)
    coroutine.close()
    raise RuntimeError(f"a coroutine run by the blocking backend must not suspend, but {culprit}")


def _describe(coroutine: Coroutine[Any, Any, Any]) -> str:
    """Say which frame, innermost, awaits what."""
    inner: Any = coroutine
    below: Any = getattr(coroutine, "cr_await", None)
    while below is not None and (hasattr(below, "cr_frame") or hasattr(below, "gi_frame")):
        inner = below
        below = getattr(inner, "cr_await", None) if hasattr(inner, "cr_frame") else getattr(inner, "gi_yieldfrom", None)
    frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
    where = f" ({frame.f_code.co_filename}:{frame.f_lineno})" if frame is not None else ""
    name = getattr(inner, "__qualname__", type(inner).__name__)
    text = f"{name}{where} awaited {'a bare yield' if below is None else repr(below)}"
    if inner is not coroutine:
        text += f" on behalf of {getattr(coroutine, '__qualname__', type(coroutine).__name__)}"
    return text
