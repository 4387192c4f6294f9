"""The engine's clients behind one adapter: one in clear, one for each way of doing TLS, one for each socket."""

from __future__ import annotations

import ssl
import sys
import threading
import weakref
from collections import deque
from collections.abc import Collection
from typing import Any

from drivetrain.compat.requests_api.dialling import DEFAULT_WAY, Way, dialling_options
from drivetrain.compat.requests_api.proxying import Hop
from drivetrain.compat.requests_api.trust import TlsSettings, make_context, preparation_of
from drivetrain.engine import Client, H1Limits, PoolLimits, Response

__all__ = ["AS_URLLIB3", "Clients", "limits_of", "limits_of_heads", "sweep"]

AS_URLLIB3: dict[str, Any] = {
    # A body that lasts until the connection ends is taken as it is over TLS too, as by Python's ssl.
    "accept_ragged_end": True,
    "tolerate_weak_tls": True,
    "tolerate_odd_responses": True,
    "expect_100_timeout": 0.0,
}
"""What the engine's clients are told so that servers with which urllib3 gets along go on working."""

_MAX_HEAD = 1024 * 1024
_MAX_KNOWN = 100
# A program may make a context for each request.
_MAX_CLIENTS = 100


def limits_of(connections: int, maxsize: int, block: bool) -> PoolLimits:
    """The limits that an adapter's `pool_connections`, `pool_maxsize` and `pool_block` stand for.

    Without `block` any number of connections may be in use, and `maxsize` for each of `connections` hosts are kept
    afterwards; with it, `maxsize` is a limit for each host. urllib3 takes 0 for no limit. A host that speaks HTTP/2 has one
    connection for all requests, of which any number may be under way as far as `maxsize` is concerned.
    """
    return PoolLimits(
        max_connections=None,
        max_per_origin=(maxsize or None) if block else None,
        max_idle=connections * maxsize or None,
    )


def limits_of_heads(line: float, fields: float) -> H1Limits:
    """Limits of responses, from those of `http.client`, which programs may have raised, even to infinity."""
    longest = int(min(line, sys.maxsize))
    return H1Limits(max_line=longest, max_fields=int(min(fields, sys.maxsize)), max_head=max(_MAX_HEAD, longest))


