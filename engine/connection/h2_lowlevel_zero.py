"""Stream 0 of an HTTP/2 connection: where the frames that concern all of it are written (lua-http's `stream0`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..errors import LocalProtocolError
from ..wire.headers import Headers
from .h2_stream import H2Stream

if TYPE_CHECKING:
    from .h2_connection import H2Connection

__all__ = ["H2StreamZero"]


class H2StreamZero(H2Stream):
    """The connection as a stream: SETTINGS, PING, GOAWAY and WINDOW_UPDATE are written on it, and it has no messages."""

    def __init__(self, connection: H2Connection) -> None:
        super().__init__(connection)
        self.id = 0

    @property
    def state(self) -> str:
        """Always "idle"."""
        return "idle"

    def _refuse(self) -> NoReturn:
        raise LocalProtocolError("stream 0 is the connection's own and has no messages")

    async def read_head(self, deadline: float) -> Headers | None:
        """Refused."""
        self._refuse()

    async def read_piece(self, deadline: float) -> bytes | None:
        """Refused."""
        self._refuse()

    async def write_head(self, headers: Headers, end_stream: bool, deadline: float) -> None:
        """Refused."""
        self._refuse()

    async def write_piece(self, data: bytes, end_stream: bool, deadline: float) -> None:
        """Refused."""
        self._refuse()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Nothing: see `H2Connection.shutdown`."""

    def set_state(self, new: str) -> None:
        """Refused."""
        self._refuse()

    def give_up(self, code: int = 0x8) -> None:
        """Refused."""
        self._refuse()
