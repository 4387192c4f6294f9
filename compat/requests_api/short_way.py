"""The short way of an adapter: what it does with a plain request as long as nobody has anything to say to that.

An adapter asks its own methods, its pool manager, and everything that programs replace, and plans each request so that it can be
sent again. For a request without body, proxy and client certificate, of an adapter as it was made, all those questions have one
answer, which costs one look at each. Whatever is not so is left to the adapter; and so is what becomes of a failure, for which
the request is planned then.
"""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter, is_
from typing import Any

import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from drivetrain.compat.replaced import LIMITS
from drivetrain.compat.requests_api.asking import (
    CLASSES,
    DOORS,
    GET_POOL,
    goes_elsewhere,
    is_understood,
    told_of,
)
from drivetrain.compat.requests_api.attempts import Failed
from drivetrain.compat.requests_api.building import Answer
from drivetrain.compat.requests_api.clients import Clients, sweep
from drivetrain.compat.requests_api.errors import as_requests_error
from drivetrain.compat.requests_api.host_field import host_as_written
from drivetrain.compat.requests_api.limits import TimeoutTable
from drivetrain.compat.requests_api.originals import WATCHES
from drivetrain.compat.requests_api.outgoing import fields_of
from drivetrain.compat.requests_api.passing import OWN_SENDS, STAND_INS, replaced_send
from drivetrain.compat.requests_api.pool_log import POOL_LOG
from drivetrain.engine import Client
from drivetrain.engine.errors import ClosedError, EngineError

__all__ = ["ShortWay", "find_short_way"]

_HOOKS = (
    "__getattribute__",
    "add_headers",
    "build_connection_pool_key_attributes",
    "build_response",
    "cert_verify",
    "get_connection_with_tls_context",
    "request_url",
)
"""What of an adapter says how a request is sent and how its response is made, and is there for subclasses to say it."""

_hooks_of: Callable[[Any], tuple[Any, ...]] = attrgetter(*_HOOKS)
_ORIGINALS = _hooks_of(HTTPAdapter)
_HOOK_NAMES = frozenset(_HOOKS)
_METHODS = frozenset({"GET", "HEAD"})
_UNUSUAL = frozenset({"content-length", "transfer-encoding", "upgrade"})
_ONLY_TEXT = {str}


