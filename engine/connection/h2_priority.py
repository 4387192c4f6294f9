"""The tree of priorities that RFC 7540 section 5.3 describes and RFC 9113 deprecates.

It is kept because lua-http's streams have it; nothing is scheduled by it. Only what departs from the default (a child of
stream 0 with weight 16) is stored, and only for streams that are there, so a peer cannot make it grow.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from ..wire.h2_frames import Priority

__all__ = ["DEFAULT_WEIGHT", "PriorityTree"]

DEFAULT_WEIGHT = 16


class PriorityTree:
    """Parents and weights by stream id. Not synchronised: callers hold their connection's guard."""

    __slots__ = ("_parents", "_weights")

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._weights: dict[int, int] = {}

    def parent(self, stream_id: int) -> int:
        """The stream that `stream_id` depends on, 0 for none."""
        return self._parents.get(stream_id, 0)

    def weight(self, stream_id: int) -> int:
        """The share of `stream_id` among its siblings, 1 to 256."""
        return self._weights.get(stream_id, DEFAULT_WEIGHT)

    def children(self, stream_id: int, streams: Iterable[int]) -> list[int]:
        """Those of `streams` that depend on `stream_id` directly, in order."""
        return sorted(number for number in streams if number != stream_id and self.parent(number) == stream_id)

    def set_weight(self, stream_id: int, weight: int) -> None:
        """Set the weight, 1 to 256."""
        self._weights[stream_id] = weight

    def move(self, child: int, parent: int, exclusive: bool, streams: Iterable[int]) -> None:
        """Make `child` depend on `parent`; `exclusive` makes all the others of its dependants those of `child`.

        Where `parent` depends on `child`, itself or over others, it first takes the place of `child` (section 5.3.3).
        """
        if self._is_below(parent, child):
            self._set_parent(parent, self.parent(child))
        if exclusive:
            for other in self.children(parent, streams):
                if other != child:
                    self._set_parent(other, child)
        self._set_parent(child, parent)

    def _is_below(self, stream_id: int, ancestor: int) -> bool:
        while stream_id:
            stream_id = self.parent(stream_id)
            if stream_id == ancestor:
                return bool(ancestor)
        return False

    def _set_parent(self, child: int, parent: int) -> None:
        if parent:
            self._parents[child] = parent
        else:
            self._parents.pop(child, None)

    def apply(self, stream_id: int, priority: Priority, streams: Container[int], ids: Iterable[int]) -> None:
        """Do what a HEADERS or PRIORITY frame says. A parent that is not there leaves the default (section 5.3.1)."""
        if priority.stream_dep and priority.stream_dep not in streams:
            self.remove(stream_id)
            return
        self.move(stream_id, priority.stream_dep, priority.exclusive, ids)
        self.set_weight(stream_id, priority.weight)

    def remove(self, stream_id: int) -> None:
        """A stream is over, or goes back to the default: what depends on it goes to its parent (section 5.3.4)."""
        self._weights.pop(stream_id, None)
        parent = self._parents.pop(stream_id, 0)
        for child, other in list(self._parents.items()):
            if other == stream_id:
                self._set_parent(child, parent)

    def __bool__(self) -> bool:
        return bool(self._parents or self._weights)
