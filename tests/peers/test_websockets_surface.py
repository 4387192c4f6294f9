"""The data modules of the `websockets` face beside those of the original: names, signatures, messages, what comes of calls."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from drivetrain.compat.websockets_api.version import version
from tests.support import websocket_peers

pytestmark = pytest.mark.peers

PROGRAM = Path(websocket_peers.__file__).with_name("websocket_programs") / "surface.py"


@pytest.mark.parametrize("seed", ["drivetrain", None], ids=["the same calls each time", "other calls each time"])
def test_they_are_those_of_the_original(seed: str | None) -> None:
    command = [websocket_peers.peers_python(), str(PROGRAM), *([seed] if seed else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.fullmatch(r"(\d+) comparisons with ([0-9.]+)\n", done.stdout)
    assert found is not None, done.stdout
    # Calls are compared with that version only which ours matches: a later one may do other things.
    assert int(found[1]) >= (8000 if found[2] == version else 100)
