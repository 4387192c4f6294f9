"""Everything about a request but its headers and body, decided before it is sent.

These are functions, not methods of the adapter: a request that is under way when the engine is taken away again (`uninstall`
gives adapters their old class back) needs none of that class's methods any more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connection import port_by_scheme
from urllib3.exceptions import MaxRetryError, SSLError
from urllib3.util import Url, parse_url
from urllib3.util.retry import Retry

from drivetrain.compat.requests_api.attempts import Failed, Plan, send_until_done
from drivetrain.compat.requests_api.building import Answer
from drivetrain.compat.requests_api.clients import sweep
from drivetrain.compat.requests_api.pool_reading import Wishes
from drivetrain.compat.requests_api.proxying import Hop
from drivetrain.compat.requests_api.routes import Route
from drivetrain.compat.requests_api.store_cookies import learn_cookies
from drivetrain.compat.requests_api.strict_transport import learn
from drivetrain.compat.requests_api.trust import NotUnderstood, TlsSettings, check_fingerprint
from drivetrain.compat.requests_api.unix_sockets import is_unix, split_unix
from drivetrain.engine import Client, Response
from drivetrain.engine.errors import UsageError

__all__ = ["exchange", "make_plan"]

# What requests' class did when this module was imported. Where a subclass, an instance or a test library has put
# something else in its place since then, that is called; where not, the short way to the same result is taken.
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
    wishes: Wishes | None = None,
) -> Plan:
    """Make the plan for one request, calling the hooks of `HTTPAdapter` that a subclass has.

    Args:
        adapter: an `EngineAdapter`.
        stream, timeout, verify, cert, proxies: as of `HTTPAdapter.send`.
        hop: the proxy to go through.
        wishes: what the pool would do that urllib3 has for it, in the place of `verify`, `cert` and `hop`; None where a
            subclass has nothing to do with that.

    Raises:
        NotUnderstood: only urllib3 can connect so.
    """
    url: Any = request.url
    if isinstance(url, bytes):
        url = url.decode("utf-8")
    headers: Any = request.headers
    # Past the mapping's methods, as in `fields_of`.
    if "upgrade" in getattr(headers, "_store", headers) and _wants_socket(headers) and not is_unix(url):
        raise NotUnderstood
    clients = adapter._engine_clients
    if clients.dropped:
        sweep(clients.dropped)
    if wishes is None or is_unix(url):
        url, route, renew = _choose_route(adapter, request, url, verify, cert, hop)
    else:
        hop = wishes.hop
        url, route, renew = _follow_wishes(adapter, request, url, wishes)
    client = renew()
    target = None
    if getattr(adapter.request_url, "__func__", None) is not _REQUEST_URL:
        target = adapter.request_url(request, proxies)
    if getattr(adapter.add_headers, "__func__", None) is not _ADD_HEADERS:
        adapter.add_headers(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
    retries: Any = adapter.max_retries
    if not isinstance(retries, Retry):
        retries = Retry.from_int(retries, redirect=False)
    limits = adapter._engine_timeouts.resolve(timeout)
    answer = Answer(adapter, request, url, url if hop is None else route.asked, not stream)
    plan = Plan(adapter, request, proxies, route, client, renew, limits, retries, answer)
    plan.target = target
    return plan


def _wants_socket(headers: Any) -> bool:
    """Whether the connection is asked to become something else: programs take the socket then, as docker-py does."""
    options = headers.get("Connection") or ""
    return "upgrade" in (options.decode("latin-1") if isinstance(options, bytes) else str(options)).lower()


def _choose_route(
    adapter: Any,
    request: PreparedRequest,
    url: str,
    verify: Any,
    cert: Any,
    hop: Hop | None,
) -> tuple[str, Route, Callable[[], Client]]:
    """The URL to ask for, the way there, and what gives the client to go it with. See `make_plan`."""
    proxy = None if hop is None else hop.proxy
    if url[:6] == "https:":
        route = Route(url, proxy)
        return url, route, partial(_secure_client, adapter, request, route, verify, cert, hop)
    if proxy is not None and proxy.scheme == "https":
        route = Route(url, proxy)
        asked = Route(route.asked)
        return url, route, partial(_secure_client, adapter, request, asked, verify, None, hop)
    if cert:
        adapter.cert_verify(TlsSettings(True), url, verify, cert)
    if is_unix(url):
        path, url = split_unix(url)
        return url, Route(url, proxy, path), partial(adapter._engine_clients.unix, path)
    return url, Route(url, proxy, None), adapter._engine_clients.plain


def exchange(plan: Plan, failed: Failed | None = None) -> Response:
    """Send as planned, and take from the response what the adapter remembers. See `send_until_done`."""
    response = send_until_done(plan, failed)
    adapter = plan.adapter
    if adapter._engine_hsts is not None:
        learn(adapter._engine_hsts, plan.route.url, response)
    if adapter._engine_cookies is not None and response.headers.has("set-cookie"):
        learn_cookies(adapter._engine_cookies, plan.request, plan.answer.raw)
    return response


def _secure_client(
    adapter: Any,
    request: PreparedRequest,
    route: Route,
    verify: Any,
    cert: Any,
    hop: Hop | None,
) -> Client:
    """The client for a request to https, or through an https proxy: `route` leads to who is to be verified."""
    if not verify:
        _warn(route)
    clients = adapter._engine_clients
    usual = hop is None or not hop.has_own_tls
    if usual:
        known: Client | None = clients.known(verify, cert)
        if known is not None:
            return known
    settings = TlsSettings(verify is True)
    adapter.cert_verify(settings, route.url, verify, cert)
    try:
        client: Client = clients.secure(settings, hop)
    except SSLError as error:
        _refuse_tls(adapter, error, request, route)
    if usual:
        clients.remember(verify, cert, settings, client)
    return client


def _follow_wishes(
    adapter: Any, request: PreparedRequest, url: str, wishes: Wishes
) -> tuple[str, Route, Callable[[], Client]]:
    """The URL to ask for, the way there, and what gives the client to go it with, as one of urllib3's pools would go."""
    hop, place = wishes.hop, wishes.place
    proxy = None if hop is None else hop.proxy
    secure = url[:6].lower() == "https:"
    forwards = proxy is not None and not proxy.is_socks and not secure  # then the pool is for the proxy
    if place is not None and not forwards:
        secure = place[0] == "https"
        url = _at(place, url)
    route = Route(url, proxy)
    if not secure and (proxy is None or proxy.scheme != "https"):
        return url, route, partial(_plain_client, adapter, wishes)
    asked = Route(route.asked) if forwards else route
    return url, route, partial(_wished_client, adapter, request, asked, wishes)


