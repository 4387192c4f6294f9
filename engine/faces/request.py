"""lua-http's `http.request`: a request as an object that can be edited, sent, sent again and turned into the next hop."""

from __future__ import annotations

import atexit
import base64
import copy
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any

from ..backends.asyncio_ import AsyncioBackend
from ..backends.base import Backend
from ..backends.blocking import BlockingBackend, run
from ..connection.connector import ClientStream, OriginKey, alpn_for
from ..connection.dial import DialOptions, TlsOptions
from ..connection.pool_limits import PoolLimits
from ..connection.proxy import Proxy
from ..errors import BodyNotReplayable, RedirectError, TooManyRedirects
from ..policy.bodies import BodySource, RequestBody, file_length, make_body
from ..policy.compose import DEFAULT_HEADERS, basic_credentials
from ..policy.cookie_store import CookieStore
from ..policy.hsts import HstsStore
from ..policy.origins import Origins
from ..policy.outgoing import Outgoing
from ..policy.proxies import Proxies
from ..policy.redirects import RedirectPolicy, is_redirect, next_location, redirected_headers, redirected_method
from ..policy.response_core import ResponseCore
from ..policy.rules import NO_RULES, Rules
from ..policy.timeouts import DEFAULT_TIMEOUTS
from ..policy.user_agent import UserAgent
from ..tls import verifies_hosts
from ..util import encode_uri_component, to_authority
from ..wire.headers import Headers
from ..wire.uri import Uri, parse_uri
from .stream import Stream, make_stream_face

__all__ = ["Request"]

_BLOCKING = UserAgent(BlockingBackend(), Origins(TlsOptions(), DialOptions()), PoolLimits())
atexit.register(_BLOCKING.close)
# What requests share unless they are given their own, as in lua-http.
_COOKIES = CookieStore()
_HSTS = HstsStore()
_HTTP_PORT, _HTTPS_PORT = 80, 443
# From this size on, in bytes, a body is announced with Expect: 100-continue (lua-http's figure).
_EXPECT_FROM = 1025


