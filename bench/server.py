"""The server that everybody talks to: nginx where it is installed, else our own; the certificate is made at run time."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.job import Job
from bench.scenarios import LARGE, Scenario
from tests.support.certificates import Certificates
from tests.support.peers import Nginx, PeerError

__all__ = ["Served", "serving"]

SMALL_BODY = "0123456789" * 10

# An upload is read to its end before it is answered: it is buffered in memory, then a request without it goes to a
# second server, whose answer is passed on. A plain `return` would answer before the body has come.
LOCATIONS = f"""
        sendfile on;
        ssl_session_cache off;
        ssl_session_tickets off;
        http2_max_concurrent_streams 256;
        location = /small {{ return 200 "{SMALL_BODY}"; }}
        location = /upload {{
            client_body_buffer_size {LARGE // 1_000_000 + 10}m;
            proxy_pass http://127.0.0.1:$extra_port/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_method GET;
        }}
"""
UPSTREAM = 'server { listen 127.0.0.1:$extra_port; location / { return 200 "ok"; } }'
TARGETS = {"download": "/large", "h2_download": "/large"} | dict.fromkeys(
    ("upload_file", "upload_pieces", "h2_upload"), "/upload"
)


@dataclass(frozen=True)
class Served:
    """Where the server is (the ports with h2 are for HTTP/2), a file to upload, and the processes that serve."""

    name: str
    port: int
    tls_port: int
    h2c_port: int
    h2_port: int
    ca_file: Path
    upload: Path
    websocket_port: int
    processes: tuple[int, ...] = ()

    @property
    def websocket_name(self) -> str:
        """Who answers on `websocket_port`."""
        return f"aiohttp {importlib.metadata.version('aiohttp')}"

    def job_for(self, scenario: Scenario) -> Job:
        """What a contender is told to do in a scenario."""
        target = TARGETS.get(scenario.work, "/small")
        host, scheme = ("localhost", "https") if scenario.tls else ("127.0.0.1", "http")
        ports = (self.h2c_port, self.h2_port) if scenario.http2 else (self.port, self.tls_port)
        port = ports[scenario.tls]
        if scenario.websocket:
            scheme, port, target = "ws", self.websocket_port, "/"
        return Job(
            work=scenario.work,
            url=f"{scheme}://{host}:{port}{target}",
            host=host,
            port=port,
            target=target,
            ca_file=str(self.ca_file),
            size=scenario.size,
            upload_path=str(self.upload),
            concurrency=scenario.concurrency,
            http2=scenario.http2,
            connections=scenario.connections,
            compression=scenario.compression,
        )


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Run the server while the block lasts; its name says which it is.

    Raises:
        PeerError: nginx is installed and does not start, or it is not installed and ours does not start either.
    """
    certificates = Certificates.create(folder)
    large = folder / "large"
    with large.open("wb") as file:
        for _ in range(LARGE // 1_000_000):
            file.write(bytes(1_000_000))
    try:
        nginx = Nginx(folder / "nginx", certificates, locations=LOCATIONS, servers=UPSTREAM)
    except PeerError as error:
        print(f"{error}; measuring against our own server instead", file=sys.stderr)
        with _own_server(certificates, large) as ports, _websocket_server() as echo:
            yield Served("drivetrain (nginx is not installed)", *ports, certificates.ca_file, large, echo)
        return
    nginx.files.mkdir(parents=True)
    large = large.rename(nginx.files / "large")
    with nginx, _websocket_server() as echo:
        ports = (nginx.port, nginx.tls_port, nginx.h2c_port, nginx.h2_port)
        yield Served(nginx.version, *ports, certificates.ca_file, large, echo, (nginx.pid,))


@contextlib.contextmanager
def _own_server(certificates: Certificates, large: Path) -> Iterator[list[int]]:
    files = [str(certificates.server_file), str(certificates.server_key), str(large)]
    with _child("bench.own_server", *files) as line:
        yield json.loads(line)


@contextlib.contextmanager
def _websocket_server() -> Iterator[int]:
    with _child("bench.websocket_server") as line:
        yield int(line)


@contextlib.contextmanager
def _child(module: str, *given: str) -> Iterator[str]:
    """Run a server that prints where it is and lasts as long as its input; gives out what it printed."""
    command = [sys.executable, "-m", module, *given]
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise PeerError(f"{module} did not start")
        try:
            yield line
        finally:
            process.stdin.close()
