"""The adapter itself: requests' `HTTPAdapter` with the engine below it instead of urllib3's pools."""

from __future__ import annotations

import http.client
import ssl
import threading
from functools import partial
from typing import Any

import requests
from requests import PreparedRequest
from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES, HTTPAdapter
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError, LocationValueError, SSLError
from urllib3.util.retry import Retry

from drivetrain.compat.replaced import LIMITS
from drivetrain.compat.requests_api.asking import (
    BUILD_RESPONSE,
    DOORS,
    hands_out_pools,
    has_begun,
    may_send,
    tells_pools,
    told_of,
)
from drivetrain.compat.requests_api.attempts import Failed, Plan
from drivetrain.compat.requests_api.clients import Clients, limits_of, limits_of_heads
from drivetrain.compat.requests_api.errors import as_requests_error
from drivetrain.compat.requests_api.limits import TimeoutTable
from drivetrain.compat.requests_api.passing import Asked, PoolDoor, replaced_send
from drivetrain.compat.requests_api.planning import exchange, make_plan
from drivetrain.compat.requests_api.pool_reading import EnginesPool, Wishes, read_pool
from drivetrain.compat.requests_api.proxying import Hop, ProxyTable, is_exempt
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.compat.requests_api.short_way import ShortWay, find_short_way
from drivetrain.compat.requests_api.shown import Shown
from drivetrain.compat.requests_api.store_cookies import with_cookies
from drivetrain.compat.requests_api.strict_transport import upgraded
from drivetrain.compat.requests_api.trust import NotUnderstood
from drivetrain.compat.requests_api.unix_sockets import is_unix
from drivetrain.engine import CookieStore, HstsStore, NoProxy

__all__ = ["EngineAdapter"]

# What requests' class did when this module was imported; see `planning`.
_SEND = HTTPAdapter.send
_ENGINE_OPTIONS = frozenset(
    {
        "bind",
        "dialer",
        "h2_limits",
        "head_start",
        "limits",
        "proxy_ssl_context",
        "resolver",
        "sendname",
        "socket_options",
        "unix_socket",
        "upgrade_h2c",
        "version",
    }
)
_starting = threading.Lock()