class Request:
    """A request to edit and send (lua-http's `http.request`). Make it with `from_uri` or `new_connect`.

    Attributes:
        host, port: where it is sent, whatever the headers say.
        tls: whether TLS is used.
        ctx: an `ssl.SSLContext` to use, None for the default one.
        sendname: the TLS server name: True for the host, False for none, or a name.
        bind: local address, "addr", "addr:port" or "[v6]:port".
        version: 1.0, 1.1 or 2 to pin the HTTP version, None to leave it to the server.
        headers: what is sent, pseudo-header fields first; edit freely.
        body: set by `set_body`.
        expect_100_timeout: seconds to wait for 100 Continue, where the headers expect it, before the body is sent anyway.
        follow_redirects, max_redirects, post301, post302: see `RedirectPolicy`.
        proxies: chooses the proxy; those of the environment unless set, None for none.
        proxy: a proxy's URI for this request, False for none, None to leave it to `proxies`.
        hsts: the hosts that are spoken to over TLS only, None for none. One store of the process's unless set.
        cookie_store: the cookies, None for none. One store of the process's unless set.
        site_for_cookies, is_top_level: for whom and for what the request is made, see `CookieStore.lookup`.
    """

    def __init__(self, host: str, port: int, tls: bool, headers: Headers) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.headers = headers
        self.ctx: ssl.SSLContext | None = None
        self.sendname: str | bool = True
        self.bind: str | None = None
        self.version: float | None = None
        self.body: BodySource | None = None
        self.expect_100_timeout = 1.0
        self._spent: list[object] = []  # iterators that were sent; shared with clones
        self.follow_redirects = True
        self.max_redirects = 5
        self.post301 = False
        self.post302 = False
        self.proxies: Proxies | None = _default_proxies()
        self.proxy: str | bool | None = None
        self.hsts: HstsStore | None = _HSTS
        self.cookie_store: CookieStore | None = _COOKIES
        self.site_for_cookies: str | None = None
        self.is_top_level = False

    @classmethod
    def from_uri(cls, uri: str) -> Request:
        """A GET for `uri` (lua-http's `new_from_uri`). Userinfo becomes an Authorization field that is never indexed."""
        parsed = parse_uri(uri)
        headers = Headers(
            [
                (":method", "GET"),
                (":scheme", parsed.scheme),
                (":authority", parsed.authority),
                (":path", parsed.target),
                DEFAULT_HEADERS[0],
            ]
        )
        if parsed.userinfo is not None:
            headers.append("authorization", basic_credentials(parsed.userinfo), True)
        return cls(parsed.host, parsed.port, parsed.is_secure, headers)

    @classmethod
    def new_connect(cls, uri: str, connect_authority: str) -> Request:
        """A CONNECT for `connect_authority` ("host:port"), sent to the proxy at `uri`."""
        parsed = parse_uri(uri)
        headers = Headers([(":method", "CONNECT"), (":authority", connect_authority), DEFAULT_HEADERS[0]])
        if parsed.userinfo is not None:
            headers.append("proxy-authorization", basic_credentials(parsed.userinfo), True)
        return cls(parsed.host, parsed.port, parsed.is_secure, headers)

    def clone(self) -> Request:
        """A copy with headers of its own; body and context are shared."""
        clone = copy.copy(self)
        clone.headers = self.headers.clone()
        return clone

    def to_uri(self, with_userinfo: bool = False) -> str:
        """The URI this request is for.

        Args:
            with_userinfo: put Basic credentials from Authorization (or Proxy-Authorization of a CONNECT) into it.
        """
        scheme = "https" if self.tls else "http"
        headers = self.headers
        if headers.get(":method") == "CONNECT":
            authority, path = to_authority(self.host, self.port, scheme), ""
            credentials = headers.get("proxy-authorization")
        else:
            scheme = headers.get(":scheme", scheme)
            authority = headers.get(":authority") or to_authority(self.host, self.port, scheme)
            path = headers.get(":path", "/")
            credentials = headers.get("authorization")
        userinfo = ""
        if with_userinfo and credentials is not None and credentials[:6].lower() == "basic ":
            user, colon, password = base64.b64decode(credentials[6:]).decode().partition(":")
            userinfo = f"{encode_uri_component(user)}{colon}{encode_uri_component(password)}@"
        return f"{scheme}://{userinfo}{authority}{path}"

    def set_body(self, body: BodySource) -> None:
        """Set the body: text (sent as UTF-8), bytes, a binary file or an iterable of bytes.

        Content-Length is set where the length is known, and removed otherwise, so that the body goes out chunked. A body of
        more than 1,024 bytes, or that is no text or bytes, is announced with Expect: 100-continue. The method stays as it
        is: set `:method` too. A file is sent from its start, each time.
        """
        self.body = body
        self._spent = []
        self.headers.delete("content-length")
        length = _length_of(body)
        if length is not None and not self.headers.has("transfer-encoding"):
            self.headers.upsert("content-length", str(length))
        if isinstance(body, (str, bytes, bytearray, memoryview)) and length is not None and length < _EXPECT_FROM:
            self.headers.delete("expect")
        else:
            self.headers.upsert("expect", "100-continue")

    def handle_redirect(self, headers: Headers) -> Request:
        """The request that follows a redirect response to this one.

        Args:
            headers: of the response: a 3xx with Location.

        Raises:
            TooManyRedirects: `max_redirects` is used up.
            RedirectError: the response is no redirect, or cannot be followed.
        """
        status = int(headers.get(":status", "0"))
        source = parse_uri(self.to_uri())
        if not is_redirect(status, headers):
            raise RedirectError(f"not a redirect: status {status}", (str(source),))
        if self.max_redirects <= 0:
            raise TooManyRedirects("no redirects are left", (str(source),))
        target = next_location(source, headers, (str(source),))
        method = self.headers.get(":method", "GET")
        new_method = redirected_method(method, status, self._policy())
        following = self.clone()
        keeps_body = new_method == method
        following.headers = redirected_headers(self.headers, source, target, keeps_body)
        if not keeps_body:
            following.body = None
        following.headers.upsert(":method", new_method)
        following.headers.upsert(":scheme", target.scheme)
        following.headers.upsert(":authority", target.authority)
        following.headers.upsert(":path", target.target)
        following.tls = target.is_secure
        # A host, port or name that was set by hand stays as long as the URI's authority does (lua-http).
        if target.origin != source.origin:
            following.host, following.port = target.host, target.port
            following.sendname = True
            following.ctx = self.ctx if target.is_secure else None
        following.max_redirects = self.max_redirects - 1
        return following

    def go(self, timeout: float | None = None) -> tuple[Headers, Stream[ClientStream]]:
        """Send it and wait for the final response, redirects followed.

        The request is unchanged and can be sent again. The connection returns to a pool of the process's when the stream's
        body was read to its end.

        Args:
            timeout: seconds for the whole of this call; None for the default limits of each phase.

        Returns:
            The response's headers and its stream, whose body is still to be read or `shutdown`.
        """
        response = run(self._go(_BLOCKING, timeout))
        return response.headers, make_stream_face(response.stream, run)

    async def go_async(self, timeout: float | None = None) -> tuple[Headers, ClientStream]:
        """`go` for asyncio. The connection is closed when the stream's body was read to its end.

        It is not kept, because it belongs to one event loop and a `Request` to none; `AsyncClient` has a pool.
        """
        agent = UserAgent(AsyncioBackend(), Origins(TlsOptions(), DialOptions()), PoolLimits(max_idle=0))
        response = await self._go(agent, timeout)
        return response.headers, response.stream

    async def _go(self, agent: UserAgent, timeout: float | None) -> ResponseCore:
        backend = agent.backend
        agent.sweep()
        deadline = None if timeout is None else backend.now() + timeout
        request = self
        while True:
            timeouts = DEFAULT_TIMEOUTS.with_total(None if deadline is None else max(0.0, deadline - backend.now()))
            rules = request._rules()
            response = await agent.send(request._outgoing(backend), timeouts, RedirectPolicy(follow=False), rules)
            if not (request.follow_redirects and is_redirect(response.status, response.headers)):
                response.release_at_end()
                return response
            try:
                following = request._as_sent(response.outgoing.uri).handle_redirect(response.headers)
            except BaseException:
                response.close()
                raise
            await agent.discard(response)
            request = following

    def _as_sent(self, uri: Uri) -> Request:
        """This request after HSTS has made `uri` of what it is for."""
        if uri.scheme == self.headers.get(":scheme", uri.scheme):
            return self
        key = self._key_for(uri, None)
        sent = self.clone()
        sent.tls, sent.port = True, key.port
        sent.headers.upsert(":scheme", uri.scheme)
        sent.headers.upsert(":authority", uri.authority)
        return sent

    def _outgoing(self, backend: Backend) -> Outgoing:
        uri = self._uri()
        body: RequestBody | None = None
        if self.body is not None:
            if any(spent is self.body for spent in self._spent):
                raise BodyNotReplayable("the body came from an iterator, which was consumed")
            _rewind(self.body)
            body = make_body(self.body, backend.colour)
            if isinstance(self.body, (Iterator, AsyncIterator)) and not hasattr(self.body, "read"):
                self._spent.append(self.body)
        headers = self.headers.clone()
        outgoing = Outgoing(headers.get(":method", "GET"), uri, headers, body, self._key_for(uri, None))
        outgoing.key_for = self._key_for
        outgoing.continue_wait = self.expect_100_timeout
        return outgoing

    def _key_for(self, uri: Uri, proxy: Proxy | None) -> OriginKey:
        """Where a request goes: to this object's host and port, whatever the URI says; HSTS may have changed the scheme."""
        is_secure = uri.scheme == "https" or self.tls
        port = _HTTPS_PORT if is_secure and not self.tls and self.port == _HTTP_PORT else self.port
        tls = TlsOptions(self.ctx, self.sendname, alpn=alpn_for(self.version)) if is_secure else None
        scheme = "https" if is_secure else "http"
        key = OriginKey(scheme, self.host, port, tls, DialOptions(bind=self.bind), self.version)
        return key if proxy is None else key.through(proxy)

    def _rules(self) -> Rules:
        if self.headers.get(":method") == "CONNECT":
            return NO_RULES
        if self.proxy is None:
            proxies = self.proxies
        else:
            proxies = Proxies(all=self.proxy) if isinstance(self.proxy, str) else None
        return Rules(
            cookies=self.cookie_store,
            hsts=self.hsts,
            is_verified=self.ctx is None or verifies_hosts(self.ctx),
            proxies=proxies,
            site_for_cookies=self.site_for_cookies,
            is_top_level=self.is_top_level,
        )

    def _uri(self) -> Uri:
        return parse_uri(self.to_uri())

    def _policy(self) -> RedirectPolicy:
        return RedirectPolicy(self.follow_redirects, self.max_redirects, self.post301, self.post302)


@lru_cache(maxsize=1)
def _default_proxies() -> Proxies:
    """The proxies that the environment named when the first `Request` was made."""
    return Proxies().update()


def _length_of(body: Any) -> int | None:
    if isinstance(body, (str, bytes, bytearray, memoryview)):
        return make_body(body, "blocking").length
    if hasattr(body, "read"):
        _rewind(body)
        return file_length(body)
    return None


def _rewind(body: Any) -> None:
    """As in lua-http: a file is sent from its start each time."""
    if hasattr(body, "read") and file_length(body) is not None:
        body.seek(0)
