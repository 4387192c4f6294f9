"""Writing a small file so that whoever reads it, and whoever comes after a crash, finds the old content or the new."""

from __future__ import annotations

import contextlib
import os
import tempfile

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Replace a file's content; a new file is readable by its owner only, an old one keeps its permissions.

    Args:
        path: of the file; where it is a symbolic link, the file it leads to is replaced.
        text: written as UTF-8.

    Raises:
        OSError: it could not be written; the old content is still there.
    """
    target = os.path.realpath(path)
    descriptor, temporary = tempfile.mkstemp(prefix=os.path.basename(target), dir=os.path.dirname(target))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, os.stat(target).st_mode & 0o7777)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
