"""URIs of the schemes the engine speaks: http, https, ws and wss (RFC 3986, RFC 9110 section 4.2).

`parse_uri` is strict where readers disagree, since a client that reads another host out of a text than the filter
before it did is an attack, and obliging where nothing can go wrong:

- blanks (U+0020) around the text are dropped; control characters (tabs and line ends too) are refused everywhere;
- the host is lower-cased. Names outside ASCII go through UTS 46 and IDNA 2008; percent-escapes in a host are refused;
- a host whose last label is a number is an IPv4 address in one of the forms `inet_aton` reads ("127.1", "0x7f000001")
  and is rewritten as dotted decimal, for that is where the system would connect; anything else of the kind is refused;
- an IPv6 address is rewritten in its canonical form, so that equal hosts are equal strings. A zone is kept in `host`;
- user information ends at the last "@" before the path, as in browsers and curl;
- path, query and fragment: what may not appear there is percent-encoded as UTF-8, and so is a "%" that starts no
  escape; existing escapes, "." and ".." stay as they are written.

Messages never quote the user information.
"""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from typing import Any, NoReturn

from ..errors import InvalidURL
from ..util import remove_dot_segments, scheme_to_port, split_authority, to_authority

__all__ = ["Uri", "parse_uri", "resolve_reference"]


class Uri:
    """An absolute URI, taken apart. Immutable, hashable; equal if every part is equal.

    Made by `parse_uri`; the constructor takes the parts as they are, without a check.

    Attributes:
        scheme: "http", "https", "ws" or "wss".
        userinfo: what stands before "@", as written, or None.
        host: ASCII name in lower case, IPv4 address, or IPv6 address without brackets but with its zone, if any.
        port: the port, the scheme's default where none is given.
        target: path and query as they go into a request line; never empty.
        fragment: what stands after "#", or None.
        authority: what goes into Host and `:authority`: host in brackets where due, port unless it is the default;
            neither userinfo nor zone.
        origin: (scheme, host, port), the key of everything that is kept per origin.
        is_secure: whether the scheme implies TLS.
    """

    __slots__ = ("authority", "fragment", "host", "is_secure", "origin", "port", "scheme", "target", "userinfo")

    scheme: str
    userinfo: str | None
    host: str
    port: int
    target: str
    fragment: str | None
    authority: str
    origin: tuple[str, str, int]
    is_secure: bool

    def __init__(
        self, scheme: str, userinfo: str | None, host: str, port: int, target: str, fragment: str | None = None
    ) -> None:
        put = object.__setattr__
        put(self, "scheme", scheme)
        put(self, "userinfo", userinfo)
        put(self, "host", host)
        put(self, "port", port)
        put(self, "target", target)
        put(self, "fragment", fragment)
        put(self, "authority", to_authority(host, port, scheme))
        put(self, "origin", (scheme, host, port))
        put(self, "is_secure", scheme in ("https", "wss"))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name!r}: a Uri is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: a Uri is immutable")

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str | None:
        """What stands after "?" in the target, or None without one."""
        _, mark, query = self.target.partition("?")
        return query if mark else None

    def to_string(self, with_userinfo: bool = False) -> str:
        """Write the URI out; user information, which is mostly a password, only on demand."""
        userinfo = f"{self.userinfo}@" if with_userinfo and self.userinfo is not None else ""
        authority = self.authority
        address, percent, zone = self.host.partition("%")
        if percent:
            authority = authority.replace(address, f"{address}%25{zone}", 1)
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return f"{self.scheme}://{userinfo}{authority}{self.target}{fragment}"

    def _parts(self) -> tuple[str, str | None, str, int, str, str | None]:
        return self.scheme, self.userinfo, self.host, self.port, self.target, self.fragment

    def __str__(self) -> str:
        return self.to_string()

    def __repr__(self) -> str:
        return f"<Uri {self.to_string()}>"

    def __eq__(self, other: object) -> bool:
        return self._parts() == other._parts() if isinstance(other, Uri) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._parts())

    def __reduce__(self) -> tuple[Any, ...]:
        return Uri, self._parts()


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
# After the scheme's colon: authority, path and query, fragment. "?" and "#" end an authority as "/" does.
_AFTER_SCHEME = re.compile(r"//([^/?#]*)([^#]*)(?:#(.*))?", re.DOTALL).fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_FOREIGN_IN_AUTHORITY = re.compile(r"[\s\\]").search

_KEEP = r"A-Za-z0-9\-._~!$&'()*+,;=:@/?"
_IS_CLEAN = re.compile(f"[{_KEEP}]*").fullmatch
_TO_ENCODE = re.compile(f"%(?![0-9A-Fa-f]{{2}})|[^{_KEEP}%]".encode())

_IS_HOST = re.compile(r"[a-z0-9\-._~!$&'()*+,;=]+").fullmatch
_IS_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch
_IS_ZONE = re.compile(r"[A-Za-z0-9\-._~]+").fullmatch


def parse_uri(text: str) -> Uri:
    """Parse an absolute URI; the module says what is accepted. The newest 1024 answers are kept.

    Raises:
        InvalidURL: naming the fault: no or an unknown scheme, no host, a bad host, address or port, control characters.
        TypeError: `text` is not `str`.
    """
    # Long ones are not kept: 1024 data-laden URIs would be a leak.
    return _parse_kept(text) if len(text) <= 4096 else _parse(text)


