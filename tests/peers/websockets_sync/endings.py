"""How connections end, and Pings."""

from __future__ import annotations

import threading
from typing import Any

from tests.peers.websockets_sync.base import Library, Site, cause_of, facts, scenario, tried

# --- closing ------------------------------------------------------------------------------------------------------------


@scenario
def closed_by_the_server(lib: Library, site: Site) -> Any:
    found = {}
    for code in (1000, 1001, 1002, 1003, 1008, 1011, 1012, 1013, 1014, 3000, 4999):
        with lib.client.connect(f"{site.base}/count?code={code}&reason=r", proxy=None) as websocket:
            found[code] = [tried(websocket.recv, 10) for _ in range(5)]
            found[code] += [tried(websocket.send, "x"), tried(websocket.ping), tried(websocket.pong), facts(websocket)]
            found[code] += [tried(lambda w: list(w.recv_streaming()), websocket), tried(websocket.close, 1008)]
            found[code] += [tried(websocket.wait_closed, 1), cause_of(websocket.recv)]
    return found


@scenario
def closed_by_the_client(lib: Library, site: Site) -> Any:
    found = []
    for arguments in ((), (1000,), (1001, "away"), (1008,), (3000, "ü" * 60), (4999, "")):
        with site.raw("notes") as base:
            websocket = lib.open(base + "/")
            websocket.close(*arguments)
        found.append((site.take(), facts(websocket), tried(websocket.recv), tried(websocket.send, "x")))
        found.append((tried(websocket.close), websocket.wait_closed(), tried(websocket.send, ["x"])))
    return found


@scenario
def codes_that_cannot_be_sent(lib: Library, site: Site) -> Any:
    found = []
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        for arguments in ((0,), (999,), (1004,), (1005,), (1006,), (1015,), (2999,), (5000,), (1000, "x" * 124)):
            found.append(tried(websocket.close, *arguments))
        websocket.send("still open")
        found.append(websocket.recv(10))
    return found


@scenario
def messages_before_the_close(lib: Library, site: Site) -> Any:
    """What was received before the connection was closed can still be read."""
    websocket = lib.open(f"{site.base}/count?code=1000&reason=")
    assert websocket.wait_closed(10)
    return [tried(websocket.recv) for _ in range(5)], facts(websocket)


@scenario
def left_with_an_error(lib: Library, site: Site) -> Any:
    found = []
    for error in (ValueError("x"), KeyboardInterrupt(), None):
        with site.raw("notes") as base:
            try:
                with lib.client.connect(base + "/", proxy=None) as websocket:
                    if error is not None:
                        raise error
            except BaseException as raised:
                found.append(raised is error)
        found.append((site.take(), facts(websocket)))
    return found


@scenario
def closed_while_receiving(lib: Library, site: Site) -> Any:
    websocket = lib.open(site.base + "/echo")
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(tried(websocket.recv)))]
    threads.append(threading.Timer(0.1, websocket.close))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return found, facts(websocket)


@scenario
def wait_closed_in_vain(lib: Library, site: Site) -> Any:
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        return websocket.wait_closed(0.05), websocket.wait_closed(timeout=0), facts(websocket)


RAW_ENDS = (
    "gone",
    "reset",
    "gone after a message",
    "gone in a frame",
    "close without code",
    "no answer to close",
)


@scenario
def connections_that_end(lib: Library, site: Site) -> Any:
    found = {}
    for name in RAW_ENDS:
        with site.raw(name) as base:
            websocket = lib.open(base + "/", close_timeout=0.3)
            found[name] = [tried(websocket.recv, 1), tried(websocket.recv, 1), tried(websocket.close)]
            found[name] += [tried(websocket.recv, 1), tried(websocket.send, "x"), tried(websocket.ping)]
            found[name] += [facts(websocket), cause_of(websocket.recv)]
    return found


FAULTS = (
    "masked",
    "reserved bit",
    "reserved opcode",
    "reserved control opcode",
    "continuation of nothing",
    "message in a message",
    "fragmented ping",
    "large ping",
    "close of one byte",
    "close with bad code",
    "close with bad text",
    "text that is no text",
)


@scenario
def faults_of_the_server(lib: Library, site: Site) -> Any:
    found = {}
    for name in FAULTS:
        with site.raw(name) as base:
            websocket = lib.open(base + "/", close_timeout=0.3)
            kind, error = tried(websocket.recv, 5)
            # Which words the fault is described in is up to each.
            found[name] = (kind, error[:2], {key: value.partition(")")[0] for key, value in error[3].items()})
            found[name] += (facts(websocket),)
            websocket.close()
    return found


@scenario
def messages_that_are_too_large(lib: Library, site: Site) -> Any:
    found = []
    for max_size in (100, (100, None), (None, 50), None):
        websocket = lib.open(f"{site.base}/echo", max_size=max_size, compression=None)
        websocket.send("x" * 101)
        kind, value = tried(websocket.recv, 10)
        if kind == "raised":
            value = (value[:2], value[3]["sent"].partition(")")[0])
        found.append((kind, value))
        websocket.close()
    return found


# --- Pings --------------------------------------------------------------------------------------------------------------


@scenario
def pings(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
        found.append(facts(websocket))
        for data in (None, "text", b"bytes", bytearray(b"array"), memoryview(b"view"), b"", b"x" * 125):
            event = websocket.ping(data)
            found.append((type(event).__name__, event.wait(10), event.is_set()))
        found.append(facts(websocket))
        for data in (1, ["a"], b"x" * 126):
            found.append(tried(websocket.ping, data))
            found.append(tried(websocket.pong, data))
        found.append(tried(websocket.pong))
        found.append(tried(websocket.pong, "unasked"))
        websocket.send("open")
        found.append(websocket.recv(10))
    return found


@scenario
def pings_without_answer(lib: Library, site: Site) -> Any:
    with site.raw("silent") as base:
        websocket = lib.open(base + "/", close_timeout=0.2)
        plain, closing = websocket.ping("a"), websocket.ping(b"b", ack_on_close=True)
        again = tried(websocket.ping, "a")
        waited = plain.wait(0.05), closing.wait(0.05)
        websocket.close()
        return again, waited, plain.wait(0.05), closing.wait(1), facts(websocket)


@scenario
def pongs_for_several_pings(lib: Library, site: Site) -> Any:
    with site.raw("answers the third ping") as base:
        websocket = lib.open(base + "/", close_timeout=0.2)
        events = [websocket.ping(data) for data in ("1", "2", "3", "4")]
        found = [event.wait(2) for event in events[:3]], events[3].wait(0.05)
        websocket.close()
        return found


@scenario
def pings_that_keep_alive(lib: Library, site: Site) -> Any:
    with site.raw("silent") as base:
        websocket = lib.open(base + "/", ping_interval=0.1, ping_timeout=0.1, close_timeout=0.2)
        return tried(websocket.recv, 10), facts(websocket)


@scenario
def kept_alive(lib: Library, site: Site) -> Any:
    with lib.client.connect(site.base + "/echo", proxy=None, ping_interval=0.05, ping_timeout=5) as websocket:
        found = tried(websocket.recv, 0.3)
        websocket.send("open")
        return found, websocket.recv(10), facts(websocket)
