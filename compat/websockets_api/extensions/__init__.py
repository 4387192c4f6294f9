"""Extensions of the protocol: the classes that they are made of. `permessage_deflate` is one."""

from __future__ import annotations

from drivetrain.compat.websockets_api.extensions.base import ClientExtensionFactory, Extension, ServerExtensionFactory

__all__ = ["ClientExtensionFactory", "Extension", "ServerExtensionFactory"]
