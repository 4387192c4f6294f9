"""What `requests.Session` does for every request, without computing again what has not changed.

The functions here are methods for a `Session`: of this package's class, and, where the face is installed, of requests'
own. Laws:

- each has the results of the method whose name it bears, and the same extension points: it calls the other methods
  through the session, so that a subclass's are called;
- whatever is unusual (arguments of other types, functions of requests that somebody has replaced) is left to that method.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from http.cookiejar import CookieJar
from typing import Any

import requests.models
import requests.sessions
import requests.utils
from requests import PreparedRequest, Request, Response, Session
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from drivetrain.compat.replaced import Watch
from drivetrain.compat.requests_api.environment import current_environment

__all__ = ["METHODS", "ORIGINALS", "merge_environment_settings", "prepare_request", "send"]

_sessions: Any = requests.sessions
_PREPARE: Any = Session.prepare_request
_MERGE: Any = Session.merge_environment_settings
_SEND: Any = Session.send
_TARGET: Any = Session.get_redirect_target
_RESOLVE: Any = Session.resolve_redirects
# Longer ones are seldom met again.
_MAX_URL = 1000

_preparing = Watch(
    (requests.models, ("check_header_validity", "requote_uri", "parse_url", "to_native_string", "default_hooks")),
    (
        requests.sessions,
        ("PreparedRequest", "merge_setting", "merge_hooks", "merge_cookies", "cookiejar_from_dict", "get_netrc_auth"),
    ),
    (requests.models.RequestEncodingMixin, ("_encode_params",)),
    (PreparedRequest, tuple(name for name in vars(PreparedRequest) if name.startswith(("prepare", "__init__")))),
)
_sending = Watch(
    (
        requests.sessions,
        ("preferred_clock", "dispatch_hook", "extract_cookies_to_jar", "timedelta", "resolve_proxies", "Request"),
    ),
)
_merging = Watch((requests.sessions, ("merge_setting",)))


# -- preparing -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _prepare_url(url: str, query: str) -> str:
    prepared = PreparedRequest()
    prepared.prepare_url(url, query)
    return prepared.url or ""


@lru_cache(maxsize=512)
def _is_valid(name: str, value: str) -> bool:
    requests.utils.check_header_validity((name, value))  # raises when not
    return True


def _put_headers(target: PreparedRequest, own: CaseInsensitiveDict[Any], given: Any) -> bool:
    """Merge and check both mappings; False when that needs requests' own code."""
    store: OrderedDict[str, tuple[str, Any]] = own._store.copy()  # type: ignore[attr-defined]
    if given:
        for name, value in given.items():
            if type(name) is not str:
                return False
            store[name.lower()] = (name, value)
    dropped = None
    for key, (name, value) in store.items():
        if value is None:
            dropped = [key, *(dropped or ())]
        elif type(name) is not str or type(value) is not str:
            return False
        else:
            _is_valid(name, value)
    for key in dropped or ():
        del store[key]
    headers: CaseInsensitiveDict[Any] = CaseInsensitiveDict.__new__(CaseInsensitiveDict)
    headers._store = store  # type: ignore[attr-defined]
    target.headers = headers
    return True


def _put_url(target: PreparedRequest, url: str, given: Any, own: Any) -> None:
    if given or own:
        params = _sessions.merge_setting(given, own)
        query: Any = PreparedRequest._encode_params(params)  # type: ignore[attr-defined]
        if type(query) is not str:
            target.prepare_url(url, params)
            return
    else:
        query = ""
    if len(url) + len(query) > _MAX_URL:
        target.prepare_url(url, query)
    else:
        target.url = _prepare_url(url, query)


def _is_nothing(value: Any) -> bool:
    """Whether a request was given no such part: None, or the empty list or dictionary that `Request` puts there."""
    return value is None or (not value and type(value) in (dict, list))


def prepare_request(self: Session, request: Request) -> PreparedRequest:
    """See `requests.Session.prepare_request`."""
    url: Any = request.url
    own: Any = self.headers
    given: Any = request.headers
    if (
        type(url) is not str
        or type(own) is not CaseInsensitiveDict
        or type(given) not in (dict, CaseInsensitiveDict)
        or type(request.method) is not str
        or not _preparing.unchanged()
    ):
        return _PREPARE(self, request)  # type: ignore[no-any-return]
    prepared = PreparedRequest()
    prepared.prepare_method(request.method.upper())
    _put_url(prepared, url, request.params, self.params)
    if not _put_headers(prepared, own, given):
        return _PREPARE(self, request)  # type: ignore[no-any-return]
    _put_cookies(prepared, request.cookies, self.cookies)
    if _is_nothing(request.data) and _is_nothing(request.files) and request.json is None:
        prepared.prepare_content_length(None)
    else:
        prepared.prepare_body(request.data, request.files, request.json)
    auth = request.auth
    if not auth and not self.auth and self.trust_env:
        environment = current_environment()
        auth = _sessions.get_netrc_auth(url) if environment is None else environment.login_for(url)
    auth = _sessions.merge_setting(auth, self.auth) if self.auth is not None else auth
    if auth is not None or "@" in (prepared.url or ""):
        prepared.prepare_auth(auth, url)
    if request.hooks != _NO_HOOKS or self.hooks != _NO_HOOKS:
        prepared.prepare_hooks(_sessions.merge_hooks(request.hooks, self.hooks))
    return prepared


