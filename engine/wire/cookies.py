"""Cookie and Set-Cookie: reading what came, writing what a server sends (RFC 6265bis sections 4 and 5.6).

Laws:

- text stands for bytes, one character of U+0000 to U+00FF each, as in `Headers`; nothing is decoded, quotes are part of
  a value;
- the readers never raise: what the RFC says to ignore is ignored;
- `bake` refuses what a user agent would have to refuse or could take for something else.

Section numbers are those of the later drafts of RFC 6265bis (draft-ietf-httpbis-rfc6265bis-20 and after).
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from ..errors import UsageError
from ..util import TOKEN, imf_date
from .cookie_dates import parse_cookie_date
from .headers import Headers

__all__ = [
    "MAX_ATTRIBUTE_OCTETS",
    "MAX_PAIR_OCTETS",
    "SetCookie",
    "bake",
    "has_control",
    "octets",
    "parse_cookie",
    "parse_cookies",
    "parse_setcookie",
]

MAX_PAIR_OCTETS = 4096
"""Octets a cookie's name and value may have together (section 5.6)."""

MAX_ATTRIBUTE_OCTETS = 1024
"""Octets the value of an attribute may have; longer ones are ignored (section 5.6)."""

has_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
"""Find a control character other than the tab: no cookie may have one (section 5.6 step 1)."""

_IS_TOKEN = re.compile(TOKEN).fullmatch
_OCTETS = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_IS_COOKIE_VALUE = re.compile(rf'{_OCTETS}|"{_OCTETS}"').fullmatch
_IS_DOMAIN = re.compile(r"\.?[A-Za-z0-9\-._:]+").fullmatch
_IS_PATH = re.compile(r"/[\x20-\x3a\x3c-\x7e]*").fullmatch
_IS_DELTA = re.compile(r"-?[0-9]+").fullmatch
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}


class SetCookie(NamedTuple):
    """A Set-Cookie value, taken apart.

    Attributes:
        name: may be empty: "Set-Cookie: x" has the value "x" and no name.
        value: as it was sent, without blanks around it.
        params: attributes by lower-case name, the last valid one of each; "" where there is no value. Malformed Expires
            and Max-Age are left out, and so are values over `MAX_ATTRIBUTE_OCTETS`.
    """

    name: str
    value: str
    params: dict[str, str]


