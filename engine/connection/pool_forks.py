"""What shares sockets or locks between threads begins anew in a forked child, where only the forking thread lives on."""

from __future__ import annotations

import os
import sys
from typing import Protocol
from weakref import WeakSet

__all__ = ["Restartable", "restart_in_forked_child"]


class Restartable(Protocol):
    """Something that can begin anew."""

    def restart_in_child(self) -> None:
        """Called in the child, before anything else."""


_restartables: WeakSet[Restartable] = WeakSet()


def restart_in_forked_child(item: Restartable) -> None:
    """Have `item.restart_in_child` called in every child that is forked while `item` exists."""
    _restartables.add(item)


def _restart_all() -> None:
    for item in list(_restartables):
        item.restart_in_child()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_restart_all)
