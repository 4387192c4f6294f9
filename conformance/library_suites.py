"""The test suites of requests and of responses, from their source distributions.

The source distributions of the installed versions are fetched from the package index into a folder, where an environment is
made for them: what the suites need, on top of the packages of the Python that runs this. How the engine gets below them:

- "mount": `EngineAdapter` is what every new `Session` mounts;
- "module": `drivetrain.compat.requests_api` stands in the place of requests;
- "install": `drivetrain.compat.install("requests")`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from conformance.comparison import ORIGINAL, CannotRun, Run, Suite, joined, load
from conformance.reviewed import REVIEWED
from conformance.watching import bare_environment

__all__ = ["LIBRARIES", "Library", "suites"]

_MODES = ("mount", "module", "install")
_MINUTES = 15
_OUR_FILES = ("__init__.py", "engine_plugin.py", "watching.py")


@dataclass(frozen=True)
class Library:
    """A library whose source distribution has its tests.

    Attributes:
        tests: a file of them.
        needs: what they need beside the library itself, as requirements.
        needs_file: a file with more of them, or nothing.
        pytest: arguments of pytest.
        parts: what to run side by side, as further arguments of pytest.
        modes, uses_network: see `Suite`.
    """

    tests: str
    needs: tuple[str, ...]
    needs_file: str = ""
    pytest: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ((),)
    modes: tuple[str, ...] = _MODES
    uses_network: bool = True


LIBRARIES = {
    "requests": Library(
        "tests/test_requests.py",
        ("pytest-mock", "PySocks>=1.5.6,!=1.5.7"),  # beyond the file of its developers: what its optional parts use
        "requirements-dev.txt",
        # It waits for a minute and a half, most of it in one file.
        parts=(("tests/test_requests.py",), ("tests", "--ignore=tests/test_requests.py")),
    ),
    # Of the requirements of its tests those that they import.
    "responses": Library(
        "responses/tests/test_responses.py",
        ("pytest-asyncio", "pytest-httpserver", "tomli-w", "tomli; python_version < '3.11'"),
        pytest=("--asyncio-mode=auto",),
    ),
}


def suites(names: list[str], folder: Path, arguments: list[str], verbose: bool = False) -> list[Suite]:
    """Fetch the suites of these names, and make them ready.

    Args:
        names: of `LIBRARIES`.
        folder: an empty folder to work in.
        arguments: further ones of pytest.
        verbose: whether runs show what pytest prints.

    Raises:
        CannotRun: that failed.
    """
    versions = {name: importlib.metadata.version(name) for name in names}
    sources = _fetch(versions, folder)
    python = _make_environment(sources, folder)
    plugins = folder / "plugins" / "conformance"
    plugins.mkdir(parents=True)
    for file in _OUR_FILES:
        shutil.copy(Path(__file__).parent / file, plugins)
    return [
        Suite(
            name,
            versions[name],
            LIBRARIES[name].modes,
            LIBRARIES[name].uses_network,
            functools.partial(_run, name, python, sources[name], folder, arguments, verbose),
            REVIEWED[name],
        )
        for name in names
    ]


def _run_tool(what: str, command: list[str | Path], cwd: Path) -> None:
    """Run a program that has to succeed."""
    process = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if process.returncode:
        raise CannotRun(f"could not {what}:\n{process.stdout}")


def _fetch(versions: dict[str, str], folder: Path) -> dict[str, Path]:
    """Download and unpack the source distributions; returns their folders."""
    command: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ",".join(versions), "--dest", folder]
    command += [f"{name}=={version}" for name, version in versions.items()]
    _run_tool(f"fetch the source distributions of {', '.join(versions)}", command, folder)
    sources = {}
    for name, version in versions.items():
        with tarfile.open(folder / f"{name}-{version}.tar.gz") as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, filter="data")
            else:
                archive.extractall(folder)
        sources[name] = folder / f"{name}-{version}"
        if not (sources[name] / LIBRARIES[name].tests).is_file():
            raise CannotRun(f"the source distribution of {name} {version} has no tests")
    return sources


def _make_environment(sources: dict[str, Path], folder: Path) -> Path:
    """Make the environment that the suites run in; returns its Python."""
    venv.create(folder / "environment", with_pip=True, symlinks=os.name != "nt")
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = folder / "environment" / scripts / Path(sys.executable).name
    where = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    # The packages of this environment, requests and drivetrain first of all, come with it: the same versions are tested
    # that are installed here. addsitedir, so that packages linked by a .pth file are found as well.
    lines = [f"import site; site.addsitedir({str(path)!r})" for path in site.getsitepackages()]
    (Path(where) / "conformance.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    wanted: list[str] = []
    for name, source in sources.items():
        library = LIBRARIES[name]
        wanted += library.needs
        if library.needs_file:
            listed = (source / library.needs_file).read_text(encoding="utf-8").splitlines()
            wanted += [line.strip() for line in listed if line.strip() and not line.startswith(("-", "#"))]
    _run_tool("install what the suites need", [python, "-m", "pip", "install", "--quiet", *wanted], folder)
    return python


def _run(name: str, python: Path, source: Path, folder: Path, arguments: list[str], verbose: bool, mode: str) -> Run:
    """Run a suite with or without the engine."""
    parts = LIBRARIES[name].parts
    command: list[str | Path] = [python, "-m", "pytest", "-p", "conformance.engine_plugin", "-p", "no:cacheprovider"]
    command += [*([] if mode == ORIGINAL else ["--engine", mode]), *LIBRARIES[name].pytest]
    results = [folder / f"{name}-{mode}-{number}.json" for number in range(len(parts))]

    def run_part(part: tuple[str, ...], result: Path) -> Run:
        text = _run_pytest([*command, "--outcomes", result, *part, *arguments], source, folder, f"{name} ({mode})")
        if verbose:
            print(text)
        if not result.exists():
            raise CannotRun(f"the suite of {name} did not run ({mode}):\n{text}")
        return load(result, name, mode)

    with ThreadPoolExecutor(len(parts)) as threads:
        return functools.reduce(joined, threads.map(run_part, parts, results))


def _run_pytest(command: list[str | Path], source: Path, folder: Path, what: str) -> str:
    """Run it in the source's folder, and return what it prints."""
    path = os.pathsep.join(filter(None, [str(folder / "plugins"), os.environ.get("PYTHONPATH")]))
    try:
        return subprocess.run(
            command,
            cwd=source,
            env=bare_environment(PYTHONPATH=path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_MINUTES * 60,
            check=False,
        ).stdout
    except subprocess.TimeoutExpired as late:
        raise CannotRun(f"the suite of {what} did not end in {_MINUTES} minutes") from late
