"""The table of HPACK (RFC 7541 section 2.3) as hpack has it, with a count of its changes."""

from __future__ import annotations

from hpack.table import HeaderTable

__all__ = ["CountingTable"]


class CountingTable(HeaderTable):
    """hpack's table, which counts its changes, so that what was worked out from it is known to hold.

    Attributes:
        changes: how often an entry came or the size was set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        """See hpack's."""
        self.changes += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        """How large the dynamic entries may become, in bytes."""
        return int(self._maxsize)

    @maxsize.setter
    def maxsize(self, newmax: int) -> None:
        self.changes += 1
        HeaderTable.maxsize.__set__(self, newmax)  # type: ignore[attr-defined]