def _at(place: tuple[str, str, int | None], url: str) -> str:
    """A URL with another scheme, host and port, where they are others."""
    scheme, host, port = place
    parts = parse_url(url)
    known = (parts.scheme, (parts.host or "").strip("[]"), parts.port or port_by_scheme.get(parts.scheme or ""))
    if known == (scheme, host.strip("[]"), port or port_by_scheme.get(scheme)):
        return url
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return Url(scheme, None, name, port, parts.path, parts.query).url


def _plain_client(adapter: Any, wishes: Wishes) -> Client:
    try:
        client: Client = adapter._engine_clients.plain_by(wishes.way)
    except UsageError as error:
        raise NotUnderstood from error
    return client


def _wished_client(adapter: Any, request: PreparedRequest, route: Route, wishes: Wishes) -> Client:
    settings = wishes.settings
    if settings.warns:
        _warn(route)
    try:
        if settings.assert_fingerprint:
            check_fingerprint(settings.assert_fingerprint)
        client: Client = adapter._engine_clients.secure(settings, wishes.hop, wishes.way)
    except SSLError as error:
        _refuse_tls(adapter, error, request, route)
    except UsageError as error:
        raise NotUnderstood from error
    return client


def _warn(route: Route) -> None:
    """Warn as urllib3 does, from where it does: which warnings are shown is decided by that."""
    connection = SimpleNamespace(host=route.connection(None).host, is_closed=False, is_verified=False)
    connection.proxy_is_verified = False
    route.pool()._validate_conn(connection)  # type: ignore[arg-type]


def _refuse_tls(adapter: Any, error: SSLError, request: PreparedRequest, route: Route) -> NoReturn:
    given_up = MaxRetryError(route.pool(), adapter.request_url(request, None), error)
    raise requests.exceptions.SSLError(given_up, request=request) from error
