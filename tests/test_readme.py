"""The examples in README.md run, against our own server in place of the sites they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import CookieStore, Headers, Server, WebSocket, connect_websocket, get

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def hello(_: Server, stream: Any) -> None:
    stream.get_headers()
    stream.write_headers(Headers([(":status", "200")]), end_stream=False)
    stream.write_body_from_string("hello")


@pytest.fixture
def site() -> Iterator[str]:
    with Server(hello) as server:
        yield f"http://127.0.0.1:{server.localname().port}/"


@pytest.fixture
def chat() -> Iterator[str]:
    def echo(_: Server, stream: Any) -> None:
        websocket = WebSocket.from_stream(stream, stream.get_headers())
        assert websocket is not None
        websocket.accept(protocols=["chat.v1"])
        with websocket:
            for message in websocket:
                websocket.send(message)

    with Server(echo) as server:
        yield f"ws://127.0.0.1:{server.localname().port}/"


def run(example: str, names: dict[str, Any] | None = None) -> None:
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__", **(names or {})})


def test_there_is_an_example_for_each_door() -> None:
    doors = ("import Client", "import AsyncClient", "import EngineAdapter", "import urlopen", "import Headers, Server")
    assert [sum(door in example for example in EXAMPLES) for door in doors] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "example", [example for example in EXAMPLES if "https://example.com/" in example], ids=lambda text: text.split()[3]
)
def test_a_client_example_prints_what_it_got(example: str, site: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(example.replace("https://example.com/", site))
    assert "200" in capsys.readouterr().out


def test_the_adapter_takes_the_options_of_the_example() -> None:
    (example,) = [example for example in EXAMPLES if "EngineAdapter(\n" in example]
    with requests.Session() as session:
        run(example, {"EngineAdapter": EngineAdapter, "CookieStore": CookieStore, "session": session})
        adapter = session.get_adapter("http+unix://%2Fx/")
        assert isinstance(adapter, EngineAdapter)
        assert (adapter.proxy, adapter.hsts is None, adapter.cookies is None) == (
            "socks5h://127.0.0.1:1080",
            False,
            False,
        )


def test_the_server_example_serves(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = [example for example in EXAMPLES if "Server(hello" in example]
    answers: list[str] = []

    def pressed(_: str) -> str:
        port = re.search(r"port=(\d+)", capsys.readouterr().out)
        assert port is not None
        answers.append(get(f"http://127.0.0.1:{port.group(1)}/path").text)
        return ""

    run(example.replace("port=8080", "port=0"), {"input": pressed})
    assert answers == ["you asked for /path\n"]


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if "wss:" in example],
    ids=["sync", "asyncio", "websockets asyncio", "websockets sync"],
)
def test_a_websocket_example_prints_what_came_back(example: str, chat: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(example.replace("wss://chat.example/", chat))
    assert capsys.readouterr().out in ("hello chat.v1\n", "hello\n")


def test_the_websocket_server_example_serves(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = [example for example in EXAMPLES if "Server(room" in example]
    answers: list[Any] = []

    def pressed(_: str) -> str:
        port = re.search(r"port=(\d+)", capsys.readouterr().out)
        assert port is not None
        with connect_websocket(f"ws://127.0.0.1:{port.group(1)}/", ["chat.v1"], timeout=10) as websocket:
            websocket.send("hello")
            answers.extend([websocket.receive(10), websocket.protocol])
        return ""

    run(example.replace("port=8080", "port=0"), {"input": pressed})
    assert answers == ["hello", "chat.v1"]
