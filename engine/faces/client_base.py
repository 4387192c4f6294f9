"""What a client is made of, the same for both colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from ..backends.base import FOREVER, Backend
from ..connection.pool_limits import PoolStatistics
from ..connection.proxy import Proxy
from ..connection.websocket import WebSocketConnection
from ..connection.websocket_options import WebSocketOptions
from ..policy.auth import make_auth
from ..policy.bodies import BodySource
from ..policy.compose import Composer, RequestOptions
from ..policy.cookie_store import CookieStore
from ..policy.hsts import HstsStore
from ..policy.options import ClientOptions, timeouts_of
from ..policy.outgoing import CallersError
from ..policy.redirects import RedirectPolicy
from ..policy.response_core import ResponseCore
from ..policy.timeouts import NO_TIMEOUTS, Timeouts, TimeoutTypes
from ..policy.timings import Timings
from ..policy.websockets import compose_websocket, establish_websocket
from ..wire.headers import Headers
from ..wire.uri import Uri

__all__ = ["ClientBase"]

B = TypeVar("B", bound=Backend)


class ClientBase(Generic[B]):
    """Settings, composition and the request loop of one client."""

    def __init__(self, backend: B, options: ClientOptions) -> None:
        self._backend = backend
        self._options = options
        self._agent = options.make_agent(backend)
        self._composer = Composer(
            self._agent.origins,
            options.make_headers(),
            backend.colour,
            make_auth(options.auth),
            options.expect_100_timeout,
        )
        self._timeouts = timeouts_of(options.timeout, NO_TIMEOUTS)
        self._redirects = options.redirects
        self._no_redirects = RedirectPolicy(follow=False)

    @property
    def headers(self) -> Headers:
        """The fields sent with every request; may be edited between requests, not during one."""
        return self._composer.headers

    @property
    def cookies(self) -> CookieStore | None:
        """The client's cookies, None where it has none."""
        return self._agent.rules.cookies

    @property
    def hsts(self) -> HstsStore | None:
        """The hosts that are spoken to over TLS only, None where that is switched off."""
        return self._agent.rules.hsts

    @property
    def statistics(self) -> PoolStatistics:
        """Counts of the connection pool."""
        return self._agent.pool.statistics()

    async def _send(self, method: str, url: str, options: RequestOptions) -> ResponseCore:
        """Compose and send; the body is left unread."""
        if not options:
            return await self._agent.send(self._composer.compose(method, url), self._timeouts, self._redirects)
        given: dict[str, Any] = dict(options)
        timeouts, redirects = self._timeouts, self._redirects
        if "timeout" in given:
            timeouts = timeouts_of(given.pop("timeout"), timeouts)
        if "follow_redirects" in given:
            redirects = self._redirect_policy(given.pop("follow_redirects"))
        return await self._agent.send(self._composer.compose(method, url, **given), timeouts, redirects)

    def _redirect_policy(self, follow: bool) -> RedirectPolicy:
        """What a request's `follow_redirects` makes of the client's setting."""
        redirects = self._redirects
        if not follow:
            return self._no_redirects
        if redirects.follow:
            return redirects
        return RedirectPolicy(True, redirects.limit, redirects.post301, redirects.post302)

    async def _open_websocket(
        self,
        uri: Uri,
        protocols: Sequence[str],
        headers: Headers,
        settings: WebSocketOptions,
        options: Mapping[str, Any],
        timeout: float | None,
    ) -> WebSocketConnection:
        """Compose a handshake and send it; `timeout` is the total of this call, where there is one."""
        outgoing = compose_websocket(
            self._composer, self._agent.origins, uri, protocols, headers, options.get("auth"), settings.deflate
        )
        timeouts, redirects = self._timeouts, self._redirects
        if "timeout" in options:
            timeouts = timeouts_of(options["timeout"], timeouts)
        if timeout is not None:
            timeouts = timeouts.with_total(timeout)
        if "follow_redirects" in options:
            redirects = self._redirect_policy(options["follow_redirects"])
        return await establish_websocket(self._agent, outgoing, timeouts, redirects, settings)

    async def _exchange(
        self,
        method: str,
        url: str,
        fields: list[tuple[str, str]],
        content: BodySource | None,
        timeout: TimeoutTypes,
        target: str | None,
        proxy: Proxy | None,
        meanwhile: Callable[[], object] | None,
    ) -> ResponseCore:
        outgoing = self._composer.compose_exactly(method, url, fields, content, target, proxy)
        outgoing.meanwhile = meanwhile
        timeouts = timeout if type(timeout) is Timeouts else timeouts_of(timeout, NO_TIMEOUTS)
        now = self._backend.now()
        deadline = FOREVER if timeouts.total is None else now + timeouts.total
        try:
            core = await self._agent.hop(outgoing, timeouts, deadline, Timings(now))
        except CallersError as wrapped:
            raise wrapped.error from wrapped.error.__cause__
        core.decode = False
        outgoing.meanwhile = None  # it may hold what will hold the response
        return core