class EngineAdapter(HTTPAdapter):
    """An adapter to mount on a `requests.Session`; see `requests.adapters.HTTPAdapter`.

    Any number of threads may use one. Pickling and copying keep the settings and what HSTS and the cookie store have learnt,
    not the connections. What a subclass, or whoever gets at them, tells urllib3's pools and their managers, the engine does.
    Pools and connections of other classes than urllib3's send by themselves, and so does what has a context of pyOpenSSL.

    Proxies are as in requests, SOCKS without PySocks. An https proxy is verified as `verify` says for http URLs too, where
    requests verifies nothing; and a Proxy-Authorization field of the request never reaches an origin behind a tunnel.

    Mounted for `http+unix://` too, it takes URLs with the path of a socket in the host's place: `http+unix://%2Frun%2Fd.sock/x`.

    Args:
        pool_connections, pool_maxsize: together, how many idle connections are kept.
        max_retries: a number of attempts after failures to connect, or a `urllib3.util.Retry`.
        pool_block: allow only `pool_maxsize` connections to a host at a time, and wait for one. A host that speaks HTTP/2
            gets one connection whatever these say; requests beyond what it allows at once (often 100) wait for others.
        total_timeout: seconds for each whole call, body included, beside requests' `timeout`; None for no limit.
        http2: False never to speak HTTP/2.
        version: 1.0, 1.1 or 2 to pin the HTTP version; None for the best that a server of https speaks, and 1.1 in clear.
        upgrade_h2c, resolver, bind, socket_options, dialer, unix_socket, sendname, head_start, limits, h2_limits: see
            `drivetrain.engine.Client`.
        ssl_context: used for every TLS connection to an origin, with `verify` and `cert` applied to it as urllib3 does.
        proxy: the URL of a proxy, SOCKS or HTTP, for requests that are given none.
        proxy_ssl_context: used as it is for TLS to https proxies, instead of what `verify` says.
        no_proxy: hosts to reach directly whatever proxies a request is given, see `drivetrain.engine.NoProxy`; requests
            itself looks at the environment's list only where the environment names the proxy.
        hsts: a `drivetrain.engine.HstsStore`, or True for one of the adapter's own: http URLs of hosts that have asked for
            it over verified TLS are sent as https, and nothing in clear. By default off, for requests knows no such thing.
        cookies: a `drivetrain.engine.CookieStore`: its cookies are sent, beside the session's, and it takes those of responses.
            `StoreRequestsCookieJar` shows one as `session.cookies`.

    Attributes:
        hsts, cookies: those stores, or None.
        proxy, no_proxy: as given.
    """

    # The types of requests' stubs leave these out.
    _pool_connections: int
    _pool_maxsize: int
    _pool_block: bool

    # What an adapter has that was made, or pickled, as requests' own class: it begins when it is first used.
    _engine_options: dict[str, Any] = {}  # noqa: RUF012  # never changed in place
    _engine_total_timeout: float | None = None
    _engine_hsts: HstsStore | None = None
    _engine_cookies: CookieStore | None = None
    _engine_proxy: str | None = None
    _engine_no_proxy = NoProxy()
    _engine_begun_with: tuple[Any, Any, Any] = (None, None, None)
    _engine_stands_in = False
    _engine_clients: Clients | None = None
    _engine_short_way: ShortWay | None = None

    # Names that programs give attributes of their own classes too, which may be derived from this one behind their backs.
    hsts: Any = Shown("_engine_hsts")
    cookies: Any = Shown("_engine_cookies")
    proxy: Any = Shown("_engine_proxy")
    no_proxy: Any = Shown("_engine_no_proxy")

    __attrs__ = [  # noqa: RUF012  # as in the base class
        *HTTPAdapter.__attrs__,
        *("_engine_options", "_engine_total_timeout"),
        *("_engine_hsts", "_engine_cookies", "_engine_proxy", "_engine_no_proxy"),
    ]

    def __init__(
        self,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
        *,
        total_timeout: float | None = None,
        http2: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        hsts: HstsStore | bool = False,
        cookies: CookieStore | None = None,
        proxy: str | None = None,
        no_proxy: str = "",
        **options: Any,
    ) -> None:
        self._engine_total_timeout = total_timeout
        self._engine_hsts = HstsStore() if hsts is True else None if hsts is False else hsts
        self._engine_cookies = cookies
        self._engine_proxy = proxy
        self._engine_no_proxy = NoProxy(no_proxy)
        unknown = options.keys() - _ENGINE_OPTIONS
        if unknown:
            raise TypeError(f"EngineAdapter has no option {', '.join(sorted(unknown))}")
        if not http2 and options.setdefault("version", 1.1) not in (1.0, 1.1):
            raise ValueError("http2=False contradicts version=2")
        self._engine_options = {"ssl_context": ssl_context, **options} if ssl_context is not None else options
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)
        if ssl_context is not None:
            # For what urllib3 has to send after all: it must not trust anybody else.
            told_of(getattr(self, "poolmanager", None)).setdefault("ssl_context", ssl_context)
        self._engine_start()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[misc]
        if "_engine_no_proxy" in state:  # as text, for old protocols of pickle cannot have an object with slots
            state["_engine_no_proxy"] = state["_engine_no_proxy"].text
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_engine_no_proxy" in state:
            state = {**state, "_engine_no_proxy": NoProxy(state["_engine_no_proxy"])}
        super().__setstate__(state)  # type: ignore[misc]
        self._engine_start()

    def _engine_start(self) -> None:
        """Begin without connections, with what the pool manager was told."""
        manager = getattr(self, "poolmanager", None)
        options = dict(self._engine_options)
        told = told_of(manager)
        context = told.get("ssl_context")
        if isinstance(context, ssl.SSLContext):  # and not one of pyOpenSSL
            options["ssl_context"] = context
        maxsize, block = told.get("maxsize", self._pool_maxsize), told.get("block", self._pool_block)
        options["pool"] = limits_of(self._pool_connections, maxsize or 0, bool(block))
        limits = LIMITS(http.client)
        if "limits" not in options:
            options["limits"] = limits_of_heads(*limits)
        self._engine_timeouts = TimeoutTable(self._engine_total_timeout)
        self._engine_clients = Clients(options)
        self._engine_asked = Asked()
        for name in (
            "_engine_hsts",
            "_engine_cookies",
            "_engine_proxy",
            "_engine_no_proxy",
        ):  # for requests under way, see `planning`
            vars(self).setdefault(name, getattr(self, name))
        self._engine_proxies = None if "unix_socket" in options else ProxyTable()
        self._engine_begun_with = manager, context, limits
        self._engine_short_way = find_short_way(self, self._engine_clients, self._engine_timeouts)

    def _engine_start_anew(self) -> None:
        """Begin, where that has not been done for the pool manager that is there now."""
        with _starting:
            if not has_begun(self):
                self._engine_close()
                self._engine_start()

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
        short = self._engine_short_way
        if short is not None and not proxies and not cert and request.body is None and short.is_open(self):
            outcome = short.send(self, request, stream, timeout, verify)
            if isinstance(outcome, Failed):
                outcome = _recover(
                    self, request, make_plan(self, request, stream, timeout, verify, None, None, None), outcome
                )
            if outcome is not None:
                return outcome
        if not has_begun(self):
            self._engine_start_anew()
        another = replaced_send(self)
        if request in self._engine_asked:
            another = None
        else:
            if self._engine_hsts is not None:
                request = upgraded(request, self._engine_hsts)
            if self._engine_cookies is not None:
                request = with_cookies(request, self._engine_cookies)
        given = proxies
        if proxies or self._engine_proxy is not None:
            proxies = _proxies_for(self, request, proxies)
        if another is None and not hands_out_pools(self) and may_send(self, request, proxies):
            try:
                return _complete(self, request, _plan(self, request, stream, timeout, verify, cert, proxies))
            except NotUnderstood:  # and therefore nothing was sent
                pass
        if is_unix(request.url or ""):
            proxies = given  # for a subclass that has something to say to it
        with self._engine_asked.asking(request):
            send = another or partial(_SEND, self)
            response: requests.Response = send(
                request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies
            )
        return response

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """What requests' own `send` sends with: urllib3's pool, whose `urlopen` leads to the engine. See `PoolDoor`."""
        if not has_begun(self):
            self._engine_start_anew()
        given = proxies
        if proxies or self._engine_proxy is not None:
            proxies = _proxies_for(self, request, proxies)
        pool, hop = _pool_for(self, request, verify, proxies, cert)

        def send(url: str, timeout: Any, retries: Any) -> RawResponse:
            try:
                return send_by_engine(url, timeout, retries)
            except NotUnderstood:
                _check_trust(self, pool)
                raise

        def send_by_engine(url: str, timeout: Any, retries: Any) -> RawResponse:
            if type(pool) is not EnginesPool and not may_send(self, request, proxies):
                raise NotUnderstood
            wishes = _read(self, request, verify, pool, hop)
            plan = make_plan(self, request, True, timeout, verify, cert, proxies, hop, wishes)
            if url not in (self.request_url(request, given), self.request_url(request, proxies)):
                plan.target = url
            if retries is not None:
                plan.retries = retries
            plan.answer.shows = False
            exchange(plan)
            return plan.answer.raw

        return PoolDoor(pool, request, send)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _engine_close(self) -> None:
        """Close the engine's connections; those in use when their responses end."""
        if self._engine_clients is not None:
            self._engine_clients.close()

    def close(self) -> None:
        """Close all connections. As requests' own, the adapter can be used again afterwards."""
        self._engine_close()
        super().close()


