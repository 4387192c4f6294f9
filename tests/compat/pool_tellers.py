"""Adapters and programs that tell urllib3's pools and connections something: ways for `past_the_engine`."""

from __future__ import annotations

import functools
import pathlib
import socket
import ssl
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import requests
import urllib3.util.connection
from requests_toolbelt.adapters.fingerprint import FingerprintAdapter
from requests_toolbelt.adapters.host_header_ssl import HostHeaderSSLAdapter
from requests_toolbelt.adapters.socket_options import SocketOptionsAdapter, TCPKeepAliveAdapter
from requests_toolbelt.adapters.source import SourceAddressAdapter
from requests_toolbelt.adapters.ssl import SSLAdapter
from urllib3.poolmanager import PoolManager

__all__ = ["make_ways"]

Way = Callable[[requests.Session], str]


def of(response: requests.Response) -> str:
    return f"{response.status_code} {response.text}"


class Teller:
    """Makes the ways.

    Args:
        at: the addresses of servers, see `past_the_engine`.
    """

    def __init__(self, at: Mapping[str, str]) -> None:
        self.at = at

    def base_of(self, session: requests.Session) -> Any:
        return type(session.get_adapter("http://x"))

    def use(self, session: requests.Session, adapter: Any, host: str = "localhost") -> str:
        """Send by an adapter: to both schemes, directly and through a proxy."""
        at = self.at
        with requests.Session() as other, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other.mount("https://", adapter)
            other.mount("http://", adapter)
            other.verify = at["ca"]
            said = []
            for url, name in ((at["http"], "http"), (at["https"].replace("localhost", host), "https")):
                for proxies in ({}, {name: at["proxy"]}):
                    try:
                        answer = other.get(f"{url}/ok", headers={"Host": "localhost"}, proxies=proxies)
                    except requests.RequestException as error:
                        said.append(type(error).__name__)
                    else:
                        said.append(of(answer))
        return " ".join(said)

    def theirs(self, session: requests.Session, kind: Any, *args: Any, host: str = "localhost", **options: Any) -> str:
        """By an adapter of somebody else's class, above the class that the session has."""
        base = self.base_of(session)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = kind if issubclass(kind, base) else type(kind.__name__, (kind, base), {})
            return self.use(session, kind(*args, **options), host)

    def managers(self, session: requests.Session, host: str = "localhost", **told: Any) -> str:
        class Adapter(self.base_of(session)):  # type: ignore[misc]
            def init_poolmanager(self, *args: Any, **options: Any) -> None:
                super().init_poolmanager(*args, **options, **told)

            def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
                return super().proxy_manager_for(*args, **options, **told)

        return self.use(session, Adapter(), host)

    def own_manager(self, session: requests.Session, host: str = "localhost", **told: Any) -> str:
        class Adapter(self.base_of(session)):  # type: ignore[misc]
            def init_poolmanager(self, *args: Any, **options: Any) -> None:
                self.poolmanager = PoolManager(5, **told)

        return self.use(session, Adapter(), host)

    def keys(self, session: requests.Session, host: str = "localhost", **told: Any) -> str:
        class Adapter(self.base_of(session)):  # type: ignore[misc]
            def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> Any:
                place, pool = super().build_connection_pool_key_attributes(*args, **options)
                return {**place, "host": "127.0.0.1"}, {**pool, **told}

        return self.use(session, Adapter(), host)

    def pools(self, session: requests.Session, host: str = "localhost", **told: Any) -> str:
        class Adapter(self.base_of(session)):  # type: ignore[misc]
            def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
                pool = super().get_connection_with_tls_context(*args, **options)
                if pool.scheme == "https" or "source_address" in told:
                    pool.conn_kw.update(told)
                return pool

        return self.use(session, Adapter(), host)

    def verifications(self, session: requests.Session, host: str = "localhost", **told: Any) -> str:
        class Adapter(self.base_of(session)):  # type: ignore[misc]
            def cert_verify(self, conn: Any, *args: Any) -> None:
                super().cert_verify(conn, *args)
                for name, value in told.items():
                    setattr(conn, name, value)

        return self.use(session, Adapter(), host)

    def patched(self, session: requests.Session, name: str, make: Callable[[Any], Any]) -> str:
        """With something else in urllib3's way to connect."""
        module: Any = urllib3.util.connection
        before = getattr(module, name)
        setattr(module, name, make(before))
        try:
            return " ".join(of(session.get(self.at[scheme] + "/ok")) for scheme in ("http", "https"))
        finally:
            setattr(module, name, before)

    def replaced_lookup(self, session: requests.Session) -> str:
        original = socket.getaddrinfo
        socket.getaddrinfo = lambda host, *args, **options: original("127.0.0.1", *args, **options)
        try:
            return of(session.get(self.at["http"].replace("localhost", "made.up.test") + "/ok"))
        finally:
            socket.getaddrinfo = original

    def with_default_timeout(self, session: requests.Session) -> str:
        class Adapter(self.base_of(session)):  # type: ignore[misc]
            def send(self, request: Any, **options: Any) -> Any:
                if options.get("timeout") is None:
                    options["timeout"] = 5
                return super().send(request, **options)

        return self.use(session, Adapter())


