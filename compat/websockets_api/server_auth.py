"""HTTP Basic authentication for servers of both colours (RFC 7617)."""

from __future__ import annotations

import hmac
import http
from collections.abc import Callable, Iterable
from typing import Any, cast

from drivetrain.compat.websockets_api.exceptions import InvalidHeader
from drivetrain.compat.websockets_api.headers import build_www_authenticate_basic, parse_authorization_basic
from drivetrain.compat.websockets_api.http11 import Request, Response

__all__ = ["BasicGate", "Credentials"]

Credentials = tuple[str, str] | Iterable[tuple[str, str]]


def _is_credentials(value: Any) -> bool:
    try:
        username, password = value
    except (TypeError, ValueError):
        return False
    return isinstance(username, str) and isinstance(password, str)


def _table(credentials: Any) -> dict[str, str]:
    if _is_credentials(credentials):
        return dict([cast("tuple[str, str]", credentials)])
    if isinstance(credentials, Iterable):
        pairs = list(credentials)
        if all(_is_credentials(pair) for pair in pairs):
            return dict(pairs)
    raise TypeError(f"invalid credentials argument: {credentials}")


class BasicGate:
    """What `basic_auth` asks of clients.

    Args:
        realm: what the credentials are for.
        credentials: a name with its password, or several such pairs.
        check_credentials: instead of them, says whether a name and a password are right.

    Attributes:
        check: called with a name and a password; what it returns may have to be awaited.

    Raises:
        ValueError: neither `credentials` nor `check_credentials`, or both.
        TypeError: `credentials` are none.
    """

    def __init__(
        self, realm: str, credentials: Credentials | None, check_credentials: Callable[[str, str], Any] | None
    ) -> None:
        if (credentials is None) == (check_credentials is None):
            raise ValueError("provide either credentials or check_credentials")
        self._realm = realm
        self._passwords = {} if credentials is None else _table(credentials)
        self.check = check_credentials or self._check

    def _check(self, username: str, password: str) -> bool:
        expected = self._passwords.get(username)
        if expected is None:
            return False
        return hmac.compare_digest(*(text.encode(errors="surrogateescape") for text in (expected, password)))

    def read(self, connection: Any, request: Request) -> tuple[str, str] | Response:
        """The name and the password that a request carries, or the answer to one without."""
        try:
            return parse_authorization_basic(request.headers["Authorization"])
        except KeyError:
            return self.refuse(connection, "Missing credentials\n")
        except InvalidHeader:
            return self.refuse(connection, "Unsupported credentials\n")

    def refuse(self, connection: Any, text: str = "Invalid credentials\n") -> Response:
        """The answer that asks for credentials."""
        response: Response = connection.respond(http.HTTPStatus.UNAUTHORIZED, text)
        response.headers["WWW-Authenticate"] = build_www_authenticate_basic(self._realm)
        return response
