"""`Proxy`, the value that says through whom to connect, and the way to it.

Credentials and header fields of a proxy are for the proxy only: they are in no `repr`, no message, and nothing that an
origin is sent.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConnectError, ConnectTimeout, InvalidURL, ProxyError, TLSError, UsageError
from ..protocol.socks_machine import check_credential
from ..util import decode_uri_component, split_authority, to_authority
from ..wire.headers import Headers
from ..wire.uri import parse_uri
from .dial import DialOptions, TlsOptions, dial_tcp, dial_unix, secure

if TYPE_CHECKING:
    from ..backends.base import Backend, ByteStream

__all__ = ["DEFAULT_PROXY_TLS", "PROXY_PORTS", "Proxy", "reach_proxy"]

PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
"""The schemes of proxies, each with the port where none is given (curl takes 1080 for http too, others 80)."""

DEFAULT_PROXY_TLS = TlsOptions(alpn=("http/1.1",))
"""How to speak TLS to an https proxy. HTTP/2 must be offered by hand: a tunnel of its own gains nothing by it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://").match


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """Through whom to connect. Hashable: what is equal may share connections.

    Args:
        scheme: "http"; "https", TLS to the proxy; "socks4" and "socks5", where names are resolved here; "socks4a" and
            "socks5h", where the proxy resolves them.
        host: a name in ASCII form or an IP address without brackets.
        port: from 1 to 65535.
        username, password: decoded; None for none. Sent as Basic to HTTP proxies (RFC 7617), as RFC 1929 has it to
            SOCKS 5; SOCKS 4 has no passwords and is sent the user name alone.
        headers: fields for an HTTP proxy, (name, value) pairs, such as User-Agent. A Proxy-Authorization among them
            replaces that of the credentials.
        unix_path: the proxy listens on this UNIX-domain socket; host and port then only name it.

    Raises:
        UsageError: an unknown scheme, a port out of range, credentials that do not fit the protocol.
        InvalidHeader: a field that must not go on the wire.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    unix_path: str | None = None

    def __post_init__(self) -> None:
        if self.scheme not in PROXY_PORTS:
            raise UsageError(f"the scheme of a proxy is one of {', '.join(PROXY_PORTS)}, not {self.scheme[:40]!r}")
        if not self.host:
            raise UsageError("a proxy needs a host")
        if not 0 < self.port <= 0xFFFF:
            raise UsageError(f"port {self.port} of the proxy is not a number from 1 to 65535")
        if self.username is None and self.password is not None:
            raise UsageError("a password for a proxy needs a user name")
        if self.is_socks:
            if self.headers:
                raise UsageError("a SOCKS proxy takes no header fields")
            if self.username is not None:
                check_credential(self.username, "user name", 1)
                check_credential(self.password or "", "password", 0)
        else:
            if self.username is not None and ":" in self.username:
                raise UsageError("a user name for Basic authentication has no colon (RFC 7617 section 2)")
            Headers(self.headers)

    @classmethod
    def from_uri(cls, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Proxy:
        """Read "[scheme://][user[:password]@]host[:port]", credentials percent-encoded.

        Without a scheme it is an http proxy, as in curl; "socks" is "socks5h". A path is ignored, but two forms name a
        UNIX-domain socket: "socks5h://localhost/run/proxy.sock" (any SOCKS scheme and "localhost" without a port, as in
        curl) and "http+unix://%2Frun%2Fproxy.sock" (any scheme; the host is the path, percent-encoded).

        Raises:
            InvalidURL: it is malformed. The message does not quote credentials.
            UsageError: see the class.
        """
        text = text.strip(" ")
        found = _SCHEME(text)
        scheme = found.group(1).lower() if found else "http"
        rest = text[found.end() :] if found else text
        scheme, _, transport = scheme.partition("+")
        scheme = "socks5h" if scheme == "socks" else scheme
        if scheme not in PROXY_PORTS or transport not in ("", "unix"):
            raise InvalidURL(f"not a scheme of proxies: {text[: found.end() - 3 if found else 0][:40]!r}")
        authority, path = re.fullmatch(r"([^/?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
        if "@" in path:  # or else a part of the password would be taken for the host
            raise InvalidURL("in the credentials of a proxy '/', '?' and '#' must be percent-encoded")
        userinfo, at, where = authority.rpartition("@")
        user, colon, password = userinfo.partition(":")
        username = decode_uri_component(user) if at else None
        secret = decode_uri_component(password) if colon else None
        if username == "" and not secret:
            username = secret = None  # "http://@host" and "http://:@host"
        unix_path = None
        if transport:
            unix_path, where = decode_uri_component(where), "localhost"
        elif scheme.startswith("socks") and where.lower() == "localhost" and path not in ("", "/"):
            unix_path = decode_uri_component(path)
        if unix_path is not None and (not unix_path or "\0" in unix_path):
            raise InvalidURL("a proxy on a UNIX-domain socket needs the path of that")
        port = split_authority(where, "")[1]
        host = parse_uri(f"http://{where}").host
        return cls(scheme, host, PROXY_PORTS[scheme] if port is None else port, username, secret, headers, unix_path)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS; otherwise it speaks HTTP."""
        return self.scheme.startswith("socks")

    @property
    def resolves(self) -> bool:
        """Whether the proxy, not this side, resolves the names of origins."""
        return self.scheme not in ("socks4", "socks5")

    def needs_tunnel(self, scheme: str) -> bool:
        """Whether an origin of this scheme is reached through a tunnel (SOCKS, CONNECT).

        Otherwise, for plain HTTP through an HTTP proxy, the request itself goes to the proxy, with the URI as its target
        (RFC 9112 section 3.2.2): see `policy.proxies.forwarded`. WebSockets always need one (RFC 6455 section 4.1).
        """
        return self.is_socks or scheme != "http"

    @property
    def basic_authorization(self) -> str | None:
        """The Proxy-Authorization value for the credentials (RFC 7617, UTF-8), None without any."""
        if self.username is None:
            return None
        pair = f"{self.username}:{self.password or ''}".encode("utf-8", "surrogateescape")
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def fields(self, authorization: str | None = None) -> list[tuple[str, str]]:
        """The fields that an HTTP proxy gets with a request, and nobody else.

        Args:
            authorization: a Proxy-Authorization value in the place of any other, for an answer to 407.
        """
        if authorization is None and any(name.lower() == "proxy-authorization" for name, _ in self.headers):
            return list(self.headers)
        value = authorization or self.basic_authorization
        fields = [field for field in self.headers if field[0].lower() != "proxy-authorization"]
        return fields if value is None else [*fields, ("Proxy-Authorization", value)]

    def __str__(self) -> str:
        """Its URI without credentials."""
        if self.unix_path is not None:
            return f"{self.scheme}+unix://{self.unix_path}"
        return f"{self.scheme}://{to_authority(self.host, self.port, '')}"

    def __repr__(self) -> str:
        return f"<Proxy {self}{' with credentials' if self.username is not None else ''}>"


