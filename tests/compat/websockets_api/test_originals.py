"""Beside an original: in whatever state it is, ours can be imported; where it is good, ours are kinds of it.

Made-up originals here. `tests/peers/test_websockets_surface.py` has the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = {
    "__init__.py": "__version__ = '15.0.1'",
    "exceptions.py": """
class WebSocketException(Exception): pass
class ConnectionClosed(WebSocketException):
    def __init__(self, *args): raise RuntimeError("the original's constructor")
    def __str__(self): return "the original's words"
class ConnectionClosedOK(ConnectionClosed): pass
class InvalidState(WebSocketException, AssertionError): pass
class TooManyFragments(WebSocketException):
    def __init__(self, number): super().__init__(f"{number}, says the original")
class SecurityError(WebSocketException): pass
ProtocolError = "not a class"
""",
    "datastructures.py": "class MultipleValuesError(LookupError): pass",
    "frames.py": """
import enum
Opcode = enum.IntEnum("Opcode", {"CONT": 0, "TEXT": 1, "BINARY": 2, "CLOSE": 8, "PING": 9, "PONG": 10})
CloseCode = enum.IntEnum("CloseCode", {"NORMAL_CLOSURE": 1000})
""",
    "protocol.py": """
import enum
State = enum.IntEnum("State", {"CONNECTING": 0, "OPEN": 1, "CLOSING": 2, "CLOSED": 3, "LOST": 4})
Side = enum.IntEnum("Side", {"SERVER": 1, "CLIENT": 0})
""",
    "legacy/__init__.py": "import warnings; warnings.warn('legacy is deprecated', DeprecationWarning)",
    "legacy/exceptions.py": "class InvalidStatusCode(Exception): pass",
}
OURS = "from drivetrain.compat.websockets_api import datastructures, exceptions, frames, originals, protocol\n"


def run(script: str, folder: Path, files: dict[str, str] | None = None) -> str:
    """What a program prints that finds such an original."""
    for name, text in (GOOD if files is None else files).items():
        path = folder / "websockets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    paths = [str(folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


ALONE = (
    OURS + "print(exceptions.WebSocketException.__bases__, datastructures.MultipleValuesError.__bases__, frames.Opcode)"
)
STANDS_ALONE = "(<class 'Exception'>,) (<class 'LookupError'>,) <enum 'Opcode'>\n"


def test_kinds_of_the_original(tmp_path: Path) -> None:
    script = """
import websockets.exceptions as original
for name in ("WebSocketException", "ConnectionClosed", "ConnectionClosedOK", "InvalidState", "TooManyFragments", "SecurityError"):
    assert issubclass(getattr(exceptions, name), getattr(original, name)), name
try:
    raise exceptions.ConnectionClosedOK(frames.Close(1000, ""), frames.Close(1000, ""), True)
except original.ConnectionClosed as error:
    print(type(error).__module__, error)
try:
    raise exceptions.RequestLineTooLong("long")
except original.SecurityError as error:
    print(error)
assert isinstance(exceptions.InvalidState("x"), AssertionError)
print(exceptions.TooManyFragments(3))
import websockets.datastructures
assert issubclass(datastructures.MultipleValuesError, websockets.datastructures.MultipleValuesError)
print(datastructures.MultipleValuesError("a"))
assert issubclass(exceptions.ConnectionClosedError, original.ConnectionClosed)
assert exceptions.ProtocolError.__bases__ == (exceptions.WebSocketException,)
"""
    assert run(OURS + script, tmp_path).splitlines() == [
        "drivetrain.compat.websockets_api.exceptions received 1000 (OK); then sent 1000 (OK)",
        "long",
        "fragmented message exceeds limit of 3 frames",
        "'a'",
    ]


def test_its_enumerations_are_used_where_they_fit(tmp_path: Path) -> None:
    script = """
