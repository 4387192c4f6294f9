"""requests' own test suite, once as it is and once for each way of putting the engine below it.

The ways are the mode: `EngineAdapter` mounted on every session ("mount"), `drivetrain.compat.requests_api` in the place of
requests ("module"), and `drivetrain.compat.install` ("install").

The source distribution of the installed version of requests is fetched from the package index into a temporary folder,
where an environment is made for it: the suite's own requirements, on top of the packages of the Python that runs this.
Nothing of it stays. Exit status: 0 when the engine passes what the original passes, 1 when not, 2 when it could not be run.

    python -m conformance.requests_suite [--modes mount,module,install] [--verbose] [--folder DIR] [-- ARGUMENTS OF PYTEST]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import site
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

from conformance.comparison import HEADING, Review, Run, compare, load

# All that these three do with the network passes; their last line looks at urllib3's own book-keeping.
_COUNTS_POOLS = Review(
    "counts urllib3's pools in adapter.poolmanager; the engine has a pool of its own", "poolmanager.pools"
)
_POOL_TESTS = "tests/test_requests.py::TestPreparingURLs::test_different_connection_pool_for_tls_settings_"
REVIEWED = {
    _POOL_TESTS + "verify_True": _COUNTS_POOLS,
    _POOL_TESTS + "verify_bundle_expired_cert": _COUNTS_POOLS,
    _POOL_TESTS + "verify_bundle_unexpired_cert": _COUNTS_POOLS,
}

# What the suite uses beyond the requirements of its developers' file: those of its optional parts.
_ALSO_NEEDED = ("pytest-mock", "PySocks>=1.5.6,!=1.5.7")
_MINUTES = 15
MODES = ["mount", "module", "install"]


class CannotRun(Exception):
    """The suite could not be had."""


def run_tool(what: str, command: list[str | Path], cwd: Path) -> None:
    """Run a program that has to succeed."""
    process = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if process.returncode:
        raise CannotRun(f"could not {what}:\n{process.stdout}")


def fetch_source(version: str, folder: Path) -> Path:
    """Download and unpack the source distribution; returns its folder."""
    command: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", "requests", "--dest", folder, f"requests=={version}"]
    run_tool(f"fetch the source distribution of requests {version}", command, folder)
    with tarfile.open(folder / f"requests-{version}.tar.gz") as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    source = folder / f"requests-{version}"
    if not (source / "tests" / "test_requests.py").is_file():
        raise CannotRun(f"the source distribution of requests {version} has no tests")
    return source


def make_environment(source: Path, folder: Path) -> Path:
    """Make the environment that the suite runs in; returns its Python."""
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
    developers = (source / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.strip() for line in developers if line.strip() and not line.startswith(("-", "#"))]
    run_tool(
        "install what the suite needs", [python, "-m", "pip", "install", "--quiet", *wanted, *_ALSO_NEEDED], folder
    )
    return python


def run_suite(python: Path, source: Path, folder: Path, mode: str, arguments: argparse.Namespace) -> Run:
    """Run the suite with or without the engine."""
    plugins = folder / "plugins"
    plugins.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parent / "engine_plugin.py", plugins)
    result = folder / f"{mode}.json"
    command: list[str | Path] = [python, "-m", "pytest", "-p", "engine_plugin", "-p", "no:cacheprovider"]
    command += ["--outcomes", result, *([] if mode == "original" else ["--engine", mode]), *arguments.pytest]
    try:
        process = subprocess.run(
            command,
            cwd=source,
            env={**os.environ, "PYTHONPATH": str(plugins)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_MINUTES * 60,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise CannotRun(f"the suite did not end in {_MINUTES} minutes ({mode})") from late
    if arguments.verbose:
        print(process.stdout)
    if not result.exists():
        raise CannotRun(f"the suite did not run ({mode}):\n{process.stdout}")
    return load(result, "requests", mode)


def compare_in(folder: Path, arguments: argparse.Namespace) -> int:
    """Do everything in `folder`; returns the exit status."""
    version = importlib.metadata.version("requests")
    source = fetch_source(version, folder)
    python = make_environment(source, folder)
    print(f"requests {version}, urllib3 {importlib.metadata.version('urllib3')}, Python {sys.version.split()[0]}")
    original = run_suite(python, source, folder, "original", arguments)
    faults = []
    print(HEADING)
    for mode in arguments.modes:
        engine = run_suite(python, source, folder, mode, arguments)
        faults += compare(original, engine, REVIEWED, uses_network=True)
        print(f"  {engine.exchanges} requests went through the engine")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", type=lambda text: text.split(","), default=MODES, help=f"default: {','.join(MODES)}")
    parser.add_argument("--verbose", action="store_true", help="show what pytest prints")
    parser.add_argument("--folder", type=Path, help="work here, and leave everything to be looked at; must be empty")
    parser.add_argument("pytest", nargs="*", help="further arguments of pytest, after --")
    arguments = parser.parse_args()
    try:
        if arguments.folder is not None:
            arguments.folder.mkdir(parents=True)
            return compare_in(arguments.folder.resolve(), arguments)
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            return compare_in(Path(folder).resolve(), arguments)
    except CannotRun as fault:
        print(fault, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
