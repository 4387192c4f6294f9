"""Handlers that send through the engine, for `OpenerDirector`s of this package and of `urllib.request` alike.

Everything around the sending is the original's: `do_request_` completes the request, the processors and error handlers of
the opener see request and response. What replaces `do_open` sends over connections that are kept and shared.

Connections that a program makes itself are made by the engine in their place where they are http.client's own (see
`made_connections`). Others go through the original's `do_open`; so does what a program leads another way by replacing
functions (see `replaced`), and what the engine does not send: the original does, or raises what programs expect. A handler
that was given a `Client` has no other way than that.

One thing is new to programs: a kept connection may be closed by the server at the moment it is used. A request that does no
more when it is sent twice is then sent again; for others (POST) that is an error. To rule it out at the old price, give the
handler a `Client(pool=PoolLimits(max_idle=0))`.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from collections.abc import Iterable
from types import NoneType
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import AbstractHTTPHandler, Request

from drivetrain.compat.urllib_api.clients import make_default_context, shared_clients
from drivetrain.compat.urllib_api.errors import opening_error
from drivetrain.compat.urllib_api.made_connections import PLAIN, SECURE, plan_of
from drivetrain.compat.urllib_api.proxying import Way, is_socks, way_through
from drivetrain.compat.urllib_api.replaced import is_as_made
from drivetrain.compat.urllib_api.response import EngineResponse
from drivetrain.compat.urllib_api.sending import body_of, checked_target, fields_of, origin_of, timeouts_of
from drivetrain.compat.urllib_api.telling import tell_request, tell_response
from drivetrain.engine import Client, Response, Timeouts
from drivetrain.engine.errors import ClosedError, EngineError, InvalidHeader, InvalidURL, LocalProtocolError

__all__ = ["EngineHandler", "HTTPHandler", "HTTPSHandler", "Prepared", "exchange", "is_for_the_original"]

if TYPE_CHECKING:
    _Base = AbstractHTTPHandler
else:
    _Base = object


def exchange(
    own: Client | None,
    secure: bool,
    context: ssl.SSLContext | None,
    version: float | None,
    method: str,
    way: Way,
    body: bytes | Iterable[bytes] | None,
    timeouts: Timeouts,
) -> Response:
    """Send a request, and wait for the head of its response.

    Args:
        own: the client to send with; None for one of those that all openers share.
        secure: whether that is one for https, with this `context` and `version`.
        method, way, body, timeouts: of the request.

    Raises:
        URLError: connecting or sending failed.
        OSError, http.client.HTTPException: waiting for the response failed.
    """
    while True:
        client = own or (shared_clients.secure(context, version) if secure else shared_clients.plain())
        try:
            return client.exchange(method, way.url, way.fields, body, timeouts, way.target, way.proxy)
        except ClosedError:
            # Another thread may have closed the shared connections since we found their client.
            if own is not None:
                raise
        except EngineError as error:
            raise opening_error(error) from error


Prepared = tuple[str, Way, bool, "ssl.SSLContext | None", "bytes | Iterable[bytes] | None", Timeouts]
"""A request as the engine takes it: method, way, whether it is secure, and in which context, body, time limits."""


class _EngineDoor(_Base):
    """What the handlers have in common: `do_open` through the engine."""

    _client: Client | None = None
    _version: float | None = None

    def do_open(self, http_class: Any, req: Request, **http_conn_args: Any) -> Any:
        """Send `req` and return its response.

        Args:
            http_class: `http.client.HTTPConnection` or `HTTPSConnection`, or what makes one of them, for the engine. What
                makes another connection is left to the original.
            req: a request that `do_request_` has completed.
            http_conn_args: what it takes beside host and timeout.

        Raises:
            URLError: connecting or sending failed.
            OSError, http.client.HTTPException: waiting for the response failed.
        """
        if not req.host:
            raise URLError("no host given")
        secure = http_class is SECURE
        context: ssl.SSLContext | None = None
        direct = secure or http_class is PLAIN
        if http_conn_args and direct:
            context = http_conn_args.get("context")
            direct = all(value is None or name == "context" for name, value in http_conn_args.items())
        if direct:
            response = self._by_the_engine(req, req.host, secure, context, req.timeout)
        else:
            made = http_class(req.host, timeout=req.timeout, **http_conn_args)
            found = plan_of(made)
            if found is None:
                return super().do_open(lambda *_, **__: made, req)
            response = self._by_the_engine(req, *found)
        if response is not None:
            return response
        if direct:
            return super().do_open(http_class, req, **http_conn_args)
        return super().do_open(lambda *_, **__: made, req)

    def _by_the_engine(
        self, request: Request, host: str, secure: bool, context: ssl.SSLContext | None, timeout: Any
    ) -> EngineResponse | None:
        """The response to a request, see `Plan`; None where it is the original's to send."""
        if self._client is not None:
            prepared = self.prepared(request, host, secure, context, timeouts_of(timeout))
            return self.send_prepared(prepared, request.full_url)
        if not is_as_made(secure, context):
            return None
        timeouts = timeouts_of(timeout)
        if timeouts.connect == 0:  # sockets that do not wait
            return None
        try:
            prepared = self.prepared(request, host, secure, context, timeouts)
        except (http.client.HTTPException, TypeError, ValueError):
            if is_socks(request.host):
                raise
            return None
        try:
            return self.send_prepared(prepared, request.full_url)
        except (URLError, ValueError) as error:
            if is_socks(request.host) or not is_for_the_original(prepared, error):
                raise
            return None

    def prepared(
        self, request: Request, host: str, secure: bool, context: ssl.SSLContext | None, timeouts: Timeouts
    ) -> Prepared:
        """What is to be sent for a request that `do_request_` has completed.

        Args:
            host, secure, context: see `Plan`.
            timeouts: its limits.

        Raises:
            http.client.HTTPException, URLError, TypeError, ValueError: it cannot be sent.
        """
        method = request.get_method()
        fields = fields_of(request, method)
        if request._tunnel_host or request.has_proxy():  # type: ignore[attr-defined]
            try:
                way = way_through(request, secure, fields)
            except EngineError as error:
                raise opening_error(error) from error
            secure = secure or way.url[:6] == "https:"
        else:
            target = checked_target(request.selector or "/")
            way = Way(origin_of("https" if secure else "http", host), target, None, fields)
        return method, way, secure, context, body_of(request.data), timeouts

    def send_prepared(self, prepared: Prepared, full_url: str) -> EngineResponse:
        """Send it, and return a response that calls itself `full_url`. Raises: see `do_open`."""
        method, way, secure, context, body, timeouts = prepared
        if self._debuglevel:  # type: ignore[attr-defined]
            body = tell_request(method, way.target, way.fields, body)
        response = exchange(self._client, secure, context, self._version, method, way, body, timeouts)
        if self._debuglevel:  # type: ignore[attr-defined]
            tell_response(response)
        return EngineResponse(response, method, full_url)


