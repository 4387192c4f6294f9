"""`drivetrain run`: a program as it is, with the engine below the libraries it uses.

::

    drivetrain run [--only NAMES] [--http1] [--hsts] [--report] script.py [arguments …]
    drivetrain run [options] -m module [arguments …]

The program sees itself as if Python had been called with it: its arguments, its folder (or, with -m, the current one) first
on the path, its `__main__`, its exit status. Processes that it starts are not covered.
"""

from __future__ import annotations

import argparse
import atexit
import builtins
import importlib.util
import io
import os
import runpy
import sys
import types
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from typing import Any

from drivetrain.compat.installing import FACES, install
from drivetrain.compat.running_tally import Tally

__all__ = ["main"]

_USAGE = "drivetrain run [options] (script | -m module) [arguments …]"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drivetrain run",
        usage=_USAGE,
        description="Run a Python program whose HTTP goes through drivetrain's engine.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only",
        metavar="NAMES",
        action="append",
        type=lambda text: text.split(","),
        help=f"put the engine below these libraries only, with commas between them ({', '.join(FACES)})",
    )
    parser.add_argument("--http1", action="store_true", help="speak HTTP/1.1 even where HTTP/2 could be spoken")
    parser.add_argument(
        "--hsts", action="store_true", help="remember the hosts that want https only, and never ask them in clear"
    )
    parser.add_argument(
        "--report", action="store_true", help="say on standard error, at the end, what went through the engine"
    )
    return parser


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our options, and the program with its own."""
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "-m" or word == "-" or not word.startswith("-"):
            break
        position += 2 if word == "--only" else 1
        if word == "--":
            break
    options = [word for word in arguments[:position] if word != "--"]
    return options, list(arguments[position:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a program. The console script `drivetrain`, and `python -m drivetrain.compat`.

    Returns:
        The exit status; a program that ends with `sys.exit` raises `SystemExit` through this function.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] != ["run"]:
        asked = words[:1] in (["-h"], ["--help"])
        (sys.stdout if asked else sys.stderr).write(f"usage: {_USAGE}\n")
        return 0 if asked else 2
    options, program = _split(words[1:])
    parser = _parser()
    chosen = parser.parse_args(options)
    is_module = program[:1] == ["-m"]
    if len(program) < 1 + is_module:
        parser.error("no program")
    names = [name for several in chosen.only or () for name in several]
    tally = Tally()
    if chosen.report:
        # Before the program registers anything, so that this comes last.
        atexit.register(lambda: sys.stderr.write(f"{tally}\n"))
    try:
        report = install(*names, http1=chosen.http1, hsts=chosen.hsts)
    except ValueError as error:
        parser.error(str(error))
    if chosen.report:
        tally.begin(report)
    return _run_module(program[1:]) if is_module else _run_script(program)


def _run_module(words: list[str]) -> int:
    sys.argv[:] = words
    _put_first(os.getcwd())

    def program() -> None:
        spec = importlib.util.find_spec(words[0])
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{words[0]}.__main__")
        loader: Any = None if spec is None else spec.loader
        if spec is None or not hasattr(loader, "get_code"):
            raise SystemExit(f"drivetrain run: no module named {words[0]!r} that can be run")
        sys.argv[0] = spec.origin or words[0]
        _run_as_main(
            loader.get_code(spec.name),
            __spec__=spec,
            __package__=spec.parent,
            __file__=spec.origin,
            **_cached(spec.cached),
            __loader__=loader,
        )

    return _guarded(program)


def _run_script(words: list[str]) -> int:
    path = words[0]
    sys.argv[:] = words
    if os.path.isdir(path) or not _is_source(path):
        # A folder or an archive with a `__main__` in it; it goes onto the path by itself.
        _put_first(None)
        return _guarded(lambda: runpy.run_path(path, run_name="__main__"))
    _put_first(os.path.dirname(os.path.realpath(path)))
    # As Python has it since 3.9: absolute, and otherwise as it was given.
    full = os.path.join(os.getcwd(), path)
    try:
        with io.open_code(full) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"drivetrain run: cannot open {path!r}: {error.strerror}\n")
        return 2

    def program() -> None:
        code = compile(source, full, "exec", dont_inherit=True)
        _run_as_main(code, __file__=full, **_cached(None), __loader__=SourceFileLoader("__main__", full))

    return _guarded(program)


def _cached(path: str | None) -> dict[str, str | None]:
    return {"__cached__": path} if sys.version_info < (3, 15) else {}


def _put_first(folder: str | None) -> None:
    """Exchange what Python put first on the path for the program that it thinks it runs, if it did so."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[:1] = [] if folder is None else [folder]


def _run_as_main(code: types.CodeType, **names: Any) -> None:
    # Not runpy, which puts the old `__main__` back at the end: threads and exit handlers of the program need it still.
    module: Any = types.ModuleType("__main__")
    vars(module).update(names, __builtins__=builtins)
    sys.modules["__main__"] = module
    exec(code, vars(module))  # noqa: S102  # this is what the program asked for


def _is_source(path: str) -> bool:
    """Whether a file is neither an archive nor compiled."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError:
        return True  # whose opening will tell what is the matter
    return start[:2] != b"PK" and b"\0" not in start and not path.endswith(".pyc")


def _guarded(program: Any) -> int:
    """Run it; an error of its own is shown without the frames of this file and of runpy."""
    try:
        program()
    except Exception as error:  # noqa: BLE001  # whatever the program raises
        trace = error.__traceback__
        while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next
        error.__traceback__ = trace
        sys.excepthook(type(error), error, trace)
        return 1
    return 0


def _is_ours(file: str) -> bool:
    return file in (__file__, runpy.__file__, "<frozen runpy>") or file.startswith("<frozen importlib")
