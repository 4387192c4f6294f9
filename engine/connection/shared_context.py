"""TLS contexts that several users set differently, each for the moment in which a session is made of it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from ..errors import TLSError

__all__ = ["PrepareContext", "prepared"]

PrepareContext: TypeAlias = Callable[[ssl.SSLContext], None]
"""Sets a shared context to what one connection needs."""

_preparing = threading.Lock()


@contextmanager
def prepared(context: ssl.SSLContext | None, prepare: PrepareContext | None) -> Iterator[None]:
    """Have a context as `prepare` sets it meanwhile: nobody else who prepares one does so. For short sections without a wait.

    Raises:
        TLSError: the context cannot be set so.
    """
    if prepare is None or context is None:
        yield
        return
    with _preparing:
        try:
            prepare(context)
        except OSError as error:  # ssl.SSLError is one
            raise TLSError(f"cannot prepare the TLS context: {error}") from error
        yield
