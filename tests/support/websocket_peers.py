"""Other people's WebSocket libraries, as servers and as clients; each in a process of its own, with a Python of its own.

They are not installed beside the engine: where `websockets` is, the engine takes the masker that it has compiled. `make
test-peers` makes their environment; nothing here skips without it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.certificates import Certificates
from tests.support.peers import Peer, PeerError

__all__ = ["CLIENTS", "SERVERS", "LibraryServer", "run_client"]

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).with_name("websocket_programs")
SERVERS = ("websockets", "websockets-sync", "aiohttp")
CLIENTS = ("websockets", "websockets-sync", "websocket-client", "aiohttp")


def peers_python() -> str:
    """The interpreter of the peers' environment; the variable PEERS_PYTHON names another.

    Raises:
        PeerError: it is not there.
    """
    path = os.environ.get("PEERS_PYTHON") or str(ROOT / ".venv-peers" / "bin" / "python")
    if not Path(path).exists():
        raise PeerError(f"{path} is not there: `make test-peers` makes it")
    return path


class LibraryServer(Peer):
    """A server of one of these libraries (see `SERVERS`), in clear and with TLS. `websocket_programs/servers.py` says of what."""

    port_count = 2

    def __init__(self, folder: Path, certificates: Certificates, kind: str) -> None:
        super().__init__(folder)
        self._certificates = certificates
        self._kind = kind
        self._python = peers_python()

    def command(self) -> list[str]:
        """See `Peer.command`."""
        self.port, self.tls_port = self.ports
        files = [str(self._certificates.server_file), str(self._certificates.server_key)]
        return [self._python, str(PROGRAMS / "servers.py"), self._kind, *map(str, self.ports), *files]


def run_client(name: str, certificates: Certificates, *uris: str) -> str:
    """Hold a client of `CLIENTS` against servers of ours; returns what it printed.

    Raises:
        AssertionError: it was not content, with what it wrote.
    """
    command = [peers_python(), str(PROGRAMS / "clients.py"), name, str(certificates.ca_file), *uris]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
