"""A soak of blocking WebSockets: many threads, each on a connection of its own and all of them on one that they share.

    python -X dev -W error tests/soak/websocket_threads.py --seconds 20 [--threads 50] [--seed 1] [--tls] [--http2]

Each thread does one thing after another, chosen at random: echoes of every size and kind, in pieces and compressed, Pings,
calls that time out, closes in order and without; and it sends on the shared connection, whose echoes one more thread receives
and checks: the messages of each thread in its order, whole. At the end nothing may be left on either side: no connection, no
thread, nothing waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drivetrain.engine import Client, H2Limits, Server, WebSocket
from drivetrain.engine.errors import ReadTimeout, WebSocketClosed, WebSocketError
from tests.support.certificates import Certificates

__all__ = ["Soak", "main"]

_PATIENCE = 60.0
_SIZES = (0, 1, 100, 125, 126, 3_000, 65_535, 65_536, 200_000)


def echo(_: Server, stream: Any) -> None:
    """The handler."""
    websocket = WebSocket.from_stream(stream, stream.get_headers(), compression=True)
    assert websocket is not None
    websocket.accept(timeout=_PATIENCE)
    with websocket, contextlib.suppress(WebSocketError):
        for message in websocket:
            websocket.send(message)


class Soak:
    """The client's threads.

    Args:
        client, uri: who connects and where.
        seed: of the choices.
    """

    def __init__(self, client: Client, uri: str, seed: int) -> None:
        self.client = client
        self.uri = uri
        self.seed = seed
        self.done: Counter[str] = Counter()
        self.faults: list[BaseException] = []
        self.end = 0.0
        self.shared = self.connect(compression=True)
        self.sent: dict[int, int] = {}

    def connect(self, **settings: Any) -> WebSocket:
        """A new connection."""
        return self.client.websocket(self.uri, timeout=_PATIENCE, **settings)

    def run(self, threads: int, seconds: float) -> None:
        """Let so many threads work for so long."""
        self.end = time.monotonic() + seconds
        listener = threading.Thread(target=self._listen)
        started = [threading.Thread(target=self._work, args=(number,)) for number in range(threads)]
        for thread in [listener, *started]:
            thread.start()
        for thread in started:
            thread.join()
        # The server's answer to it comes after all that was sent before.
        self.shared.send("end", timeout=_PATIENCE)
        listener.join(_PATIENCE)
        self.shared.close()
        if self.faults:
            raise self.faults[0]
        assert not listener.is_alive()
        assert self.shared.close_code == 1000, self.shared.close_code

    def _listen(self) -> None:
        heard: Counter[int] = Counter()
        try:
            while (message := self.shared.receive(_PATIENCE)) != "end":
                assert isinstance(message, str)
                number, turn, rest = message.split(":")
                assert (int(turn), set(rest)) == (heard[int(number)], {"x"}), message[:50]
                heard[int(number)] += 1
            assert heard == self.sent, (heard, self.sent)
        except BaseException as error:
            self.faults.append(error)

    def _work(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        steps: list[Callable[[WebSocket, random.Random], bool]] = [self.echo, self.echo, self.many, self.pieces]
        steps += [self.ping, self.late, self.closed, self.cut]
        self.sent[number] = 0
        try:
            websocket = self.connect(compression=chance.random() < 0.5)
            while time.monotonic() < self.end and not self.faults:
                step = chance.choice(steps)
                self.done[step.__name__] += 1
                if not step(websocket, chance):
                    websocket = self.connect(compression=chance.random() < 0.5)
                self.send_shared(number, chance)
            websocket.close()
            assert websocket.close_code == 1000, websocket.close_code
        except BaseException as error:
            self.faults.append(error)

    def send_shared(self, number: int, chance: random.Random) -> None:
        """A message on the connection that all share."""
        size = chance.choice([1, 100, 2_000, 30_000])
        head = f"{number}:{self.sent[number]}:"
        if size > 2_000:
            self.shared.send_pieces([head, "x" * (size // 2), "x" * (size // 2)], timeout=_PATIENCE)
        else:
            self.shared.send(head + "x" * size, timeout=_PATIENCE)
        self.sent[number] += 1

    def echo(self, websocket: WebSocket, chance: random.Random) -> bool:
        """There and back."""
        size = chance.choice(_SIZES)
        message: str | bytes = chance.randbytes(size) if chance.random() < 0.5 else "é" * size
        websocket.send(message, compress=chance.choice([True, False, None]))
        assert websocket.receive(_PATIENCE) == message
        return True

    def many(self, websocket: WebSocket, chance: random.Random) -> bool:
        """Several on the way at the same time."""
        messages = [f"{turn}" * chance.randrange(1, 200) for turn in range(chance.randrange(1, 30))]
        for message in messages:
            websocket.send(message)
        assert [websocket.receive(_PATIENCE) for _ in messages] == messages
        return True

    def pieces(self, websocket: WebSocket, chance: random.Random) -> bool:
        """A message in parts, either way."""
        parts = [chance.randbytes(chance.choice(_SIZES)) for _ in range(chance.randrange(1, 6))]
        websocket.send_pieces(parts, "binary")
        assert b"".join(websocket.receive_pieces(_PATIENCE)) == b"".join(parts)  # type: ignore[arg-type]
        return True

    def ping(self, websocket: WebSocket, chance: random.Random) -> bool:
        """A round trip."""
        assert websocket.ping(timeout=_PATIENCE) >= 0
        return True

    def late(self, websocket: WebSocket, chance: random.Random) -> bool:
        """A call that times out."""
        try:
            websocket.receive(chance.random() / 100)
        except ReadTimeout:
            return True
        raise AssertionError("a message that nobody sent")

    def closed(self, websocket: WebSocket, chance: random.Random) -> bool:
        """The end, in order."""
        code = chance.choice([1000, 1001, 3000, 4999])
        websocket.close(code, "so")
        assert websocket.close_code == code, websocket.close_code
        assert websocket.receive() is None
        return False

    def cut(self, websocket: WebSocket, chance: random.Random) -> bool:
        """The end, just so, perhaps in the middle of something."""
        if chance.random() < 0.5:
            websocket.send(bytes(100_000))
        websocket.close(timeout=0)
        with contextlib.suppress(WebSocketClosed):
            websocket.send("x")
            raise AssertionError("it is closed")
        return False


@contextlib.contextmanager
def certificates_for(tls: bool) -> Iterator[Certificates | None]:
    """Certificates in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield Certificates.create(Path(folder)) if tls else None


