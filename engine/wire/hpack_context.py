"""`HpackContext`: header compression for one direction of one connection (RFC 7541; lua-http's `http.hpack`).

Laws:

- a context has one dynamic table, so a connection has two contexts: one that encodes and one that decodes;
- text is ISO-8859-1, so that every byte survives; payloads are bytes;
- never-indexed fields stay so: they are written as such even when the table knows the pair, and reading says which were;
- what does not decode is an `H2Error` COMPRESSION_ERROR of the connection, a header list above the limit an
  `H2LimitExceeded`. After either the context is of no more use, as the peer's table is not known any longer. Messages
  quote neither values nor payload;
- a limit that falls below the size of the encoder's table shrinks the table when the next block begins, and is announced
  there, the smallest first (RFC 7541 section 4.2);
- integers are bounded to five bytes, the table to its limit, whatever the peer allows.

The tables and the decoder are those of the package `hpack`. Ours are the choice of the representation (hpack's encoder
writes a never-indexed field as an index when the table knows the pair), Huffman coding, which is several times faster
here, and size updates (hpack's are lost when a size is set twice).

A context is not synchronised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpack import (
    Decoder,
    HeaderTuple,
    HPACKError,
    InvalidTableIndexError,
    NeverIndexedHeaderTuple,
    OversizedHeaderListError,
)
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from ..errors import InvalidHeader, UsageError
from .h2_errors import H2Error, H2ErrorCode, H2LimitExceeded
from .h2_fields import WireField
from .headers import Headers
from .hpack_table import CountingTable

__all__ = [
    "DEFAULT_HEADER_TABLE_SIZE",
    "DEFAULT_MAX_HEADER_LIST_SIZE",
    "HpackContext",
    "header_list_size",
]

DEFAULT_HEADER_TABLE_SIZE = 4096
"""SETTINGS_HEADER_TABLE_SIZE before either side said anything, in bytes (RFC 9113 section 6.5.2)."""

DEFAULT_MAX_HEADER_LIST_SIZE = 65536
"""How much one header block may decode to, in bytes counted as `header_list_size` counts them."""

_MAX_SETTING = 2**32 - 1
_MOST_KNOWN, _LONGEST_KNOWN = 256, 128  # fields, and bytes of a value
_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_INDEXED = [bytes((0x80 | index,)) for index in range(127)]
_WITH_INDEXING, _WITHOUT_INDEXING, _NEVER_INDEXED = (0x40, 6), (0x00, 4), (0x10, 4)  # first byte, bits for the name
_HUFFMAN = [format(code, "b").zfill(bits) for code, bits in zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)]
# hpack quotes the payload in some of its messages.
_QUOTED = re.compile(r"(?::| from)? b['\"].*", re.DOTALL)

# Fields whose values rarely come twice, after nghttp2's choice: remembered, they would push out those that do, and lengthen
# every search.
_FLEETING = frozenset(
    (
        *(b":path", b"age", b"content-length", b"etag", b"if-modified-since", b"if-none-match", b"location"),
        b"set-cookie",
    )
)


def header_list_size(fields: Iterable[tuple[str, str]] | Iterable[WireField]) -> int:
    """Return the size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 section 6.5.2)."""
    return sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in fields)


class HpackContext:
    """One direction of a connection: its dynamic table and, for the direction that encodes, a buffer for a block.

    Args:
        header_table_size: SETTINGS_HEADER_TABLE_SIZE of the side that decodes, in bytes; also the table's first size.
        max_header_list_size: how much one block may decode to, in bytes.

    Raises:
        UsageError: `header_table_size` is not in 0 to 2**32 - 1.
    """

    def __init__(
        self,
        header_table_size: int = DEFAULT_HEADER_TABLE_SIZE,
        max_header_list_size: int = DEFAULT_MAX_HEADER_LIST_SIZE,
    ) -> None:
        self.max_header_list_size = max_header_list_size
        self._table = CountingTable()
        self._decoder = Decoder(max_header_list_size)
        self._decoder.header_table = self._table
        # _limit: what the decoding side allows; _lowest: the least it allowed since the last block began.
        self._limit = self._lowest = self._wanted = _setting(header_table_size)
        self._decoder.max_allowed_table_size = header_table_size
        self._table.maxsize = header_table_size
        self._data: list[bytes] = []
        self._in_block = False
        # What fields were encoded to, as long as the table stays as it was.
        self._known: dict[WireField, bytes] = {}
        self._known_at = 0

    # The buffer of the block that is being encoded

    def append_data(self, val: bytes) -> HpackContext:
        """Append bytes to the buffer as they are; returns the context."""
        self._data.append(val)
        return self

    def render_data(self) -> bytes:
        """Return what is in the buffer."""
        return b"".join(self._data)

    def clear_data(self) -> None:
        """Empty the buffer: the next field begins a new block."""
        self._data = []
        self._in_block = False

    # The table

    @property
    def dynamic_max(self) -> int:
        """How large the dynamic table may become, in bytes."""
        return self._table.maxsize

    @property
    def dynamic_current_size(self) -> int:
        """How large the dynamic table is, in bytes."""
        return header_list_size(self._table.dynamic_entries)

    @property
    def total_max(self) -> int:
        """The limit of `dynamic_max`: SETTINGS_HEADER_TABLE_SIZE of the side that decodes, in bytes."""
        return self._limit

    def evict_from_dynamic_table(self) -> bool:
        """Remove the oldest entry; tell whether there was one."""
        if not self._table.dynamic_entries:
            return False
        size = self._table.maxsize
        # One byte too few makes room by dropping one entry, and the table's own count stays right.
        self._table.maxsize = self.dynamic_current_size - 1
        self._table.maxsize = size
        return True

    def dynamic_table_tostring(self) -> str:
        """Return the dynamic table, newest entry first, in the form of RFC 7541 appendix C. Shows values: for tests."""
        lines = []
        for position, (name, value) in enumerate(self._table.dynamic_entries, 1):
            size = len(name) + len(value) + _ENTRY_OVERHEAD
            line = f"[{position:3}] (s ={size:4}) {name.decode('latin-1')}: {value.decode('latin-1')}"
            lines.append(re.sub("(?s).{68}", lambda match: match[0] + "\\\n" + " " * 17, line))
        lines.append(f"      Table size:{self.dynamic_current_size:4}")
        return "\n".join(lines)

    def set_max_dynamic_table_size(self, header_table_size: int) -> None:
        """Set the limit of the table's size: the SETTINGS_HEADER_TABLE_SIZE now in force, in bytes.

        The encoding side calls it when the peer's setting arrives: a table above the limit is shrunk when the next block
        begins, which announces it. A larger limit makes no larger table; `encode_max_size` does. The decoding side calls
        it when its own setting is acknowledged: the next block must announce a size within the limit.

        Raises:
            UsageError: not in 0 to 2**32 - 1.
        """
        self._limit = self._decoder.max_allowed_table_size = _setting(header_table_size)
        self._lowest = min(self._lowest, header_table_size)

    def encode_max_size(self, val: int) -> None:
        """Make the encoder's table `val` bytes large and announce it: at once, or in the next block when one has begun.

        Raises:
            H2Error: COMPRESSION_ERROR, `val` is above the limit.
            UsageError: `val` is negative.
        """
        self._check_size(val)
        self._wanted = val
        if not self._in_block:
            self._announce(val)

    def resize_dynamic_table(self, new_size: int) -> None:
        """Set how large the dynamic table may become and evict what does not fit, without announcing it.

        Raises:
            H2Error: COMPRESSION_ERROR, `new_size` is above the limit.
            UsageError: `new_size` is negative.
        """
        self._check_size(new_size)
        self._wanted = self._table.maxsize = new_size

    def _check_size(self, size: int) -> None:
        if _setting(size) > self._limit:
            raise H2Error(
                H2ErrorCode.COMPRESSION_ERROR, f"a dynamic table of {size} bytes is above the limit of {self._limit}"
            )

    def add_to_dynamic_table(self, name: str, value: str) -> None:
        """Add an entry and evict what does not fit beside it; one larger than the table leaves the table empty."""
        self._table.add(_to_bytes(name), _to_bytes(value))

    def dynamic_table_id_to_index(self, id: int) -> int:
        """Turn the number of a dynamic entry into its HPACK index. Entries are numbered from 1, the oldest still there.

        Raises:
            IndexError: there is no such entry.
        """
        count = len(self._table.dynamic_entries)
        if not 1 <= id <= count:
            raise IndexError(f"no dynamic entry {id}: there are {count}")
        return self._table.STATIC_TABLE_LENGTH + count - id + 1

    def dynamic_index_to_table_id(self, index: int) -> int:
        """Turn the HPACK index of a dynamic entry into its number: the other way of `dynamic_table_id_to_index`.

        Raises:
            IndexError: there is no such entry.
        """
        count = len(self._table.dynamic_entries)
        if not 1 <= index - self._table.STATIC_TABLE_LENGTH <= count:
            raise IndexError(f"no dynamic entry with the index {index}")
        return self._table.STATIC_TABLE_LENGTH + count - index + 1

    def lookup_pair_index(self, k: tuple[str, str]) -> int | None:
        """Return the HPACK index of the pair (name, value), the static table's before the dynamic one's, else None."""
        match = self._table.search(_to_bytes(k[0]), _to_bytes(k[1]))
        return None if match is None or match[2] is None else match[0]

    def lookup_name_index(self, name: str) -> int | None:
        """Return the lowest HPACK index of an entry called `name`, else None."""
        wanted = _to_bytes(name)
        static = self._table.STATIC_TABLE_MAPPING.get(wanted)
        if static is not None:
            return static[0]
        for index, (other, _) in enumerate(self._table.dynamic_entries, self._table.STATIC_TABLE_LENGTH + 1):
            if other == wanted:
                return index
        return None

    def lookup_index(self, index: int) -> tuple[str, str] | None:
        """Return the (name, value) at an HPACK index, "" for the value of a static entry without one; None if unknown."""
        try:
            name, value = self._table.get_by_index(index)
        except InvalidTableIndexError:
            return None
        return name.decode("latin-1"), value.decode("latin-1")

    # Encoding

    def add_header_indexed(self, name: str, value: str, huffman: bool | None = None) -> HpackContext:
        """Append a field to the buffer and remember it in the table; returns the context.

        Args:
            name, value: text of U+0000 to U+00FF; the name in lower case.
            huffman: whether literals are Huffman coded; None for where that is shorter.

        Raises:
            InvalidHeader: other characters.
        """
        return self._add(name, value, _WITH_INDEXING, huffman)

    def add_header_never_indexed(self, name: str, value: str, huffman: bool | None = None) -> HpackContext:
        """Append a field that nobody on its way may remember (RFC 7541 section 6.2.3); as `add_header_indexed`."""
        return self._add(name, value, _NEVER_INDEXED, huffman)

    def _add(self, name: str, value: str, kind: tuple[int, int], huffman: bool | None) -> HpackContext:
        self._begin_block()
        self._data.append(self._encode_field(_to_bytes(name), _to_bytes(value), kind, huffman))
        return self

    def encode_headers(self, headers: Headers) -> None:
        """Append every field to the buffer as its never-index flag says; names are written in lower case."""
        for name, value, never_index in headers.each():
            self._add(name.lower(), value, _NEVER_INDEXED if never_index else _WITH_INDEXING, None)

    def encode_fields(self, fields: Iterable[WireField]) -> bytes:
        """Append every field, return what is in the buffer, a whole block, and empty it. Made to be fast.

        `NeverIndexedHeaderTuple` fields are never indexed; fields whose values rarely come twice, such as `:path`, are
        not remembered.
        """
        self._begin_block()
        append, encode, table, known = self._data.append, self._encode_field, self._table, self._known
        if self._known_at != table.changes or len(known) > _MOST_KNOWN:
            known.clear()
            self._known_at = table.changes
        for field in fields:
            if type(field) is NeverIndexedHeaderTuple:
                append(encode(*field, _NEVER_INDEXED, None))
                continue
            coded = known.get(field)
            if coded is None:
                name, value = field
                coded = encode(name, value, _WITHOUT_INDEXING if name in _FLEETING else _WITH_INDEXING, None)
                if self._known_at != table.changes:
                    known.clear()
                    self._known_at = table.changes
                elif len(value) <= _LONGEST_KNOWN:
                    known[field] = coded
            append(coded)
        block = b"".join(self._data)
        self.clear_data()
        return block

    def _begin_block(self) -> None:
        """Bring the table's size in line with the limit, where size updates are allowed: before the first field."""
        if self._in_block:
            return
        self._in_block = True
        size = min(self._wanted, self._limit)
        if size != self._table.maxsize or self._lowest < size:
            self._announce(size)

    def _announce(self, size: int) -> None:
        if self._lowest < min(size, self._table.maxsize):
            # The decoding side allowed less in between and has evicted what did not fit.
            self._table.maxsize = self._lowest
            self._data.append(_encode_integer(self._lowest, 5, 0x20))
        self._lowest = self._limit
        self._table.maxsize = size
        self._data.append(_encode_integer(size, 5, 0x20))

    def _encode_field(self, name: bytes, value: bytes, kind: tuple[int, int], huffman: bool | None) -> bytes:
        match = self._table.search(name, value)
        index = 0
        if match is not None:
            index = match[0]
            if match[2] is not None and kind is not _NEVER_INDEXED:
                return _INDEXED[index] if index < 127 else _encode_integer(index, 7, 0x80)
        first_byte, bits = kind
        if kind is _WITH_INDEXING:
            self._table.add(name, value)
        if index:
            return _encode_integer(index, bits, first_byte) + _encode_string(value, huffman)
        return bytes((first_byte,)) + _encode_string(name, huffman) + _encode_string(value, huffman)

    # Decoding

    def decode_headers(self, payload: bytes, header_list: Headers | None = None, pos: int = 0) -> Headers:
        """Decode `payload` from the byte `pos` to its end.

        Args:
            payload: a whole header block.
            header_list: what to append the fields to, as the continuation of a block; None for a new one.
            pos: where the block begins, from 0.

        Returns:
            `header_list`, or a new object, with the never-index flags of the wire.

        Raises:
            H2Error: COMPRESSION_ERROR of the connection; or PROTOCOL_ERROR of the stream: a field that `Headers` does not
                take. The tables are then in order.
            H2LimitExceeded: more than `max_header_list_size`.
        """
        headers = Headers() if header_list is None else header_list
        begun = header_list_size(headers.raw_fields())
        if begun and payload[pos : pos + 1] and payload[pos] & 0xE0 == 0x20:
            raise H2Error(H2ErrorCode.COMPRESSION_ERROR, "table size update not at the start of the block")
        for field in self.decode_fields(payload[pos:], begun):
            name, value = field[0].decode("latin-1"), field[1].decode("latin-1")
            if value.strip(" \t") != value:
                raise H2Error(
                    H2ErrorCode.PROTOCOL_ERROR, f"blanks around the value of field {name[:60]!r}", stream_error=True
                )
            try:
                headers.append(name, value, not field.indexable)
            except InvalidHeader as error:
                raise H2Error(H2ErrorCode.PROTOCOL_ERROR, str(error), stream_error=True) from None
        return headers

    def decode_fields(self, payload: bytes, begun: int = 0) -> list[HeaderTuple]:
        """Decode a whole block into hpack's tuples of bytes, unchecked.

        Args:
            payload: the block.
            begun: bytes of the header list that count toward the limit already.

        Raises:
            H2Error, H2LimitExceeded: as `decode_headers`.
        """
        decoder = self._decoder
        decoder.max_header_list_size = self.max_header_list_size - begun
        try:
            fields = list(decoder.decode(payload, raw=True))
        except OversizedHeaderListError:
            raise H2LimitExceeded(
                H2ErrorCode.ENHANCE_YOUR_CALM,
                f"a header list of more than {self.max_header_list_size} bytes",
                status=431,
            ) from None
        except HPACKError as error:
            reason = _QUOTED.sub("", str(error)) or type(error).__name__
            raise H2Error(H2ErrorCode.COMPRESSION_ERROR, reason) from None
        self._wanted = self._table.maxsize
        return fields


