"""Widely used programs on the `websockets` library: with the engine they print the same, and their server sees the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import websocket_peers
from tests.support.websocket_peers import peers_python

pytestmark = pytest.mark.peers

USED = Path(websocket_peers.__file__).with_name("websocket_programs") / "used"
ENGINE = ["-m", "drivetrain.compat", "run", "--only", "websockets"]


class Program(NamedTuple):
    """A program.

    Attributes:
        words: its command line; `{url}` is the server's, `{bin}` the folder of installed commands.
        typed: its standard input.
        connections: how many it opens or tries to open.
    """

    words: list[str]
    typed: str = ""
    connections: int = 1


PROGRAMS = {
    "gql": Program([str(USED / "with_gql.py"), "{url}"], connections=2),
    "gql-cli": Program(["{bin}/gql-cli", "{url}/graphql", "--headers", "X-A:b"], "query { hello }"),
    "openai": Program([str(USED / "with_openai.py"), "{url}"], connections=4),
    "deepgram": Program([str(USED / "with_deepgram.py"), "{url}"], connections=3),
    "cdp-use": Program([str(USED / "with_cdp.py"), "{url}"]),
}
if sys.version_info < (3, 11):
    del PROGRAMS["cdp-use"]  # which needs that


class Outcome(NamedTuple):
    """What a program did: its exit status, what it wrote, what its server saw, and the original's protocols in it."""

    status: int
    output: str
    errors: str
    seen: list[dict[str, Any]]
    protocols: int


def outcome(program: Program, folder: Path, prefix: list[str]) -> Outcome:
    python, note = peers_python(), folder / "protocols"
    folder.mkdir()
    with subprocess.Popen(
        [python, str(USED / "counterpart.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as site:
        assert site.stdin is not None
        assert site.stdout is not None
        port = site.stdout.readline().strip()
        words = [word.format(url=f"ws://127.0.0.1:{port}", bin=str(Path(python).parent)) for word in program.words]
        path = os.pathsep.join([str(USED), os.environ.get("PYTHONPATH", "")])
        ran = subprocess.run(
            [python, *prefix, *words],
            input=program.typed,
            env={**os.environ, "PYTHONPATH": path, "PROTOCOLS_MADE": str(note), "NO_COLOR": "1"},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        seen = json.loads(site.communicate(timeout=30)[0])

    def neutral(text: str) -> str:
        return re.sub(rf"(127\.0\.0\.1|localhost):{port}", "SERVER", text)

    heads = json.loads(neutral(json.dumps(seen)))
    made = int(note.read_text()) if note.exists() else -1
    return Outcome(ran.returncode, neutral(ran.stdout), neutral(ran.stderr), heads, made)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_the_same_on_the_engine(name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    original = outcome(program, tmp_path / "original", [])
    assert original.status == 0, original
    assert original.output
    assert len(original.seen) == original.protocols == program.connections, original
    ours = outcome(program, tmp_path / "engine", ENGINE)
    assert ours._replace(protocols=original.protocols) == original
    assert ours.protocols == 0
