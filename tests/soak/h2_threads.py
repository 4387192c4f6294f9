"""A soak of the blocking client over HTTP/2: many threads, one connection at a time, everything that can happen to it.

    python -X dev -W error tests/soak/h2_threads.py --seconds 20 [--threads 16] [--seed 1] [--tls]

Each thread does one thing after another, chosen at random: downloads and uploads that are checked, responses that are read
slowly, in part or not at all, requests that time out, bodies that break off. The server says goodbye now and then, refuses
streams, resets some, and changes its settings. At the end nothing may be left: no exchange, no connection, no thread, and
the windows of the last connection are whole. Every thread is then used once more for 50 plain requests.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import random
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drivetrain.engine import Client, H2Limits, Timeouts, errors
from tests.support.certificates import Certificates
from tests.support.h2_server import Exchange, H2Server, Wire, pages, pattern

__all__ = ["Soak", "main"]

_WINDOW = 256 * 1024
_ERRORS_MEANT = (errors.Timeout, errors.StreamRefused)


class Restless:
    """What the server does besides answering; called in its connections' threads."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.calm = False
        self.last: dict[Wire, int] = {}

    def __call__(self, exchange: Exchange) -> None:
        with self.lock:
            dice = self.random.random()
        path = exchange.path
        if path.startswith("/held"):
            return
        if path.startswith("/reset"):
            exchange.head(200)
            exchange.data(b"part")
            exchange.reset(0x2)
            return
        if self.calm:
            pages(exchange)
            return
        if dice < 0.005:
            # More than once it may be said, but with no higher number.
            self.last[exchange.wire] = last = min(self.last.get(exchange.wire, 2**31 - 1), exchange.id)
            exchange.wire.goaway(last)
        elif dice < 0.03:
            exchange.reset(0x7)
            return
        elif dice < 0.05:
            exchange.wire.change_settings(max_concurrent_streams=self.random.choice([1, 3, 20, 100]))
        elif dice < 0.07:
            exchange.wire.change_settings(initial_window_size=self.random.choice([5_000, 65_535, 500_000]))
        if dice > 0.9:
            exchange.head(103, ("link", "x"))
        pages(exchange)


