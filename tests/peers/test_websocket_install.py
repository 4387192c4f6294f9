"""`install("websockets")` beside the original, imported before it or after, and an ASGI server that needs the original."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import websocket_peers

pytestmark = pytest.mark.peers

PROGRAMS = Path(websocket_peers.__file__).with_name("websocket_programs")


def run(*words: str) -> str:
    command = [websocket_peers.peers_python(), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("when", ["before", "after"])
def test_its_doors_lead_to_ours_and_back(when: str) -> None:
    said = run(str(PROGRAMS / "installing.py"), when)
    found = re.fullmatch(r"(\d+) checks\n", said)
    assert found is not None, said
    assert int(found[1]) >= 95


def test_a_server_without_io_of_its_own_goes_on(tmp_path: Path) -> None:
    """uvicorn is built on the original's protocol, its client beside it on the engine."""
    said = run("-m", "drivetrain.compat", "run", str(PROGRAMS / "used" / "with_uvicorn.py"))
    assert said == "WebSocketsSansIOProtocol\nHELLO\ndrivetrain.compat.websockets_api.asyncio.client\n"


def test_the_command_of_the_original_goes_through_the_engine() -> None:
    assert re.fullmatch(r"websockets [0-9.]+\n", run("-m", "drivetrain.compat", "run", "-m", "websockets", "--version"))
    words = ["-m", "drivetrain.compat", "run", "-m", "websockets", "ws://127.0.0.1:1/"]
    done = subprocess.run(
        [websocket_peers.peers_python(), *words], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "Failed to connect to ws://127.0.0.1:1/" in done.stdout
