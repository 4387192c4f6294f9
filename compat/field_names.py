"""Names of fields as servers of HTTP/1.1 write them, for responses of HTTP/2, where all names are in lower case.

Programs that look into a plain `dict` of the headers, or compare the names that they iterate over, are written for those.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

__all__ = ["fields_as_written", "name_as_written"]

_UNLIKE_OTHERS = {
    name.lower(): name
    for name in (
        *(
            "Content-MD5",
            "DNT",
            "DPoP",
            "ETag",
            "NEL",
            "P3P",
            "SourceMap",
            "TE",
            "WWW-Authenticate",
            "X-DNS-Prefetch-Control",
        ),
        *("X-Request-ID", "X-UA-Compatible", "X-XSS-Protection"),
    )
}


@lru_cache(512)
def name_as_written(name: str) -> str:
    """A name in the case that servers of HTTP/1.1 mostly give it: `content-type` is Content-Type, `etag` is ETag."""
    return _UNLIKE_OTHERS.get(name) or "-".join(part[:1].upper() + part[1:] for part in name.split("-"))


def fields_as_written(fields: Iterable[tuple[str, str]], http_version: str) -> list[tuple[str, str]]:
    """The field lines of a response without its pseudo-header fields.

    Args:
        fields: (name, value) pairs in order.
        http_version: "1.0", "1.1" or "2", as the engine says it.
    """
    if http_version != "2":
        return [field for field in fields if field[0][0] != ":"]
    return [(name_as_written(name), value) for name, value in fields if name[0] != ":"]
