"""From a URI to the key of the connections that may serve it."""

from __future__ import annotations

from ..connection.connector import OriginKey
from ..connection.dial import DialOptions, TlsOptions
from ..errors import InvalidURL
from ..wire.uri import Uri

__all__ = ["Origins"]

_MAX_KEYS = 10_000


class Origins:
    """Makes and remembers `OriginKey`s: one object per origin, so that pools compare by identity.

    Args:
        tls: how to speak TLS with https origins.
        dial: how to connect.
        version: HTTP version to pin, None for none.
        unix_path: a UNIX-domain socket that every request goes to.
        accept_ragged_end: see `H1Connection`.
    """

    def __init__(
        self,
        tls: TlsOptions,
        dial: DialOptions,
        version: float | None = None,
        unix_path: str | None = None,
        accept_ragged_end: bool = False,
    ) -> None:
        self._tls = tls
        self._dial = dial
        self._version = version
        self._unix_path = unix_path
        self._accept_ragged_end = accept_ragged_end
        self._keys: dict[tuple[str, str, int], OriginKey] = {}

    def key_for(self, uri: Uri) -> OriginKey:
        """The key for a URI's origin; raises `InvalidURL` for a scheme other than http and https."""
        key = self._keys.get(uri.origin)
        if key is None:
            if uri.scheme not in ("http", "https"):
                raise InvalidURL(f"cannot send a request to the scheme {uri.scheme!r}")
            tls = self._tls if uri.scheme == "https" else None
            key = OriginKey(
                uri.scheme, uri.host, uri.port, tls, self._dial, self._version, self._unix_path, self._accept_ragged_end
            )
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            self._keys[uri.origin] = key
        return key
