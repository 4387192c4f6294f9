"""Credentials for the deprecated server, by HTTP Basic authentication."""

from __future__ import annotations

import functools
import hmac
import http
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import InvalidHeader
from drivetrain.compat.websockets_api.headers import build_www_authenticate_basic, parse_authorization_basic
from drivetrain.compat.websockets_api.legacy.server import HTTPResponse, WebSocketServerProtocol

__all__ = ["BasicAuthWebSocketServerProtocol", "Credentials", "basic_auth_protocol_factory", "is_credentials"]

Credentials = tuple[str, str]
"""A name with its password."""

_Check = Callable[[str, str], Awaitable[bool]]


def is_credentials(value: Any) -> bool:
    """Whether it is a name with its password."""
    try:
        username, password = value
    except (TypeError, ValueError):
        return False
    return isinstance(username, str) and isinstance(password, str)


class BasicAuthWebSocketServerProtocol(WebSocketServerProtocol):
    """A connection that only those with the right credentials get.

    Args:
        args: as for `WebSocketServerProtocol`.
        realm: what the credentials are for.
        check_credentials: awaited with a name and a password; what the method of this name does by default.
        kwargs: as for `WebSocketServerProtocol`.

    Attributes:
        realm: what the credentials are for; a subclass may have its own.
        username: who is there, from the opening handshake on.
    """

    realm: str = ""
    username: str | None = None  # type: ignore[assignment]  # where nobody is, the new API has no attribute

    def __init__(
        self, *args: Any, realm: str | None = None, check_credentials: _Check | None = None, **kwargs: Any
    ) -> None:
        if realm is not None:
            self.realm = realm
        self._check_credentials = check_credentials
        super().__init__(*args, **kwargs)

    async def check_credentials(self, username: str, password: str) -> bool:
        """Whether they are right. May be overridden."""
        return self._check_credentials is not None and await self._check_credentials(username, password)

    async def process_request(self, path: str, request_headers: Headers) -> HTTPResponse | None:
        """Refuse those who have none, or the wrong ones."""
        if "Authorization" not in request_headers:
            return self._refusal("Missing")
        try:
            username, password = parse_authorization_basic(request_headers["Authorization"])
        except InvalidHeader:
            return self._refusal("Unsupported")
        if not await self.check_credentials(username, password):
            return self._refusal("Invalid")
        self.username = username
        return await super().process_request(path, request_headers)

    def _refusal(self, what: str) -> HTTPResponse:
        fields = [("WWW-Authenticate", build_www_authenticate_basic(self.realm))]
        return http.HTTPStatus.UNAUTHORIZED, fields, f"{what} credentials\n".encode()


def basic_auth_protocol_factory(
    realm: str | None = None,
    credentials: Credentials | Iterable[Credentials] | None = None,
    check_credentials: _Check | None = None,
    create_protocol: Callable[..., BasicAuthWebSocketServerProtocol] | None = None,
) -> Callable[..., BasicAuthWebSocketServerProtocol]:
    """Make a `create_protocol` for `serve` that lets in who has the right credentials.

    Args:
        realm: what they are for.
        credentials: a name with its password, or several such pairs.
        check_credentials: instead of them, awaited with a name and a password.
        create_protocol: makes the connections instead of `BasicAuthWebSocketServerProtocol`.

    Raises:
        TypeError: neither credentials nor a check, or both; or these are no credentials.
    """
    if (credentials is None) == (check_credentials is None):
        raise TypeError("provide either credentials or check_credentials")
    if credentials is not None:
        check_credentials = _check_of(credentials)
    make = create_protocol or BasicAuthWebSocketServerProtocol
    return functools.partial(make, realm=realm, check_credentials=check_credentials)


def _check_of(credentials: Any) -> _Check:
    if is_credentials(credentials):
        credentials = [credentials]
    pairs: list[Any] = list(credentials) if isinstance(credentials, Iterable) else [None]
    if not all(is_credentials(pair) for pair in pairs):
        raise TypeError(f"invalid credentials argument: {credentials}")
    passwords = dict(pairs)

    async def check(username: str, password: str) -> bool:
        expected = passwords.get(username)
        return expected is not None and hmac.compare_digest(expected.encode(), password.encode())

    return check
