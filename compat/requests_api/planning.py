"""Everything about a request but its headers and body, decided before it is sent.

These are functions, not methods of the adapter: a request that is under way when the engine is taken away again (`uninstall`
gives adapters their old class back) needs none of that class's methods any more.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning, MaxRetryError, SSLError
from urllib3.util.retry import Retry

from drivetrain.compat.requests_api.attempts import Plan, send_until_done
from drivetrain.compat.requests_api.clients import sweep
from drivetrain.compat.requests_api.proxying import Hop
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.compat.requests_api.routes import Route
from drivetrain.compat.requests_api.store_cookies import learn_cookies
from drivetrain.compat.requests_api.strict_transport import learn
from drivetrain.compat.requests_api.trust import NotUnderstood, TlsSettings
from drivetrain.compat.requests_api.unix_sockets import is_unix, split_unix
from drivetrain.engine import Client, Response

__all__ = ["exchange", "make_plan"]

# What requests' class did when this module was imported. Where a subclass, an instance or a test library has put
# something else in its place since then, that is called; where not, the short way to the same result is taken.
_CERT_VERIFY = HTTPAdapter.cert_verify
_ADD_HEADERS = HTTPAdapter.add_headers
_REQUEST_URL = HTTPAdapter.request_url


def make_plan(
    adapter: Any,
    request: PreparedRequest,
    stream: bool,
    timeout: Any,
    verify: Any,
    cert: Any,
    proxies: Any,
    hop: Hop | None,
    told: dict[str, Any] | None = None,
) -> Plan:
    """Make the plan for one request, calling the hooks of `HTTPAdapter` that a subclass has.

    Args:
        adapter: an `EngineAdapter`.
        stream, timeout, verify, cert, proxies: as of `HTTPAdapter.send`.
        hop: the proxy to go through.
        told: what a subclass has set on urllib3's pool.

    Raises:
        NotUnderstood: a subclass wants of TLS what only urllib3 does.
    """
    url: Any = request.url
    if isinstance(url, bytes):
        url = url.decode("utf-8")
    clients = adapter._clients
    if clients.dropped:
        sweep(clients.dropped)
    url, route, renew = _choose_route(adapter, request, url, verify, cert, hop, told)
    client = renew()
    target = None
    if getattr(adapter.request_url, "__func__", None) is not _REQUEST_URL:
        target = adapter.request_url(request, proxies)
    if getattr(adapter.add_headers, "__func__", None) is not _ADD_HEADERS:
        adapter.add_headers(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
    retries: Any = adapter.max_retries
    if not isinstance(retries, Retry):
        retries = Retry.from_int(retries, redirect=False)
    method = request.method or ""
    asked_url = url if hop is None else route.asked

    def make_raw(response: Response, left: Retry) -> RawResponse:
        return RawResponse(response, method, url, left, not stream, clients.dropped, asked_url)

    def path_of_request() -> str:
        path: str = adapter.request_url(request, proxies)
        return path

    limits = adapter._timeouts.resolve(timeout)
    return Plan(request, route, target, client, renew, limits, retries, path_of_request, make_raw)


def _choose_route(
    adapter: Any,
    request: PreparedRequest,
    url: str,
    verify: Any,
    cert: Any,
    hop: Hop | None,
    told: dict[str, Any] | None,
) -> tuple[str, Route, Callable[[], Client]]:
    """The URL to ask for, the way there, and what gives the client to go it with. See `make_plan`."""
    own_cert_verify = getattr(adapter.cert_verify, "__func__", None) is _CERT_VERIFY
    proxy = None if hop is None else hop.proxy
    if url[:6] == "https:":
        route = Route(url, proxy)
        return url, route, partial(_secure_client, adapter, request, route, verify, cert, hop, own_cert_verify, told)
    if proxy is not None and proxy.scheme == "https":
        route = Route(url, proxy)
        asked = Route(route.asked)
        return url, route, partial(_secure_client, adapter, request, asked, verify, None, hop, own_cert_verify, told)
    if cert or told or not own_cert_verify:
        settings = TlsSettings(True, told)
        adapter.cert_verify(settings, url, verify, cert)
        if not settings.is_understood:
            raise NotUnderstood
    if is_unix(url):
        path, url = split_unix(url)
        return url, Route(url, proxy, path), partial(adapter._clients.unix, path)
    return url, Route(url, proxy, None), adapter._clients.plain


def exchange(adapter: Any, plan: Plan) -> tuple[RawResponse, Response]:
    """Send as planned, and take from the response what the adapter remembers. Raises: see `send_until_done`."""
    raw, response = send_until_done(plan)
    if adapter.hsts is not None:
        learn(adapter.hsts, plan.route.url, response)
    if adapter.cookies is not None and response.headers.has("set-cookie"):
        learn_cookies(adapter.cookies, plan.request, raw)
    return raw, response


def _secure_client(
    adapter: Any,
    request: PreparedRequest,
    route: Route,
    verify: Any,
    cert: Any,
    hop: Hop | None,
    own_cert_verify: bool,
    told: dict[str, Any] | None,
) -> Client:
    """The client for a request to https, or through an https proxy: `route` leads to who is to be verified."""
    if not verify:
        _warn(route.url)
    clients = adapter._clients
    usual = own_cert_verify and not told and (hop is None or not hop.has_own_tls)
    if usual:
        known: Client | None = clients.known(verify, cert)
        if known is not None:
            return known
    settings = TlsSettings(verify is True, told)
    adapter.cert_verify(settings, route.url, verify, cert)
    if not settings.is_understood:
        raise NotUnderstood
    try:
        client: Client = clients.secure(settings, hop)
    except SSLError as error:
        _refuse_tls(adapter, error, request, route)
    if usual:
        clients.remember(verify, cert, settings, client)
    return client


def _warn(url: str) -> None:
    warnings.warn(
        f"Unverified HTTPS request is being made to host '{requests.compat.urlsplit(url).hostname}'. "
        "Adding certificate verification is strongly advised. See: "
        "https://urllib3.readthedocs.io/en/latest/advanced-usage.html#tls-warnings",
        InsecureRequestWarning,
        stacklevel=5,
    )


def _refuse_tls(adapter: Any, error: SSLError, request: PreparedRequest, route: Route) -> NoReturn:
    given_up = MaxRetryError(route.pool(), adapter.request_url(request, None), error)
    raise requests.exceptions.SSLError(given_up, request=request) from error