def _context(at: Mapping[str, str], **settings: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=at["ca"])
    context.check_hostname = False
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def make_ways(at: Mapping[str, str]) -> dict[str, Way]:
    """The ways, by name."""
    teller = Teller(at)
    here, version = "127.0.0.1", ssl.TLSVersion.TLSv1_2
    ways: dict[str, Way] = {}

    def add(name: str, function: Callable[..., str], *args: Any, **options: Any) -> None:
        ways[name] = lambda session: function(session, *args, **options)

    for name, told in {
        "socket options": {"socket_options": [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]},
        "no socket options": {"socket_options": None},
        "source address": {"source_address": (here, 0)},
        "fingerprint": {"assert_fingerprint": at["fingerprint"], "host": here},
        "other fingerprint": {"assert_fingerprint": "00" * 32},
        "name": {"assert_hostname": "localhost", "host": here},
        "other name": {"assert_hostname": "other.test"},
        "no name": {"assert_hostname": False, "host": here},
        "name of the server": {"server_hostname": "localhost", "host": here},
        "versions": {"ssl_minimum_version": version, "ssl_maximum_version": version},
        "version": {"ssl_version": ssl.PROTOCOL_TLSv1_2},
        "authorities": {"ca_cert_data": pathlib.Path(at["ca"]).read_text()},
        "certificate": {"cert_file": at["cert"], "key_file": at["cert"], "key_password": None},
        "the rest": {"retries": 3, "timeout": 5, "headers": {"a": "b"}, "blocksize": 4096},
    }.items():
        add(f"managers, {name}", teller.managers, **told)
    own = {"assert_fingerprint": at["fingerprint"], "source_address": (here, 0), "ssl_minimum_version": version}
    add("own manager", teller.own_manager, host=here, **own)
    add("keys", teller.keys, host="made.up.test", **own)
    add("keys, name of the server", teller.keys, host="made.up.test", server_hostname="localhost")
    add("own manager, context", teller.own_manager, ssl_context=ssl.create_default_context(cafile=at["ca"]))
    add("managers, context without names", teller.managers, host=here, ssl_context=_context(at))
    add("managers, context with versions", teller.managers, ssl_context=_context(at, maximum_version=version))
    add("pools, source address", teller.pools, source_address=(here, 0))
    add("pools, name of the server", teller.pools, host=here, server_hostname="localhost")
    add("verifications, fingerprint", teller.verifications, host=here, assert_fingerprint=at["fingerprint"])
    add("verifications, no name", teller.verifications, host=here, assert_hostname=False)
    add("verifications, name", teller.verifications, host=here, assert_hostname="localhost")
    add("verifications, nothing", teller.verifications, host=here, cert_reqs="CERT_NONE")
    add("toolbelt, source address", teller.theirs, SourceAddressAdapter, here)
    add("toolbelt, socket options", teller.theirs, SocketOptionsAdapter, socket_options=[])
    add("toolbelt, keep alive", teller.theirs, TCPKeepAliveAdapter, idle=50)
    add("toolbelt, fingerprint", teller.theirs, FingerprintAdapter, at["fingerprint"], host=here)
    add("toolbelt, host header", teller.theirs, HostHeaderSSLAdapter, host=here)
    add("toolbelt, version", teller.theirs, SSLAdapter, ssl.PROTOCOL_TLSv1_2)
    add("default timeout", teller.with_default_timeout)
    add("create_connection", teller.patched, "create_connection", lambda before: functools.partial(before))
    add("allowed_gai_family", teller.patched, "allowed_gai_family", lambda _: lambda: socket.AF_INET)
    add("HAS_IPV6", teller.patched, "HAS_IPV6", lambda _: False)
    add("getaddrinfo", teller.replaced_lookup)
    return ways
