"""The grammar that many field values share: comma lists, quoted strings, parameters (RFC 9110 sections 5.6.1 to 5.6.6).

These functions read what the peer sent and are lenient where nothing hangs on it: they never raise, and every input has
one reading. What must be strict, such as Content-Length, is read by whoever relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..util import TOKEN

__all__ = ["has_list_item", "parse_parameters", "split_list", "unquote"]

_QUOTED = r'"(?:[^"\\]|\\.)*"'
# One member of a list: quoted strings may hold commas; a quote that is never closed is an ordinary character.
_MEMBER = re.compile(rf'(?:{_QUOTED}|[^,"]|")+', re.DOTALL)
_PARAMETER = re.compile(rf";[ \t]*(?:({TOKEN})[ \t]*(?:=[ \t]*({_QUOTED}|[^;]*))?)?[^;]*", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def split_list(value: str) -> list[str]:
    """Split a comma list into its members, without blanks around them and without empty ones.

    Commas inside quoted strings do not split.
    """
    if '"' not in value:
        return [member for part in value.split(",") if (member := part.strip(" \t"))]
    return [member for part in _MEMBER.findall(value) if (member := part.strip(" \t"))]


def has_list_item(values: Iterable[str], item: str) -> bool:
    """Tell whether one of the comma lists `values` has the member `item`, which is in lower case, in any case.

    Made for `Connection`, `Upgrade` and the like: ``has_list_item(headers.get_as_sequence("connection"), "close")``.
    """
    for value in values:
        lower = value.lower()
        if lower == item or (item in lower and item in split_list(lower)):
            return True
    return False


def unquote(text: str) -> str:
    """Return the content of a quoted-string; anything else is returned as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return _ESCAPED.sub(r"\1", text[1:-1])


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Split "text/html; charset=utf-8" into what stands before the first ";" and its parameters.

    Parameter names are in lower case, values unquoted, "" where there is no "="; of a repeated parameter the first
    counts; what is no parameter is skipped.
    """
    main, semicolon, _ = value.partition(";")
    parameters: dict[str, str] = {}
    for name, text in _PARAMETER.findall(value, len(main)) if semicolon else ():
        if name:
            parameters.setdefault(name.lower(), unquote(text.rstrip(" \t")))
    return main.strip(" \t"), parameters
