"""What one contender is asked to do: the vocabulary shared by the runner, the children and the contenders.

A contender is a module of `bench.contenders` that defines, for each kind of work it takes part in, a context manager of
that name (asynchronous in an asynchronous contender). It is given the `Job`, prepares (opens sessions, warms nothing), and
yields an operation: a callable without arguments that does the work once and returns how many bytes of body it read, or,
for an upload, sent. A contender of the colour "batch", which is its own loop, yields a callable that is told how many times to
do the work, at most `concurrency` at a time. Whatever the library needs to clean up happens when the context manager is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

__all__ = ["PIECE", "Job"]

PIECE = 64 * 1024  # bytes: what a streamed body is read and written in, wherever the library lets one choose


@dataclass(frozen=True)
class Job:
    """One kind of work against the server.

    Attributes:
        work: `small_get`, `download`, `upload_file`, `upload_pieces` or `handshake`; over HTTP/2 `h2_get`, `h2_many`
            (several at a time on one connection, by tasks or in a batch), `h2_threads` (by threads), `session_threads`
            (by threads, in HTTP/1.1 where the library has no more), `h2_download` or `h2_upload` (from a file); on
            WebSockets `ws_echo` (a message there and back), `ws_connect` (open and close) or `ws_idle` (hold many).
        url: what to request.
        host, port, target: the same in parts, for those who speak HTTP by hand.
        ca_file: trust this authority only, on https.
        size: bytes of body expected, or to be sent.
        upload_path: a file of `size` bytes.
        concurrency: operations at a time: in tasks, in threads that share what the contender opened, or in a batch.
        connections: how many are opened, for `ws_idle`.
        compression: with permessage-deflate, for `ws_echo`.
        http2: over HTTP/2: agreed on in the TLS handshake, or known beforehand in clear.
    """

    work: str
    url: str
    host: str
    port: int
    target: str
    ca_file: str
    size: int
    upload_path: str = ""
    concurrency: int = 1
    http2: bool = False
    connections: int = 1
    compression: bool = False

    @property
    def tls(self) -> bool:
        """Whether it is over https."""
        return self.url.startswith("https:")

    def as_dict(self) -> dict[str, object]:
        """For the way to the child, as JSON."""
        return asdict(self)

    def pieces(self) -> Iterator[bytes]:
        """The upload as an iterator of unknown length."""
        piece = bytes(PIECE)
        left = self.size
        while left > 0:
            yield piece[:left]
            left -= PIECE
