"""Content codings: asked for as requests does, decoded as urllib3 does with what is installed."""

from __future__ import annotations

import sys
import zlib
from typing import Any

import brotli
import pytest
import requests
import requests.utils

from tests.compat.requests_api.support import Recorder, answer, chunked
from tests.support.servers import RawServer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"what was asked for, " * 1000
CODED = {
    "br": brotli.compress(TEXT),
    "zstd": zstd.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "br, zstd": zstd.compress(brotli.compress(TEXT)),
}


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("coding", CODED)
def test_a_coding(session: requests.Session, coding: str, framing: str) -> None:
    data = CODED[coding]
    response = answer(data, f"Content-Encoding: {coding}")
    if framing == "chunks":
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n"
        response = head.encode() + chunked(data[:7], data[7:])
    with RawServer(Recorder(response)) as server:
        assert session.get(server.url).content == TEXT
        assert b"".join(session.get(server.url, stream=True).iter_content(100)) == TEXT
        assert session.get(server.url, stream=True).raw.read() == data
        assert session.get(server.url, stream=True).raw.read(decode_content=True) == TEXT


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_what_is_no_such_thing(session: requests.Session, coding: str) -> None:
    with (
        RawServer(Recorder(answer(b"not that", f"Content-Encoding: {coding}"))) as server,
        pytest.raises(requests.exceptions.ContentDecodingError),
    ):
        session.get(server.url)


def test_what_is_asked_for(session: requests.Session) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        session.get(server.url)
    accepted: Any = requests.utils.DEFAULT_ACCEPT_ENCODING
    assert f"Accept-Encoding: {accepted}" in recorder.lines
    assert {"br", "zstd"} <= set(accepted.split(", "))
