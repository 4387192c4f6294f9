"""Version of the API that this package offers, in the words of the original: programs ask for it."""

from __future__ import annotations

__all__ = ["commit", "tag", "version"]

tag = "17.4"
version = "17.4"
commit = "17.4"
