"""What makes a client a user agent beyond sending and receiving: HSTS, cookies, the choice of a proxy, credentials, retries.

`Rules` is consulted for every hop, in this order, which matters: HSTS may change the scheme, which decides about Secure cookies
and the proxy. Nothing here does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

from ..connection.connector import OriginKey
from ..connection.tunnel import Authenticate
from ..util import to_authority
from ..wire.headers import Headers
from ..wire.uri import Uri
from .auth import AnswerHead, Auth, AuthFlow
from .cookie_store import CookieStore
from .hsts import HstsStore
from .origins import Origins
from .outgoing import Outgoing
from .proxies import Proxies
from .retries import NO_RETRIES, Retries

__all__ = ["NO_RULES", "Credentials", "Rules", "proxy_authenticator"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_name_of = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Rules:
    """See the module. None for what is not wanted.

    Args:
        cookies: sent with requests, filled from responses.
        hsts: consulted for http, filled from responses over TLS.
        is_verified: whether certificates are verified: without that, what a response says of HSTS counts for nothing.
        proxies: chooses by scheme and host.
        auth: authenticates to origins.
        proxy_auth: authenticates to proxies, beside the credentials that a proxy's URI may hold.
        retries: see `Retries`.
        site_for_cookies, is_top_level: see `CookieStore.lookup`.
    """

    cookies: CookieStore | None = None
    hsts: HstsStore | None = None
    is_verified: bool = True
    proxies: Proxies | None = None
    auth: Auth | None = None
    proxy_auth: Auth | None = None
    retries: Retries = NO_RETRIES
    site_for_cookies: str | None = None
    is_top_level: bool = False

    def prepare(self, outgoing: Outgoing, origins: Origins) -> None:
        """Make a request ready for its hop: its URI, Cookie field and connection key may change."""
        key_for = outgoing.key_for or origins.key_for
        uri = self.upgraded(outgoing.uri)
        if uri is not outgoing.uri:
            _change_uri(outgoing, uri)
            outgoing.key = key_for(uri, None)
        self.add_cookies(outgoing)
        if self.proxies:
            proxy = self.proxies.choose(uri.scheme, uri.host, uri.port)
            outgoing.key = key_for(uri, proxy)
            if proxy is None:
                # Meant for a proxy, and there is none on the way to this host.
                outgoing.headers.delete("proxy-authorization")

    def upgraded(self, uri: Uri) -> Uri:
        """The URI that is requested in place of `uri` (RFC 6797 section 8.3): port 80 becomes 443, another one stays."""
        if self.hsts is None or uri.scheme != "http" or not self.hsts.check(uri.host):
            return uri
        port = _DEFAULT_PORTS["https"] if uri.port == _DEFAULT_PORTS["http"] else uri.port
        return Uri("https", uri.userinfo, uri.host, port, uri.target, uri.fragment)

    def add_cookies(self, outgoing: Outgoing) -> None:
        """Renew the Cookie field: the program's own cookies first, then those of the store that it gave no value for."""
        if self.cookies is None:
            return
        found = self.cookies.lookup_for_uri(outgoing.uri, outgoing.method, self.site_for_cookies, self.is_top_level)
        headers = outgoing.headers
        own = outgoing.own_cookies
        if own is None:
            # Told at once for most requests, of whose fields nothing else is looked up here.
            if not found and "cookie" not in map(str.lower, map(_name_of, headers.raw_fields())):
                outgoing.own_cookies = ""
                return
            own = outgoing.own_cookies = "; ".join(headers.get_as_sequence("cookie"))
            if not own and not found:
                return
        if found and own:
            given = {pair.partition("=")[0].strip() for pair in own.split(";")}
            others = [pair for pair in found.split("; ") if pair.partition("=")[0] not in given]
            found = "; ".join([own, *others])
        # One field, as RFC 6265 section 5.4 has it.
        headers.delete("cookie")
        if found or own:
            headers.append("Cookie", found or own)

    def learn(self, outgoing: Outgoing, status: int, headers: Headers) -> None:
        """Take what a final response says to be remembered."""
        if status == 407 and outgoing.key.forwards:
            return  # the proxy speaks, not the origin
        uri = outgoing.uri
        if self.cookies is not None and headers.has("set-cookie"):
            self.cookies.store_from_response(uri, headers, self.site_for_cookies, self.is_top_level)
        if self.hsts is not None and self.is_verified and uri.scheme == "https":
            said = headers.get_as_sequence("strict-transport-security")
            if said:
                # RFC 6797 section 8.1: the first one counts.
                self.hsts.store_header(uri.host, said[0])


NO_RULES = Rules()


def _change_uri(outgoing: Outgoing, uri: Uri) -> None:
    headers = outgoing.headers
    headers.upsert(":scheme", uri.scheme)
    if headers.get(":authority") == outgoing.uri.authority:
        headers.upsert(":authority", uri.authority)
    outgoing.uri = uri


class Credentials:
    """The authentication of one request, to the origin and to a proxy that the request itself is sent to.

    Args:
        rules: whose credentials.
        outgoing: the request; its headers are changed.
    """

    __slots__ = ("_origin", "_outgoing", "_proxy", "_proxy_auth")

    def __init__(self, rules: Rules, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._proxy_auth = rules.proxy_auth if outgoing.key.forwards else None
        self._origin = _begin(outgoing.auth, outgoing, False)
        self._proxy = _begin(self._proxy_auth, outgoing, True)

    def asks_again(self, status: int, headers: Headers) -> bool:
        """Whether the request is to be sent again, with its headers changed, after this answer."""
        head = AnswerHead(status, headers)
        if status == 407:
            return self._proxy is not None and _go_on(self._proxy, head)
        # The proxy let it through.
        if self._proxy is not None:
            _go_on(self._proxy, head)
            self._proxy = None
        if self._origin is None or not _go_on(self._origin, head):
            return False
        # A proof for the proxy counts once.
        self._proxy = _begin(self._proxy_auth, self._outgoing, True)
        return True


def _begin(auth: Auth | None, outgoing: Outgoing, proxy: bool) -> AuthFlow | None:
    if auth is None:
        return None
    flow = auth.flow(outgoing, proxy)
    next(flow, None)
    return flow


def _go_on(flow: AuthFlow, head: AnswerHead) -> bool:
    try:
        flow.send(head)
    except StopIteration:
        return False
    return True


def proxy_authenticator(auth: Auth, key: OriginKey) -> Authenticate:
    """What answers a proxy that wants other credentials for a tunnel to the origin of `key`."""
    target = to_authority(key.host, key.port, "")
    uri = Uri("https", None, key.host, key.port, "/", None)
    outgoing = Outgoing("CONNECT", uri, Headers([(":method", "CONNECT"), (":authority", target)]), None, key)
    flow = auth.flow(outgoing, True)
    next(flow, None)
    tried: list[str | None] = []

    def answer(status: int, headers: Headers) -> str | None:
        first = outgoing.headers.get("proxy-authorization")
        if not tried and first is not None:
            # Credentials that need no challenge were not sent with the first request.
            tried.append(first)
            return first
        return outgoing.headers.get("proxy-authorization") if _go_on(flow, AnswerHead(status, headers)) else None

    return answer