DOORS.add(EngineAdapter.get_connection_with_tls_context)


# No methods, for the reason that `planning` gives.
def _plan(
    adapter: EngineAdapter, request: PreparedRequest, stream: bool, timeout: Any, verify: Any, cert: Any, proxies: Any
) -> Plan:
    """Plan a request. Raises: NotUnderstood: only urllib3 can send it."""
    hop = None
    asks = tells_pools(adapter) and not is_unix(request.url or "")
    if not asks and proxies:
        try:
            hop = _find_hop(adapter, request, proxies)
        except NotUnderstood:
            asks = True
    if not asks:
        return make_plan(adapter, request, stream, timeout, verify, cert, proxies, hop)
    try:
        pool, hop = _pool_for(adapter, request, verify, proxies, cert)
    except LocationValueError as error:
        raise requests.exceptions.InvalidURL(error, request=request) from error
    adapter.cert_verify(pool, request.url or "", verify, cert)  # type: ignore[no-untyped-call]
    wishes = _read(adapter, request, verify, pool, hop)
    return make_plan(adapter, request, stream, timeout, verify, cert, proxies, hop, wishes)


def _pool_for(
    adapter: EngineAdapter, request: PreparedRequest, verify: Any, proxies: Any, cert: Any
) -> tuple[Any, Hop | None]:
    """The pool that requests takes from urllib3. Where there is none, one that sends nothing, and the proxy to go through."""
    if is_unix(request.url or ""):
        return EnginesPool("localhost"), None
    try:
        get_pool = HTTPAdapter.get_connection_with_tls_context
        return get_pool(adapter, request, verify, proxies=proxies, cert=cert), None
    except requests.exceptions.InvalidSchema:  # SOCKS without PySocks
        if adapter._engine_proxies is None:
            raise
    place, told = adapter.build_connection_pool_key_attributes(request, verify, cert)
    return EnginesPool(place["host"], place["port"], **told), _find_hop(adapter, request, proxies)


