"""The soaks, for a second or two, as they are run by hand for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("options", [[], ["--tls", "--seed", "2"]])
def test_threads_over_http2(options: list[str]) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", str(FOLDER / "h2_threads.py"), "--seconds", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "download" in done.stdout