async def reach_proxy(
    backend: Backend, proxy: Proxy, deadline: float, tls: TlsOptions | None = None, dial: DialOptions | None = None
) -> ByteStream:
    """Connect to a proxy, with TLS to it where its scheme says so.

    Args:
        backend: where to connect.
        proxy: whom to.
        deadline: on the backend's clock.
        tls: how to speak TLS with an https proxy, None for `DEFAULT_PROXY_TLS`.
        dial: how to connect, None for the defaults.

    Raises:
        ProxyError: it is out of reach; `__cause__` says more.
        CertificateError, TLSError: TLS with the proxy failed; `with_proxy` is set.
        ConnectTimeout: the deadline passed; `with_proxy` is set.
    """
    try:
        if proxy.unix_path is not None:
            stream = await dial_unix(backend, proxy.unix_path, deadline)
        else:
            stream = await dial_tcp(backend, proxy.host, proxy.port, dial or DialOptions(), deadline)
    except ConnectError as error:
        text = f"the proxy {proxy} is out of reach: {error.strerror or error}"
        raise (ProxyError(text) if error.errno is None else ProxyError(error.errno, text)) from error
    except ConnectTimeout as error:
        error.with_proxy = True
        raise
    if proxy.scheme != "https":
        return stream
    try:
        return await secure(backend, stream, tls or DEFAULT_PROXY_TLS, proxy.host, deadline)
    except (TLSError, ConnectTimeout) as error:
        error.with_proxy = True
        raise
