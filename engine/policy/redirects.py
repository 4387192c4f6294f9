"""Which redirect leads where, and what of the request goes along (RFC 9110 sections 15.4 and 10.1.3).

Rules: 303 turns every method but HEAD into GET; 301 and 302 turn POST into GET unless told otherwise; 307 and 308 keep
method and body. Only http and https are followed. Credentials stay with the origin they were meant for: Authorization,
Cookie and Proxy-Authorization are dropped when the origin changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidURL, RedirectError
from ..wire.headers import Headers
from ..wire.uri import Uri, parse_uri, resolve_reference
from .compose import basic_credentials

__all__ = ["RedirectPolicy", "as_http", "is_redirect", "next_location", "redirected_headers", "redirected_method"]

_STATUSES = frozenset({301, 302, 303, 307, 308})
_SCHEMES = {"ws": "http", "wss": "https"}
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")
_USERINFO = re.compile(r"//[^/?#]*@")
_FOREIGN = re.compile(rb"[\x80-\xff]")
_ABOUT_THE_BODY = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-type",
    "expect",
    "transfer-encoding",
)


@dataclass(frozen=True, slots=True)
class RedirectPolicy:
    """How redirects are followed.

    Args:
        follow: whether they are followed at all.
        limit: how many in a row; one more raises `TooManyRedirects`.
        post301, post302: keep POST on a 301 or 302 instead of turning it into GET.
    """

    follow: bool = True
    limit: int = 5
    post301: bool = False
    post302: bool = False


def is_redirect(status: int, headers: Headers) -> bool:
    """Whether a response sends the client elsewhere."""
    return status in _STATUSES and headers.has("location")


def next_location(uri: Uri, headers: Headers, chain: tuple[str, ...], is_websocket: bool = False) -> Uri:
    """Where a redirect response to a request for `uri` leads; a fragment is inherited (RFC 9110 section 10.2.2).

    For a WebSocket, ws and wss are followed as well, as http and https.

    Raises:
        RedirectError: Location is malformed, or names a scheme that is not followed.
    """
    location = _as_text(headers.get("location") or "")
    try:
        target = parse_uri(resolve_reference(uri, location))
    except InvalidURL as error:
        location = _USERINFO.sub("//", location, count=1)
        raise RedirectError(f"cannot follow the redirect to {location[:200]!r}: {error}", (*chain, location)) from error
    if is_websocket:
        target = as_http(target)
    if target.scheme not in ("http", "https"):
        raise RedirectError(f"a redirect to the scheme {target.scheme!r} is not followed", (*chain, str(target)))
    if target.fragment is None and uri.fragment is not None:
        target = Uri(target.scheme, target.userinfo, target.host, target.port, target.target, uri.fragment)
    return target


def as_http(uri: Uri) -> Uri:
    """`uri` with http for ws and https for wss: what the handshake of a WebSocket is a request for (RFC 6455 section 3)."""
    scheme = _SCHEMES.get(uri.scheme)
    return uri if scheme is None else Uri(scheme, uri.userinfo, uri.host, uri.port, uri.target, uri.fragment)


def _as_text(location: str) -> str:
    """Undo the reading of a field's bytes as ISO-8859-1: in a URI they are UTF-8, and what is none stands for itself."""
    if location.isascii():
        return location
    try:
        raw = location.encode("latin-1")
    except UnicodeEncodeError:
        return location  # a program's own text
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _FOREIGN.sub(lambda match: b"%%%02X" % match.group()[0], raw).decode("ascii")


def redirected_method(method: str, status: int, policy: RedirectPolicy) -> str:
    """The method of the next request."""
    if status == 303 and method != "HEAD":
        return "GET"
    if method == "POST" and ((status == 301 and not policy.post301) or (status == 302 and not policy.post302)):
        return "GET"
    return method


def redirected_headers(headers: Headers, source: Uri, target: Uri, keeps_body: bool) -> Headers:
    """A copy of the request's headers for the next hop, pseudo-header fields not yet renewed.

    Credentials and Host go when the origin changes, the description of the body goes with the body, userinfo in the target
    becomes Authorization, and Referer tells where the redirect came from, except from https to http.
    """
    copy = headers.copy()
    if source.origin != target.origin:
        for name in _CREDENTIALS:
            copy.delete(name)
        copy.delete("host")
    if not keeps_body:
        for name in _ABOUT_THE_BODY:
            copy.delete(name)
    if target.userinfo is not None and (target.userinfo != source.userinfo or not copy.has("authorization")):
        copy.upsert("authorization", basic_credentials(target.userinfo), True)
    copy.delete("referer")
    if not (source.scheme == "https" and target.scheme == "http"):
        copy.append("referer", str(source).partition("#")[0])
    return copy