def is_for_the_original(prepared: Prepared, error: BaseException) -> bool:
    """Whether a request that failed with this may be sent by http.client."""
    cause = error if isinstance(error, EngineError) else error.__cause__
    if isinstance(cause, (InvalidHeader, InvalidURL)):  # before anything was sent
        return True
    if isinstance(cause, LocalProtocolError):
        # Both lengths at once are how requests are smuggled. What is no more than bytes can be begun again.
        _, way, _, _, body, _ = prepared
        names = {name.lower() for name, _ in way.fields}
        return isinstance(body, (bytes, NoneType)) and not names >= {"content-length", "transfer-encoding"}
    return False


class HTTPHandler(_EngineDoor, urllib.request.HTTPHandler):
    """`urllib.request.HTTPHandler` through the engine.

    Args:
        debuglevel: anything but 0 prints what is sent and the heads of answers, as the original does.
        client: an engine client to send with, instead of the one all openers share. The caller closes it.
    """

    def __init__(self, debuglevel: int | None = None, *, client: Client | None = None) -> None:
        AbstractHTTPHandler.__init__(self, PLAIN.debuglevel if debuglevel is None else debuglevel)
        self._client = client


class HTTPSHandler(_EngineDoor, urllib.request.HTTPSHandler):
    """`urllib.request.HTTPSHandler` through the engine.

    Args:
        debuglevel: anything but 0 prints what is sent and the heads of answers, as the original does.
        context: how to speak TLS; None for what `ssl._create_default_https_context` makes.
        check_hostname: set on the context, as the original does.
        client: an engine client to send with, TLS included, instead of the one all openers share. The caller closes it.
    """

    def __init__(
        self,
        debuglevel: int | None = None,
        context: ssl.SSLContext | None = None,
        check_hostname: bool | None = None,
        *,
        client: Client | None = None,
    ) -> None:
        AbstractHTTPHandler.__init__(self, SECURE.debuglevel if debuglevel is None else debuglevel)
        if client is not None and (context is not None or check_hostname is not None):
            raise ValueError("a client has its own TLS settings: give either it, or context and check_hostname")
        if check_hostname is not None:
            context = context or make_default_context()
            context.check_hostname = check_hostname
        self._context = context
        self._check_hostname: bool | None = None
        self._client = client


class EngineHandler(HTTPHandler, HTTPSHandler):
    """Both handlers in one: add it to an opener, or give it to `urllib.request.build_opener`, in place of the originals.

    Args:
        debuglevel, context, check_hostname, client: see `HTTPSHandler`.
        version: 1.1 to speak no other version of HTTP over TLS, whatever a context offers. A client has its own.
    """

    def __init__(
        self,
        debuglevel: int | None = None,
        context: ssl.SSLContext | None = None,
        check_hostname: bool | None = None,
        *,
        client: Client | None = None,
        version: float | None = None,
    ) -> None:
        HTTPSHandler.__init__(self, debuglevel, context, check_hostname, client=client)
        self._version = version
