"""Real servers that speak HTTP/2, beside nginx (`peers.py`): nghttpd, apache2, haproxy and hypercorn. None of them skips."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any

from tests.support.certificates import Certificates
from tests.support.peers import Peer, PeerError, find_program

__all__ = ["Apache", "Haproxy", "Hypercorn", "Nghttpd"]

ROOT = Path(__file__).resolve().parents[2]


class Nghttpd(Peer):
    """nghttp2's own server for the folder `files`; an upload is its answer. `options` are more of its arguments."""

    def __init__(self, folder: Path, certificates: Certificates | None, *options: str) -> None:
        super().__init__(folder)
        self.files = folder / "files"
        self._certificates = certificates
        self._options = options
        self._program = find_program("nghttpd", "nghttp2-server")

    @property
    def port(self) -> int:
        return self.ports[0]

    def command(self) -> list[str]:
        """See `Peer.command`; in clear without certificates."""
        self.files.mkdir(exist_ok=True)
        command = [self._program, "--address=127.0.0.1", "--htdocs", str(self.files), "--echo-upload", *self._options]
        if self._certificates is None:
            return [*command, "--no-tls", str(self.port)]
        return [*command, str(self.port), str(self._certificates.server_key), str(self._certificates.server_file)]


APACHE = Template("""\
ServerRoot $folder
ServerName localhost
DefaultRuntimeDir $folder
PidFile $folder/pid
ErrorLog $folder/error.log
LoadModule mpm_worker_module $modules/mod_mpm_worker.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule http2_module $modules/mod_http2.so
LoadModule ssl_module $modules/mod_ssl.so
LoadModule alias_module $modules/mod_alias.so
LoadModule dav_module $modules/mod_dav.so
LoadModule dav_fs_module $modules/mod_dav_fs.so
StartServers 1
ThreadsPerChild 25
MaxKeepAliveRequests 0
Listen 127.0.0.1:$port
Listen 127.0.0.1:$tls_port
Protocols h2 h2c http/1.1
DocumentRoot $folder/files
DavLockDB $folder/locks
<Directory $folder/files>
    Dav On
    Require all granted
</Directory>
Redirect 302 /moved /small
<VirtualHost 127.0.0.1:$tls_port>
    SSLEngine on
    SSLCertificateFile $folder/server.pem
    SSLCertificateKeyFile $folder/server.key
</VirtualHost>
""")
APACHE_MODULES = "/usr/lib/apache2/modules"


class Apache(Peer):
    """Debian's apache2 for the folder `files`, with PUT (mod_dav); in clear it speaks HTTP/2 after an upgrade or at once.

    It is not run as root, so its folder is one of its own outside the caller's, which nobody else may look into. Under its
    event module (2.4.71) it ends a connection that was upgraded as soon as that has nothing to do; the worker module waits.
    """

    port_count = 2

    def __init__(self, certificates: Certificates) -> None:
        self._program = find_program("apache2", "apache2")
        if not Path(APACHE_MODULES, "mod_http2.so").exists():
            raise PeerError(f"{APACHE_MODULES}/mod_http2.so is not there: apt-get install apache2")
        super().__init__(Path(tempfile.mkdtemp(prefix="apache-")))
        self.files = self.folder / "files"
        self._certificates = certificates
        self._as_root = os.geteuid() == 0

    def command(self) -> list[str]:
        """See `Peer.command`."""
        self.files.mkdir(exist_ok=True)
        self.port, self.tls_port = self.ports
        shutil.copy(self._certificates.server_file, self.folder / "server.pem")
        shutil.copy(self._certificates.server_key, self.folder / "server.key")
        names = {"folder": self.folder, "modules": APACHE_MODULES, "port": self.port, "tls_port": self.tls_port}
        (self.folder / "apache.conf").write_text(APACHE.substitute(names), encoding="utf-8")
        if self._as_root:
            nobody = pwd.getpwnam("nobody")
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        return [self._program, "-f", str(self.folder / "apache.conf"), "-DFOREGROUND"]

    def options(self) -> dict[str, Any]:
        """See `Peer.options`."""
        if not self._as_root:
            return {}
        return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self.folder)


HAPROXY = Template("""\
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:$port
    bind 127.0.0.1:$tls_port ssl crt $folder/both.pem alpn h2,http/1.1
    default_backend back
backend back
    server one 127.0.0.1:$behind
""")


class Haproxy(Peer):
    """Debian's haproxy in front of a server that speaks HTTP/1.1 on the port `behind`."""

    port_count = 2

    def __init__(self, folder: Path, certificates: Certificates, behind: int) -> None:
        super().__init__(folder)
        self._certificates = certificates
        self._behind = behind
        self._program = find_program("haproxy", "haproxy")

    def command(self) -> list[str]:
        """See `Peer.command`."""
        self.port, self.tls_port = self.ports
        parts = (self._certificates.server_file, self._certificates.server_key)
        (self.folder / "both.pem").write_bytes(b"".join(part.read_bytes() for part in parts))
        names = {"folder": self.folder, "port": self.port, "tls_port": self.tls_port, "behind": self._behind}
        (self.folder / "haproxy.cfg").write_text(HAPROXY.substitute(names), encoding="utf-8")
        return [self._program, "-db", "-f", str(self.folder / "haproxy.cfg")]


HYPERCORN = Template("""\
insecure_bind = ["127.0.0.1:$port"]
bind = ["127.0.0.1:$tls_port"]
certfile = "$certificate"
keyfile = "$key"
workers = 0
keep_alive_max_requests = 1000000000
keep_alive_timeout = 300
""")


class Hypercorn(Peer):
    """hypercorn with the application `tests.support.asgi_app`, on the h2 library as we are; in clear like apache2."""

    port_count = 2
    patience = 1.0  # it waits for connections that are kept, whatever its configuration says

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(folder)
        self.files = folder / "files"
        self._certificates = certificates

    def command(self) -> list[str]:
        """See `Peer.command`."""
        self.files.mkdir(exist_ok=True)
        self.port, self.tls_port = self.ports
        text = HYPERCORN.substitute(
            port=self.port,
            tls_port=self.tls_port,
            certificate=self._certificates.server_file,
            key=self._certificates.server_key,
        )
        (self.folder / "hypercorn.toml").write_text(text, encoding="utf-8")
        configuration = str(self.folder / "hypercorn.toml")
        return [sys.executable, "-m", "hypercorn", "--config", configuration, "tests.support.asgi_app:application"]

    def options(self) -> dict[str, Any]:
        """See `Peer.options`."""
        return {"cwd": ROOT, "env": {**os.environ, "SERVED_FILES": str(self.files)}}
