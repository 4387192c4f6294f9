"""permessage-deflate, as `websockets` and the engine each describe it.

The engine compresses; the extension classes of `extensions.permessage_deflate` say what programs want of it, and show what
was agreed on. The engine knows no other extension, so neither do connections here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.compat.websockets_api.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from drivetrain.engine import DeflateOptions, WebSocketConnection

__all__ = ["UnsupportedExtension", "agreed_extensions", "client_deflate", "server_deflate"]

_NAME = "permessage-deflate"


class UnsupportedExtension(NotImplementedError):
    """An extension other than permessage-deflate was to be used; the engine knows that one only."""


def client_deflate(factories: Sequence[Any] | None) -> DeflateOptions | None:
    """What a client offers.

    Args:
        factories: the `extensions` of `connect`, the default one for compression among them. Of several factories of
            permessage-deflate the first counts.

    Returns:
        None for no compression.

    Raises:
        UnsupportedExtension: one of them is of another extension.
    """
    return _options(factories, ClientPerMessageDeflateFactory)


def server_deflate(factories: Sequence[Any] | None) -> DeflateOptions | None:
    """What a server would agree to; as `client_deflate`."""
    return _options(factories, ServerPerMessageDeflateFactory)


def _options(factories: Sequence[Any] | None, kind: type) -> DeflateOptions | None:
    for factory in factories or ():
        if not isinstance(factory, kind) and getattr(factory, "name", None) != _NAME:
            name = getattr(factory, "name", type(factory).__name__)
            raise UnsupportedExtension(f"the extension {name!r}: connections know permessage-deflate only")
    if not factories:
        return None
    factory = factories[0]
    settings: Mapping[str, Any] = factory.compress_settings or {}
    return DeflateOptions(
        server_no_context_takeover=bool(factory.server_no_context_takeover),
        client_no_context_takeover=bool(factory.client_no_context_takeover),
        server_max_window_bits=_bits(factory.server_max_window_bits),
        client_max_window_bits=_bits(factory.client_max_window_bits),
        level=int(settings.get("level", -1)),
        mem_level=int(settings.get("memLevel", 8)),
    )


def _bits(value: int | bool | None) -> int | None:
    # True offers the parameter without a value. zlib has no window of 8 bits.
    return None if value is None or value is True else max(int(value), 9)


def agreed_extensions(core: WebSocketConnection, factories: Sequence[Any] | None) -> list[PerMessageDeflate]:
    """What was agreed on in the handshake, for `connection.protocol.extensions`: one extension, or none.

    Args:
        core: the connection.
        factories: what was asked for, of which the settings for compressing are shown.
    """
    agreed = core.machine.deflate
    if agreed is None:
        return []
    settings = getattr(factories[0], "compress_settings", None) if factories else None
    client = (agreed.client_no_context_takeover, agreed.client_max_window_bits)
    server = (agreed.server_no_context_takeover, agreed.server_max_window_bits)
    local, remote = (client, server) if core.type == "client" else (server, client)
    # With a window of 8 bits, which zlib does not have, this side compresses nothing.
    local = (local[0], max(local[1], 9))
    return [PerMessageDeflate(remote[0], local[0], remote[1], local[1], settings)]
