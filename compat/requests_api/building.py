"""`requests.Response` from a raw response, as `HTTPAdapter.build_response` makes it, without what it does twice."""

from __future__ import annotations

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

from drivetrain.compat.field_names import fields_as_written
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.engine import Headers, Response

__all__ = ["build_response"]

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


def build_response(
    adapter: HTTPAdapter, request: PreparedRequest, raw: RawResponse, received: Response
) -> requests.Response:
    """Make what `adapter.build_response(request, raw)` makes where nobody has overridden that.

    Args:
        received: the engine's response inside `raw`.
    """
    response = requests.Response()
    response.status_code = received.status
    headers = received.headers
    _fill(response.headers, headers, received.http_version)
    content_type = headers.get("content-type")
    response.encoding = None if content_type is None else _encoding_of(content_type)
    response.raw = raw
    response.reason = received.reason
    url: Any = request.url
    response.url = url.decode("utf-8") if isinstance(url, bytes) else url
    if headers.has("set-cookie"):
        _extract_cookies(response.cookies, request, raw)
    response.request = request
    response.connection = adapter
    return response
