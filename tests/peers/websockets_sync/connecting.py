"""Connecting again, and what there is before the first message."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from tests.peers.websockets_sync.base import Library, Site, scenario, tried

# --- reconnecting -------------------------------------------------------------------------------------------------------


@scenario
def reconnecting(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    delays: list[str] = []

    def no_delay() -> Iterator[float]:
        while True:
            delays.append("delay")
            yield 0.0

    connecter = lib.client.reconnect(site.base + "/flaky?reconnecting", proxy=None, reconnect_delays=no_delay)
    for websocket in connecter:
        websocket.send(str(len(found)))
        found.append(websocket.recv(10))
        if len(found) == 3:
            break
    return found, delays


@scenario
def reconnecting_until_it_is_fatal(lib: Library, site: Site) -> Any:
    seen: list[str] = []

    def judge(error: Exception) -> Exception | None:
        seen.append(type(error).__name__)
        return None if len(seen) < 3 else KeyError("enough")

    def loop(**options: Any) -> None:
        for _ in lib.client.reconnect(proxy=None, reconnect_delays=lambda: iter([0.0] * 9), **options):
            raise AssertionError("connected")

    first = tried(loop, uri=f"{site.base}/status?code=503", process_exception=judge)
    second = tried(loop, uri=f"{site.base}/status?code=404")
    return first, seen, second


@scenario
def the_future_of_connect(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    connecter = lib.client.connect(site.base + "/echo", proxy=None, legacy=False)
    found.append(type(connecter).__name__)
    with connecter as websocket:
        websocket.send("a")
        found.append(websocket.recv(10))
        found.append(tried(connecter.__enter__))
    for websocket in connecter:
        websocket.send("b")
        found.append(websocket.recv(10))
        break
    return found


@scenario
def warnings_about_the_future(lib: Library, site: Site) -> Any:
    def warned(call: Callable[[Any], Any], **options: Any) -> list[Any]:
        websocket = lib.client.connect(site.base + "/echo", proxy=None, **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(websocket)
            tried(websocket.send, "x")
            websocket.close()
        return [(entry.category.__name__, str(entry.message), entry.filename == __file__) for entry in caught]

    return [
        warned(lambda w: w.send("x")),
        warned(lambda w: w.ping()),
        warned(lambda w: w.pong()),
        warned(lambda w: w.close()),
        warned(lambda w: tried(w.recv, 0)),
        warned(lambda w: w.__enter__()),
        warned(lambda w: w.send("x"), legacy=True),
    ]


@scenario
def subclasses(lib: Library, site: Site) -> Any:
    class Mine(lib.client.ClientConnection):  # type: ignore[misc, name-defined]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.count = 0

        def recv(self, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return super().recv(*args, **kwargs)

    with lib.client.connect(site.base + "/count?code=1000&reason=", proxy=None, create_connection=Mine) as websocket:
        return type(websocket).__name__, list(websocket), websocket.count


@scenario
def what_a_connection_shows(lib: Library, site: Site) -> Any:
    with lib.client.connect(site.base + "/echo", proxy=None, ping_interval=7, ping_timeout=8, close_timeout=9) as w:
        protocol = w.protocol
        return {
            "id": type(w.id).__name__,
            "same id": w.id == protocol.id,
            "logger": w.logger.name,
            "logged": w.logger.extra["websocket"].id == w.id,
            "times": (w.ping_interval, w.ping_timeout, w.close_timeout),
            "state": (w.state is lib.protocol.State.OPEN, protocol.state.name, protocol.side.name),
            "path": (w.request.path, w.response.status_code),
            "close": (protocol.close_rcvd, protocol.close_sent, protocol.close_rcvd_then_sent, protocol.close_code),
            "no end yet": tried(lambda: protocol.close_exc)[1][0],
            "addresses": (type(w.local_address).__name__, w.remote_address),
            "repr": isinstance(repr(w), str),
        }
