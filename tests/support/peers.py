"""Real servers of other people, started by hand: they must be installed, nothing here skips.

Each gets a folder of its own for configuration, logs and temporary files, listens on the loopback address only, and is
ready (it accepts connections) when its `with` block is entered.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, TypeVar

from tests.support.certificates import Certificates

__all__ = ["Nginx", "Peer", "PeerError", "find_program", "free_ports"]

READY_SECONDS = 10.0
POLL_SECONDS = 0.01
ATTEMPTS = 5

P = TypeVar("P", bound="Peer")


class PeerError(Exception):
    """A peer is not installed or did not start."""


def find_program(name: str, package: str) -> str:
    """The path of an installed program, looked for in the system folders too.

    Raises:
        PeerError: it is not there; says which Debian package has it.
    """
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    if path is None:
        raise PeerError(f"{name} is not installed: apt-get install {package}")
    return path


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; somebody may take one, so whoever uses them must be ready to try others."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


class Peer(ABC):
    """A program that serves until its `with` block is left. Subclasses say how many ports it needs and how it is started.

    Args:
        folder: a folder of its own, made where it does not exist.

    Raises:
        PeerError: on entry: it did not start; with what it wrote.
    """

    port_count = 1
    patience = READY_SECONDS
    taken_words = ("ddress already in use",)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: list[int] = []

    @abstractmethod
    def command(self) -> list[str]:
        """Write the configuration for `self.ports`, and return the command that stays in the foreground."""

    def options(self) -> dict[str, Any]:
        """More arguments for `Popen`."""
        return {}

    def listening(self) -> list[int]:
        """The ports that it is ready on."""
        return self.ports

    def __enter__(self: P) -> P:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(ATTEMPTS):
            self.ports = free_ports(self.port_count)
            command = self.command()
            with (self.folder / "output.log").open("wb") as output:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **self.options()
                )
            if self._wait_until_ready():
                return self
            if not any(words in self.log() for words in self.taken_words):
                break
        raise PeerError(f"{command[0]} did not start:\n{self.log()}")

    @property
    def pid(self) -> int:
        """The number of its process, once entered."""
        return self._process.pid

    def _wait_until_ready(self) -> bool:
        for _ in range(round(READY_SECONDS / POLL_SECONDS)):
            if all(map(accepts, self.listening())):
                return self._process.poll() is None
            try:
                self._process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return False
        self._stop()
        return False

    def log(self) -> str:
        """What it wrote."""
        parts = [self.folder / "error.log", self.folder / "output.log"]
        return "".join(part.read_text(encoding="utf-8", errors="replace") for part in parts if part.exists())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


NGINX = Template("""\
daemon off;
$user
worker_processes 1;
pid $folder/pid;
error_log $folder/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_max_body_size 0;
    server {
        listen 127.0.0.1:$port;
        listen 127.0.0.1:$tls_port ssl;
        listen 127.0.0.1:$h2_port ssl http2;
        listen 127.0.0.1:$h2c_port http2;
        ssl_certificate $certificate;
        ssl_certificate_key $key;
        root $folder/files;
        $locations
    }
    $servers
}
""")


class Nginx(Peer):
    """Debian's nginx serving the folder `files` (made inside `folder`) over HTTP and HTTPS, HTTP/2 on ports of its own.

    Args:
        folder: an empty folder of its own.
        certificates: where the server's certificate comes from.
        locations: more configuration for the server block; `servers`: more servers. In both `$port`, `$tls_port`,
            `$extra_port` (one more port, for one more `listen`) and `$folder` are filled in.

    Attributes:
        port, tls_port, extra_port: where it listens, once entered.
        h2_port, h2c_port: where it speaks HTTP/2 too: over TLS, by ALPN, and in clear.
        files: what it serves.

    Raises:
        PeerError: it is not installed, or did not start.
    """

    port_count = 5

    def __init__(self, folder: Path, certificates: Certificates, *, locations: str = "", servers: str = "") -> None:
        super().__init__(folder)
        self.files = folder / "files"
        self._certificates = certificates
        self._locations = locations
        self._servers = servers
        self._program = find_program("nginx", "nginx-light")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://localhost:{self.tls_port}"

    @property
    def version(self) -> str:
        """As in `nginx/1.22.1`."""
        answer = subprocess.run([self._program, "-v"], capture_output=True, text=True, check=True)
        return answer.stderr.strip().rpartition(" ")[2]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        self.files.mkdir(exist_ok=True)
        self.port, self.tls_port, self.h2_port, self.h2c_port, self.extra_port = self.ports
        (self.folder / "nginx.conf").write_text(self._configuration(), encoding="utf-8")
        log = str(self.folder / "error.log")
        return [self._program, "-p", str(self.folder), "-e", log, "-c", str(self.folder / "nginx.conf")]

    def listening(self) -> list[int]:
        """See `Peer.listening`; whether the extra port is used is the caller's choice."""
        return self.ports[:-1]

    def _configuration(self) -> str:
        names = {"port": self.port, "tls_port": self.tls_port, "extra_port": self.extra_port, "folder": self.folder}
        names |= {"h2_port": self.h2_port, "h2c_port": self.h2c_port}
        return NGINX.substitute(
            names,
            user="user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else "",
            certificate=self._certificates.server_file,
            key=self._certificates.server_key,
            locations=Template(self._locations).safe_substitute(names),
            servers=Template(self._servers).safe_substitute(names),
        )
