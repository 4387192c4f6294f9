"""The adapter itself: requests' `HTTPAdapter` with the engine below it instead of urllib3's pools."""

from __future__ import annotations

import ssl
import warnings
import weakref
from typing import Any, NoReturn

import requests
from requests import PreparedRequest
from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES, HTTPAdapter
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError, InsecureRequestWarning, LocationValueError, MaxRetryError, SSLError
from urllib3.util.retry import Retry

from drivetrain.compat.requests_api.attempts import Plan, send_until_done
from drivetrain.compat.requests_api.building import build_response
from drivetrain.compat.requests_api.clients import Clients, limits_of
from drivetrain.compat.requests_api.errors import as_requests_error
from drivetrain.compat.requests_api.limits import TimeoutTable
from drivetrain.compat.requests_api.passing import Asked, PoolDoor
from drivetrain.compat.requests_api.proxying import Hop, ProxyTable, is_exempt
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.compat.requests_api.routes import Route
from drivetrain.compat.requests_api.strict_transport import learn, upgraded
from drivetrain.compat.requests_api.trust import TlsSettings
from drivetrain.engine import Client, HstsStore, NoProxy, Response

__all__ = ["EngineAdapter"]

# What requests' class did when this module was imported. Where a subclass, an instance or a test library has put
# something else in its place since then, that is called; where not, the short way to the same result is taken.
_SEND = HTTPAdapter.send
_BUILD_RESPONSE = HTTPAdapter.build_response
_CERT_VERIFY = HTTPAdapter.cert_verify
_ADD_HEADERS = HTTPAdapter.add_headers
_REQUEST_URL = HTTPAdapter.request_url
# Whoever overrides one of these hands out urllib3's pools, so urllib3 gets the request.
_POOL_MAKERS = {
    name: getattr(HTTPAdapter, name)
    for name in ("get_connection", "get_connection_with_tls_context", "build_connection_pool_key_attributes")
}
_ENGINE_OPTIONS = frozenset(
    {
        "bind",
        "h2_limits",
        "head_start",
        "limits",
        "proxy_ssl_context",
        "resolver",
        "sendname",
        "unix_socket",
        "upgrade_h2c",
        "version",
    }
)
# What urllib3's pool manager may have been told that the engine does as well.
_UNDERSTOOD = frozenset({"block", "maxsize", "ssl_context"})


