"""What requests asks the environment before each request (proxies, bundle, netrc), asked again only when it has changed.

Laws:

- the answers are those of requests' own functions, which are what is called whenever nothing is known yet, on systems
  that keep their proxies elsewhere than in variables, and while somebody has put other functions in their place;
- a variable that changes, and a netrc file that appears, changes or goes, takes effect with the next request.
"""

from __future__ import annotations

import os
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import requests.sessions
import requests.utils

from drivetrain.compat.replaced import Watch

__all__ = ["Environment", "current_environment"]

_MAX_HOSTS = 1000
# A file that was changed so short a time ago may change again without a new time stamp.
_SETTLED = 2.0
_SYSTEM: Any = urllib.request
_utils: Any = requests.utils
_sessions: Any = requests.sessions
# On other systems than those, proxies come from a registry too.
_only_variables = getattr(_SYSTEM, "getproxies", None) is getattr(_SYSTEM, "getproxies_environment", 0)
_asks = Watch(
    (requests.sessions, ("get_environ_proxies", "get_netrc_auth")),
    (requests.utils, ("get_environ_proxies", "getproxies", "proxy_bypass", "should_bypass_proxies", "set_environ")),
    (requests.utils, ("getproxies_environment", "proxy_bypass_environment", "NETRC_FILES")),
    (urllib.request, ("getproxies_environment", "proxy_bypass_environment")),
)


class Environment:
    """The environment's variables at one time, and what they mean.

    Any number of threads may use one.

    Attributes:
        variables: as the operating system has them.
        proxies: what `getproxies` makes of them.
        bundle: the file or directory of authorities they name, None for none.
    """

    def __init__(self, variables: Any) -> None:
        self.variables = variables
        self.proxies: dict[str, str] = _utils.getproxies()
        self.bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None
        named = os.environ.get("NETRC")
        places = [f"~/{name}" for name in _utils.NETRC_FILES] if named is None else [named]
        self._netrc_places = [os.path.expanduser(place) for place in places]
        self._routes: dict[Any, dict[str, str]] = {}
        self._logins: dict[Any, tuple[str, str] | None] = {}

    def proxies_for(self, url: str, no_proxy: str | None) -> dict[str, str]:
        """What `requests.utils.get_environ_proxies` returns; not to be changed by the caller."""
        if not self.proxies:
            return self.proxies
        key = (urlsplit(url).netloc, no_proxy)
        known = self._routes.get(key)
        if known is not None:
            return known
        found: dict[str, str] = _sessions.get_environ_proxies(url, no_proxy=no_proxy)
        if len(self._routes) < _MAX_HOSTS:
            self._routes[key] = found
        return found

    def login_for(self, url: str) -> tuple[str, str] | None:
        """What `requests.utils.get_netrc_auth` returns."""
        for place in self._netrc_places:
            if os.access(place, os.F_OK):
                return self._login_in(place, url)
        return None

    def _login_in(self, place: str, url: str) -> tuple[str, str] | None:
        try:
            found = os.stat(place)
        except OSError:
            return _login(url)
        key = (place, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, urlsplit(url).netloc)
        if key in self._logins:
            return self._logins[key]
        login = _login(url)
        if time.time() - max(found.st_mtime, found.st_ctime) > _SETTLED:
            if len(self._logins) >= _MAX_HOSTS:
                self._logins = {}
            self._logins[key] = login
        return login


def _login(url: str) -> tuple[str, str] | None:
    login: tuple[str, str] | None = _sessions.get_netrc_auth(url)
    return login


_known: list[Environment | None] = [None]


def current_environment() -> Environment | None:
    """The environment as it is now; None when requests' own functions have to be asked."""
    if not _only_variables or not _asks.unchanged():
        return None
    # The mapping behind `os.environ`: comparing it costs a hundredth of reading it through `os.environ`.
    variables = getattr(os.environ, "_data", None)
    if type(variables) is not dict:
        return None
    known = _known[0]
    if known is None or known.variables != variables:
        known = _known[0] = Environment(variables.copy())
    return known
