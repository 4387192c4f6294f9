"""What a whole program did through the engine, counted where all faces send, `Client.exchange`, and where WebSockets begin."""

from __future__ import annotations

import functools
import sys
import threading
from collections import Counter
from typing import Any

from drivetrain.compat.installing import Report
from drivetrain.compat.replaced import NOTED
from drivetrain.engine import Client, Response, WebSocketConnection

__all__ = ["Tally"]


class Tally:
    """Counts every exchange of the process from `begin` on; as text, the report of `drivetrain run --report`.

    Attributes:
        requests: answered ones, each hop of a redirect for itself.
        failures: those that ended without an answer.
        opened: connections that were opened for them.
        versions: how many were answered in which version of HTTP.
        websockets: WebSockets that were opened as a client.
        past: how many connections http.client has opened where, which urllib3's pools do through it: what is not covered.
    """

    def __init__(self) -> None:
        self.requests = self.failures = self.opened = self.websockets = 0
        self.versions: Counter[str] = Counter()
        self.past: Counter[str] = Counter()
        self._opening = 0.0  # seconds spent on connections
        self._report: Report | None = None
        self._lock = threading.Lock()

    def begin(self, report: Report) -> None:
        """Begin to count, with what was installed."""
        self._report = report
        original: Any = Client.exchange

        @functools.wraps(original)
        def exchange(client: Client, *args: Any, **options: Any) -> Response:
            try:
                response: Response = original(client, *args, **options)
            except BaseException:
                with self._lock:
                    self.failures += 1
                raise
            self._count(response)
            return response

        setattr(Client, "exchange", exchange)  # noqa: B010  # a method, which assignment may not change
        self._count_websockets()
        sys.addaudithook(self._note)

    def _count_websockets(self) -> None:
        original: Any = WebSocketConnection.__init__

        @functools.wraps(original)
        def begin(websocket: WebSocketConnection, *args: Any, **options: Any) -> None:
            original(websocket, *args, **options)
            if websocket.type == "client":
                with self._lock:
                    self.websockets += 1

        setattr(WebSocketConnection, "__init__", begin)  # noqa: B010  # as above

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "http.client.connect":
            _, host, port = arguments
            self.past[f"{host}:{port}"] += 1

    def _count(self, response: Response) -> None:
        timings = response.timings
        reused = response.connection.reused
        with self._lock:
            self.requests += 1
            self.versions[response.http_version] += 1
            if not reused:
                self.opened += 1
                if timings.connected is not None:
                    self._opening += timings.connected - timings.started

    def __str__(self) -> str:
        lines = [f"drivetrain: {line}" for line in str(self._report or "nothing was run").splitlines()]
        reused = self.requests - self.opened
        lines.append(f"drivetrain: {self.requests} answers, {self.failures} requests without one")
        lines.append(f"drivetrain: {self.opened} connections opened, {reused} requests on one that was there")
        if self.versions:
            versions = ", ".join(f"HTTP/{version}: {count}" for version, count in sorted(self.versions.items()))
            lines.append(f"drivetrain: {versions}")
        if reused and self.opened:
            saved = reused * self._opening / self.opened
            lines.append(f"drivetrain: about {saved:.3f} s saved that opening a connection for each would have taken")
        if self.websockets:
            lines.append(f"drivetrain: {self.websockets} WebSockets opened")
        if self.past:
            hosts = ", ".join(sorted(self.past))
            lines.append(f"drivetrain: {self.past.total()} connections went past the engine, to {hosts}")
            lines += [f"drivetrain: {name} is replaced, by {home}" for name, home in sorted(NOTED.items())]
        return "\n".join(lines)
