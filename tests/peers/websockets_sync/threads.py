"""Many threads."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.peers.websockets_sync.base import Library, Site, facts, scenario, tried

THREADS = 50
MESSAGES = 20


@scenario
def fifty_threads_send_on_one_connection(lib: Library, site: Site) -> Any:
    """While one receives, and others ping. Every message comes back once, those of each thread in their order."""
    with lib.client.connect(site.base + "/echo", proxy=None, max_queue=None) as websocket:

        def send(thread: int) -> list[bool]:
            pongs = []
            for number in range(MESSAGES):
                websocket.send(f"{thread} {number} " + "x" * (number * 100))
                if number % 10 == 0:
                    pongs.append(websocket.ping())
            return [pong.wait(10) for pong in pongs]

        with ThreadPoolExecutor(THREADS) as pool:
            pongs = [pool.submit(send, thread) for thread in range(THREADS)]
            messages = [websocket.recv(10) for _ in range(THREADS * MESSAGES)]
            answered = [pong.result() for pong in pongs]
        order: dict[str, list[str]] = {}
        for message in messages:
            thread, number, _ = message.split(" ")
            order.setdefault(thread, []).append(number)
        return len(order), Counter(map(tuple, order.values())), Counter(map(tuple, answered))


@scenario
def fifty_threads_with_connections_of_their_own(lib: Library, site: Site) -> Any:
    def talk(thread: int) -> list[Any]:
        with lib.client.connect(site.base + "/echo", proxy=None) as websocket:
            answers = []
            for number in range(MESSAGES):
                websocket.send(f"{thread} {number}")
                answers.append(websocket.recv(10) == f"{thread} {number}")
        return [all(answers), facts(websocket)["state"], tried(websocket.recv)[1][0]]

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(talk, range(THREADS)))


@scenario
def fifty_threads_close_one_connection(lib: Library, site: Site) -> Any:
    websocket = lib.open(site.base + "/echo")
    received: list[Any] = []
    receiver = threading.Thread(target=lambda: received.append(tried(websocket.recv)))
    receiver.start()
    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(lambda _: tried(websocket.close), range(THREADS)))
    receiver.join(10)
    return outcomes, received, facts(websocket)


@scenario
def fifty_threads_lose_their_connection(lib: Library, site: Site) -> Any:
    """All of them send until it is gone: each is told so."""
    websocket = lib.open(f"{site.base}/count?code=1001&reason=away")

    def send(_: int) -> Any:
        while True:
            kind, value = tried(websocket.send, "x" * 1000)
            if kind == "raised":
                return value[0]

    with ThreadPoolExecutor(THREADS) as pool:
        return set(pool.map(send, range(THREADS))) <= {"ConnectionClosedOK", "ConnectionClosedError"}
