"""What a byte stream on top of another one leaves to that."""

from __future__ import annotations

from collections.abc import Callable

from ..backends.base import Address, ByteStream

__all__ = ["LayeredStream"]


class LayeredStream(ByteStream):
    """A stream that uses `stream`, which it owns. Ends, descriptor and interrupts are those of the stream below."""

    __slots__ = ("_stream",)

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def allow_interrupts(self) -> None:
        """See `ByteStream.allow_interrupts`."""
        self._stream.allow_interrupts()

    def interrupt(self) -> None:
        """See `ByteStream.interrupt`."""
        self._stream.interrupt()

    @property
    def is_waiting_for_input(self) -> bool:
        """See `ByteStream.is_waiting_for_input`."""
        return self._stream.is_waiting_for_input

    def announce_input(self, callback: Callable[[], None] | None) -> bool:
        """See `ByteStream.announce_input`."""
        return self._stream.announce_input(callback)

    def abort(self) -> None:
        """See `ByteStream.abort`."""
        self._stream.abort()
        self.close()

    @property
    def local_address(self) -> Address:
        """See `ByteStream.local_address`."""
        return self._stream.local_address

    @property
    def peer_address(self) -> Address:
        """See `ByteStream.peer_address`."""
        return self._stream.peer_address

    def fileno(self) -> int:
        """See `ByteStream.fileno`."""
        return self._stream.fileno()
