"""What an extension of the protocol is made of: programs derive their own from these classes (RFC 6455 section 9)."""

from __future__ import annotations

from collections.abc import Sequence

from drivetrain.compat.websockets_api.frames import Frame
from drivetrain.compat.websockets_api.typing import ExtensionName, ExtensionParameter

__all__ = ["ClientExtensionFactory", "Extension", "ServerExtensionFactory"]


class _OverrideThisError(NotImplementedError):
    """A method was called that only classes derived from these have."""


class Extension:
    """An extension on one connection.

    Attributes:
        name: under which it was agreed on.
    """

    name: ExtensionName

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Return a received frame as it was before the peer's `encode`.

        Args:
            frame: as received, or as the extension after this one has decoded it.
            max_size: how large its payload may become, in bytes.

        Raises:
            PayloadTooBig: it would become larger.
        """
        raise _OverrideThisError

    def encode(self, frame: Frame) -> Frame:
        """Return a frame as it is to be sent."""
        raise _OverrideThisError


class ClientExtensionFactory:
    """Offers an extension, and makes it when the server agrees.

    Attributes:
        name: of the extension.
    """

    name: ExtensionName

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters of the offer."""
        raise _OverrideThisError

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> Extension:
        """Return the extension as the server has agreed to it.

        Args:
            params: what the server has sent.
            accepted_extensions: those before this one.

        Raises:
            NegotiationError: that is not acceptable.
        """
        raise _OverrideThisError


class ServerExtensionFactory:
    """Agrees to an extension that a client offers, and makes it.

    Attributes:
        name: of the extension.
    """

    name: ExtensionName

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Extension]:
        """Return what to answer, and the extension.

        Args:
            params: what the client has sent.
            accepted_extensions: those before this one.

        Raises:
            NegotiationError: the offer is not acceptable.
        """
        raise _OverrideThisError
