"""`install` and `uninstall`: the engine below the libraries that a running program uses already.

::

    import drivetrain.compat

    report = drivetrain.compat.install("requests", "urllib")
    print(report)                                    # what is covered, and what is not

    with drivetrain.compat.installed("requests"):    # only here
        ...

Laws:

- before or after the originals were imported, and from any thread, the outcome is the same. Sessions and openers that exist
  already go through the engine too; what cannot be had is in the report, never passed over in silence;
- installing twice is as installing once, and one `uninstall` ends it; a `with installed(...)` inside keeps its faces until
  it is left;
- what somebody else has put in the place of the originals is left alone.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["FACES", "Report", "install", "installed", "uninstall"]

FACES = ("requests", "urllib", "websockets")
"""What can be asked for."""

# Imported when asked for: who wants urllib alone does not pay for requests.
_INSTALLERS = {
    "requests": "drivetrain.compat.requests_api.installation",
    "urllib": "drivetrain.compat.urllib_api.installation",
    "websockets": "drivetrain.compat.installing_websockets",
}


@dataclass(frozen=True)
class Report:
    """What goes through the engine, and what does not.

    Attributes:
        covered: the faces that are installed.
        gaps: pairs of a face and what the engine does not get of it.
    """

    covered: tuple[str, ...]
    gaps: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"through the engine: {', '.join(self.covered) or 'nothing'}"]
        return "\n".join([*lines, *(f"not through it: {face}: {gap}" for face, gap in self.gaps)])


class _Face:
    """One face: whether it is installed, and for whom."""

    def __init__(self) -> None:
        self.installation: Any = None
        self.is_wanted = False  # by `install`
        self.holders = 0  # `installed` blocks under way

    def settle(self, name: str, options: dict[str, Any]) -> None:
        """Install or undo, as is wanted now."""
        needed = self.is_wanted or self.holders > 0
        if needed and not _covers(self.installation):
            self.installation = importlib.import_module(_INSTALLERS[name]).Installation(options)
        elif not needed and self.installation is not None:
            installation, self.installation = self.installation, None
            installation.undo()


def _covers(installation: Any) -> bool:
    """Whether there is one, and it has put the engine below anything."""
    return installation is not None and getattr(installation, "covers", True)


_lock = threading.RLock()
_faces = {name: _Face() for name in _INSTALLERS}


def _chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in FACES]
    if unknown:
        raise ValueError(f"cannot install {', '.join(map(repr, unknown))}: there are {', '.join(FACES)}")
    return tuple(name for name in FACES if not names or name in names)


def _report(names: tuple[str, ...]) -> Report:
    covered, gaps = [], []
    for name in names:
        installation = _faces[name].installation
        if installation is not None:
            gaps += [(name, gap) for gap in installation.gaps]
        if _covers(installation):
            covered.append(name)
    return Report(tuple(covered), tuple(gaps))


def install(*names: str, http1: bool = False, hsts: bool = False) -> Report:
    """Put the engine below requests, urllib.request and websockets, for the whole process.

    Args:
        names: of `FACES`; none for all. Where websockets is not installed, ours takes its place when it is named.
        http1: speak HTTP/1.1 even where a server would speak HTTP/2, with requests and urllib.request.
        hsts: remember the hosts that want https only, and never speak to them in clear. Neither option has an effect on a
            face that is installed already.

    Returns:
        What is covered now of what was asked for, and what cannot be.

    Raises:
        ValueError: there is no such face.
    """
    chosen = _chosen(names)
    with _lock:
        for name in chosen:
            _faces[name].is_wanted = True
            _faces[name].settle(name, _options(name, http1, hsts, name in names))
        return _report(chosen)


def uninstall(*names: str) -> Report:
    """Take the engine away again; what was not installed stays as it is.

    What was made of requests and urllib.request in the meantime works without the engine from then on; what was made of this
    package's own modules goes on with it.

    Args:
        names: of `FACES`; none for all.

    Returns:
        What of it is still covered, because a `with installed(...)` is under way somewhere.

    Raises:
        ValueError: there is no such face.
    """
    chosen = _chosen(names)
    with _lock:
        for name in chosen:
            _faces[name].is_wanted = False
            _faces[name].settle(name, {})
        return _report(chosen)


@contextlib.contextmanager
def installed(*names: str, http1: bool = False, hsts: bool = False) -> Iterator[Report]:
    """`install` for the time of a `with` block; see there. Blocks may overlap, in one thread or several."""
    chosen = _chosen(names)
    with contextlib.ExitStack() as stack:
        with _lock:
            for name in chosen:
                face = _faces[name]
                face.holders += 1
                stack.callback(_let_go, name)
                face.settle(name, _options(name, http1, hsts, name in names))
            report = _report(chosen)
        yield report


def _let_go(name: str) -> None:
    with _lock:
        _faces[name].holders -= 1
        _faces[name].settle(name, {})


def _options(name: str, http1: bool, hsts: bool, is_named: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"named": is_named} if name == "websockets" else {}
    if http1 and name in ("requests", "urllib"):
        options["version"] = 1.1
    if hsts:
        options["hsts"] = importlib.import_module("drivetrain.engine").HstsStore()
    return options