def _read(adapter: EngineAdapter, request: PreparedRequest, verify: Any, pool: Any, hop: Hop | None) -> Wishes:
    """What a pool would do with a request. Raises: NotUnderstood: something that only it can."""
    clients = adapter._engine_clients
    assert clients is not None
    wishes = read_pool(pool, verify is True, clients.context)
    if hop is not None:
        return wishes._replace(hop=hop)
    hop = wishes.hop
    if hop is not None and hop.proxy.scheme == "https" and (request.url or "")[:6].lower() != "https:":
        # Requests verifies only what a URL of https leads to.
        adapter.cert_verify(wishes.settings, f"{hop.proxy}/", verify, None)  # type: ignore[no-untyped-call]
    return wishes


def _recover(adapter: EngineAdapter, request: PreparedRequest, plan: Plan, failed: Failed) -> requests.Response | None:
    """What becomes of a request that went the short way and failed; None where nothing was sent, and there is more to ask."""
    try:
        return _complete(adapter, request, plan, failed)
    except NotUnderstood:
        return None


def _complete(
    adapter: EngineAdapter, request: PreparedRequest, plan: Plan, failed: Failed | None = None
) -> requests.Response:
    answer = plan.answer
    answer.shows = _is_original(adapter.build_response)
    try:
        exchange(plan, failed)
    except HTTPError as error:
        raise as_requests_error(error, request) from error.__cause__
    except requests.exceptions.RequestException as error:
        error.request = request
        raise
    build = adapter.build_response
    return answer.shown if answer.shows and _is_original(build) else build(request, answer.raw)


def _is_original(build: Any) -> bool:
    return getattr(build, "__func__", None) is BUILD_RESPONSE


def _proxies_for(adapter: EngineAdapter, request: PreparedRequest, proxies: Any) -> Any:
    """The proxies that count for a request."""
    url = request.url or ""
    if is_unix(url) or (adapter._engine_no_proxy and is_exempt(url, adapter._engine_no_proxy)):
        return None
    if adapter._engine_proxy is not None and not (proxies and select_proxy(url, proxies)):
        return {"all": adapter._engine_proxy}
    return proxies


def _check_trust(adapter: EngineAdapter, pool: Any) -> None:
    """Refuse to let a pool send that would trust whom the system trusts, and not whom the adapter's own context does.

    Urllib3's managers of proxies know nothing of that context; its other pools have been told.
    """
    if "ssl_context" in adapter._engine_options and getattr(pool, "scheme", "") == "https":
        if not getattr(pool, "conn_kw", {}).get("ssl_context"):
            raise SSLError("urllib3 would have to send this, and through a proxy without the adapter's ssl_context")


def _find_hop(adapter: EngineAdapter, request: PreparedRequest, proxies: Any) -> Hop | None:
    """The proxy to go through, None for none. Raises: NotUnderstood: a pool will tell."""
    if not proxies or adapter._engine_proxies is None:
        return None
    chosen = select_proxy(request.url or "", proxies)
    if not chosen:
        return None
    try:
        hop = adapter._engine_proxies.find(adapter, chosen)
    except LocationValueError as error:
        raise requests.exceptions.InvalidURL(error, request=request) from error
    if hop is None:
        raise NotUnderstood
    return hop
