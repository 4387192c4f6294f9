"""Programs under test stop time, by putting a clock of theirs wherever a module has `time.monotonic`. Sockets go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from drivetrain.engine import Client, Timeouts
from drivetrain.engine.errors import ReadTimeout
from tests.support.servers import RawServer, answering, read_until_eof


@pytest.fixture(params=[0.0, 1e12], ids=["early", "late"])
def stopped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = time.monotonic
    for name, module in list(sys.modules.items()):
        if module is time or name.startswith("drivetrain"):
            for attribute in [key for key, value in vars(module).items() if value is real]:
                monkeypatch.setattr(module, attribute, lambda: request.param)
    assert time.monotonic() == request.param
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("timeout", [30, Timeouts(connect=30, read=30), None])
def test_requests_go_through(timeout: object) -> None:
    handler = answering(*[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"] * 2)
    with RawServer(handler) as server, Client(resolver={"a.test": "127.0.0.1"}) as client:
        for _ in range(2):
            response = client.get(f"http://a.test:{server.port}", timeout=timeout)  # type: ignore[arg-type]
            assert response.content == b"ok"


@pytest.mark.usefixtures("stopped")
def test_limits_hold_all_the_same() -> None:
    with RawServer(read_until_eof) as server, Client() as client, pytest.raises(ReadTimeout):
        client.get(server.url, timeout=0.05)
