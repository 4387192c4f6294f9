"""The examples in docs/websockets.md run, against our own server in place of the site they name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import H2Limits, Server, WebSocket

PAGE = (Path(__file__).parents[1] / "docs" / "websockets.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SITE = "wss://chat.example/room"


@pytest.fixture
def chat() -> Iterator[str]:
    def echo(_: Server, stream: Any) -> None:
        websocket = WebSocket.from_stream(stream, stream.get_headers())
        assert websocket is not None
        websocket.accept(protocols=["chat.v1"])
        with websocket:
            for message in websocket:
                websocket.send(message)

    with Server(echo, h2_limits=H2Limits(enable_connect_protocol=True)) as server:
        yield f"ws://127.0.0.1:{server.localname().port}/room"


def output(example: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("subprotocols=", "hello chat.v1\n1000\n"),
        ("serve(greet", "hello world\nreceived 1000 (OK); then sent 1000 (OK)\n"),
        ("install(", "drivetrain.compat.websockets_api.asyncio.client\n"),
        ("client=client", "hello 1.1\n"),
    ],
    ids=["asyncio", "sync", "install", "client"],
)
def test_an_example(mark: str, expected: str, chat: str) -> None:
    (example,) = [example for example in EXAMPLES if mark in example]
    assert output(example.replace(SITE, chat)) == expected


def test_every_example_is_tried() -> None:
    assert len(EXAMPLES) == 4
