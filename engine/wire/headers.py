"""`Headers`: the fields of one message, in order, with repetition, looked up without regard to case.

Laws:

- names keep the case they were given in and are compared without it; HTTP/2 lower-cases when it writes;
- the request and status line travel as `:method :scheme :authority :path :status`, as text, like any other field;
- every field has a *never-index* flag (RFC 7541 section 7.1.3) for values that no header compression may remember. It
  is true by default for `SENSITIVE_NAMES`; a field appended with another choice keeps that choice;
- `append` and the other writers refuse what must not reach the wire; `adopt` checks nothing, for parsers that did;
- an object is not synchronised: several threads may read one, but not while another writes to it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Protocol, TextIO, TypeVar, Union, overload

from ..errors import InvalidHeader, UsageError
from ..util import TOKEN

__all__ = ["SENSITIVE_NAMES", "HeaderSource", "Headers"]

SENSITIVE_NAMES = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie"))
"""Lower-case names of the fields that are never indexed by default and never shown by `repr`."""

D = TypeVar("D")


class _HasItems(Protocol):
    """What mappings, multi-maps and `email.message.Message` have in common."""

    def items(self) -> Iterable[tuple[str, str]]: ...


HeaderSource = Union["Headers", _HasItems, Mapping[str, str], Iterable[tuple[str, str] | tuple[str, str, bool]]]
"""What a `Headers` can be made from: another one, anything with `items()`, or (name, value[, never_index]) tuples."""

_is_name = re.compile(f":?{TOKEN}").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch

# Names that passed `_is_name`. Bounded: names from outside must not make it grow for ever.
_checked_names: set[str] = set()
_MAX_CHECKED_NAMES = 1024
_name_of, _value_of = itemgetter(0), itemgetter(1)


def _check_name(name: str) -> str:
    """Return `name`, of a subclass of `str` its characters."""
    if not isinstance(name, str):
        raise TypeError(f"a header name must be str, not {type(name).__name__}")
    if not _is_name(name):
        raise InvalidHeader(f"{name[:80]!r} is not a header name: RFC 9110 section 5.1 wants a token")
    plain = str.__str__(name)  # `str` and formatting make something else of a member of an enumeration
    if len(_checked_names) < _MAX_CHECKED_NAMES and len(plain) <= 64:
        _checked_names.add(plain)
    return plain


def _check_value(name: str, value: str) -> str:
    """Return `value` without surrounding blanks. Messages name the field only: the value may be a secret."""
    if not isinstance(value, str):
        raise TypeError(f"the value of header {name!r} must be str, not {type(value).__name__}")
    if _is_value(value):
        return str.strip(value, " \t")
    for position, char in enumerate(value):
        if char > "\xff":
            raise InvalidHeader(
                f"the value of header {name!r} has a character above U+00FF at index {position}: encode it first, "
                "e.g. value.encode().decode('latin-1') to send UTF-8, or RFC 8187 for parameters"
            )
        if not _is_value(char):
            raise InvalidHeader(f"the value of header {name!r} has the control character {char!r} at index {position}")
    raise AssertionError("unreachable")


class Headers:
    """An ordered, case-insensitive multi-map of header fields. See the module for its laws.

    Args:
        source: another `Headers`, anything with `items()`, an iterable of (name, value) or (name, value, never_index)
            tuples, or None.

    Raises:
        InvalidHeader: a name or value that must not go on the wire.
        TypeError: a name or value that is not `str`.
    """

    # _fields: the fields. _never: position -> flag, only where it differs from the default; None when nowhere.
    # _first: lower-case name -> first value. _index: lower-case name -> positions. Both None until they are asked for,
    # and _index is None while _first is.
    __slots__ = ("_fields", "_first", "_index", "_never")

    def __init__(self, source: HeaderSource | None = None) -> None:
        self._fields: list[tuple[str, str]] = []
        self._never: dict[int, bool] | None = None
        self._first: dict[str, str] | None = None
        self._index: dict[str, list[int]] | None = None
        if source is not None:
            self.extend(source)

    @classmethod
    def adopt(cls, fields: list[tuple[str, str]]) -> Headers:
        """Make an object that owns `fields` itself, neither copied nor checked. The caller lets go of the list."""
        self = cls.__new__(cls)
        self._fields = fields
        self._never = self._first = self._index = None
        return self

    def raw_fields(self) -> list[tuple[str, str]]:
        """Return the fields themselves, for serialising without a copy. Read only: changing the list breaks lookups."""
        return self._fields

    # Reading

    def first_values(self) -> dict[str, str]:
        """Return lower-case name -> first value, for many lookups in a row. Built once per change; read only."""
        first = self._first
        if first is None:
            # Backwards, so that the first field of a name is the one that stays; and by code in C, for every head has one.
            fields = self._fields[::-1]
            first = self._first = dict(zip(map(str.lower, map(_name_of, fields)), map(_value_of, fields), strict=True))
        return first

    def _positions(self, key: str) -> list[int]:
        """Return the positions of the fields with the lower-case name `key`; only after `first_values`."""
        index = self._index
        if index is None:
            index = {}
            for position, (name, _) in enumerate(self._fields):
                index.setdefault(name.lower(), []).append(position)
            self._index = index  # only when complete: another thread may be reading
        return index.get(key, [])

    def _flag(self, position: int, name: str) -> bool:
        never = self._never
        if never is not None and position in never:
            return never[position]
        return name.lower() in SENSITIVE_NAMES

    def each(self) -> Iterator[tuple[str, str, bool]]:
        """Iterate over all fields in order as (name, value, never_index)."""
        for position, (name, value) in enumerate(self._fields):
            yield name, value, self._flag(position, name)

    def has(self, name: str) -> bool:
        """Tell whether there is a field called `name`."""
        return name.lower() in (self._first or self.first_values())

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: D) -> str | D: ...
    def get(self, name: str, default: D | None = None) -> str | D | None:
        """Return the value of the first field called `name`, else `default`. See `get_as_sequence` for all of them."""
        return (self._first or self.first_values()).get(name.lower(), default)

    def get_as_sequence(self, name: str) -> list[str]:
        """Return the values of all fields called `name`, in order, as a new list."""
        key = name.lower()
        first = self._first or self.first_values()
        if key not in first:
            return []
        if len(first) == len(self._fields):  # no name is repeated
            return [first[key]]
        fields = self._fields
        return [fields[position][1] for position in self._positions(key)]

    def get_comma_separated(self, name: str) -> str | None:
        """Return all values of `name` joined by ", " (RFC 9110 section 5.3), None without any.

        Not for Set-Cookie, whose values have commas of their own.
        """
        values = self.get_as_sequence(name)
        return ", ".join(values) if values else None

    def geti(self, i: int) -> tuple[str, str, bool]:
        """Return the field at position `i` (from 0; negative from the end) as (name, value, never_index).

        Raises:
            IndexError: there is no such position.
        """
        i = self._position(i)
        name, value = self._fields[i]
        return name, value, self._flag(i, name)

    def _position(self, i: int) -> int:
        size = len(self._fields)
        if not -size <= i < size:
            raise IndexError(f"no header field at position {i}: there are {size}")
        return i + size if i < 0 else i

    # Writing

    def append(self, name: str, value: str, never_index: bool | None = None) -> None:
        """Add a field at the end. Blanks around `value` are no part of it and are dropped.

        Args:
            name: a token, or ":" and a token.
            value: text of U+0020 to U+00FF and tab, without DEL; characters from U+0080 travel as single bytes.
            never_index: None for the default of the name.

        Raises:
            InvalidHeader: other characters. The message never quotes the value.
            TypeError: `name` or `value` is not `str`.
        """
        if type(name) is not str or name not in _checked_names:
            name = _check_name(name)
        if type(value) is not str or not (value.isprintable() and value.isascii()) or value.strip() is not value:
            value = _check_value(name, value)
        fields = self._fields
        if self._first is not None:
            key = name.lower()
            self._first.setdefault(key, value)
            if self._index is not None:
                self._index.setdefault(key, []).append(len(fields))
        if never_index is not None:
            self._set_flag(len(fields), name, never_index)
        fields.append((name, value))

    def _set_flag(self, position: int, name: str, never_index: bool | None) -> None:
        """Write the flag of a position; None, or what is the default anyway, is kept by keeping nothing."""
        if never_index is None or never_index == (name.lower() in SENSITIVE_NAMES):
            if self._never is not None:
                self._never.pop(position, None)
        elif self._never is None:
            self._never = {position: never_index}
        else:
            self._never[position] = never_index

    def extend(self, source: HeaderSource) -> None:
        """Append every field of `source`, which may be whatever the constructor takes.

        Raises:
            InvalidHeader, TypeError: as `append`; the fields before the faulty one have been added.
        """
        if isinstance(source, Headers):
            self._extend_by_headers(source)
            return
        # Asked of the object, not of its type: email.message.Message has items() without being a Mapping.
        items: Any = getattr(source, "items", None)
        fields: Any = source if items is None else items()
        for field in fields:
            if isinstance(field, str):
                raise TypeError("headers are made from (name, value) tuples, not from str")
            if len(field) == 2:
                name, value = field
                self.append(name, value)
            else:
                self.append(*field)

    def _extend_by_headers(self, source: Headers) -> None:
        if source._never is not None:
            offset = len(self._fields)
            moved = {offset + position: never for position, never in source._never.items()}
            self._never = {**(self._never or {}), **moved}
        self._fields.extend(source._fields)
        self._first = self._index = None

    def modifyi(self, i: int, value: str, never_index: bool | None = None) -> None:
        """Change the value and flag of the field at position `i` (from 0; negative from the end); its name stays.

        Raises:
            IndexError: there is no such position.
            InvalidHeader, TypeError: as `append`.
        """
        i = self._position(i)
        name = self._fields[i][0]
        self._replace(i, name, _check_value(name, value), never_index)

    def _replace(self, position: int, name: str, value: str, never_index: bool | None) -> None:
        self._set_flag(position, name, never_index)
        self._fields[position] = (name, value)
        key = name.lower()
        if self._first is not None and self._positions(key)[0] == position:
            self._first[key] = value

    def upsert(self, name: str, value: str, never_index: bool | None = None) -> None:
        """Change the one field called `name` where it stands, or append it if there is none.

        Raises:
            UsageError: there are several. `headers[name] = value` replaces them all.
            InvalidHeader, TypeError: as `append`.
        """
        if not self.has(name):
            self.append(name, value, never_index)
            return
        positions = self._positions(name.lower())
        if len(positions) > 1:
            raise UsageError(f"cannot upsert header {name!r}: it is there {len(positions)} times")
        self.modifyi(positions[0], value, never_index)

    def delete(self, name: str) -> bool:
        """Remove all fields called `name`; tell whether there were any."""
        if not self.has(name):
            return False
        self._remove(self._positions(name.lower()))
        return True

    def _remove(self, positions: list[int]) -> None:
        gone = set(positions)
        self._rearrange([position for position in range(len(self._fields)) if position not in gone])

    def _rearrange(self, order: list[int]) -> None:
        """Keep the fields at the positions `order`, in that order, in the same list object."""
        never = self._never
        if never is not None:
            self._never = {new: never[old] for new, old in enumerate(order) if old in never} or None
        fields = self._fields
        fields[:] = [fields[position] for position in order]
        self._first = self._index = None

    def clear(self) -> None:
        """Remove every field."""
        self._rearrange([])

    def sort(self) -> None:
        """Sort by name without case, names with ":" first; then by value; then never-indexed fields first."""
        rows = [(name[:1] != ":", name.lower(), value, not never) for name, value, never in self.each()]
        self._rearrange(sorted(range(len(rows)), key=rows.__getitem__))

    def dump(self, file: TextIO | None = None, prefix: str = "") -> None:
        """Write the fields one per line to `file` (default: stderr), each line after `prefix`.

        For debugging: values are written as they are, secrets too.
        """
        out = sys.stderr if file is None else file
        out.write("".join(f"{prefix}{name}: {value}\n" for name, value in self._fields))
        out.flush()

    def clone(self) -> Headers:
        """Return an independent object with the same fields."""
        twin = self.adopt(list(self._fields))
        twin._never = None if self._never is None else dict(self._never)
        return twin

    def copy(self) -> Headers:
        """Return an independent object with the same fields: `clone` under Python's name for it."""
        return self.clone()

    def keys(self) -> list[str]:
        """Return the name of every field, in order, as given."""
        return [name for name, _ in self._fields]

    def values(self) -> list[str]:
        """Return the value of every field, in order."""
        return [value for _, value in self._fields]

    def items(self) -> list[tuple[str, str]]:
        """Return every field as (name, value), in order, as a new list."""
        return list(self._fields)

    # Python's protocols

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __getitem__(self, name: str) -> str:
        return (self._first or self.first_values())[name.lower()]

    def __setitem__(self, name: str, value: str) -> None:
        """Replace all fields called `name` by one, where the first of them stood, or append it."""
        if not self.has(name):
            self.append(name, value)
            return
        name = _check_name(name)
        value = _check_value(name, value)
        first, *others = self._positions(name.lower())
        self._replace(first, name, value, None)
        if others:
            self._remove(others)

    def __delitem__(self, name: str) -> None:
        if not self.delete(name):
            raise KeyError(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        if len(self._fields) != len(other._fields):
            return False
        return all(
            value == other_value and name.lower() == other_name.lower() and never == other_never
            for (name, value, never), (other_name, other_value, other_never) in zip(
                self.each(), other.each(), strict=True
            )
        )

    def __copy__(self) -> Headers:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Headers:
        return self.clone()

    def __getstate__(self) -> tuple[list[tuple[str, str]], dict[int, bool] | None]:
        return self._fields, self._never

    def __setstate__(self, state: tuple[list[tuple[str, str]], dict[int, bool] | None]) -> None:
        self._fields, self._never = state
        self._first = self._index = None

    def __repr__(self) -> str:
        shown = [(name, "[hidden]" if self._hidden(i, name) else value) for i, (name, value) in enumerate(self._fields)]
        return f"{type(self).__name__}({shown!r})"

    def _hidden(self, position: int, name: str) -> bool:
        return name.lower() in SENSITIVE_NAMES or self._flag(position, name)
