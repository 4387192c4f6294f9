"""`install("websockets")` where the original is not: ours is found under its name. Beside the original: see tests/peers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# As if it were not installed, whether it is or not; what a test puts into a folder of its own is found.
HIDDEN = """
import importlib.machinery, sys

class Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "websockets":
            folders = [sys.argv[1]] if path is None else path
            return importlib.machinery.PathFinder.find_spec(name, folders) if folders[0].startswith(sys.argv[1]) else None
        return importlib.machinery.PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding if f is importlib.machinery.PathFinder else f for f in sys.meta_path]
"""
NONE = "websockets is not installed"


def run(code: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN + code, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_ours_is_found_under_its_name(tmp_path: Path) -> None:
    code = """
import drivetrain.compat
from drivetrain.compat import websockets_api

report = drivetrain.compat.install("websockets")
assert report.covered == ("websockets",), report
print(*(gap for _, gap in report.gaps))
assert drivetrain.compat.install("websockets") == report

import websockets
import websockets.sync.client
import websockets.frames as frames
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

assert websockets is websockets_api
assert websockets.sync.client is websockets_api.sync.client
assert frames.Close is websockets_api.Close
assert serve is websockets_api.serve
assert ConnectionClosed is websockets_api.ConnectionClosed
assert websockets.__spec__.name == websockets.__name__ == "drivetrain.compat.websockets_api"
assert sys.modules["websockets.frames"].__spec__.name == "drivetrain.compat.websockets_api.frames"
try:
    import websockets.trio
except ModuleNotFoundError as error:
    print(error.name)

assert drivetrain.compat.uninstall("websockets").covered == ()
# The engine looks for what the original has compiled, wherever that is.
left = {name for name in sys.modules if name.partition(".")[0] == "websockets"} - {"websockets.speedups"}
assert not left, left
try:
    import websockets
except ModuleNotFoundError as error:
    print(error.name)
assert websockets_api.connect is not None
with drivetrain.compat.installed("websockets"):
    import websockets.uri
    assert websockets.uri is websockets_api.uri
print(sys.meta_path[0] is not None, [name for name in sys.modules if name.startswith("websockets.u")])
"""
    assert run(code, tmp_path) == [
        f"{NONE}, and ours has no protocols without I/O: uvicorn needs --ws wsproto",
        "websockets.trio",
        "websockets",
        "True []",
    ]


def test_it_must_be_asked_for_by_name(tmp_path: Path) -> None:
    code = """
import drivetrain.compat
report = drivetrain.compat.install()
print(*report.covered)
print(*(gap for face, gap in report.gaps if face == "websockets"))
try:
    import websockets
except ModuleNotFoundError:
    print("none")
print(*drivetrain.compat.install("websockets").covered)
import websockets
print(websockets.__name__)
drivetrain.compat.uninstall()
"""
    assert run(code, tmp_path) == [
        "requests urllib",
        f"{NONE}; when it is asked for by name, ours takes its place",
        "none",
        "websockets",
        "drivetrain.compat.websockets_api",
    ]


@pytest.mark.parametrize("source", ["__version__ = '12.0'", "raise OSError('broken')", "syntax error"])
def test_one_that_is_too_old_or_broken_is_left_alone(source: str, tmp_path: Path) -> None:
    (tmp_path / "websockets").mkdir()
    (tmp_path / "websockets" / "__init__.py").write_text(source)
    code = """
import drivetrain.compat
report = drivetrain.compat.install("websockets")
print(report)
try:
    import websockets
except Exception as error:
    print(type(error).__name__)
else:
    print(websockets.__version__)
assert drivetrain.compat.uninstall("websockets").gaps == ()
"""
    covered, gap, then = run(code, tmp_path)
    assert covered == "through the engine: nothing"
    version = "12.0" if "12.0" in source else "that is there"
    assert gap == (
        f"not through it: websockets: the websockets {version} is older than version 15, or cannot be imported"
    )
    assert then == {"_": "12.0", "r": "OSError", "s": "SyntaxError"}[source[0]]


def test_a_program_runs_on_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        """
import asyncio, sys
import websockets
from websockets.sync.client import connect

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

def talk(uri):
    with connect(uri) as websocket:
        websocket.send("hello")
        return websocket.recv()

async def main():
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        print(await asyncio.get_running_loop().run_in_executor(None, talk, uri))
        async for websocket in websockets.connect(uri):
            await websocket.send("again")
            print(await websocket.recv(), type(websocket).__module__)
            await websocket.close()
            break

asyncio.run(main())
"""
    )
    code = f"""
from drivetrain.compat.running import main
sys.exit(main(["run", "--only", "websockets", {str(tmp_path / "program.py")!r}]))
"""
    assert run(code, tmp_path) == ["hello", "again drivetrain.compat.websockets_api.asyncio.client"]


def test_its_commands_run(tmp_path: Path) -> None:
    code = """
from drivetrain.compat.running import main
sys.exit(main(["run", "--only", "websockets", "-m", "websockets", "--version"]))
"""
    assert run(code, tmp_path) == ["websockets 17.4"]
