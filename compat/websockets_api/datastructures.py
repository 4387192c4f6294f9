"""Header fields as the `websockets` API has them: a mapping in which names may occur several times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Protocol

from drivetrain.compat.websockets_api.exceptions import InvalidHeaderValue
from drivetrain.compat.websockets_api.originals import caught_as_original

__all__ = [
    "Headers",
    "HeadersLike",
    "MultipleValuesError",
    "SupportsKeysAndGetItem",
    "is_valid_header_value",
]

# Tab, printable ASCII, and what ISO 8859-1 has beyond it (RFC 9110 section 5.5).
is_valid_header_value = re.compile(r"[\x09\x20-\x7e\x80-\xff]*").fullmatch


@caught_as_original("datastructures")
class MultipleValuesError(LookupError):
    """A header field was asked for that is there several times."""

    def __str__(self) -> str:
        # As of a KeyError: a name is quoted.
        return repr(self.args[0]) if len(self.args) == 1 else LookupError.__str__(self)


class Headers(MutableMapping[str, str]):
    """Header fields, in order, under names without regard to case.

    As a mapping it takes and gives one value for a name: setting one adds it to those that are there, getting one when there
    are several raises `MultipleValuesError`, deleting removes all. `get_all` and `raw_items` tell of several.

    Characters outside of ASCII are those of ISO 8859-1, in both directions. Values, not names, are checked when they are
    set, so that none can end the line it is on.

    Args:
        args: up to one mapping, or iterable of pairs.
        kwargs: further fields.
    """

    __slots__ = ["_dict", "_list"]

    def __init__(self, *args: HeadersLike, **kwargs: str) -> None:
        self._dict: dict[str, list[str]] = {}
        self._list: list[tuple[str, str]] = []
        self.update(*args, **kwargs)

    def __str__(self) -> str:
        lines = [f"{name}: {value}\r\n" for name, value in self._list]
        return "".join(lines) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._list!r})"

    def copy(self) -> Headers:
        """A second one with the same fields."""
        twin = type(self)()
        twin._list = list(self._list)
        twin._dict = {name: list(values) for name, values in self._dict.items()}
        return twin

    def serialize(self) -> bytes:
        """The lines of a message's head, with the empty one that ends it."""
        return str(self).encode("iso-8859-1")

    # --- a mapping ---------------------------------------------------------------------------------------------------

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def __getitem__(self, key: str) -> str:
        values = self._dict[key.lower()]
        if len(values) > 1:
            raise MultipleValuesError(key)
        return values[0]

    def __setitem__(self, key: str, value: str) -> None:
        if not is_valid_header_value(str(value)):
            raise InvalidHeaderValue(key, value)
        self.set_insecure(key, value)

    def __delitem__(self, key: str) -> None:
        lower = key.lower()
        del self._dict[lower]
        self._list = [field for field in self._list if field[0].lower() != lower]

    def __eq__(self, other: object) -> bool:
        return self._dict == other._dict if isinstance(other, Headers) else NotImplemented

    def clear(self) -> None:
        """Remove all fields."""
        self._dict, self._list = {}, []

    def update(self, *args: HeadersLike, **kwargs: str) -> None:
        """Add fields: those of a mapping or of an iterable of pairs, then those given by name."""
        # Ours, or the original's, in which a name may be there several times.
        super().update(*(arg.raw_items() if hasattr(arg, "raw_items") else arg for arg in args), **kwargs)

    # --- several values ----------------------------------------------------------------------------------------------

    def get_all(self, key: str) -> list[str]:
        """Every value that a name has; an empty list when it has none."""
        return list(self._dict.get(key.lower(), ()))

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Every field, as a pair of name and value, in order and with names as they were set."""
        return iter(self._list)

    def set_insecure(self, key: str, value: str) -> None:
        """Add a field without a look at its value: what came off the wire was looked at there."""
        self._dict.setdefault(key.lower(), []).append(value)
        self._list.append((key, value))


class SupportsKeysAndGetItem(Protocol):
    """What can be asked for its names, and for the value of each."""

    def keys(self) -> Iterable[str]:
        """The names."""
        ...

    def __getitem__(self, key: str) -> str: ...


HeadersLike = Headers | Mapping[str, str] | Iterable[tuple[str, str]] | SupportsKeysAndGetItem
"""What is taken where `Headers` are wanted."""
