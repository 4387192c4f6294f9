"""The Digest scheme's arithmetic (RFC 7616): a challenge, credentials and a request to the value of Authorization."""

from __future__ import annotations

import hashlib
import secrets
from urllib.parse import quote

from ..wire.challenges import Challenge

__all__ = ["DigestSession", "choose_challenge"]

# Best first. The specification's name for SHA-512 cut to 256 bits is hashlib's with an underscore.
_ALGORITHMS = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_ORDER = [*_ALGORITHMS]


def _digest(algorithm: str, data: bytes) -> str:
    # MD5 is what the scheme was made with, and what many servers still offer alone.
    return hashlib.new(_ALGORITHMS[algorithm], data, usedforsecurity=False).hexdigest()


def _base(challenge: Challenge) -> str:
    return challenge.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS")


def choose_challenge(challenges: list[Challenge]) -> Challenge | None:
    """The Digest challenge with the strongest algorithm that is known, the first of equals; None without any."""
    known = [
        challenge
        for challenge in challenges
        if challenge.scheme == "digest"
        and _base(challenge) in _available()
        and "nonce" in challenge.parameters
        and "realm" in challenge.parameters
    ]
    return min(known, key=lambda challenge: _ORDER.index(_base(challenge)), default=None)


def _available() -> set[str]:
    return {name for name, own in _ALGORITHMS.items() if own in hashlib.algorithms_available}


class DigestSession:
    """One nonce and how often it was used. Not synchronised.

    Args:
        challenge: what the server said.
        user, password: the credentials.
    """

    def __init__(self, challenge: Challenge, user: str, password: str) -> None:
        parameters = challenge.parameters
        self._algorithm = parameters.get("algorithm")
        self._base = _base(challenge)
        self._is_session = (self._algorithm or "").upper().endswith("-SESS")
        self._realm = parameters["realm"]
        self._opaque = parameters.get("opaque")
        self._qop = [option.strip().lower() for option in parameters.get("qop", "").split(",") if option.strip()]
        self._hashes_user = parameters.get("userhash", "").lower() == "true"
        # Where the server does not say, what fits into ISO-8859-1 goes as that, as it always did.
        self._encoding = "utf-8" if parameters.get("charset", "").lower() == "utf-8" else "latin-1"
        try:
            (user + password).encode(self._encoding)
        except UnicodeEncodeError:
            self._encoding = "utf-8"
        self._user, self._password = user.encode(self._encoding), password.encode(self._encoding)
        self.nonce = parameters["nonce"]
        self._count = 0
        self._session_key: str | None = None
        self._session_cnonce = ""

    def renew(self, nonce: str) -> None:
        """Go on with the nonce of an Authentication-Info."""
        self.nonce = nonce
        self._count = 0

    @property
    def needs_body(self) -> bool:
        """Whether only `auth-int` is offered, which covers the body."""
        return bool(self._qop) and "auth" not in self._qop and "auth-int" in self._qop

    @property
    def is_usable(self) -> bool:
        """Whether the quality of protection is one that is known, or none."""
        return not self._qop or "auth" in self._qop or "auth-int" in self._qop

    def authorize(self, method: str, target: str, body: bytes | None, cnonce: str | None = None) -> str:
        """The value of (Proxy-)Authorization for a request.

        Args:
            target: the request target as sent.
            body: the whole body, where `needs_body`.
            cnonce: for tests; otherwise chosen at random.
        """
        client_nonce = cnonce or self._session_cnonce or secrets.token_hex(16)
        self._count += 1
        count = f"{self._count:08x}"
        key = self._key(client_nonce)
        about = f"{method}:{target}".encode("latin-1")
        qop = "auth-int" if self.needs_body else "auth" if self._qop else ""
        if qop == "auth-int":
            about += b":" + _digest(self._base, body or b"").encode()
        proof = f"{self.nonce}:{count}:{client_nonce}:{qop}:" if qop else f"{self.nonce}:"
        response = _digest(self._base, f"{key}:{proof}{_digest(self._base, about)}".encode("latin-1"))
        fields = [*self._user_fields(), _quoted("realm", self._realm), _quoted("uri", target)]
        if self._algorithm is not None:
            fields.append(f"algorithm={self._algorithm}")
        fields += [_quoted("nonce", self.nonce)]
        if qop:
            fields += [f"nc={count}", _quoted("cnonce", client_nonce), f"qop={qop}"]
        elif self._is_session:
            fields.append(_quoted("cnonce", client_nonce))
        fields.append(_quoted("response", response))
        if self._opaque is not None:
            fields.append(_quoted("opaque", self._opaque))
        return "Digest " + ", ".join(fields)

    def _key(self, client_nonce: str) -> str:
        """H(A1); with -sess algorithms computed once, with the first client nonce (section 3.4.2)."""
        if self._session_key is not None:
            return self._session_key
        key = _digest(self._base, self._user + b":" + self._realm.encode("latin-1") + b":" + self._password)
        if self._is_session:
            self._session_cnonce = client_nonce
            key = _digest(self._base, f"{key}:{self.nonce}:{client_nonce}".encode("latin-1"))
            self._session_key = key
        return key

    def _user_fields(self) -> list[str]:
        if self._hashes_user:
            hashed = _digest(self._base, self._user + b":" + self._realm.encode("latin-1"))
            return [_quoted("username", hashed), "userhash=true"]
        if self._encoding == "latin-1" or self._user.isascii():
            return [_quoted("username", self._user.decode("latin-1"))]
        return [f"username*=UTF-8''{quote(self._user, safe='')}"]


def _quoted(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
