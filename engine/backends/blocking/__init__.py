"""The blocking backend: each wait is a system call made inside the leaf coroutine, which therefore never suspends."""

from .backend import BlockingBackend
from .driver import run

__all__ = ["BlockingBackend", "run"]
