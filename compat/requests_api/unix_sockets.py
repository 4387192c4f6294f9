"""URLs of the scheme `http+unix`: a socket of this machine instead of a host, as requests-unixsocket and docker's client have it.

`http+unix://%2Fvar%2Frun%2Fdocker.sock/info` asks for `/info` at the socket `/var/run/docker.sock`. The path of the socket stands
where the host is, percent-encoded; Host says "localhost". Such a request goes through no proxy.
"""

from __future__ import annotations

import urllib.parse
from urllib.parse import unquote, urlsplit

__all__ = ["SCHEME", "is_unix", "split_unix"]

SCHEME = "http+unix"
_PREFIX = f"{SCHEME}:"


def is_unix(url: str) -> bool:
    """Whether a URL names a socket."""
    return url[: len(_PREFIX)].lower() == _PREFIX


def split_unix(url: str) -> tuple[str, str]:
    """The path of the socket, and the URL that is asked for there."""
    parts = urlsplit(url)
    return unquote(parts.netloc), parts._replace(scheme="http", netloc="localhost").geturl()


def _teach(known: list[str]) -> None:
    if SCHEME not in known:
        known.append(SCHEME)


# `urljoin`, with which requests follows redirects, looks here for the schemes whose URLs may be relative.
_teach(urllib.parse.uses_relative)
_teach(urllib.parse.uses_netloc)
