"""`urlretrieve` and `urlcleanup` over this package's `urlopen`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from email.message import Message
from typing import Any, BinaryIO
from urllib.error import ContentTooShortError

from drivetrain.compat.urllib_api.opener import install_opener, urlopen

__all__ = ["urlcleanup", "urlretrieve"]

_BLOCK = 8 * 1024  # as the original's: hooks are told so
_made: list[str] = []


def urlretrieve(
    url: str,
    filename: str | os.PathLike[str] | None = None,
    reporthook: Callable[[int, int, int], object] | None = None,
    data: Any = None,
) -> tuple[Any, Message]:
    """`urllib.request.urlretrieve` through the engine: fetch a URL into a file.

    Args:
        url: its address. One of a local file is not copied unless a name is given.
        filename: the file's name; None for a new temporary one, which `urlcleanup` removes.
        reporthook: called with the number of blocks so far, their size, and that of the whole (-1 where it is not known), once
            before the first and after each.
        data: see `urlopen`.

    Returns:
        The file's name, and the header section of the answer.

    Raises:
        ContentTooShortError: less came than was announced.
        URLError, OSError, http.client.HTTPException: see `urlopen`.
    """
    scheme, _, path = url.partition(":")
    with contextlib.closing(urlopen(url, data)) as response:
        headers: Message = response.info()
        if scheme.lower() == "file" and not filename:
            return os.path.normpath(path), headers
        with _new_file(filename) as file:
            result = (filename or file.name, headers)
            expected = int(headers.get("Content-Length", -1))
            count = _copy(response, file, expected, reporthook or _no_hook)
    if count < expected:
        raise ContentTooShortError(f"retrieval incomplete: got only {count} out of {expected} bytes", result)  # type: ignore[arg-type]
    return result


def _new_file(filename: str | os.PathLike[str] | None) -> Any:
    if filename:
        return open(filename, "wb")
    file = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115  # the caller closes it
    _made.append(file.name)
    return file


def _copy(response: Any, file: BinaryIO, expected: int, hook: Callable[[int, int, int], object]) -> int:
    count = blocks = 0
    hook(blocks, _BLOCK, expected)
    while piece := response.read(_BLOCK):
        count += len(piece)
        file.write(piece)
        blocks += 1
        hook(blocks, _BLOCK, expected)
    return count


def _no_hook(blocks: int, size: int, expected: int) -> None:
    pass


def urlcleanup() -> None:
    """Remove the temporary files of `urlretrieve`, and the installed opener."""
    for name in _made:
        with contextlib.suppress(OSError):
            os.unlink(name)
    _made.clear()
    install_opener(None)