class Soak:
    """The client's threads.

    Args:
        client, url: who asks and where.
        seed: of the choices.
    """

    def __init__(self, client: Client, url: str, seed: int) -> None:
        self.client = client
        self.url = url
        self.seed = seed
        self.done: Counter[str] = Counter()
        self.faults: list[BaseException] = []
        self.end = 0.0

    def run(self, threads: int, seconds: float) -> None:
        """Let so many threads work for so long, then ask 50 plain requests of each."""
        self.end = time.monotonic() + seconds
        started = [threading.Thread(target=self._work, args=(number,)) for number in range(threads)]
        for thread in started:
            thread.start()
        while any(thread.is_alive() for thread in started):
            # A response that was garbage is noticed when somebody comes to the pool, not by those who wait there.
            with contextlib.suppress(*_ERRORS_MEANT):
                self.client.get(self.url + "/bytes/1", timeout=Timeouts(pool=0.05, read=30.0))
            started[0].join(0.05)
        if self.faults:
            raise self.faults[0]

    def _work(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        steps = [self.download, self.download, self.upload, self.pieces, self.slow, self.part, self.forsaken]
        steps += [self.late, self.broken_body, self.reset]
        try:
            while time.monotonic() < self.end and not self.faults:
                step = chance.choice(steps)
                try:
                    step(chance)
                    self.done[step.__name__] += 1
                except errors.StreamRefused:
                    self.done["refused for good"] += 1
        except BaseException as error:
            self.faults.append(error)

    def plain(self, number: int) -> None:
        """50 requests, each checked."""
        for turn in range(50):
            assert self.client.get(f"{self.url}/{number}/{turn}").text == f"/{number}/{turn}"

    def download(self, chance: random.Random) -> None:
        """A body that is checked."""
        length = chance.choice([0, 10, 5_000, 100_000, 700_000])
        assert self.client.get(f"{self.url}/bytes/{length}").content == pattern(length)

    def upload(self, chance: random.Random) -> None:
        """A body both ways."""
        body = pattern(chance.choice([1, 1_000, 70_000, 300_000]))
        response = self.client.post(self.url + "/echo", content=body)
        assert response.content == body

    def pieces(self, chance: random.Random) -> None:
        """A body whose length is not known before; refused, it cannot be sent again."""
        pieces = [pattern(chance.randrange(20_000)) for _ in range(chance.randrange(8))]
        response = self.client.post(self.url + "/echo", content=iter(pieces))
        assert zlib.crc32(response.content) == zlib.crc32(b"".join(pieces))

    def slow(self, chance: random.Random) -> None:
        """A body that is read in small pieces, with other requests between."""
        with self.client.stream("GET", self.url + "/bytes/400000") as response:
            body = b""
            while piece := response.read(150_000):
                body += piece
                # Where the server takes few streams, this one may be what the other waits for.
                with contextlib.suppress(*_ERRORS_MEANT):
                    self.client.get(self.url + "/bytes/100", timeout=Timeouts(pool=0.02, read=30.0))
            assert body == pattern(400_000)

    def part(self, chance: random.Random) -> None:
        """A body of which a part is read."""
        with self.client.stream("GET", self.url + "/bytes/600000") as response:
            piece = response.read(chance.randrange(1, 100_000))
            assert piece == pattern(len(piece))

    def forsaken(self, chance: random.Random) -> None:
        """A response that nobody closes."""
        self.client.stream("GET", self.url + "/bytes/600000")
        if chance.random() < 0.1:
            gc.collect()

    def late(self, chance: random.Random) -> None:
        """A request that is not answered in time."""
        try:
            self.client.get(self.url + "/held", timeout=Timeouts(total=chance.random() / 50))
        except _ERRORS_MEANT:
            return
        raise AssertionError("an answer that nobody gave")

    def broken_body(self, chance: random.Random) -> None:
        """A request whose body cannot be made."""

        def body() -> Iterator[bytes]:
            yield pattern(chance.randrange(1, 100_000))
            raise ZeroDivisionError

        try:
            self.client.post(self.url + "/digest", content=body())
        except ZeroDivisionError:
            return
        raise AssertionError("a body that broke off was sent")

    def reset(self, chance: random.Random) -> None:
        """An answer that is reset in the middle."""
        try:
            self.client.get(self.url + "/reset")
        except errors.RemoteProtocolError:
            return
        raise AssertionError("a body that broke off was taken for whole")


def soak(seconds: float, threads: int, seed: int, certificates: Certificates | None) -> Counter[str]:
    """Run it; returns how often each thing was done.

    Raises:
        AssertionError: something is wrong.
    """
    restless = Restless(seed)
    context = None if certificates is None else certificates.server_context(["h2"])
    limits = H2Limits(stream_window=_WINDOW, connection_window=8 * _WINDOW)
    verify = True if certificates is None else str(certificates.ca_file)
    server = H2Server(restless, context=context, keep_bodies=True)
    with server, Client(version=2, timeout=30.0, h2_limits=limits, verify=verify) as client:
        worker = Soak(client, server.url, seed)
        worker.run(threads, seconds)
        gc.collect()
        restless.calm = True
        client.get(server.url + "/bytes/1")  # sees to what was forsaken
        server.wire.change_settings(max_concurrent_streams=100, initial_window_size=65_535)
        last = [threading.Thread(target=worker.plain, args=(number,)) for number in range(threads)]
        for thread in last:
            thread.start()
        for thread in last:
            thread.join()
        assert client.get(server.url + f"/bytes/{20 * _WINDOW}").content == pattern(20 * _WINDOW)
        figures = client.statistics
        assert (figures.users, figures.in_use, figures.waiting, figures.opening) == (0, 0, 0, 0), figures
        server.wait(
            lambda: sum(not wire.ended for wire in server.wires) == 1, "the end of the connections that were left"
        )
        server.wait(lambda: is_whole(server.wire), "the return of the credit")
        done = worker.done
        done["connections"] = server.connections
    return done


def is_whole(wire: Wire) -> bool:
    """Whether nothing is open on a connection, and its window as good as new."""
    with wire.lock:
        open_now = [each for each in wire.exchanges if not each.over and not each.complete]
        return not open_now and wire.connection_window() >= 4 * _WINDOW


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    faulthandler.dump_traceback_later(options.seconds + 90, exit=True)
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates.create(Path(folder)) if options.tls else None
        done = soak(options.seconds, options.threads, options.seed, certificates)
    faulthandler.cancel_dump_traceback_later()
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())))


if __name__ == "__main__":
    main()
