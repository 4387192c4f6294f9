"""Sending one request as often as its `Retry` allows."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import urllib3
from requests import PreparedRequest
from urllib3.exceptions import MaxRetryError, NewConnectionError
from urllib3.util.request import rewind_body, set_file_position
from urllib3.util.retry import Retry

from drivetrain.compat.requests_api.building import Answer
from drivetrain.compat.requests_api.errors import as_urllib3_error
from drivetrain.compat.requests_api.host_field import host_as_written
from drivetrain.compat.requests_api.outgoing import content_of, fields_of, is_one_shot, is_refused_unsent
from drivetrain.compat.requests_api.pool_log import POOL_LOG, telling_of, warn_of_retry
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.compat.requests_api.routes import Route
from drivetrain.compat.requests_api.trust import NotUnderstood
from drivetrain.engine import Client, Response, Timeouts
from drivetrain.engine.errors import (
    ClosedError,
    ConnectError,
    ConnectTimeout,
    EngineError,
    InvalidHeader,
    LocalProtocolError,
    PoolTimeout,
)

__all__ = ["Failed", "Plan", "send_until_done"]

_name_of = itemgetter(0)


class Failed:
    """An attempt that failed. It gives the error away: who keeps one keeps the frames it came through, and they may keep him."""

    __slots__ = ("_errors",)

    def __init__(self, error: Exception) -> None:
        self._errors = [error]

    def take(self) -> Exception:
        """The error, once."""
        return self._errors.pop()


class Plan:
    """One request, ready to be sent more than once.

    Args:
        adapter: an `EngineAdapter`.
        request: as requests prepared it; its body, too, is taken from there anew for each attempt.
        proxies: what the adapter was given.
        route: where it goes, and through whom.
        client: sends it.
        renew: finds the client anew, when somebody has closed it.
        timeouts: of each attempt.
        retries: how often, and after what.
        answer: what the answer goes into.

    Attributes:
        target: the request target when it is not that of the URL.
    """

    __slots__ = (
        "adapter",
        "answer",
        "client",
        "proxies",
        "renew",
        "request",
        "retries",
        "route",
        "target",
        "timeouts",
    )

    def __init__(
        self,
        adapter: Any,
        request: PreparedRequest,
        proxies: Any,
        route: Route,
        client: Client,
        renew: Callable[[], Client],
        timeouts: Timeouts,
        retries: Retry,
        answer: Answer,
    ) -> None:
        self.adapter = adapter
        self.request = request
        self.proxies = proxies
        self.route = route
        self.client = client
        self.renew = renew
        self.timeouts = timeouts
        self.retries = retries
        self.answer = answer
        self.target: str | None = None

    def path(self) -> str:
        """What errors call the URL."""
        path: str = self.adapter.request_url(self.request, self.proxies)
        return path


def send_until_done(plan: Plan, failed: Failed | None = None) -> Response:
    """Send a request until there is a response that is not to be retried, and return the engine's; `plan.answer` has it.

    Args:
        plan: of the request.
        failed: the first attempt, where that was made already.

    Raises:
        urllib3.exceptions.HTTPError: what urllib3 raises there; requests' own errors for a request that cannot be sent.
        UnicodeEncodeError, TypeError, ValueError: as http.client, for a header that cannot be sent.
        NotUnderstood: only http.client sends such a head, or says what is wrong with it. Nothing was sent.
    """
    request, retries = plan.request, plan.retries
    body: Any = request.body
    method = request.method or ""
    url, proxy = plan.route.url, plan.route.proxy
    fields, target = _head_of(plan)
    is_chunked = body is None and "transfer-encoding" in map(str.lower, map(_name_of, fields))
    position = None if body is None else set_file_position(body, None)
    client, answer = plan.client, plan.answer
    dropped = plan.adapter._engine_clients.dropped
    if failed is not None:
        retries = _after_failure(plan, retries, fields, failed.take())
    while True:
        telling = telling_of(client, plan.route)
        content = content_of(body) if body is not None or not is_chunked else ()
        try:
            if telling is None:
                response = client.exchange(method, url, fields, content, plan.timeouts, target, proxy, answer.begin)
            else:
                with telling:
                    response = client.exchange(method, url, fields, content, plan.timeouts, target, proxy, answer.begin)
        except ClosedError as error:
            before, client = client, plan.renew()
            if client is not before:  # closed by another thread, after the plan was made; nothing was sent
                continue
            retries = _after_failure(plan, retries, fields, error)
        except (EngineError, OSError) as error:
            retries = _after_failure(plan, retries, fields, error)
        else:
            answer.take(response, retries, dropped)
            raw = answer.raw
            if telling is not None:
                telling.answer(method, plan.path() if plan.target is None else plan.target, response, raw)
            # What cannot apply is not asked: the default retries nothing by status.
            if not (retries.total or retries.status_forcelist or type(retries) is not Retry):
                return response
            again = _after_response(plan, retries, raw)
            if again is None:
                return response
            retries = again
        if position is not None:
            rewind_body(body, position)


def _head_of(plan: Plan) -> tuple[list[tuple[str, str]], str | None]:
    """The field lines of a request, and its target when it is not that of the URL."""
    url, proxy = plan.route.url, plan.route.proxy
    fields = fields_of(plan.request)
    if proxy is not None and any(name.lower() == "proxy-authorization" for name, _ in proxy.headers):
        # The adapter's credentials win over those of the request, as in urllib3.
        fields = [field for field in fields if field[0].lower() != "proxy-authorization"]
    host = host_as_written(url[: url.find("/", 8)], proxy is not None and plan.route.asked is not url)
    return fields, plan.target if host is None else _put_host(fields, host, plan)


def _put_host(fields: list[tuple[str, str]], host: str, plan: Plan) -> str | None:
    """Have Host as requests writes it, and return the target that belongs to it."""
    if not any(name.lower() == "host" for name, _ in fields):
        fields.insert(0, ("Host", host))
    if plan.target is not None or plan.route.asked is plan.route.url:
        return plan.target
    return plan.path()


def _after_failure(plan: Plan, retries: Retry, fields: list[tuple[str, str]], error: Exception) -> Retry:
    started = not isinstance(error, (ConnectError, ConnectTimeout, PoolTimeout))
    if isinstance(error, InvalidHeader) or not started:
        for _, value in fields:
            value.encode("latin-1")  # raises, as http.client does before it connects
    method, path = plan.request.method, plan.path()
    mapped = as_urllib3_error(error, plan.route, path, plan.timeouts)
    if isinstance(error, (InvalidHeader, LocalProtocolError)) and is_refused_unsent(plan.request, fields):
        raise NotUnderstood from mapped
    if isinstance(mapped, (ValueError, urllib3.exceptions.InvalidHeader)) or (
        started and is_one_shot(plan.request.body)
    ):
        # A retry would change nothing, or send something else.
        if isinstance(mapped, NewConnectionError):
            raise MaxRetryError(plan.route.pool(), path, mapped) from error
        raise mapped from error
    try:
        left = retries.increment(method, path, error=mapped, _pool=plan.route.pool(), _stacktrace=error.__traceback__)
    except Exception as final:
        if final is mapped and final.__cause__ is None:
            final.__cause__ = error
        raise
    left.sleep()
    warn_of_retry(left, mapped, path)
    return left


def _after_response(plan: Plan, retries: Retry, raw: RawResponse) -> Retry | None:
    """The retries that are left when `raw` is to be dropped for another attempt, None when it is the answer."""
    method = plan.request.method or ""
    if not retries.is_retry(method, raw.status, bool(raw.headers.get("Retry-After"))) or is_one_shot(plan.request.body):
        return None
    path = plan.path()
    try:
        left = retries.increment(method, path, response=raw, _pool=plan.route.pool())
    except MaxRetryError:
        if retries.raise_on_status:
            raw.drain_conn()
            raise
        return None
    raw.drain_conn()
    left.sleep(raw)
    POOL_LOG.debug("Retry: %s", path)
    return left