def octets(text: str) -> int:
    """Count the bytes `text` stands for. Characters above U+00FF, which cannot come from the wire, count as UTF-8."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode("latin-1"))
    except UnicodeEncodeError:
        return len(text.encode("utf-8", "surrogatepass"))


def parse_setcookie(setcookie: str) -> SetCookie | None:
    """Read the value of one Set-Cookie field as user agents must (section 5.6).

    Returns:
        None if the whole field is to be ignored: a control character in it, name and value over `MAX_PAIR_OCTETS`, or
        both of them empty.
    """
    if has_control(setcookie):
        return None
    pair, _, rest = setcookie.partition(";")
    name, value = _split_pair(pair)
    if not (name or value) or octets(name) + octets(value) > MAX_PAIR_OCTETS:
        return None
    params: dict[str, str] = {}
    for attribute in rest.split(";") if rest else ():
        key, _, text = attribute.partition("=")
        key = key.strip(" \t").lower()
        text = text.strip(" \t")
        if key and octets(text) <= MAX_ATTRIBUTE_OCTETS and _is_valid(key, text):
            params[key] = text
    return SetCookie(name, value, params)


def _split_pair(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    return (name.strip(" \t"), value.strip(" \t")) if equals else ("", pair.strip(" \t"))


def _is_valid(key: str, text: str) -> bool:
    """Tell whether an attribute counts at all: of several, the last one that does is used (sections 5.6.1, 5.6.2)."""
    if key == "expires":
        return parse_cookie_date(text) is not None
    return key != "max-age" or _IS_DELTA(text) is not None


def parse_cookie(cookie: str) -> dict[str, str]:
    """Read the value of a Cookie field as name -> value, in order.

    Of a name that is there twice the first counts: user agents put the cookie with the longer path first (section
    5.8.3). A pair without "=" is a value without a name. Values keep their quotes.
    """
    found: dict[str, str] = {}
    for pair in cookie.split(";"):
        name, value = _split_pair(pair)
        if name or value:
            found.setdefault(name, value)
    return found


def parse_cookies(req_headers: Headers) -> dict[str, str]:
    """Read all Cookie fields of a request as `parse_cookie` reads one."""
    return parse_cookie(";".join(req_headers.get_as_sequence("cookie")))


def bake(
    name: str,
    value: str,
    expiry_time: float | None = None,
    domain: str | None = None,
    path: str | None = None,
    secure_only: bool = False,
    http_only: bool = False,
    same_site: str | None = None,
) -> str:
    """Write the value of a Set-Cookie field.

    Args:
        name: a token.
        value: printable ASCII without blanks, quotes, commas, semicolons and backslashes, or such text in quotes.
        expiry_time: seconds since the epoch; None or infinity for a session cookie, minus infinity to delete one.
        domain: the cookie goes to this domain and all below it; None: only to the host that sets it.
        path: the cookie goes to this path and all below it; None: the folder of the request.
        secure_only: send it back over TLS only.
        http_only: hide it from scripts.
        same_site: "strict", "lax" or "none", in any case.

    Raises:
        UsageError: something in it is malformed, or the cookie is one that every user agent refuses: SameSite=None
            without Secure, a name with the prefix "__Secure-" or "__Host-" without what the prefix promises, or more
            than `MAX_PAIR_OCTETS`.
    """
    if not _IS_TOKEN(name):
        raise UsageError(f"{name[:80]!r} is not a cookie name: RFC 6265bis section 4.1.1 wants a token")
    if not _IS_COOKIE_VALUE(value):
        raise UsageError(f"the value of cookie {name!r} has a character that RFC 6265bis section 4.1.1 does not allow")
    if len(name) + len(value) > MAX_PAIR_OCTETS:
        raise UsageError(f"name and value of cookie {name[:80]!r} are longer than {MAX_PAIR_OCTETS} bytes")
    parts = [f"{name}={value}", *_bake_expiry(expiry_time)]
    if domain is not None:
        if not _IS_DOMAIN(domain):
            raise UsageError(f"{domain[:255]!r} is not the domain of a cookie: ASCII only, xn-- for other names")
        parts.append(f"Domain={domain}")
    if path is not None:
        if not _IS_PATH(path):
            raise UsageError(f"{path[:255]!r} is not the path of a cookie: it starts with a slash and has no semicolon")
        parts.append(f"Path={path}")
    if secure_only:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    if same_site is not None:
        if same_site.lower() not in _SAME_SITE:
            raise UsageError(f"same_site is strict, lax or none, not {same_site[:80]!r}")
        parts.append(f"SameSite={_SAME_SITE[same_site.lower()]}")
    _check_promises(name, domain, path, secure_only, same_site)
    return "; ".join(parts)


def _bake_expiry(expiry_time: float | None) -> list[str]:
    if expiry_time is None or expiry_time == math.inf:
        return []
    if expiry_time == -math.inf:
        return ["Max-Age=0"]
    return [f"Expires={imf_date(expiry_time)}"]


def _check_promises(name: str, domain: str | None, path: str | None, secure_only: bool, same_site: str | None) -> None:
    lower = name.lower()
    if same_site is not None and same_site.lower() == "none" and not secure_only:
        raise UsageError("SameSite=None needs Secure (RFC 6265bis section 5.7 step 19)")
    if lower.startswith(("__secure-", "__host-")) and not secure_only:
        raise UsageError(f"the name {name[:80]!r} promises Secure (RFC 6265bis section 4.1.3)")
    if lower.startswith("__host-") and (domain is not None or path != "/"):
        raise UsageError(f"the name {name[:80]!r} promises Path=/ and no Domain (RFC 6265bis section 4.1.3.2)")
