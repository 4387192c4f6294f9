"""Types in the signatures of this package, under the names that the original gives them."""

from __future__ import annotations

import http
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NewType

__all__ = [
    "BytesLike",
    "ConnectionOption",
    "Data",
    "DataLike",
    "ExtensionHeader",
    "ExtensionName",
    "ExtensionParameter",
    "LoggerLike",
    "Origin",
    "PathLike",
    "StatusLike",
    "Subprotocol",
    "UpgradeProtocol",
]

Data = str | bytes
"""A message: text or binary."""

BytesLike = bytes | bytearray | memoryview
"""What is taken where bytes are wanted."""

DataLike = str | bytes | bytearray | memoryview
"""What is taken where a message is wanted."""

if TYPE_CHECKING:
    LoggerLike = logging.Logger | logging.LoggerAdapter[Any]
else:  # which Python 3.10 cannot say
    LoggerLike = logging.Logger | logging.LoggerAdapter

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""What is taken where a path is wanted."""

StatusLike = http.HTTPStatus | int
"""What is taken where a status is wanted."""

Origin = NewType("Origin", str)
"""Value of an `Origin` field."""

Subprotocol = NewType("Subprotocol", str)
"""One of the names in a `Sec-WebSocket-Protocol` field."""

ExtensionName = NewType("ExtensionName", str)
"""Name of an extension."""

ExtensionParameter = tuple[str, str | None]
"""Name and value of a parameter of an extension; None for no value."""

ExtensionHeader = tuple[ExtensionName, Sequence[ExtensionParameter]]
"""One of the extensions in a `Sec-WebSocket-Extensions` field."""

ConnectionOption = NewType("ConnectionOption", str)
"""One of the options in a `Connection` field."""

UpgradeProtocol = NewType("UpgradeProtocol", str)
"""One of the protocols in an `Upgrade` field."""
