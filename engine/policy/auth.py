"""Authentication (RFC 9110 section 11): Basic, Bearer, Digest, and credentials from a netrc file.

An `Auth` is a generator of requests: it yields what is to be sent, is given the head of the answer, and yields again or ends, so
that one text serves both colours and does no I/O. The same objects authenticate to proxies.

Credentials belong to one origin. The request loop drops an `Auth` when a redirect leads to another one, unless it looks its
credentials up by host.

Any number of threads may use one object.
"""

from __future__ import annotations

import base64
import netrc
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import ClassVar, NamedTuple

from ..errors import InvalidHeader, UsageError
from ..wire.challenges import parse_challenges, parse_info
from ..wire.headers import Headers
from .digest import DigestSession, choose_challenge
from .outgoing import Outgoing

__all__ = [
    "AnswerHead",
    "Auth",
    "AuthFlow",
    "AuthSource",
    "BasicAuth",
    "BearerAuth",
    "DigestAuth",
    "NetrcAuth",
    "make_auth",
]


class AnswerHead(NamedTuple):
    """What an `AuthFlow` is given of a response."""

    status: int
    headers: Headers


# How often a server may ask; a nonce may be stale more than once on a busy one.
_MOST_CHALLENGES = 4

AuthFlow = Generator[Outgoing, AnswerHead, None]
"""Yields requests to be sent, receives the heads of their answers; the last answer counts."""


class Auth(ABC):
    """A way to authenticate.

    Attributes:
        is_by_host: whether credentials are looked up for each host anew, so that redirects to another origin may keep it.
    """

    is_by_host: ClassVar[bool] = False

    @abstractmethod
    def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
        """Begin an exchange.

        Args:
            outgoing: the request; its headers are changed.
            proxy: whether to authenticate to the proxy (407) rather than to the origin (401).
        """


def _names(proxy: bool) -> tuple[int, str, str, str]:
    """Status and names of the fields of challenge, answer and information."""
    if proxy:
        return 407, "proxy-authenticate", "proxy-authorization", "proxy-authentication-info"
    return 401, "www-authenticate", "authorization", "authentication-info"


def _target(outgoing: Outgoing, proxy: bool) -> str:
    """The request target as the one who asks for proof sees it."""
    if outgoing.method == "CONNECT":
        return outgoing.headers.get(":authority", "/")
    headers = outgoing.headers_on_the_wire() if proxy else outgoing.headers
    return headers.get(":path", "/")


class BasicAuth(Auth):
    """User and password in every request (RFC 7617), encoded as UTF-8.

    Raises:
        UsageError: the user has a colon, or either a control character.
    """

    def __init__(self, user: str, password: str) -> None:
        if ":" in user or any(ord(char) < 32 or ord(char) == 127 for char in user + password):
            raise UsageError("a user has no colon, and neither it nor a password has control characters")
        self._value = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")

    def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
        """See `Auth.flow`."""
        outgoing.headers.upsert(_names(proxy)[2], self._value, True)
        yield outgoing


class BearerAuth(Auth):
    """A token in every request (RFC 6750).

    Raises:
        InvalidHeader: the token holds a character that a field value must not have.
    """

    def __init__(self, token: str) -> None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidHeader("a bearer token is one word of visible ASCII characters")
        self._value = f"Bearer {token}"

    def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
        """See `Auth.flow`."""
        outgoing.headers.upsert(_names(proxy)[2], self._value, True)
        yield outgoing


class DigestAuth(Auth):
    """Proof of knowing a password, without sending it (RFC 7616).

    MD5, SHA-256 and SHA-512-256, their -sess forms, qop auth and auth-int, userhash, charset, nextnonce. A nonce is used again
    for further requests to the same origin, so that only the first is sent twice. With a body that cannot be sent again, the
    answer 401 is final.
    """

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._lock = threading.Lock()
        self._sessions: dict[tuple[object, ...], DigestSession] = {}

    def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
        """See `Auth.flow`."""
        status, asks, answers, informs = _names(proxy)
        place = ("proxy", outgoing.key.proxy) if proxy else outgoing.uri.origin
        with self._lock:
            session = self._sessions.get(place)
        fresh = False
        for _ in range(_MOST_CHALLENGES):
            if session is not None:
                body = outgoing.body
                if session.needs_body and body is not None and body.whole is None:
                    # The proof covers the body, which is not at hand.
                    session = None
                else:
                    target = _target(outgoing, proxy)
                    whole = body.whole if body is not None else b""
                    with self._lock:
                        value = session.authorize(outgoing.method_on_the_wire, target, whole)
                    outgoing.headers.upsert(answers, value, True)
            answer = yield outgoing
            if answer.status != status:
                self._learn(session, answer.headers.get(informs))
                return
            challenge = choose_challenge(parse_challenges(answer.headers.get_as_sequence(asks)))
            is_stale = challenge is not None and challenge.parameters.get("stale", "").lower() == "true"
            body = outgoing.body
            # A nonce from before may have been forgotten by the server without its saying so, hence once more.
            if challenge is None or (fresh and not is_stale) or not (body is None or body.is_replayable):
                return
            fresh = True
            session = DigestSession(challenge, self._user, self._password)
            if not session.is_usable:
                return
            with self._lock:
                self._sessions[place] = session

    def _learn(self, session: DigestSession | None, information: str | None) -> None:
        if session is None or information is None:
            return
        nonce = parse_info(information).get("nextnonce")
        if nonce:
            with self._lock:
                session.renew(nonce)


class NetrcAuth(Auth):
    """User and password by host, from a netrc file, sent as Basic; other hosts get none.

    Args:
        path: of the file; None for `NETRC` in the environment, else `~/.netrc` or `~/_netrc`, and it is no error if none of
            them is there.

    Raises:
        UsageError: the file cannot be read or understood.
    """

    is_by_host = True

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._hosts: netrc.netrc | None = None
        found = path if path is not None else _find_netrc()
        if found is None:
            return
        try:
            self._hosts = netrc.netrc(os.fspath(found))
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot use the netrc file {os.fspath(found)!r}: {error}") from error

    def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
        """See `Auth.flow`."""
        found = None if self._hosts is None else self._hosts.authenticators(outgoing.uri.host)
        login, account, password = found or ("", "", "")
        user = login or account or ""
        # An entry without either says nothing of how to get in.
        if (user or password) and not outgoing.headers.has(_names(proxy)[2]):
            yield from BasicAuth(user, password or "").flow(outgoing, proxy)
        else:
            yield outgoing


AuthSource = Auth | tuple[str, str] | None
"""What an `auth` argument may be; a pair is (user, password) for Basic."""


def _find_netrc() -> str | None:
    named = os.environ.get("NETRC")
    candidates = [named] if named else ["~/.netrc", "~/_netrc"]
    for candidate in candidates:
        path = os.path.expanduser(candidate)
        if os.path.isfile(path):
            return path
    return None


def make_auth(source: AuthSource) -> Auth | None:
    """Read an `auth` argument: an `Auth`, or (user, password) for Basic.

    Raises:
        TypeError: it is neither.
    """
    if source is None or isinstance(source, Auth):
        return source
    if isinstance(source, tuple) and len(source) == 2 and all(isinstance(part, str) for part in source):
        return BasicAuth(*source)
    raise TypeError(f"auth is an Auth or a pair (user, password), not {type(source).__name__}")
