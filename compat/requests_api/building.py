"""`requests.Response` from a raw response, as `HTTPAdapter.build_response` makes it, without what it does twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import requests
import requests.cookies
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3.util.retry import Retry

from drivetrain.compat.field_names import fields_as_written
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.engine import Headers, Response

__all__ = ["Answer"]

_name_of = itemgetter(0)
_extract_cookies: Callable[[Any, Any, Any], None] = requests.cookies.extract_cookies_to_jar


@lru_cache(maxsize=256)
def _encoding_of(content_type: str) -> str | None:
    return get_encoding_from_headers(CaseInsensitiveDict({"content-type": content_type}))


def _fill(target: CaseInsensitiveDict[str], headers: Headers, http_version: str) -> None:
    """Put the fields into requests' mapping, repeated ones joined by commas; pseudo-header fields stay out."""
    # Past the mapping's methods, as in `fields_of`.
    store: Any = target._store  # type: ignore[attr-defined]
    fields = headers.raw_fields() if http_version != "2" else fields_as_written(headers.raw_fields(), http_version)
    keyed = dict(zip(map(str.lower, map(_name_of, fields)), fields, strict=True))
    if len(keyed) == len(fields) and not store:  # no name is repeated, as in most
        keyed.pop(":status", None)
        store.update(keyed)
        return
    for field in fields:
        name, value = field
        key = name.lower()
        if key in store:
            first, values = store[key]
            store[key] = (first, f"{values}, {value}")
        elif name[0] != ":":
            store[key] = field


class Answer:
    """What the answer to a request goes into, and what is made of it as `HTTPAdapter.build_response` would.

    Args:
        adapter: that sends it.
        request: as requests prepared it.
        url: what is asked for.
        asked: the URL of whom it is asked of, which may be a proxy.
        whole: the body will be read in one go.
        shows: whether there is to be a `requests.Response`; not where somebody has a way of his own to make one.

    Attributes:
        raw: the raw response.
        shown: the `requests.Response`.
    """

    __slots__ = ("_adapter", "_asked", "_begun", "_request", "_url", "_whole", "raw", "shown", "shows")

    raw: RawResponse
    shown: requests.Response

    def __init__(
        self, adapter: HTTPAdapter, request: PreparedRequest, url: str, asked: str, whole: bool, shows: bool = True
    ) -> None:
        self._adapter = adapter
        self._request = request
        self._url = url
        self._asked = asked
        self._whole = whole
        self.shows = shows
        self._begun = False

    def begin(self) -> None:
        """Make as much as can be made before the answer comes; to be done again before another one."""
        self._begun = False
        try:
            self._make()
        except Exception:  # noqa: BLE001  # no fault of the exchange: it is made, and fails, when there is an answer
            return
        self._begun = True

    def _make(self) -> None:
        request = self._request
        raw = self.raw = RawResponse(request.method or "", self._url, self._asked, self._whole)
        if self.shows:
            response = self.shown = requests.Response()
            response.raw = raw
            url: Any = request.url
            response.url = url.decode("utf-8") if isinstance(url, bytes) else url
            response.request = request
            response.connection = self._adapter

    def take(self, received: Response, retries: Retry, dropped: deque[Response]) -> None:
        """Take the answer. Args: see `RawResponse.take_answer`."""
        if not self._begun:
            self._make()
        self._begun = False
        self.raw.take_answer(received, retries, dropped)
        if not self.shows:
            return
        response = self.shown
        response.status_code = received.status
        headers = received.headers
        _fill(response.headers, headers, received.http_version)
        first = headers.first_values()
        content_type = first.get("content-type")
        response.encoding = None if content_type is None else _encoding_of(content_type)
        response.reason = received.reason
        if "set-cookie" in first:
            _extract_cookies(response.cookies, self._request, self.raw)
