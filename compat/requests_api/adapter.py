"""The adapter itself: requests' `HTTPAdapter` with the engine below it instead of urllib3's pools."""

from __future__ import annotations

import ssl
import warnings
from typing import Any, NoReturn

import requests
from requests import PreparedRequest
from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES, HTTPAdapter
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError, InsecureRequestWarning, MaxRetryError, SSLError
from urllib3.util.retry import Retry

from drivetrain.compat.requests_api.attempts import Plan, send_until_done
from drivetrain.compat.requests_api.building import build_response
from drivetrain.compat.requests_api.clients import Clients, limits_of
from drivetrain.compat.requests_api.errors import as_requests_error, placeholder_pool
from drivetrain.compat.requests_api.limits import TimeoutTable
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.compat.requests_api.trust import TlsSettings
from drivetrain.engine import Client, Response

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
# What urllib3's pool manager may have been told that the engine does as well.
_UNDERSTOOD = frozenset({"block", "maxsize", "ssl_context"})


class EngineAdapter(HTTPAdapter):
    """An adapter to mount on a `requests.Session`; see `requests.adapters.HTTPAdapter`.

    Any number of threads may use one. Pickling and copying keep the settings, not the connections. Requests through a
    proxy, and those of a subclass that makes urllib3's pools itself, go through urllib3.

    Args:
        pool_connections, pool_maxsize: together, how many idle connections are kept.
        max_retries: a number of attempts after failures to connect, or a `urllib3.util.Retry`.
        pool_block: allow only `pool_maxsize` connections to a host at a time, and wait for one.
        total_timeout: seconds for each whole call, body included, beside requests' `timeout`; None for no limit.
        version, resolver, bind, unix_socket, sendname, head_start, limits: see `drivetrain.engine.Client`.
        ssl_context: used for every TLS connection, with `verify` and `cert` applied to it as urllib3 does.
    """

    # The types of requests' stubs leave these out.
    _pool_connections: int
    _pool_maxsize: int
    _pool_block: bool

    __attrs__ = [*HTTPAdapter.__attrs__, "_engine_options", "_total_timeout"]  # noqa: RUF012  # as in the base class

    def __init__(
        self,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
        *,
        total_timeout: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        self._total_timeout = total_timeout
        self._engine_options = {"ssl_context": ssl_context, **options} if ssl_context is not None else options
        unknown = options.keys() - {"version", "resolver", "bind", "unix_socket", "sendname", "head_start", "limits"}
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
        self._clients = Clients(options)
        self._default_client: Client | None = None
        self._manager = manager

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
        if (
            self._left_to_urllib3
            or HTTPAdapter.send is not _SEND
            or (proxies and select_proxy(request.url or "", proxies))
        ):
            return HTTPAdapter.send(
                self, request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies
            )
        plan = self._plan(request, stream, timeout, verify, cert, proxies)
        try:
            raw, response = send_until_done(plan)
        except HTTPError as error:
            raise as_requests_error(error, request) from error.__cause__
        except requests.exceptions.RequestException as error:
            error.request = request
            raise
        build = self.build_response
        if getattr(build, "__func__", None) is _BUILD_RESPONSE:
            return build_response(self, request, raw, response)
        return build(request, raw)

    def _plan(self, request: PreparedRequest, stream: bool, timeout: Any, verify: Any, cert: Any, proxies: Any) -> Plan:
        """Everything about a request but its headers and body, with the hooks called that a subclass has."""
        url: Any = request.url
        if isinstance(url, bytes):
            url = url.decode("utf-8")
        clients = self._clients
        if clients.dropped:
            clients.sweep()
        if url[:6] == "https:":
            client = self._secure_client(request, url, verify, cert)
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

        def make_raw(response: Response, left: Retry) -> RawResponse:
            return RawResponse(response, method, url, left, not stream, clients.dropped)

        def path() -> str:
            return self.request_url(request, proxies)

        return Plan(request, url, target, client, self._timeouts.resolve(timeout), retries, path, make_raw)

    # -- TLS -----------------------------------------------------------------------------------------------------------

    def _secure_client(self, request: PreparedRequest, url: str, verify: Any, cert: Any) -> Client:
        """The client for a request to https."""
        if not verify:
            warnings.warn(
                f"Unverified HTTPS request is being made to host '{requests.compat.urlsplit(url).hostname}'. "
                "Adding certificate verification is strongly advised. See: "
                "https://urllib3.readthedocs.io/en/latest/advanced-usage.html#tls-warnings",
                InsecureRequestWarning,
                stacklevel=4,
            )
        usual = verify is True and cert is None and getattr(self.cert_verify, "__func__", None) is _CERT_VERIFY
        if usual and self._default_client is not None:
            return self._default_client
        settings = TlsSettings(verify is True)
        self._call_cert_verify(settings, url, verify, cert)
        try:
            client = self._clients.secure(settings)
        except SSLError as error:
            self._refuse_tls(error, request, url)
        if usual:
            self._default_client = client
        return client

    def _call_cert_verify(self, settings: TlsSettings, url: str, verify: Any, cert: Any) -> None:
        hook: Any = self.cert_verify
        hook(settings, url, verify, cert)

    def _refuse_tls(self, error: SSLError, request: PreparedRequest, url: str) -> NoReturn:
        given_up = MaxRetryError(placeholder_pool(url), self.request_url(request, None), error)
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