def _setting(size: int) -> int:
    if not 0 <= size <= _MAX_SETTING:
        raise UsageError(f"not a size of a header table, 0 to 2**32 - 1: {size!r}")
    return size


def _to_bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHeader(f"a field holds the character {text[error.start]!r}: encode it first") from None


def _encode_integer(number: int, bits: int, first_byte: int) -> bytes:
    """RFC 7541 section 5.1: in the low `bits` of the first byte if it fits there, else in groups of seven bits after."""
    full = (1 << bits) - 1
    if number < full:
        return bytes((first_byte | number,))
    coded = bytearray((first_byte | full,))
    number -= full
    while number >= 128:
        coded.append(number & 127 | 128)
        number >>= 7
    coded.append(number)
    return bytes(coded)


def _encode_string(text: bytes, huffman: bool | None) -> bytes:
    """RFC 7541 section 5.2."""
    if huffman is not False and text:
        bits = "".join([_HUFFMAN[byte] for byte in text])
        length = (len(bits) + 7) >> 3
        if huffman or length < len(text):
            # Filled up with the beginning of the code for the end of string: ones.
            coded = int(bits + "1" * (length * 8 - len(bits)), 2).to_bytes(length, "big")
            return _encode_integer(length, 7, 0x80) + coded
    return _encode_integer(len(text), 7, 0) + text
