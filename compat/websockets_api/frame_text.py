"""What the debug log shows of a frame's payload: as text where it looks like text, in hexadecimal otherwise, shortened."""

from __future__ import annotations

import re

from drivetrain.compat.websockets_api.typing import BytesLike

__all__ = ["in_hexadecimal", "is_space_or_printable_ascii", "is_utf8_fragment", "shorten", "show_control", "show_data"]

is_space_or_printable_ascii = re.compile(rb"[\x09-\x0D\x20-\x7E]*").fullmatch


def in_hexadecimal(data: BytesLike) -> str:
    """Bytes as pairs of digits."""
    return bytes(data).hex(" ")


def shorten(text: str, limit: int) -> str:
    """Leave out the middle of a text that is longer than `limit` characters; two thirds of what stays is the beginning."""
    if len(text) <= limit:
        return text
    third = limit // 3 - 1
    return f"{text[: 2 * third]}...{text[-third:]}"


def show_control(data: BytesLike) -> tuple[str, bool]:
    """Show the payload of a ping or pong: ASCII, or hexadecimal.

    Not UTF-8: four random bytes are that too often.

    Returns:
        What to show, and whether it is text.
    """
    payload = bytes(data)
    if is_space_or_printable_ascii(payload):
        return repr(payload.decode("ascii")), True
    return in_hexadecimal(payload), False


def show_data(data: BytesLike, *, is_first: bool, is_last: bool, limit: int) -> tuple[str, bool]:
    """Show the payload of a text or binary frame, or of one that continues it.

    Args:
        data: the payload.
        is_first: whether the message begins with it.
        is_last: whether the message ends with it.
        limit: characters that will be shown in the end. Of a large payload no more than that needs is looked at.

    Returns:
        What to show, perhaps still longer than `limit`, and whether it is text.
    """
    if len(data) > 4 * limit:
        head, tail = bytes(data[: 8 * limit // 3]), bytes(data[-4 * limit // 3 :])
        is_text = is_utf8_fragment(head, must_start_clean=is_first) and is_utf8_fragment(tail, must_end_clean=is_last)
        payload = head + tail
    else:
        payload = bytes(data)
        is_text = is_utf8_fragment(payload, must_start_clean=is_first, must_end_clean=is_last)
    if is_text:
        return repr(payload.decode(errors="replace")), True
    if len(data) > limit // 3:
        # Three characters for a byte. Two bytes in the middle make it too long, so that it will be shortened there.
        third = (limit // 3 - 1) // 3
        return in_hexadecimal(b"".join((bytes(data[: 2 * third]), b"\0\0", bytes(data[-third:])))), False
    return in_hexadecimal(data), False


def is_utf8_fragment(data: bytes, must_start_clean: bool = False, must_end_clean: bool = False) -> bool:
    """Whether it looks like a piece of printable text in UTF-8, which may be cut inside a character at both ends.

    Args:
        data: the piece.
        must_start_clean: it begins with a whole character.
        must_end_clean: it ends with a whole character.
    """
    start = 0
    if not must_start_clean:
        while start < min(3, len(data)) and _continues(data[start]):
            start += 1
    end = len(data) if must_end_clean else _end_of_last_character(data, start)
    try:
        text = data[start:end].decode()
    except UnicodeDecodeError:
        return False
    # So are characters written that cannot be printed.
    return "\\x" not in repr(text)


def _continues(byte: int) -> bool:
    """Whether it is not the first byte of a character."""
    return byte & 0xC0 == 0x80


def _end_of_last_character(data: bytes, start: int) -> int:
    """Where a character begins that is not all there; the end of `data` when all are."""
    size = len(data)
    lowest = max(size - 4, start)
    for index in range(size - 1, lowest - 1, -1):
        byte = data[index]
        if _continues(byte):
            continue
        length = 2 if 0xC0 <= byte < 0xE0 else 3 if 0xE0 <= byte < 0xF0 else 4 if 0xF0 <= byte < 0xF8 else 1
        return index if length > size - index else size
    return lowest - 1 if size > start else size