class EngineAdapter(HTTPAdapter):
    """An adapter to mount on a `requests.Session`; see `requests.adapters.HTTPAdapter`.

    Any number of threads may use one. Pickling and copying keep the settings and what HSTS has learnt, not the connections.
    Requests of a subclass that makes urllib3's pools itself go through urllib3, and so do those through a proxy for which
    urllib3's manager was told more than the engine does.

    Proxies are as in requests, SOCKS without PySocks. An https proxy is verified as `verify` says for http URLs too, where
    requests verifies nothing; and a Proxy-Authorization field of the request never reaches an origin behind a tunnel.

    Args:
        pool_connections, pool_maxsize: together, how many idle connections are kept.
        max_retries: a number of attempts after failures to connect, or a `urllib3.util.Retry`.
        pool_block: allow only `pool_maxsize` connections to a host at a time, and wait for one. A host that speaks HTTP/2
            gets one connection whatever these say; requests beyond what it allows at once (often 100) wait for others.
        total_timeout: seconds for each whole call, body included, beside requests' `timeout`; None for no limit.
        version: 1.0, 1.1 or 2 to pin the HTTP version; None for the best that a server of https speaks, and 1.1 in clear.
        upgrade_h2c, resolver, bind, unix_socket, sendname, head_start, limits, h2_limits: see `drivetrain.engine.Client`.
        ssl_context: used for every TLS connection to an origin, with `verify` and `cert` applied to it as urllib3 does.
        proxy_ssl_context: used as it is for TLS to https proxies, instead of what `verify` says.
        no_proxy: hosts to reach directly whatever proxies a request is given, see `drivetrain.engine.NoProxy`; requests
            itself looks at the environment's list only where the environment names the proxy.
        hsts: a `drivetrain.engine.HstsStore`, or True for one of the adapter's own: http URLs of hosts that have asked for
            it over verified TLS are sent as https, and nothing in clear. By default off, for requests knows no such thing.

    Attributes:
        hsts: that store, or None.
        no_proxy: that list.
    """

    # The types of requests' stubs leave these out.
    _pool_connections: int
    _pool_maxsize: int
    _pool_block: bool
    _end: weakref.finalize[..., EngineAdapter] | None = None

    __attrs__ = [*HTTPAdapter.__attrs__, "_engine_options", "_total_timeout", "hsts", "no_proxy"]  # noqa: RUF012  # as in the base class

    def __init__(
        self,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
        *,
        total_timeout: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        hsts: HstsStore | bool = False,
        no_proxy: str = "",
        **options: Any,
    ) -> None:
        self._total_timeout = total_timeout
        self.hsts = HstsStore() if hsts is True else None if hsts is False else hsts
        self.no_proxy = NoProxy(no_proxy)
        self._engine_options = {"ssl_context": ssl_context, **options} if ssl_context is not None else options
        unknown = options.keys() - _ENGINE_OPTIONS
        if unknown:
            raise TypeError(f"EngineAdapter has no option {', '.join(sorted(unknown))}")
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)
        self._start()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        self._start()

    def _start(self) -> None:
        """Begin without connections, with what the pool manager was told."""
        manager = self.poolmanager
        settings = manager.connection_pool_kw
        options = dict(self._engine_options)
        if settings.get("ssl_context") is not None:
            options["ssl_context"] = settings["ssl_context"]
        kind = type(self)
        self._left_to_urllib3 = not _UNDERSTOOD.issuperset(settings) or any(
            getattr(kind, name) is not original for name, original in _POOL_MAKERS.items()
        )
        options["pool"] = limits_of(self._pool_connections, self._pool_maxsize, self._pool_block)
        self._timeouts = TimeoutTable(self._total_timeout)
        self._clients = clients = Clients(options)
        if self._end is not None:
            self._end.detach()
        # An adapter that is dropped without being closed closes its connections quietly, as urllib3's pools do.
        self._end = weakref.finalize(self, clients.close)
        self._default_client: Client | None = None
        self._manager = manager
        self._asked = Asked()
        self._proxies = None if "unix_socket" in options else ProxyTable()

    # -- sending -------------------------------------------------------------------------------------------------------

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a prepared request and return its response with the body unread. See `HTTPAdapter.send`.

        Raises:
            requests.exceptions.RequestException: the subclass requests raises for the fault, with urllib3's error in it.
            OSError: `verify` or `cert` names a file that is not there.
            ValueError: `timeout` is none.
        """
        if self.poolmanager is not self._manager:
            self.close_clients()
            self._start()
        if self.hsts is not None:
            request = upgraded(request, self.hsts)
        hop: Hop | None = None
        left_to_urllib3 = self._left_to_urllib3 or (HTTPAdapter.send is not _SEND and request not in self._asked)
        if proxies and self.no_proxy and is_exempt(request.url or "", self.no_proxy):
            proxies = None
        if proxies and not left_to_urllib3 and self._proxies is not None:
            chosen = select_proxy(request.url or "", proxies)
            if chosen:
                try:
                    hop = self._proxies.find(self, chosen)
                except LocationValueError as error:
                    raise requests.exceptions.InvalidURL(error, request=request) from error
                left_to_urllib3 = hop is None
        if left_to_urllib3:
            with self._asked.asking(request):
                return HTTPAdapter.send(
                    self, request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies
                )
        plan = self._plan(request, stream, timeout, verify, cert, proxies, hop)
        try:
            raw, response = send_until_done(plan)
        except HTTPError as error:
            raise as_requests_error(error, request) from error.__cause__
        except requests.exceptions.RequestException as error:
            error.request = request
            raise
        if self.hsts is not None:
            learn(self.hsts, plan.route.url, response)
        build = self.build_response
        if getattr(build, "__func__", None) is _BUILD_RESPONSE:
            return build_response(self, request, raw, response)
        return build(request, raw)

    def _plan(
        self,
        request: PreparedRequest,
        stream: bool,
        timeout: Any,
        verify: Any,
        cert: Any,
        proxies: Any,
        hop: Hop | None,
    ) -> Plan:
        """Everything about a request but its headers and body, with the hooks called that a subclass has."""
        url: Any = request.url
        if isinstance(url, bytes):
            url = url.decode("utf-8")
        clients = self._clients
        if clients.dropped:
            clients.sweep()
        route = Route(url, None if hop is None else hop.proxy)
        if url[:6] == "https:":
            client = self._secure_client(request, route, verify, cert, hop)
        elif hop is not None and hop.proxy.scheme == "https":
            client = self._secure_client(request, Route(route.asked), verify, None, hop)
        else:
            if cert or getattr(self.cert_verify, "__func__", None) is not _CERT_VERIFY:
                self._call_cert_verify(TlsSettings(True), url, verify, cert)
            client = clients.plain()
        target = None
        if getattr(self.request_url, "__func__", None) is not _REQUEST_URL:
            target = self.request_url(request, proxies)
        if getattr(self.add_headers, "__func__", None) is not _ADD_HEADERS:
            self.add_headers(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        retries: Any = self.max_retries
        if not isinstance(retries, Retry):
            retries = Retry.from_int(retries, redirect=False)
        method = request.method or ""
        asked = url if hop is None else route.asked

        def make_raw(response: Response, left: Retry) -> RawResponse:
            return RawResponse(response, method, url, left, not stream, clients.dropped, asked)

        def path() -> str:
            return self.request_url(request, proxies)

        return Plan(request, route, target, client, self._timeouts.resolve(timeout), retries, path, make_raw)

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """What requests' own `send` sends with: urllib3's pool, whose `urlopen` leads to the engine. See `PoolDoor`."""
        if proxies and self.no_proxy and is_exempt(request.url or "", self.no_proxy):
            proxies = None
        pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        chosen = select_proxy(request.url or "", proxies) if proxies and self._proxies is not None else None
        hop = self._proxies.find(self, chosen) if chosen and self._proxies is not None else None
        if self._left_to_urllib3 or (chosen and hop is None):
            return pool

        def exchange(timeout: Any) -> RawResponse:
            return send_until_done(self._plan(request, True, timeout, verify, cert, proxies, hop))[0]

        return PoolDoor(pool, request, exchange)

    # -- TLS -----------------------------------------------------------------------------------------------------------

    def _secure_client(self, request: PreparedRequest, route: Route, verify: Any, cert: Any, hop: Hop | None) -> Client:
        """The client for a request to https, or through an https proxy: `route` leads to who is to be verified."""
        url = route.url
        if not verify:
            warnings.warn(
                f"Unverified HTTPS request is being made to host '{requests.compat.urlsplit(url).hostname}'. "
                "Adding certificate verification is strongly advised. See: "
                "https://urllib3.readthedocs.io/en/latest/advanced-usage.html#tls-warnings",
                InsecureRequestWarning,
                stacklevel=4,
            )
        usual = verify is True and cert is None and getattr(self.cert_verify, "__func__", None) is _CERT_VERIFY
        usual = usual and (hop is None or (hop.proxy.scheme != "https" and hop.context is None))
        if usual and self._default_client is not None:
            return self._default_client
        settings = TlsSettings(verify is True)
        self._call_cert_verify(settings, url, verify, cert)
        try:
            client = self._clients.secure(settings, hop)
        except SSLError as error:
            self._refuse_tls(error, request, route)
        if usual:
            self._default_client = client
        return client

    def _call_cert_verify(self, settings: TlsSettings, url: str, verify: Any, cert: Any) -> None:
        hook: Any = self.cert_verify
        hook(settings, url, verify, cert)

    def _refuse_tls(self, error: SSLError, request: PreparedRequest, route: Route) -> NoReturn:
        given_up = MaxRetryError(route.pool(), self.request_url(request, None), error)
        raise requests.exceptions.SSLError(given_up, request=request) from error

    # -- the end -------------------------------------------------------------------------------------------------------

    def close_clients(self) -> None:
        """Close the engine's connections; those in use when their responses end."""
        self._default_client = None
        self._clients.close()

    def close(self) -> None:
        """Close all connections. As requests' own, the adapter can be used again afterwards."""
        self.close_clients()
        super().close()


# Not a pool of somebody else's: it leads back here.
_POOL_MAKERS["get_connection_with_tls_context"] = EngineAdapter.get_connection_with_tls_context
