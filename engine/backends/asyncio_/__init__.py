"""The asyncio backend. Only the public interface of the running loop is used, so any conforming loop will do (uvloop)."""

from .backend import AsyncioBackend

__all__ = ["AsyncioBackend"]