_NO_HOOKS: dict[str, list[Any]] = requests.models.default_hooks()


def _put_cookies(target: PreparedRequest, given: Any, own: Any) -> None:
    jar = RequestsCookieJar()
    if not given and type(own) is RequestsCookieJar and not own._cookies:  # type: ignore[attr-defined]
        target._cookies = jar  # type: ignore[attr-defined]
        return
    given = given or {}
    if not isinstance(given, CookieJar):
        given = _sessions.cookiejar_from_dict(given)
    target.prepare_cookies(_sessions.merge_cookies(_sessions.merge_cookies(jar, own), given))


# -- settings --------------------------------------------------------------------------------------------------------------


def merge_environment_settings(
    self: Session, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
) -> dict[str, Any]:
    """See `requests.Session.merge_environment_settings`."""
    if not _merging.unchanged():
        return _MERGE(self, url, proxies, stream, verify, cert)  # type: ignore[no-any-return]
    if self.trust_env:
        environment = current_environment()
        if environment is None:
            return _MERGE(self, url, proxies, stream, verify, cert)  # type: ignore[no-any-return]
        if proxies is not None:
            for key, value in environment.proxies_for(url, proxies.get("no_proxy")).items():
                proxies.setdefault(key, value)
        if verify is True or verify is None:
            verify = environment.bundle or verify
    return {
        "proxies": OrderedDict()
        if _are_empty(proxies, self.proxies)
        else _sessions.merge_setting(proxies, self.proxies),
        "stream": self.stream if stream is None else stream,
        "verify": self.verify if verify is None else verify,
        "cert": self.cert if cert is None else cert,
    }


def _are_empty(first: Any, second: Any) -> bool:
    return type(first) is dict and type(second) is dict and not first and not second


# -- sending ---------------------------------------------------------------------------------------------------------------


def send(self: Session, request: PreparedRequest, **kwargs: Any) -> Response:
    """See `requests.Session.send`."""
    kind = type(self)
    if (
        "proxies" not in kwargs
        or isinstance(request, Request)
        or not _sending.unchanged()
        or kind.get_redirect_target is not _TARGET
        or kind.resolve_redirects is not _RESOLVE
    ):
        return _SEND(self, request, **kwargs)  # type: ignore[no-any-return]
    kwargs.setdefault("stream", self.stream)
    kwargs.setdefault("verify", self.verify)
    kwargs.setdefault("cert", self.cert)
    allow_redirects = kwargs.pop("allow_redirects", True)
    hooks = request.hooks
    adapter = self.get_adapter(url=request.url)  # type: ignore[arg-type]
    start = _sessions.preferred_clock()
    response = adapter.send(request, **kwargs)
    response.elapsed = timedelta(seconds=_sessions.preferred_clock() - start)
    if hooks and hooks.get("response"):
        response = _sessions.dispatch_hook("response", hooks, response, **kwargs)
    extract = _sessions.extract_cookies_to_jar
    for earlier in response.history:
        extract(self.cookies, earlier.request, earlier.raw)
    extract(self.cookies, request, response.raw)
    if response.is_redirect:
        response = _follow(self, response, request, allow_redirects, kwargs)
    if not kwargs["stream"]:
        response.content  # noqa: B018  # reads it
    return response


def _follow(
    session: Session, response: Response, request: PreparedRequest, allow_redirects: bool, options: dict[str, Any]
) -> Response:
    if allow_redirects:
        history = [response, *session.resolve_redirects(response, request, **options)]
        if len(history) > 1:
            response = history.pop()
            response.history = history
    else:
        for following in session.resolve_redirects(response, request, yield_requests=True, **options):
            response._next = following  # type: ignore[attr-defined]
            break
    return response


METHODS: dict[str, Callable[..., Any]] = {
    "prepare_request": prepare_request,
    "merge_environment_settings": merge_environment_settings,
    "send": send,
}
"""The methods of a `Session` that stand here."""

ORIGINALS: dict[str, Callable[..., Any]] = {
    "prepare_request": _PREPARE,
    "merge_environment_settings": _MERGE,
    "send": _SEND,
}
"""What requests' own are."""
