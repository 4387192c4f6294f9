"""Our synchronous client and that of the `websockets` library: the same programs, against the same servers, end the same.

Each runs in a process of its own: the original by the Python of the peers' environment, ours by this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.websockets_sync import program
from tests.peers.websockets_sync.base import DIFFERENCES, SCENARIOS
from tests.support.certificates import Certificates
from tests.support.peers import Peer
from tests.support.websocket_peers import ROOT, peers_python

pytestmark = pytest.mark.peers

# What the original makes of it, and what ours does.
KNOWN = {
    "a_close_frame_inside_a_message": [
        "received 1000 (OK); then sent 1002 (protocol error) incomplete fragmented message",
        "received 1000 (OK); then sent 1000 (OK)",
    ],
    "an_answer_of_http_1_0": ["InvalidMessage", "InvalidStatus"],
    "the_limit_on_compressed_fragments": ["raised", "returned"],
    "what_a_proxy_has_to_say": [
        [407, "Proxy Authentication Required", "b''"],
        [407, "Proxy Authentication Required", "b'go away!\\n'"],
    ],
}


class Servers(Peer):
    """Those of `server.py`.

    Args:
        folder: a folder of its own, with a short name.
        certificates: of which it has the server's.
    """

    port_count = 2

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(folder)
        self.path = folder / "ws"
        self._certificates = certificates
        self._files = [str(certificates.server_file), str(certificates.server_key)]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        return [peers_python(), "-m", "tests.peers.websockets_sync.server", *self._places(), *self._files]

    def options(self) -> dict[str, Any]:
        """See `Peer.options`."""
        return {"cwd": ROOT}

    def _places(self) -> list[str]:
        return [*map(str, self.ports), str(self.path)]

    def tell(self, python: str, package: str, *options: str) -> dict[str, Any]:
        """Run the programs on one implementation; what came of them."""
        command = [python, *options, "-m", program.__name__, package, *self._places()]
        command += [str(self._certificates.ca_file), *self._files]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def servers(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("s"), certificates) as running:
        yield running


@pytest.fixture(scope="module")
def theirs(servers: Servers) -> dict[str, Any]:
    return servers.tell(peers_python(), "websockets")


@pytest.fixture(scope="module")
def ours(servers: Servers) -> dict[str, Any]:
    return servers.tell(sys.executable, "drivetrain.compat.websockets_api", "-W", "error")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_comes_of_it(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert not isinstance(theirs[name], dict), theirs[name]["failed"]
    assert ours[name] == theirs[name]


@pytest.mark.parametrize("name", DIFFERENCES)
def test_another_thing_comes_of_it(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Should the two agree one day, it is to be known."""
    assert [theirs[name], ours[name]] == KNOWN[name]
