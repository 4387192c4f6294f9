"""From what a caller says (method, URL, options) to the request that is sent."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import unquote_to_bytes

from ..backends.base import Colour
from ..connection.proxy import Proxy
from ..errors import UsageError
from ..util import encode_uri_component
from ..version import name as product_name
from ..version import version as product_version
from ..wire.decoders import accepted_codings
from ..wire.headers import Headers
from ..wire.uri import Uri, parse_uri
from .auth import Auth, AuthSource, make_auth
from .bodies import BodySource, BytesBody, RequestBody, encode_form, encode_json, make_body
from .multipart import FilesSource, MultipartBody
from .origins import Origins
from .outgoing import Outgoing

if TYPE_CHECKING:
    from .timeouts import TimeoutTypes

__all__ = [
    "DEFAULT_HEADERS",
    "Composer",
    "FormSource",
    "HeaderSource",
    "ParamsSource",
    "RequestOptions",
    "add_params",
    "basic_credentials",
]

HeaderSource = Headers | Mapping[str, str] | Iterable[tuple[str, str]]
ParamsSource = str | Mapping[str, Any] | Iterable[tuple[str, Any]]
FormSource = Mapping[str, Any] | Iterable[tuple[str, Any]]

DEFAULT_HEADERS = (
    ("User-Agent", f"{product_name}/{product_version}"),
    ("Accept", "*/*"),
    ("Accept-Encoding", accepted_codings()),
)


class RequestOptions(TypedDict, total=False):
    """Keyword arguments that every request method takes.

    Keys:
        params: added to the URL's query, encoded; a list value becomes several pairs; None values are left out.
        headers: fields of this request; they replace the client's fields of the same name.
        content: the body: text, bytes, a binary file, or an iterable of bytes (async iterable for an async client).
        form: fields sent as application/x-www-form-urlencoded, or as form fields beside `files`.
        json: a value sent as JSON.
        files: sent as multipart/form-data, read from disk while sending.
        auth: how to authenticate, instead of the client's way.
        timeout: seconds for the whole call, or a `Timeouts`; None for no limit at all. Without it the client's.
        follow_redirects: without it the client's setting.
    """

    params: ParamsSource | None
    headers: HeaderSource | None
    content: BodySource | None
    form: FormSource | None
    json: Any
    files: FilesSource | None
    auth: AuthSource
    timeout: TimeoutTypes
    follow_redirects: bool


class Composer:
    """Makes requests for one client.

    Args:
        origins: makes the pool keys.
        headers: the client's own fields, sent with every request unless the request has them.
        colour: of the client; bodies of the other colour are refused.
        auth: authenticates requests that bring no credentials of their own.
        continue_wait: see `Outgoing`.
    """

    def __init__(
        self,
        origins: Origins,
        headers: Headers,
        colour: Colour,
        auth: Auth | None = None,
        continue_wait: float = 1.0,
    ) -> None:
        self._origins = origins
        self.headers = headers
        self._colour: Colour = colour
        self._auth = auth
        self._continue_wait = continue_wait

    def compose(
        self,
        method: str,
        url: str,
        params: ParamsSource | None = None,
        headers: HeaderSource | None = None,
        content: BodySource | None = None,
        form: FormSource | None = None,
        json: Any = None,
        files: FilesSource | None = None,
        auth: AuthSource = None,
    ) -> Outgoing:
        """Make a request; see `RequestOptions`.

        Raises:
            InvalidURL, InvalidHeader, UsageError: it cannot be sent.
            TypeError: a body of the wrong kind or colour.
        """
        uri = parse_uri(url)
        if params is not None:
            uri = add_params(uri, params)
        fields = [(":method", method), (":scheme", uri.scheme), (":authority", uri.authority), (":path", uri.target)]
        if headers is None:
            complete = Headers.adopt(fields + self.headers.raw_fields())
        else:
            complete = self._merge(fields, headers)
        body = None
        if content is not None or form is not None or json is not None or files is not None:
            body, content_type = self._make_body(content, form, json, files)
            if content_type is not None and not complete.has("content-type"):
                complete.append("Content-Type", content_type)
            if body.length is not None and not complete.has("content-length") and not complete.has("transfer-encoding"):
                complete.append("Content-Length", str(body.length))
        outgoing = Outgoing(method, uri, complete, body, self._origins.key_for(uri))
        outgoing.continue_wait = self._continue_wait
        if auth is not None:
            outgoing.auth = make_auth(auth)
        elif uri.userinfo is not None and not complete.has("authorization"):
            complete.append("Authorization", basic_credentials(uri.userinfo), True)
        elif self._auth is not None and not complete.has("authorization"):
            outgoing.auth = self._auth
        return outgoing

    def compose_exactly(
        self,
        method: str,
        url: str,
        fields: list[tuple[str, str]],
        content: BodySource | None,
        target: str | None = None,
        proxy: Proxy | None = None,
    ) -> Outgoing:
        """Make a request of exactly these field lines; see `Client.exchange`."""
        uri = parse_uri(url)
        path = uri.target if target is None else target
        pseudo = [(":method", method), (":scheme", uri.scheme), (":authority", uri.authority), (":path", path)]
        body = None if content is None else make_body(content, self._colour)
        outgoing = Outgoing(method, uri, Headers.adopt(pseudo + fields), body, self._origins.key_for(uri, proxy))
        outgoing.continue_wait = self._continue_wait
        return outgoing

    def _merge(self, fields: list[tuple[str, str]], headers: HeaderSource) -> Headers:
        given = Headers(headers)
        fields += [field for field in self.headers.raw_fields() if not given.has(field[0])]
        merged = Headers.adopt(fields)
        for name, value, never_index in given.each():
            if name[:1] == ":":
                merged.upsert(name, value)
            else:
                merged.append(name, value, never_index)
        return merged

    def _make_body(
        self, content: BodySource | None, form: FormSource | None, json: Any, files: FilesSource | None
    ) -> tuple[RequestBody, str | None]:
        if (content is not None) + (json is not None) + (form is not None or files is not None) > 1:
            raise UsageError("a request has one body: content, json, or form and files")
        if content is not None:
            return make_body(content, self._colour), "text/plain; charset=utf-8" if isinstance(content, str) else None
        if json is not None:
            return BytesBody(encode_json(json)), "application/json"
        if files is not None:
            pairs = form.items() if isinstance(form, Mapping) else form or ()
            multipart = MultipartBody(pairs, files, self._colour)
            return multipart, multipart.content_type
        return BytesBody(encode_form(form or ())), "application/x-www-form-urlencoded"


def add_params(uri: Uri, params: ParamsSource) -> Uri:
    """`uri` with `params` added to its query."""
    if isinstance(params, str):
        query = params.lstrip("?")
    else:
        pairs = params.items() if isinstance(params, Mapping) else params
        query = "&".join(
            f"{encode_uri_component(str(name))}={encode_uri_component(_text(value))}"
            for name, values in pairs
            for value in (values if isinstance(values, (list, tuple)) else [values])
            if value is not None
        )
    if not query:
        return uri
    text, hash_mark, fragment = uri.to_string(with_userinfo=True).partition("#")
    joint = "" if text.endswith(("?", "&")) else "&" if "?" in text else "?"
    return parse_uri(f"{text}{joint}{query}{hash_mark}{fragment}")


def _text(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    return str(value)


def basic_credentials(userinfo: str) -> str:
    """The Authorization value for a URI's userinfo, percent-decoded (RFC 7617)."""
    user, _, password = userinfo.partition(":")
    return "Basic " + base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode("ascii")
