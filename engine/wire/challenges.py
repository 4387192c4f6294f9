"""What a server says of the authentication it wants: WWW-Authenticate and Proxy-Authenticate (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..util import TOKEN
from .field_values import split_list, unquote

__all__ = ["Challenge", "parse_challenges", "parse_info"]

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf"({TOKEN})[ \t]*=[ \t]*({TOKEN}|{_QUOTED})", re.DOTALL)
_SCHEME = re.compile(rf"({TOKEN})(?:[ \t]+(.*))?", re.DOTALL)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Challenge:
    """One way to authenticate.

    Attributes:
        scheme: in lower case.
        parameters: by their names in lower case, values unquoted; of a repeated one the first counts.
        token: the token68 that stands in place of parameters, None without.
    """

    __slots__ = ("parameters", "scheme", "token")

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme.lower()
        self.parameters: dict[str, str] = {}
        self.token: str | None = None

    def __repr__(self) -> str:
        return f"<Challenge {self.scheme} {self.token or self.parameters}>"


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Read all challenges of a response, in order; what is none is skipped. Never raises.

    Args:
        values: of each field line. A line may hold several challenges, whose parameters are separated by commas too.
    """
    challenges: list[Challenge] = []
    for value in values:
        current: Challenge | None = None
        for item in split_list(value):
            if _take_parameter(current, item):
                continue
            match = _SCHEME.fullmatch(item)
            if match is None:
                continue
            current = Challenge(match.group(1))
            challenges.append(current)
            rest = (match.group(2) or "").strip(" \t")
            if rest and not _take_parameter(current, rest) and _TOKEN68.fullmatch(rest):
                current.token = rest
    return challenges


def parse_info(value: str) -> dict[str, str]:
    """Read Authentication-Info: parameters by their names in lower case, values unquoted. Never raises."""
    holder = Challenge("")
    for item in split_list(value):
        _take_parameter(holder, item)
    return holder.parameters


def _take_parameter(challenge: Challenge | None, item: str) -> bool:
    match = _PARAMETER.fullmatch(item)
    if match is None:
        return False
    if challenge is not None and challenge.token is None:
        challenge.parameters.setdefault(match.group(1).lower(), unquote(match.group(2)))
    return True