def soak(seconds: float, threads: int, seed: int, tls: bool, http2: bool) -> Counter[str]:
    """Run it; returns how often each thing was done.

    Raises:
        AssertionError: something is wrong.
    """
    errors: list[BaseException] = []
    # What is cut is reset, and there is much of it here.
    limits = H2Limits(enable_connect_protocol=True, max_concurrent_streams=threads + 10, max_resets=1_000_000)
    with certificates_for(tls) as certificates:
        context = None if certificates is None else certificates.server_context(["h2", "http/1.1"])
        verify: Any = True if certificates is None else certificates.ca_file
        with Server(echo, lambda _, error, __: errors.append(error), context=context, h2_limits=limits) as server:
            port = server.localname().port
            uri = f"wss://localhost:{port}/" if tls else f"ws://127.0.0.1:{port}/"
            with Client(version=2 if http2 else 1.1, verify=verify, proxies=False) as client:
                worker = Soak(client, uri, seed)
                worker.run(threads, seconds)
                figures = client.statistics
                assert (figures.users, figures.in_use, figures.waiting) == (0, 0, 0), figures
                assert figures.created == (1 if http2 else figures.created), figures
        assert server.connections == 0, server.connections
    assert errors == [], errors
    return worker.done


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--http2", action="store_true")
    options = parser.parse_args()
    faulthandler.dump_traceback_later(options.seconds + 90, exit=True)
    done = soak(options.seconds, options.threads, options.seed, options.tls, options.http2)
    faulthandler.cancel_dump_traceback_later()
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())))


if __name__ == "__main__":
    main()