def _parse(text: str) -> Uri:
    if not isinstance(text, str):
        raise TypeError(f"a URI must be str, not {type(text).__name__}")
    text = text.strip(" ")
    control = _CONTROL(text)
    if control:
        raise InvalidURL(f"control character {control.group()!r} at index {control.start()} of the URI")
    found = _SCHEME.match(text)
    if not found:
        raise InvalidURL("the URI has no scheme: it must start with http:// or https://")
    scheme = found.group(1).lower()
    if scheme not in scheme_to_port:
        hint = "" if text.startswith("//", found.end()) else " (or is http:// missing before it?)"
        raise InvalidURL(f"unknown scheme {scheme[:40]!r}{hint}")
    parts = _AFTER_SCHEME(text, found.end())
    if not parts:
        raise InvalidURL(f"the URI has no host: '//' is missing after '{scheme}:'")
    authority, target, fragment = parts.groups()
    userinfo, _, host_and_port = authority.rpartition("@")
    foreign = _FOREIGN_IN_AUTHORITY(authority)
    if foreign:
        raise InvalidURL(f"{foreign.group()!r} is not allowed between '//' and the path of a URI")
    host, port = _read_host_and_port(host_and_port, scheme)
    if not target.startswith("/"):
        target = "/" + target
    return Uri(
        scheme,
        userinfo or None,
        host,
        port,
        _percent_encode(target),
        None if fragment is None else _percent_encode(fragment),
    )


_parse_kept = lru_cache(maxsize=1024, typed=True)(_parse)


@lru_cache(maxsize=1024)
def _read_host_and_port(text: str, scheme: str) -> tuple[str, int]:
    """Read "host[:port]". Kept on its own, for a program that asks for ever new paths on the same hosts."""
    host, port = split_authority(text, scheme)
    if not host:
        raise InvalidURL("the URI has no host")
    host = _canonical_ipv6(host) if text.startswith("[") else _canonical_name(host)
    return host, scheme_to_port[scheme] if port is None else port


def _percent_encode(text: str) -> str:
    """Encode what may not appear in a path, query or fragment; escapes that are there already stay."""
    if _IS_CLEAN(text):
        return text
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidURL("a lone surrogate in the URI has no UTF-8 form") from error
    return _TO_ENCODE.sub(_escape, raw).decode("ascii")


def _escape(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match.group()[0]


def _canonical_name(host: str) -> str:
    """Check a name or IPv4 address and return it in its one spelling."""
    if ":" in host:
        raise InvalidURL("an IPv6 address in a URI needs brackets")
    name = host.lower() if host.isascii() else _to_ascii(host)
    if not _IS_HOST(name):
        raise InvalidURL(f"host {host[:255]!r} has a character that is not allowed in a host")
    labels = name.split(".")
    if len(labels) > 1 and not labels[-1]:
        labels.pop()  # the root's dot: "example.com." is a name
    if _IS_NUMBER(labels[-1]):
        return _canonical_ipv4(host, labels)
    if not all(0 < len(label) <= 63 for label in labels) or len(name) > 254:
        raise InvalidURL(f"host {host[:255]!r} has an empty or overlong label, or is too long")
    return name


def _to_ascii(host: str) -> str:
    import idna  # Large tables which most programs never need

    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except UnicodeError as error:  # idna.IDNAError is one
        raise InvalidURL(f"host {host[:255]!r} is not an internationalised domain name: {error}") from error


def _canonical_ipv4(host: str, labels: list[str]) -> str:
    """Read the forms of inet_aton: one to four numbers, 0x hexadecimal, leading 0 octal, the last one fills up."""
    bad = InvalidURL(f"host {host[:255]!r} ends in a number but is not an IPv4 address")
    if len(labels) > 4 or not all(_IS_NUMBER(label) and len(label) <= 16 for label in labels):
        raise bad
    try:
        *heads, last = [_number(label) for label in labels]
    except ValueError:  # an 8 or 9 in an octal number
        raise bad from None
    room = 4 - len(heads)
    if last >= 256**room or any(head > 255 for head in heads):
        raise bad
    return ".".join(map(str, [*heads, *last.to_bytes(room, "big")]))


def _number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)


def _canonical_ipv6(host: str) -> str:
    address, percent, zone = host.partition("%")
    try:
        canonical = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
    except (OSError, ValueError) as error:
        raise InvalidURL(f"[{host[:100]}] is not an IPv6 address") from error
    if not percent:
        return canonical
    # RFC 6874 writes the zone's "%" as "%25"; people type it bare.
    zone = zone.removeprefix("25")
    if not _IS_ZONE(zone):
        raise InvalidURL(f"[{host[:100]}] has a malformed zone")
    return f"{canonical}%{zone}"


_REFERENCE = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)


def resolve_reference(base: Uri, reference: str) -> str:
    """Resolve `reference` against `base`, strictly by RFC 3986 section 5.2, and return the target URI as text.

    Nothing is checked or encoded: the result may be of any scheme, and `parse_uri` is its judge. The base's user
    information goes along as long as its authority does; the base's fragment never does.
    """
    found = _REFERENCE.fullmatch(reference)
    assert found is not None  # the pattern matches every string
    scheme, authority, path, query, fragment = found.groups("")
    if path.startswith("/"):
        path = remove_dot_segments(path)
    if found.group(1) is not None:
        head = f"{scheme}:" if found.group(2) is None else f"{scheme}://{authority}"
        return f"{head}{path}{query}{fragment}"
    if found.group(2) is not None:
        return f"{base.scheme}://{authority}{path}{query}{fragment}"
    if not path:
        path = base.path
        if found.group(4) is None and base.query is not None:
            query = f"?{base.query}"
    elif not path.startswith("/"):
        path = remove_dot_segments(base.path[: base.path.rfind("/") + 1] + path)
    return Uri(base.scheme, base.userinfo, base.host, base.port, path + query).to_string(with_userinfo=True) + fragment
