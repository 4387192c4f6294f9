"""Our asyncio client and that of the `websockets` library: the same programs, against the same servers, end the same.

Each runs in a process of its own: the original by the Python of the peers' environment, ours by this one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.peers import Peer
from tests.support.websocket_peers import PROGRAMS, peers_python

pytestmark = pytest.mark.peers

PROGRAM = PROGRAMS / "asyncio_endings.py"
SCENARIOS = [
    name
    for path in (PROGRAMS / "asyncio_scenarios.py", PROGRAM)
    for name in re.findall(r"^@scenario\nasync def (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
]


class Site(Peer):
    """The servers of `asyncio_site.py`."""

    port_count = 2

    def command(self) -> list[str]:
        return [peers_python(), str(PROGRAMS / "asyncio_site.py"), *map(str, self.ports)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as running:
        yield running


def run(python: str, package: str, site: Site, *options: str) -> dict[str, Any]:
    command = [python, *options, str(PROGRAM), package, *map(str, site.ports)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def theirs(site: Site) -> dict[str, Any]:
    return run(peers_python(), "websockets", site)


@pytest.fixture(scope="module")
def ours(site: Site) -> dict[str, Any]:
    return run(sys.executable, "drivetrain.compat.websockets_api", site, "-W", "error")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_comes_of_it(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert not (isinstance(theirs[name], list) and theirs[name][:1] == ["failed"])
    assert ours[name] == theirs[name]