import websockets.frames, websockets.protocol
assert frames.Opcode is websockets.frames.Opcode
assert protocol.State is websockets.protocol.State        # which has one more
assert frames.CloseCode is not websockets.frames.CloseCode  # which lacks some
assert protocol.Side is not websockets.protocol.Side      # which has them the other way round
print(protocol.CLIENT.value, protocol.CLOSED.value, frames.CloseCode.BAD_GATEWAY.value)
"""
    assert run(OURS + script, tmp_path) == "1 3 1014\n"


def test_deprecated_exceptions_too_and_without_its_warning(tmp_path: Path) -> None:
    script = """
import sys, warnings
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    ours = exceptions.InvalidStatusCode
assert "legacy is deprecated" not in [str(each.message) for each in warned]
print(ours.__mro__[-4].__module__ if ours.__mro__[-4].__name__ == "InvalidStatusCode" else ours.__mro__)
"""
    assert run(OURS + script, tmp_path) == "websockets.legacy.exceptions\n"


def test_what_was_imported_before_is_known_after_it_was_hidden(tmp_path: Path) -> None:
    script = """
import sys
before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == "websockets"}
sys.modules["websockets"] = sys.modules["drivetrain.compat.websockets_api"]
assert originals.original_module("exceptions") is before["websockets.exceptions"]
assert originals.original_module("legacy.exceptions") is None
assert originals.original_module("exceptions.WebSocketException") is None
print("websockets.legacy" in sys.modules)
"""
    assert run(OURS + script, tmp_path) == "False\n"


@pytest.mark.parametrize(
    "files",
    [
        {**GOOD, "__init__.py": "__version__ = '14.2'"},
        {**GOOD, "__init__.py": "__version__ = 'unknown'"},
        {**GOOD, "__init__.py": ""},
        {**GOOD, "__init__.py": "raise RuntimeError('broken')"},
        {**GOOD, "__init__.py": "import no_such_module"},
        {**GOOD, "__init__.py": "not Python"},
        {"__init__.py": "__version__ = '17.4'"},
        {"__init__.py": "__version__ = '17.4'", "exceptions.py": "1 / 0", "frames.py": "Opcode = 1"},
        {
            "__init__.py": "__version__ = '17.4'",
            "exceptions.py": "class WebSocketException(OSError): pass",  # which does not go with AssertionError
        },
    ],
    ids=["old", "odd", "nameless", "broken", "lacking", "no Python", "empty", "broken inside", "unfit"],
)
def test_ours_stand_alone(files: dict[str, str], tmp_path: Path) -> None:
    said = run(
        ALONE + "; import drivetrain.compat.websockets_api.uri; print(exceptions.InvalidState('x'))", tmp_path, files
    )
    assert said == STANDS_ALONE + "x\n"


@pytest.mark.parametrize("stand_in", ["None", "object()", "__import__('types').SimpleNamespace(__version__='17.4')"])
def test_something_else_in_its_place(stand_in: str, tmp_path: Path) -> None:
    script = f"import sys; sys.modules['websockets'] = {stand_in}\n"
    assert run(script + ALONE, tmp_path) == STANDS_ALONE


def test_our_own_package_under_its_name_is_not_the_original(tmp_path: Path) -> None:
    script = "import sys, drivetrain.compat.websockets_api as ours\nsys.modules['websockets'] = ours\n"
    assert run(script + ALONE, tmp_path) == STANDS_ALONE


def test_our_own_package_loaded_a_second_time_is_not_the_original(tmp_path: Path) -> None:
    script = """
import importlib.util, sys, drivetrain.compat.websockets_api as ours
spec = importlib.util.spec_from_file_location("websockets", ours.__file__)
sys.modules["websockets"] = importlib.util.module_from_spec(spec)
"""
    assert run(script + ALONE, tmp_path) == STANDS_ALONE


def test_the_original_is_not_needed() -> None:
    command = [sys.executable, "-W", "error", "-c", f"import sys; sys.modules['websockets'] = None\n{ALONE}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (STANDS_ALONE, "")
