"""Servers that are not what RFC 9112 wants of them, asked through the originals and through us: the same comes out."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import pytest
import requests
import urllib3.exceptions

from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.compat.urllib_api import urlopen
from tests.support.servers import RawServer, read_head

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

ANSWERS: dict[str, bytes] = {
    "line feeds": b"HTTP/1.1 200 OK\nA: 1\nContent-Length: 2\n\nok",
    "line feeds here and there": OK + b"A: 1\nContent-Length: 2\r\n\nok",
    "line feeds, more of them in the body": b"HTTP/1.1 200 OK\nContent-Length: 6\n\no\r\n\r\nk",
    "a folded line": OK + b"A: 1\r\n\t2\r\nContent-Length: 2\r\n\r\nok",
    "a line that is no field": OK + b"A: 1\r\nnothing\r\nContent-Length: 1\r\n\r\nok",
    "a blank before the colon": OK + b"A: 1\r\nContent-Length : 1\r\n\r\nok",
    "a field without a name": OK + b": 1\r\nContent-Length: 2\r\n\r\nok",
    "a control character": OK + b"A: \x01\x7f\r\nContent-Length: 2\r\n\r\nok",
    "a name with brackets": OK + b"A(b): 1\r\nContent-Length: 2\r\n\r\nok",
    "blanks in the status line": b"HTTP/1.1  404   Gone  far \r\nContent-Length: 2\r\n\r\nok",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/0.9 in so many words": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no empty line at the end": OK + b"A: 1\r\n",
    "a status line and nothing else": OK,
    "a long line": OK + b"A: " + b"x" * 60_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "a large head": OK
    + b"".join(b"A%d: %b\r\n" % (n, b"x" * 4000) for n in range(60))
    + b"Content-Length: 2\r\n\r\nok",
    "a length that is none": OK + b"Content-Length: x\r\n\r\nok",
    "a negative length": OK + b"Content-Length: -1\r\n\r\nok",
    "an empty length": OK + b"Content-Length:\r\n\r\nok",
    "the length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "the coding of no coding": OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
    "chunked beside a length": OK + b"Content-Length: 500\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "blanks after the size": CHUNKED + b"2   \r\nok\r\n0 \r\n\r\n",
    "line feeds after the sizes": CHUNKED + b"2\nok\r\n0\n\n",
    "no end after the last chunk": CHUNKED + b"2\r\nok\r\n0\r\n",
    "trailers that are none": CHUNKED + b"2\r\nok\r\n0\r\nnothing\r\n\r\n",
    "more than was announced": OK + b"Content-Length: 2\r\n\r\nokokok",
    "less than was announced": OK + b"Content-Length: 5\r\n\r\nok",
    "less, after an odd head": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nok",
    "a chunk cut short": CHUNKED + b"5\r\nok",
    "no chunk at all": CHUNKED,
    "a size that is none": CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "HTTP/2 in so many words": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status that is none": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status that is too low": b"HTTP/1.1 042 OK\r\n\r\n",
}


def by_requests(session: requests.Session, url: str) -> tuple[Any, ...]:
    with session:
        response = session.get(url)
        return response.status_code, response.reason, list(response.headers.items()), response.content


def by_urllib(opener: Callable[..., Any], url: str) -> tuple[Any, ...]:
    try:
        response = opener(url)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        # http.client leaves folds as they came.
        fields = [(name, re.sub(r"[ \t]*\r?\n[ \t]+", " ", value)) for name, value in response.headers.items()]
        return response.status, response.reason, fields, response.read()


def plain_session() -> requests.Session:
    return requests.Session()


def mounted_session() -> requests.Session:
    session = requests.Session()
    session.mount("http://", EngineAdapter())
    return session


def outcome(get: Callable[[str], tuple[Any, ...]], data: bytes) -> object:
    """What comes of an answer, asked for twice: nothing of it may be left for the next."""

    def handler(connection: socket.socket) -> None:
        if read_head(connection):
            connection.sendall(data)

    found = []
    with RawServer(handler, tolerate=(ConnectionError,)) as server:
        for _ in range(2):
            try:
                found.append(get(server.url))
            except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
                # A class of ours counts as the first of its bases that others know.
                known = [kind.__name__ for kind in type(error).__mro__ if not kind.__module__.startswith("drivetrain")]
                found.append((known[0],))
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS)
def test_requests(data: bytes) -> None:
    expected = outcome(lambda url: by_requests(plain_session(), url), data)
    assert outcome(lambda url: by_requests(mounted_session(), url), data) == expected


@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS)
def test_urllib(data: bytes) -> None:
    expected = outcome(lambda url: by_urllib(urllib.request.urlopen, url), data)
    assert outcome(lambda url: by_urllib(urlopen, url), data) == expected