class Clients:
    """Makes clients when they are first needed. Any number of threads may use one object.

    One that is dropped without being closed closes its connections quietly, as urllib3's pools do.

    Args:
        options: keyword arguments for every client.

    Attributes:
        dropped: responses that were dropped unread, for `sweep`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        # Cookies, proxies and the environment are the session's affair.
        own = {"cookies": False, "hsts": False, "proxies": False}
        usual = {**AS_URLLIB3, **dialling_options(DEFAULT_WAY)}
        self._options = {**usual, **own, **options}
        self._context = self._options.pop("ssl_context", None)
        self._lock = threading.Lock()
        self._plain: Client | None = None
        self._secure: dict[tuple[Any, ...], tuple[tuple[Any, ...], Client]] = {}
        self._known: dict[Any, tuple[TlsSettings | None, tuple[Any, ...], Client]] = {}
        self._unix: dict[str, Client] = {}
        self._ways: dict[Way, Client] = {}
        self.dropped: deque[Response] = deque()
        self._open: set[Client] = set()
        weakref.finalize(self, _close_each, self._open, self.dropped)

    @property
    def context(self) -> ssl.SSLContext | None:
        """The adapter's own, for all TLS with origins."""
        context: ssl.SSLContext | None = self._context
        return context

    def plain_by(self, way: Way) -> Client:
        """The client for http whose connections are made in this way; raises `UsageError` where they cannot be."""
        if way == DEFAULT_WAY:
            return self.plain()
        with self._lock:
            client = self._ways.get(way)
            if client is None:
                client = self._ways[way] = self._new(**dialling_options(way))
        return client

    def plain(self) -> Client:
        """The client for http."""
        client = self._plain
        if client is None:
            with self._lock:
                client = self._plain
                if client is None:
                    client = self._plain = self._new()
        return client

    def unix(self, path: str) -> Client:
        """The client for what is asked at a socket of this machine."""
        client = self._unix.get(path)
        if client is None:
            with self._lock:
                client = self._unix.get(path)
                if client is None:
                    client = self._unix[path] = self._new(unix_socket=path)
        return client

    def known(self, verify: Any, cert: Any) -> Client | None:
        """The client that `remember` was told of for these, None when there is none or a file has changed.

        It costs a look at each file, where finding out anew costs several.
        """
        try:
            found = self._known.get((verify, type(verify), cert))
        except TypeError:  # something that is no key
            return None
        if found is None:
            return None
        settings, stamp, client = found
        try:
            return client if settings is None or settings.stamp == stamp else None
        except OSError:
            return None

    def remember(self, verify: Any, cert: Any, settings: TlsSettings, client: Client) -> None:
        """Say which client is for `verify` and `cert`, where nothing but them has to do with it."""
        if settings.ca_cert_dir is not None and settings.ca_cert_dir == verify:
            return  # it may have gone the next time, and has no stamp to tell that
        if len(self._known) >= _MAX_KNOWN:
            self._known = {}
        usual = verify is True and cert is None
        with self._lock:
            if client in self._open:  # not closed in the meantime
                try:
                    entry = (None, (), client) if usual else (settings, settings.stamp, client)
                    self._known[verify, type(verify), cert] = entry
                except (TypeError, OSError):
                    pass

    def secure(self, settings: TlsSettings, hop: Hop | None = None, way: Way = DEFAULT_WAY) -> Client:
        """The client for https with these settings, and for https proxies; raises what `make_context` does.

        Args:
            hop: through what proxy. Only those that have TLS of their own, or contexts, need clients of their own.
            way: how to connect.

        Raises:
            UsageError: the engine cannot connect or verify so.
        """
        identity, stamp = (way, *settings.identity), settings.stamp
        if hop is not None and hop.has_own_tls:
            identity = (*identity, hop.identity)
        found = self._secure.get(identity)
        if found is not None and found[0] == stamp:
            return found[1]
        with self._lock:
            found = self._secure.get(identity)
            if found is None or found[0] != stamp:
                made = self._make(settings, hop, way)
                if found is not None:
                    self._drop(identity)
                elif len(self._secure) >= _MAX_CLIENTS:
                    self._drop(next(iter(self._secure)))
                found = self._secure[identity] = (stamp, made)
        return found[1]

    def _drop(self, identity: tuple[Any, ...]) -> None:
        """Close a client for good; under the lock."""
        client = self._secure.pop(identity)[1]
        self._known = {key: entry for key, entry in self._known.items() if entry[2] is not client}
        self._open.discard(client)
        client.close()

    def _make(self, settings: TlsSettings, hop: Hop | None, way: Way) -> Client:
        given = settings.ssl_context or (hop and hop.context) or self._context
        options = dialling_options(way) if way != DEFAULT_WAY else {}
        options["ssl_context"] = make_context(settings, given)
        options["verify_host"] = settings.verified_name(given is not None)
        options["fingerprint"] = settings.assert_fingerprint or None
        if given is not None:
            options["prepare_context"] = preparation_of(settings)
        if settings.server_hostname is not None:
            options["sendname"] = settings.server_hostname.strip("[]")
        if hop is not None and hop.proxy.scheme == "https":
            options.update(self._proxy_options(settings, hop))
        return self._new(**options)

    def _proxy_options(self, settings: TlsSettings, hop: Hop) -> dict[str, Any]:
        own = settings.for_proxy()
        own.assert_hostname, own.assert_fingerprint = hop.assert_hostname, hop.assert_fingerprint
        given = hop.proxy_context or self._options.get("proxy_ssl_context")
        if given is not None:
            own.cert_reqs = given.verify_mode
            if own.names_are_left_out:
                given.check_hostname = False
        return {
            "proxy_ssl_context": given or make_context(own, None),
            "proxy_verify_host": own.verified_name(given is not None),
            "proxy_fingerprint": own.assert_fingerprint or None,
        }

    def _new(self, **options: Any) -> Client:
        """Make a client; under the lock."""
        client = Client(**{**self._options, **options})
        self._open.add(client)
        return client

    def close(self) -> None:
        """Close idle connections now and those in use when their responses end. New clients are made when needed."""
        with self._lock:
            clients = list(self._open)
            self._open.clear()
            self._plain = None
            self._secure, self._known, self._unix, self._ways = {}, {}, {}, {}
        _close_each(clients, self.dropped)


def _close_each(clients: Collection[Client], dropped: deque[Response]) -> None:
    for client in clients:
        client.close()
    sweep(dropped)


def sweep(dropped: deque[Response]) -> None:
    """Close what was dropped unread."""
    while dropped:
        try:
            response = dropped.popleft()
        except IndexError:  # another thread was quicker
            return
        response.close()
