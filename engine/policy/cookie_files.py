"""Netscape cookie files, as curl, wget and `http.cookiejar.MozillaCookieJar` read and write them.

One cookie a line, seven columns with tabs between them: domain, whether it goes to what is below the domain, path,
Secure, expiry in seconds since the epoch, name, value. `#HttpOnly_` in front of the domain means HttpOnly; other lines
that begin with "#" are comments. What the readers make of the finer points:

- column 2 is TRUE for a cookie with a Domain attribute, as curl has it (lua-http writes the opposite); such a domain is
  written with a dot in front, which `MozillaCookieJar` insists upon;
- a session cookie has the expiry 0, as in curl and wget. `MozillaCookieJar` reads it with `ignore_expires=True`, in some
  versions of Python (3.14.8) with `ignore_discard=True` instead, and writes an empty column, which is read here too;
- wget skips HttpOnly lines as comments, and writes a port behind the domain, which cookies do not care about;
- a tab inside a cookie cannot be written: it is left out, for `MozillaCookieJar` refuses a whole file for one such line;
- the format has no column for SameSite and for the time of creation; lines are in the order of creation.

Files are bytes, characters here stand for one each.
"""

from __future__ import annotations

import io
import math
import os
import stat
import tempfile
from collections.abc import Iterable
from typing import IO, Any

from .cookie_matching import host_of_authority
from .cookie_rules import Cookie

__all__ = ["format_cookie_file", "parse_cookie_file", "read_cookie_file", "write_cookie_file"]

_HTTP_ONLY = "#HttpOnly_"
_HEAD = "# Netscape HTTP Cookie File\n# Written by drivetrain. Edit at your own risk.\n\n"
_BYTE_ORDER_MARK = "\xef\xbb\xbf"  # of UTF-8, read as ISO-8859-1
_LAST_SECOND = 253402300799  # 9999-12-31: what every reader's date functions can stand


def parse_cookie_file(text: str) -> list[Cookie]:
    """Read the cookies of a file, in order; lines that are malformed are skipped.

    Expired cookies are returned too: whether one has is for the store to say.
    """
    found = []
    # Not splitlines(): it splits at characters that may stand in a value.
    for line in text.removeprefix(_BYTE_ORDER_MARK).split("\n"):
        cookie = _parse_line(line.rstrip("\r"))
        if cookie is not None:
            found.append(cookie)
    return found


def _parse_line(line: str) -> Cookie | None:
    http_only = line.startswith(_HTTP_ONLY)
    if http_only:
        line = line[len(_HTTP_ONLY) :]
    elif line.startswith("#"):
        return None
    columns = line.split("\t")
    if len(columns) == 6:
        columns.append("")  # an editor has cut the tab before an empty value
    if len(columns) != 7:
        return None
    domain, is_wide, path, secure, expiry, name, value = columns
    host = host_of_authority(domain.removeprefix("."), "http")
    try:
        expires = float(expiry) if expiry.strip() else 0.0
    except ValueError:
        return None
    if host is None or math.isnan(expires) or not path.startswith("/"):
        return None
    return Cookie(
        name,
        value,
        host,
        path,
        host_only=is_wide.upper() != "TRUE",
        secure=secure.upper() == "TRUE",
        http_only=http_only,
        expires=expires or None,
    )


def format_cookie_file(cookies: Iterable[Cookie]) -> tuple[str, int]:
    """Write cookies as the text of a file; return it and the number of cookies in it."""
    lines = [_HEAD]
    for cookie in cookies:
        columns = (
            ("#HttpOnly_" if cookie.http_only else "") + ("" if cookie.host_only else ".") + cookie.domain,
            "FALSE" if cookie.host_only else "TRUE",
            cookie.path,
            "TRUE" if cookie.secure else "FALSE",
            # A cookie of the first second of 1970 must not become one for the session.
            "0" if cookie.expires is None else str(int(min(max(cookie.expires, 1), _LAST_SECOND))),
            cookie.name,
            cookie.value,
        )
        line = "\t".join(columns)
        if line.count("\t") == 6 and "\n" not in line and "\r" not in line:
            lines.append(line + "\n")
    return "".join(lines), len(lines) - 1


def read_cookie_file(file: str | os.PathLike[str] | IO[Any]) -> str:
    """Read a path or an open file, binary or text.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as opened:
            return opened.read().decode("latin-1")
    content = file.read()
    return content if isinstance(content, str) else bytes(content).decode("latin-1")


def write_cookie_file(file: str | os.PathLike[str] | IO[Any], text: str) -> None:
    """Write to a path or an open file. A path's file is replaced in one step; its permissions stay, a new one has 0600.

    What is no regular file ("/dev/stdout") is written to instead.

    Raises:
        OSError: it cannot be written; what was there is untouched.
    """
    content = text.encode("latin-1", "replace")
    if not isinstance(file, (str, os.PathLike)):
        file.write(text if isinstance(file, io.TextIOBase) else content)
        return
    target = os.path.realpath(file)  # a symbolic link stays one
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG | 0o600
    if not stat.S_ISREG(mode):
        with open(target, "wb") as opened:
            opened.write(content)
        return
    descriptor, temporary = tempfile.mkstemp(prefix=".cookies-", dir=os.path.dirname(target))
    try:
        with open(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
