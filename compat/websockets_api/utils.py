"""Keys of the opening handshake, masks of frames, names of sockets (RFC 6455 sections 4 and 5.3)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import sys

from drivetrain.compat.websockets_api.typing import BytesLike

__all__ = ["GUID", "accept_key", "apply_mask", "generate_key", "get_socket_name"]

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def generate_key() -> str:
    """Make a value for `Sec-WebSocket-Key`: sixteen random bytes."""
    return base64.b64encode(secrets.token_bytes(16)).decode("ascii")


def accept_key(key: str) -> str:
    """The value of `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`."""
    digest = hashlib.sha1((key + GUID).encode())  # noqa: S324  # what RFC 6455 wants, and no secret
    return base64.b64encode(digest.digest()).decode("ascii")


def apply_mask(data: BytesLike, mask: bytes | bytearray) -> bytes:
    """Mask a payload, or unmask it.

    For single frames. Connections leave it to the engine, which is faster with large payloads.

    Args:
        data: the payload.
        mask: four bytes.

    Raises:
        ValueError: they are not four.
    """
    if len(mask) != 4:
        raise ValueError("mask must contain 4 bytes")
    payload = bytes(data)
    size = len(payload)
    repeated = (bytes(mask) * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, sys.byteorder) ^ int.from_bytes(repeated, sys.byteorder)
    return masked.to_bytes(size, sys.byteorder)


def get_socket_name(sock: socket.socket) -> str:
    """The address that a socket is bound to, for people to read: host and port, or a path."""
    name = sock.getsockname()
    if sock.family == getattr(socket, "AF_UNIX", None):
        return str(name)
    if sock.family == socket.AF_INET:
        return f"{name[0]}:{name[1]}"
    if sock.family == socket.AF_INET6:
        return f"[{name[0]}]:{name[1]}"
    raise AssertionError("unsupported socket family")
