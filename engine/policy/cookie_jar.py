"""Between `CookieStore` and `http.cookiejar`: copies both ways, and a `CookieJar` that is a view of a store.

Nothing in the engine imports this module: `http.cookiejar` brings urllib with it, which who needs neither should not pay.

What the two understand differently, and how it is brought together:

- a jar's domain with a dot in front is a cookie for the domain and what is below it; so is one without a dot if the
  program named the domain (`domain_specified`). Other cookies are host-only;
- a jar calls a host without a dot "localhost.local". Only for localhost is it clear which host is meant; any other
  cookie for "name.local" becomes one for "name" and one for "name.local", since a jar sends it to both;
- a cookie without a domain goes to every host. requests makes them (`session.cookies["a"] = "b"`); a store has no such
  thing, and a view keeps them itself;
- HttpOnly and SameSite are a jar's nonstandard attributes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from http.cookiejar import Cookie as JarCookie
from http.cookiejar import CookieJar, CookiePolicy
from typing import Any
from urllib.parse import urlsplit

from ..util import is_ip, is_safe_method
from ..wire.cookies import parse_setcookie
from .cookie_matching import canonical_host, host_of_authority, request_path
from .cookie_rules import Cookie, CookieSource
from .cookie_store import CookieStore

__all__ = ["StoreCookieJar", "jar_from_store", "store_from_jar"]

_LOCAL = ".local"


def jar_from_store(store: CookieStore, jar: CookieJar | None = None) -> CookieJar:
    """Copy the cookies of a store into a jar, by default a new one; return the jar."""
    jar = CookieJar() if jar is None else jar
    for cookie in store:
        jar.set_cookie(_to_jar(cookie))
    return jar


def store_from_jar(jar: CookieJar, store: CookieStore | None = None) -> CookieStore:
    """Copy the cookies of a jar into a store, by default a new one; return the store.

    What a store does not take is left out: expired and malformed cookies, and those without a domain.
    """
    store = CookieStore() if store is None else store
    for jar_cookie in jar:
        for cookie in _from_jar(jar_cookie):
            store.add(cookie)
    return store


class StoreCookieJar(CookieJar):
    """A `CookieJar` whose cookies are those of a store, for `HTTPCookieProcessor`, requests and their like.

    Cookies are taken from responses and given to requests by the store's rules, not by the standard library's. A policy
    is asked on top of them, if one is given.

    The cookies that iterating yields are copies: to change one, change the copy and call `set_cookie`. An adapter whose
    jars have more to them mixes this class in before `CookieJar`::

        class Jar(RequestsCookieJar, StoreCookieJar): ...

    Args:
        store: whose cookies these are.
        policy: None for none but the store's rules.
    """

    def __init__(self, store: CookieStore | None = None, policy: CookiePolicy | None = None) -> None:
        super().__init__(policy)
        self.store = CookieStore() if store is None else store
        self._is_restricted = policy is not None
        # Domains that a program wrote without a dot are shown to it as it wrote them.
        self._undotted: set[tuple[str, str, str]] = set()

    def set_policy(self, policy: CookiePolicy) -> None:
        """Ask `policy` about every cookie, on top of the store's rules."""
        super().set_policy(policy)
        self._is_restricted = True

    # Requests and responses

    def add_cookie_header(self, request: Any) -> None:
        """Give a request its Cookie field, unless it has one."""
        pairs = [
            cookie.name if cookie.value is None else f"{cookie.name}={cookie.value}" for cookie in self._for(request)
        ]
        if pairs and not request.has_header("Cookie"):
            request.add_unredirected_header("Cookie", "; ".join(pairs))

    def _for(self, request: Any) -> list[JarCookie]:
        source = _source_of(request)
        found = [] if source is None else self.store.visible(source, is_safe_method(_method_of(request)))
        cookies = [*map(self._show, found), *super().__iter__()]
        if not self._is_restricted:
            return cookies
        policy: Any = self._policy  # type: ignore[attr-defined]
        policy._now = self._now = int(self.store.time())  # as CookieJar itself does
        return [
            cookie
            for cookie in cookies
            if policy.domain_return_ok(cookie.domain, request)
            and policy.path_return_ok(cookie.path, request)
            and policy.return_ok(cookie, request)
        ]

    def make_cookies(self, response: Any, request: Any) -> list[JarCookie]:
        """Return the cookies of a response that the store would take; nothing is stored."""
        source = _source_of(request)
        if source is None:
            return []
        now = self.store.time()
        lines = [parse_setcookie(str(text)) for text in response.info().get_all("Set-Cookie", [])]
        cookies = [self.store.preview(source, *line) for line in lines if line is not None]
        return [_to_jar(c) for c in cookies if c is not None and (c.expires is None or c.expires > now)]

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Store the cookies of a response."""
        source = _source_of(request)
        if source is None:
            return
        policy: Any = self._policy  # type: ignore[attr-defined]
        for text in response.info().get_all("Set-Cookie", []):
            found = parse_setcookie(str(text))
            if found is None:
                continue
            if self._is_restricted:
                shown = self.store.preview(source, *found)
                policy._now = self._now = int(self.store.time())  # as CookieJar itself does
                if shown is None or not policy.set_ok(_to_jar(shown), request):
                    continue
            self.store.receive(source, *found)

    # The cookies themselves

    def set_cookie(self, cookie: JarCookie) -> None:
        """Store a cookie; one without a domain goes to every host. What the store does not take is dropped."""
        if not cookie.domain:
            super().set_cookie(cookie)
            return
        for converted in _from_jar(cookie):
            key = (converted.domain, converted.path, converted.name)
            if not converted.host_only and not cookie.domain.startswith("."):
                self._undotted.add(key)
            elif not converted.host_only:
                self._undotted.discard(key)
            if not self.store.add(converted) and cookie.is_expired(self.store.time()):  # type: ignore[arg-type]
                self.store.discard(converted)

    def _show(self, cookie: Cookie) -> JarCookie:
        is_undotted = not cookie.host_only and (cookie.domain, cookie.path, cookie.name) in self._undotted
        return _to_jar(cookie, is_undotted)

    def __iter__(self) -> Iterator[JarCookie]:
        # By key, as a jar has it: the hosts x and x.local are one there.
        shown = {(cookie.domain, cookie.path, cookie.name): cookie for cookie in map(self._show, self.store)}
        yield from shown.values()
        yield from super().__iter__()

    def clear(self, domain: str | None = None, path: str | None = None, name: str | None = None) -> None:
        """Remove all cookies, or those of a domain, of a path there, or of a name there.

        Raises:
            KeyError: there was none.
            ValueError: a path without a domain, or a name without a path.
        """
        if domain is None:
            super().clear(domain, path, name)
            self.store.clear()
        elif not domain:
            super().clear(domain, path, name)
        elif name is not None and path is None:
            raise ValueError("domain and path must be given to remove a cookie by name")
        else:
            meant = [
                (shown.domain, cookie)
                for cookie in self.store
                if path in (None, cookie.path) and name in (None, _jar_name(cookie))
                for shown in (self._show(cookie),)
                if shown.domain.removeprefix(".") == domain.removeprefix(".")
            ]
            # A program may name a domain with a dot or without; what it wrote itself is what it most likely means.
            exactly = [cookie for shown, cookie in meant if shown == domain] or [cookie for _, cookie in meant]
            if not exactly:
                raise KeyError(domain if path is None else path if name is None else name)
            for cookie in exactly:
                self.store.discard(cookie)

    def clear_session_cookies(self) -> None:
        """Remove the cookies that last for a session."""
        self.store.end_session()
        self._clear_own(lambda cookie: cookie.discard)

    def clear_expired_cookies(self) -> None:
        """Remove the cookies that have expired."""
        self.store.clean()
        now = int(self.store.time())
        self._clear_own(lambda cookie: cookie.is_expired(now))

    def _clear_own(self, is_meant: Callable[[JarCookie], bool]) -> None:
        for cookie in list(super().__iter__()):
            if is_meant(cookie):
                super().clear(cookie.domain, cookie.path, cookie.name)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_cookies_lock", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        CookieJar.__init__(self)
        self.__dict__.update(state)


def _source_of(request: Any) -> CookieSource | None:
    """Describe a request of urllib, or what requests passes off as one."""
    parts = urlsplit(request.get_full_url())
    scheme = parts.scheme.lower()
    authority = parts.netloc.rpartition("@")[2] or request.get_header("Host", "")
    host = host_of_authority(authority, scheme)
    if host is None:
        return None
    return CookieSource(host, request_path(parts.path or "/"), is_secure=scheme in ("https", "wss"))


def _method_of(request: Any) -> str:
    get_method = getattr(request, "get_method", None)
    return str(get_method()) if get_method is not None else "GET"


def _jar_name(cookie: Cookie) -> str:
    return cookie.name or cookie.value


@functools.lru_cache(maxsize=1024)
def _jar_host(host: str) -> str:
    """How a jar calls a host: request_host and eff_request_host of http.cookiejar."""
    if ":" in host:
        return f"[{host}]{_LOCAL}"
    return host if "." in host else host + _LOCAL


def _to_jar(cookie: Cookie, is_undotted: bool = False) -> JarCookie:
    is_wide = not cookie.host_only
    dot = "." if is_wide and not is_undotted and not is_ip(cookie.domain) else ""
    # As servers and requests write it, and as MozillaCookieJar looks for it.
    rest: dict[str, Any] = {"HttpOnly": None, "HTTPOnly": None} if cookie.http_only else {}
    if cookie.same_site is not None:
        rest["SameSite"] = cookie.same_site.capitalize()
    return JarCookie(
        version=0,
        name=_jar_name(cookie),
        value=cookie.value if cookie.name else None,
        port=None,
        port_specified=False,
        domain=dot + (cookie.domain if is_wide else _jar_host(cookie.domain)),
        domain_specified=is_wide,
        domain_initial_dot=bool(dot),
        path=cookie.path,
        path_specified=True,
        secure=cookie.secure,
        expires=None if cookie.expires is None else int(max(cookie.expires, 0)),
        discard=cookie.expires is None,
        comment=None,
        comment_url=None,
        rest=rest,
    )


def _from_jar(cookie: JarCookie) -> list[Cookie]:
    """Convert a jar's cookie; none if its domain is no host, two if it means two hosts."""
    written = cookie.domain.removeprefix(".")
    domain = canonical_host(written.removesuffix(_LOCAL) if written.startswith("[") else written)
    if domain is None:
        return []
    is_wide = cookie.domain.startswith(".") or cookie.domain_specified
    hosts = [domain]
    if not is_wide and domain.endswith(_LOCAL) and domain.count(".") == 1:
        short = domain.removesuffix(_LOCAL)
        hosts = [short] if short == "localhost" else [short, domain]
    rest = {str(key).lower(): value for key, value in cookie._rest.items()}  # type: ignore[attr-defined]
    same_site = str(rest.get("samesite") or "").lower()
    return [
        Cookie(
            cookie.name if cookie.value is not None else "",
            str(cookie.value) if cookie.value is not None else cookie.name,
            host,
            cookie.path,
            host_only=not is_wide,
            secure=bool(cookie.secure),
            http_only="httponly" in rest,
            same_site=same_site if same_site in ("strict", "lax", "none") else None,
            expires=None if cookie.expires is None else float(cookie.expires),
        )
        for host in hosts
    ]
