from __future__ import annotations

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.prefixed_stream import PrefixedStream


def test_the_prefix_comes_first_and_everything_else_goes_through() -> None:
    backend = MemoryBackend()
    near, far = backend.pipe()
    stream = PrefixedStream(near, b"abcdef")

    async def main() -> None:
        await far.send_all(b"ghi", FOREVER)
        assert stream.is_readable()
        assert await stream.receive_some(4, FOREVER) == b"abcd"
        assert await stream.receive_some(100, backend.now() - 1) == b"ef"
        assert await stream.receive_some(100, FOREVER) == b"ghi"
        assert not stream.is_readable()
        await stream.send_all(b"out", FOREVER)
        assert await far.receive_some(100, FOREVER) == b"out"
        await stream.send_eof(FOREVER)
        assert await far.receive_some(100, FOREVER) == b""

    backend.run(main())
    assert stream.ended_cleanly
    assert stream.local_address == near.local_address
    assert stream.peer_address == near.peer_address
    assert stream.ssl_object is None
    assert stream.fileno() == near.fileno()
    assert not stream.is_closed
    stream.close()
    assert stream.is_closed
    assert near.is_closed