class ShortWay:
    """The short way of one adapter. Any number of threads may use it. See `find_short_way`."""

    __slots__ = ("_clients", "_fields", "_hooks", "_kind", "_limits", "_manager", "_timeouts", "_told", "_watches")

    def __init__(self, adapter: Any, clients: Clients, timeouts: TimeoutTable) -> None:
        self._kind = type(adapter)
        self._hooks = _hooks_of(self._kind)
        self._manager = adapter.poolmanager
        self._told = dict(told_of(adapter.poolmanager))
        self._limits = LIMITS(http.client)
        self._clients = clients
        self._timeouts = timeouts
        self._watches = WATCHES[adapter._engine_stands_in]
        # The header fields met last, and what is sent for them: most requests of a program have the same.
        self._fields: tuple[list[Any] | None, list[tuple[str, str]]] = (None, [])

    def is_open(self, adapter: Any) -> bool:
        """Whether nobody has anything to say to how `adapter` sends."""
        manager = self._manager
        own = vars(adapter)
        return (
            type(adapter) is self._kind
            and all(map(is_, _hooks_of(self._kind), self._hooks))
            and own.keys().isdisjoint(_HOOK_NAMES)
            and HTTPAdapter.get_connection_with_tls_context is GET_POOL
            and ((HTTPAdapter.send in OWN_SENDS and not STAND_INS) or replaced_send(adapter) is None)
            and own.get("poolmanager") is manager
            and manager.connection_pool_kw == self._told
            and manager.pool_classes_by_scheme == CLASSES
            and LIMITS(http.client) == self._limits
        )

    def send(
        self, adapter: Any, request: PreparedRequest, stream: bool, timeout: Any, verify: Any
    ) -> requests.Response | Failed | None:
        """Send a request without body, proxy and client certificate once, and return its response.

        Args:
            adapter, request, stream, timeout, verify: see `HTTPAdapter.send`.

        Returns:
            None where nothing was sent, and the adapter is to do it. A `Failed` where sending failed, and the adapter is to
            say what follows from that.

        Raises:
            requests.exceptions.RequestException: the response cannot be read.
        """
        url, method, retries, clients = request.url, request.method, adapter.max_retries, self._clients
        if type(url) is not str or method not in _METHODS or POOL_LOG.isEnabledFor(logging.DEBUG):
            return None
        # What cannot apply is not asked: see `attempts`.
        if type(retries) is not Retry or retries.total or retries.status_forcelist:
            return None
        secure = _is_secure(url[: url.find("/", 8)])
        if secure is None or (secure and not verify) or not self._watches[secure].unchanged():
            return None
        client = self._find_client(secure, verify)
        fields = self._find_fields(request)
        if client is None or fields is None:
            return None
        limits = self._timeouts.resolve(timeout)
        if clients.dropped:
            sweep(clients.dropped)
        answer = Answer(adapter, request, url, url, not stream)
        try:
            response = client.exchange(method, url, fields, None, limits, None, None, answer.begin)
        except ClosedError as error:
            # By another thread, while this one looked: nothing was sent.
            return Failed(error) if self._find_client(secure, verify) is client else None
        except (EngineError, OSError) as error:
            return Failed(error)
        try:
            answer.take(response, retries, clients.dropped)
        except HTTPError as error:
            raise as_requests_error(error, request) from error.__cause__
        return answer.shown

    def _find_client(self, secure: bool, verify: Any) -> Client | None:
        return self._clients.known(verify, None) if secure else self._clients.plain()

    def _find_fields(self, request: PreparedRequest) -> list[tuple[str, str]] | None:
        """The field lines of a request without body; None where they are unusual."""
        headers: Any = request.headers
        if type(headers) is not CaseInsensitiveDict:
            return None
        store = headers._store  # type: ignore[attr-defined]  # past the mapping's methods, as in `fields_of`
        given = list(store.values())
        known, fields = self._fields
        if given == known:
            return fields
        if not _UNUSUAL.isdisjoint(store) or not all(map(_is_text, given)):
            return None
        fields = fields_of(request)
        self._fields = given, fields
        return fields


def find_short_way(adapter: Any, clients: Clients, timeouts: TimeoutTable) -> ShortWay | None:
    """The short way of an adapter that begins.

    Args:
        adapter: an `EngineAdapter`.
        clients, timeouts: its.

    Returns:
        None where there is none: it has stores, a proxy, or ways of its own to connect.
    """
    if adapter._engine_hsts is not None or adapter._engine_cookies is not None or adapter._engine_proxy is not None:
        return None
    if goes_elsewhere(adapter) or not is_understood(adapter) or not _is_as_made(type(adapter)):
        return None
    return ShortWay(adapter, clients, timeouts)


def _is_as_made(kind: type) -> bool:
    """Whether a class has the hooks of requests' adapters, or those of the engine's."""
    hooks = zip(_hooks_of(kind), _ORIGINALS, strict=True)
    return all(hook is original or any(hook is door for door in DOORS) for hook, original in hooks)


@lru_cache(maxsize=1000)
def _is_secure(origin: str) -> bool | None:
    """Whether a URL up to its path is one of https and not of http; None for one of something else, or with an odd host."""
    scheme = origin.partition(":")[0]
    if scheme not in ("http", "https") or host_as_written(origin, False) is not None:
        return None
    return scheme == "https"


def _is_text(field: tuple[Any, Any]) -> bool:
    return set(map(type, field)) == _ONLY_TEXT
