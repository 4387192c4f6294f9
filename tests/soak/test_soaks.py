"""The soaks, for a second or two, as they are run by hand for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def run(program: str, *options: str, dev: bool = True) -> str:
    command = [sys.executable, *(("-X", "dev") if dev else ()), "-W", "error", str(FOLDER / program), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("options", [[], ["--tls", "--seed", "2"]])
def test_threads_over_http2(options: list[str]) -> None:
    assert "download" in run("h2_threads.py", "--seconds", "1", *options)


@pytest.mark.parametrize("options", [[], ["--http2", "--tls", "--seed", "2"]])
def test_fifty_threads_of_websockets(options: list[str]) -> None:
    assert "echo" in run("websocket_threads.py", "--seconds", "1", "--threads", "50", *options)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(
    "options",
    [["--connections", "5000"], ["--connections", "1000", "--tls", "--compression", "--most", "200000"]],
    ids=["plain", "tls-deflate"],
)
def test_idle_websockets(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = run("websocket_idle.py", *options, dev=False)  # which takes memory of its own
    assert "memory of one: server " in said
    with capsys.disabled():
        print(f"\n{said}", end="")
