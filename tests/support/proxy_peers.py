"""Other people's proxies: tinyproxy, squid, microsocks, Dante, and stunnel in front of one. See `peers`."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any

from tests.support.certificates import Certificates
from tests.support.peers import Peer, find_program

__all__ = ["Dante", "Microsocks", "Squid", "Stunnel", "Tinyproxy"]

TINYPROXY = Template("""\
Port $port
Listen 127.0.0.1
Timeout 60
LogFile "$folder/error.log"
LogLevel Connect
Allow 127.0.0.1
ConnectPort $allowed
$authentication
""")


class Tinyproxy(Peer):
    """Debian's tinyproxy, an HTTP proxy.

    Args:
        folder: a folder of its own.
        allowed: the one port that CONNECT may lead to.
        credentials: user name and password for Basic; without them everybody may.
    """

    def __init__(self, folder: Path, allowed: int, credentials: tuple[str, str] | None = None) -> None:
        super().__init__(folder)
        self._allowed = allowed
        self._credentials = credentials
        self._program = find_program("tinyproxy", "tinyproxy")

    @property
    def port(self) -> int:
        return self.ports[0]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        names = {"port": self.port, "folder": self.folder, "allowed": self._allowed}
        authentication = "" if self._credentials is None else "BasicAuth {} {}".format(*self._credentials)
        path = self.folder / "tinyproxy.conf"
        path.write_text(TINYPROXY.substitute(names, authentication=authentication), encoding="utf-8")
        return [self._program, "-d", "-c", str(path)]


class Microsocks(Peer):
    """Debian's microsocks, a SOCKS 5 server; with `credentials` it wants them."""

    def __init__(self, folder: Path, credentials: tuple[str, str] | None = None) -> None:
        super().__init__(folder)
        self._credentials = credentials
        self._program = find_program("microsocks", "microsocks")

    @property
    def port(self) -> int:
        return self.ports[0]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        command = [self._program, "-i", "127.0.0.1", "-p", str(self.port)]
        return (
            command if self._credentials is None else [*command, "-u", self._credentials[0], "-P", self._credentials[1]]
        )


SQUID = Template("""\
http_port 127.0.0.1:$port
pid_filename none
cache deny all
cache_mem 8 MB
memory_cache_shared off
access_log none
cache_store_log none
cache_log $folder/error.log
coredump_dir $folder
shutdown_lifetime 0 seconds
auth_param digest program /usr/lib/squid/digest_file_auth -c $folder/users
auth_param digest children 1 startup=1
auth_param digest realm a realm
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
""")


class Squid(Peer):
    """Debian's squid, an HTTP proxy that wants Digest authentication (RFC 7616).

    It is not run as root, so its folder is one of its own outside the caller's, which nobody else may look into.

    Args:
        credentials: user name and password.
    """

    def __init__(self, credentials: tuple[str, str]) -> None:
        self._program = find_program("squid", "squid")
        super().__init__(Path(tempfile.mkdtemp(prefix="squid-")))
        self._credentials = credentials
        self._as_root = os.geteuid() == 0

    @property
    def port(self) -> int:
        return self.ports[0]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        user, password = self._credentials
        secret = hashlib.md5(f"{user}:a realm:{password}".encode()).hexdigest()
        (self.folder / "users").write_text(f"{user}:a realm:{secret}\n", encoding="utf-8")
        path = self.folder / "squid.conf"
        path.write_text(SQUID.substitute({"port": self.port, "folder": self.folder}), encoding="utf-8")
        if self._as_root:
            nobody = pwd.getpwnam("nobody")
            for each in (self.folder, *self.folder.rglob("*")):
                os.chown(each, nobody.pw_uid, nobody.pw_gid)
        # Under a name of its own, after which its shared memory is called.
        return [self._program, "-N", "-n", f"test{self.port}", "-f", str(path)]

    def options(self) -> dict[str, Any]:
        """See `Peer.options`."""
        if not self._as_root:
            return {}
        return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}

    def __enter__(self) -> Squid:
        try:
            return super().__enter__()
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self.folder)


DANTE = Template("""\
logoutput: $folder/error.log
internal: 127.0.0.1 port = $port
external: lo
socksmethod: $method
clientmethod: none
user.privileged: root
user.notprivileged: nobody
client pass { from: 127.0.0.0/8 to: 127.0.0.0/8 }
socks block { from: 0.0.0.0/0 to: 0.0.0.0/0 port = 9 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 protocol: tcp }
""")


class Dante(Peer):
    """Debian's dante-server, for SOCKS 4 and 5. Port 9 is against its rules.

    Args:
        folder: a folder of its own.
        method: "none", or "username", for which it wants the password of a user of this machine.
    """

    def __init__(self, folder: Path, method: str = "none") -> None:
        super().__init__(folder)
        self._method = method
        self._program = find_program("danted", "dante-server")

    @property
    def port(self) -> int:
        return self.ports[0]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        path = self.folder / "danted.conf"
        names = {"port": self.port, "folder": self.folder, "method": self._method}
        path.write_text(DANTE.substitute(names), encoding="utf-8")
        return [self._program, "-f", str(path), "-p", str(self.folder / "pid")]


STUNNEL = Template("""\
foreground = yes
pid =
debug = warning
syslog = no
[proxy]
accept = 127.0.0.1:$port
connect = 127.0.0.1:$behind
cert = $certificate
key = $key
""")


class Stunnel(Peer):
    """Debian's stunnel4: TLS in front of what listens on the port `behind`."""

    def __init__(self, folder: Path, certificates: Certificates, behind: int) -> None:
        super().__init__(folder)
        self._certificates = certificates
        self._behind = behind
        self._program = find_program("stunnel4", "stunnel4")

    @property
    def port(self) -> int:
        return self.ports[0]

    def command(self) -> list[str]:
        """See `Peer.command`."""
        path = self.folder / "stunnel.conf"
        names = {"port": self.port, "behind": self._behind}
        names |= {"certificate": self._certificates.server_file, "key": self._certificates.server_key}
        path.write_text(STUNNEL.substitute(names), encoding="utf-8")
        return [self._program, str(path)]
