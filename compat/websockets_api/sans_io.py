"""The names of the protocols without I/O that `websockets` has: for type hints and `isinstance`, not to be instantiated.

The protocol here is the engine's, and what connections show in their `protocol` is a view of it (`ProtocolView`), which counts
as an instance of these classes. Programs that move bytes themselves (ASGI servers, for the most part) need `websockets`
itself; where that is installed, `drivetrain.compat.install("websockets")` leaves its classes in their place.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

__all__ = ["ClientProtocol", "NoSansIOError", "Protocol", "ServerProtocol"]

_VIEWS = "drivetrain.compat.websockets_api.protocol_view"  # which needs this module, by way of others


class NoSansIOError(NotImplementedError):
    """A protocol without I/O was to be made; there is none on the engine."""


class _Kind(type):
    """Makes the views of connections instances of the classes that they stand for."""

    _side: str | None

    def __instancecheck__(cls, instance: Any) -> bool:
        views = sys.modules.get(_VIEWS)
        if views is not None and isinstance(instance, views.ProtocolView):
            return cls._side is None or cls._side == instance.side.name
        return super().__instancecheck__(instance)


class Protocol(metaclass=_Kind):
    """What the protocol of a connection is an instance of, on either side.

    Raises:
        NoSansIOError: one was to be made.
    """

    _side: ClassVar[str | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NoSansIOError(
            f"{type(self).__name__} cannot be used without a connection on drivetrain's engine; "
            "programs that do their own I/O need the websockets package"
        )


class ClientProtocol(Protocol):
    """What the protocol of a client's connection is an instance of."""

    _side = "CLIENT"


class ServerProtocol(Protocol):
    """What the protocol of a server's connection is an instance of."""

    _side = "SERVER"
