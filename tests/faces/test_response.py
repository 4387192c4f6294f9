"""Reading responses, through both clients."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gzip
import io
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import Client, Timeouts, errors
from tests.faces.colours import Clients
from tests.faces.site import Site
from tests.support.servers import RawServer, answering, read_head, read_until_eof

BODY = b"".join(bytes([65 + number % 26]) * 3 for number in range(100))


def text_url(site: Site, data: bytes, kind: str = "text/plain") -> str:
    return f"{site.url}/text?hex={data.hex()}&type={kind}"


def in_pieces(*pieces: bytes) -> Any:
    """A handler that answers with a chunked body, each piece a chunk of its own and sent on its own."""

    def handler(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        read_until_eof(sock)

    return handler


class TestReading:
    def test_whole(self, clients: Clients, site: Site) -> None:
        client = clients()
        with client.stream("GET", site.url + "/chunks?count=100&size=3") as response:
            with pytest.raises(errors.UsageError):
                _ = response.content
            assert response.read() == BODY
            assert response.read() == BODY == response.content
            assert response.read(2) == BODY[:2]
        assert client.statistics.idle == 1

    def test_by_size(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", site.url + "/chunks?count=100&size=3") as response:
            assert response.read(0) == b""
            assert response.read(1) == b"A"
            assert response.read(7) == BODY[1:8]
            assert response.read(10_000) == BODY[8:]
            assert response.read(1) == b""
            with pytest.raises(ValueError):
                response.read(-1)

    def test_every_way_goes_on_where_the_other_stopped(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", site.url + "/chunks?count=100&size=3") as response:
            assert response.read(2) == BODY[:2]
            assert next(iter(response.iter_bytes(5))) == BODY[2:7]
            assert next(iter(response.iter_bytes())) == BODY[7:9]
            sink = io.BytesIO()
            assert response.read(1) == BODY[9:10]
            assert response.save_to_file(sink) == len(BODY) - 10
            assert sink.getvalue() == BODY[10:]
            assert response.read() == b""

    def test_the_rest_is_not_taken_for_the_content(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", site.url + "/chunks?count=100&size=3") as response:
            assert response.read(1) == b"A"
            assert response.read() == BODY[1:]
            with pytest.raises(errors.UsageError):
                _ = response.content

    def test_a_loaded_response_can_be_read_in_every_way(self, clients: Clients, site: Site) -> None:
        client = clients()
        url = site.url + "/chunks?count=100&size=3"
        assert list(client.get(url).iter_bytes(200)) == [BODY[:200], BODY[200:]]
        assert list(client.get(url).iter_lines()) == [BODY.decode()]
        sink = io.BytesIO()
        assert client.get(url).save_to_file(sink) == 300
        assert sink.getvalue() == BODY

    @pytest.mark.parametrize("size", [1, 7, 300, 1000])
    def test_iter_bytes(self, clients: Clients, site: Site, size: int) -> None:
        with clients().stream("GET", site.url + "/chunks?count=100&size=3") as response:
            pieces = list(response.iter_bytes(size))
        assert b"".join(pieces) == BODY
        assert {len(piece) for piece in pieces[:-1]} <= {size}
        assert pieces[-1]

    def test_iter_bytes_wants_a_size(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", site.url + "/chunks?count=1") as response, pytest.raises(ValueError):
            response.iter_bytes(0)

    def test_trailers(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", site.url + "/chunks?count=2") as response:
            assert response.trailers is None
            response.read()
            assert response.trailers.get("x-checksum") == "abc"
        assert clients().get(site.url + "/echo").trailers is None

    def test_early_responses(self, clients: Clients, site: Site) -> None:
        response = clients().get(site.url + "/early")
        assert response.text == "late"
        assert [early.get("link") for early in response.early_responses] == ["</1>; rel=preload", "</2>; rel=preload"]
        assert clients().get(site.url + "/echo").early_responses == []

    def test_save_to_file(self, clients: Clients, site: Site, tmp_path: Path) -> None:
        with (tmp_path / "f").open("wb") as file, clients().stream("GET", site.url + "/coded?coding=gzip") as response:
            assert response.save_to_file(file) == 100_000
        assert (tmp_path / "f").read_bytes() == b"x" * 100_000

    def test_statuses(self, clients: Clients, site: Site) -> None:
        client = clients()
        for code in (200, 204, 304, 399):
            response = client.get(f"{site.url}/status?code={code}")
            response.raise_for_status()
            assert not response.is_error
        for code in (400, 404, 500, 599):
            response = client.get(f"{site.url}/status?code={code}")
            with pytest.raises(errors.StatusError) as caught:
                response.raise_for_status()
            assert caught.value.status == code
            assert response.is_error

    def test_raw_file(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", site.url + "/coded?coding=gzip") as response:
            raw = response.raw()
            first = raw.read(10)
            assert len(first) == 10
            assert raw.read1(0) == b""
            rest = raw.read1(5)
            assert 1 <= len(rest) <= 5
            assert gzip.decompress(first + rest + raw.read()) == b"x" * 100_000
            assert raw.is_complete
            assert raw.read(1) == b"" == raw.read1()


class TestRawBody:
    def test_it_is_a_file(self, site: Site) -> None:
        with Client() as client:
            with client.stream("GET", site.url + "/chunks?count=100&size=3") as response:
                raw = response.raw()
                assert raw.readable()
                buffer = bytearray(4)
                count = raw.readinto(buffer)
                assert 1 <= count <= 4
                assert bytes(buffer[:count]) + io.BufferedReader(raw).read() == BODY  # type: ignore[type-var]
            assert client.statistics.idle == 1

    def test_a_copy_that_fails_leaves_it_alone(self, site: Site) -> None:
        with Client() as client, client.stream("GET", site.url + "/chunks?count=100&size=3") as response:
            with pytest.raises(TypeError, match="pickle"):
                copy.deepcopy(response)
            assert response.read() == BODY

    def test_closing_it_gives_the_response_up(self, site: Site) -> None:
        with Client() as client:
            raw = client.stream("GET", site.url + "/chunks?count=300000&size=100").raw()
            raw.read(10)
            raw.close()
            assert client.statistics.open == 0
            with pytest.raises(ValueError):
                raw.readline()


class TestText:
    @pytest.mark.parametrize(
        ("data", "kind", "text"),
        [
            ("grün".encode(), "text/plain", "grün"),
            ("grün".encode("latin-1"), "text/plain;charset=ISO-8859-1", "grün"),
            ("grün".encode("utf-16"), 'text/plain; charset="utf-16"', "grün"),
            (b"gr\xfcn", "text/plain; charset=utf-8", "gr\ufffdn"),
            (b"abc", "text/plain; charset=nonsense", "abc"),
            (b"abc", "text/plain; charset=hex", "abc"),
            (b"abc", "text/plain; charset=idna", "abc"),
            (b"abc", "text/plain; charset=undefined", "abc"),
            (b"", "text/plain", ""),
        ],
    )
    def test_charset(self, clients: Clients, site: Site, data: bytes, kind: str, text: str) -> None:
        response = clients().get(text_url(site, data, kind.replace(";", "%3B").replace(" ", "%20")))
        assert response.text == text
        assert list(response.iter_lines()) == ([text] if text else [])

    def test_json(self, clients: Clients, site: Site) -> None:
        client = clients()
        assert client.get(text_url(site, '{"a": "ü"}'.encode())).json() == {"a": "ü"}
        assert client.get(text_url(site, '{"a": 1}'.encode("utf-16"))).json() == {"a": 1}
        with pytest.raises(ValueError):
            client.get(text_url(site, b"no json")).json()

    @pytest.mark.parametrize(
        "pieces",
        [
            [b"one\ntwo\r\nthree\rfour\n\nsix"],
            [b"on", b"e\nt", b"wo\r", b"\nthree\r", b"four\n", b"\n", b"six"],
            [bytes([byte]) for byte in b"one\ntwo\r\nthree\rfour\n\nsix"],
        ],
    )
    def test_lines(self, clients: Clients, pieces: list[bytes]) -> None:
        with RawServer(in_pieces(*pieces)) as server:
            client = clients()
            with client.stream("GET", server.url) as response:
                assert list(response.iter_lines()) == ["one", "two", "three", "four", "", "six"]
            client.close()

    def test_characters_across_pieces(self, clients: Clients) -> None:
        data = "grün\n€uro\r\n𝄞".encode()
        with RawServer(in_pieces(*(data[at : at + 1] for at in range(len(data))))) as server:
            client = clients()
            with client.stream("GET", server.url) as response:
                assert list(response.iter_lines()) == ["grün", "€uro", "𝄞"]
            client.close()

    def test_iteration_of_lines_can_be_resumed(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", text_url(site, b"a\nb\nc\n")) as response:
            for line in response.iter_lines():
                assert line == "a"
                break
            assert list(response.iter_lines()) == ["b", "c"]


class TestCodings:
    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "GZIP"])
    def test_decoded(self, clients: Clients, site: Site, coding: str) -> None:
        name = "gzip" if "gzip" in coding.lower() else "deflate"
        response = clients().get(f"{site.url}/coded?coding={name}")
        assert response.content == b"x" * 100_000

    def test_raw_stays_coded(self, clients: Clients, site: Site) -> None:
        with clients().stream("GET", site.url + "/coded?coding=gzip") as response:
            assert gzip.decompress(b"".join(response.iter_raw())) == b"x" * 100_000

    def test_unknown_codings_stay(self, clients: Clients) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: secret\r\nContent-Length: 2\r\n\r\n??"
        with RawServer(answering(answer)) as server:
            client = clients()
            assert client.get(server.url).content == b"??"
            client.close()

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    @pytest.mark.parametrize("how", ["cut=5", "corrupt=1"])
    def test_broken(self, clients: Clients, site: Site, coding: str, how: str) -> None:
        client = clients()
        url = f"{site.url}/coded?coding={coding}&{how}"
        with pytest.raises(errors.DecodingError):
            client.get(url)
        with client.stream("GET", url) as response:
            for _ in range(2):
                with pytest.raises(errors.DecodingError):
                    list(response.iter_bytes())
            with pytest.raises(errors.DecodingError):
                response.read()

    def test_head_names_a_coding(self, clients: Clients, site: Site) -> None:
        response = clients().head(site.url + "/coded?coding=gzip")
        assert response.headers.get("content-encoding") == "gzip"
        assert response.content == b""

    @pytest.mark.parametrize("framing", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
    def test_an_empty_body_may_name_one(self, clients: Clients, framing: bytes) -> None:
        with RawServer(answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + framing)) as server:
            client = clients()
            assert client.get(server.url).content == b""
            client.close()


class TestEndings:
    def test_reading_to_the_end_keeps_the_connection(self, clients: Clients, site: Site) -> None:
        client = clients()
        with client.stream("GET", site.url + "/chunks?count=3") as response:
            response.read()
        assert client.get(site.url + "/echo").connection.reused

    def test_closing_before_closes_it(self, clients: Clients) -> None:
        seen: list[bool] = []
        ended = threading.Event()

        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            with contextlib.suppress(ConnectionError):
                seen.append(sock.recv(1) == b"")
            ended.set()

        with RawServer(handler) as server:
            client = clients()
            response = client.stream("GET", server.url)
            assert response.read(3) == b"abc"
            response.close()
            response.close()
            assert client.statistics.open == 0
            if clients.loop is not None:
                clients.loop.run_until_complete(asyncio.sleep(0))
            assert ended.wait(5)
            with pytest.raises(errors.ClosedError):
                response.read(1)
        assert seen in ([True], [])

    def test_reading_a_response_that_was_closed(self, clients: Clients, site: Site) -> None:
        client = clients()
        with client.stream("GET", site.url + "/chunks?count=300000&size=100") as response:
            pass
        for read in (response.read, lambda: response.read(1), lambda: list(response.iter_bytes())):
            with pytest.raises(errors.ClosedError):
                read()
        with pytest.raises(errors.ClosedError):
            list(response.iter_raw())

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ],
    )
    def test_a_body_cut_short_is_an_error_every_time(self, clients: Clients, answer: bytes) -> None:
        with RawServer(lambda sock: (read_head(sock), sock.sendall(answer))) as server:
            client = clients()
            with pytest.raises(errors.IncompleteMessage):
                client.get(server.url)
            with client.stream("GET", server.url) as response:
                assert response.read(3) == b"abc"
                with pytest.raises(errors.IncompleteMessage):
                    response.read(1)
                with pytest.raises(errors.EngineError):
                    response.read(1)
            assert client.statistics.open == 0

    def test_context_manager_on_an_error(self, clients: Clients, site: Site) -> None:
        client = clients()
        with pytest.raises(KeyError), client.stream("GET", site.url + "/chunks?count=300000&size=100"):
            raise KeyError
        assert client.statistics.open == 0


def paused(first: bytes, rest: bytes, proceed: threading.Event, coding: bytes = b"") -> Any:
    """A handler that sends the rest of a body when it is told to."""

    def handler(sock: socket.socket) -> None:
        read_head(sock)
        length = len(first) + len(rest)
        sock.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (coding, length, first))
        assert proceed.wait(10)
        with contextlib.suppress(ConnectionError):
            sock.sendall(rest)
            read_until_eof(sock)

    return handler


class TestReadTimeouts:
    def test_reading_goes_on_after_one(self, clients: Clients) -> None:
        proceed = threading.Event()
        with RawServer(paused(b"abc", b"def", proceed)) as server:
            client = clients(timeout=Timeouts(read=0.05))
            with client.stream("GET", server.url) as response:
                with pytest.raises(errors.ReadTimeout):
                    response.read(6)
                with pytest.raises(errors.ReadTimeout):
                    response.read()
                proceed.set()
                assert response.read(6) == b"abcdef"
                assert response.read(1) == b""
            assert client.statistics.idle == 1
            client.close()

    def test_so_does_reading_of_the_whole(self, clients: Clients) -> None:
        proceed = threading.Event()
        with RawServer(paused(b"abc", b"def", proceed)) as server:
            client = clients(timeout=Timeouts(read=0.05))
            with client.stream("GET", server.url) as response:
                with pytest.raises(errors.ReadTimeout):
                    response.read()
                proceed.set()
                assert response.read() == b"abcdef" == response.content
            client.close()

    def test_and_of_what_is_coded(self, clients: Clients) -> None:
        proceed = threading.Event()
        data = gzip.compress(b"line one\nline two\n")
        with RawServer(paused(data[:15], data[15:], proceed, b"Content-Encoding: gzip\r\n")) as server:
            client = clients(timeout=Timeouts(read=0.05))
            with client.stream("GET", server.url) as response:
                lines = response.iter_lines()
                with pytest.raises(errors.ReadTimeout):
                    next(iter(lines))
                proceed.set()
                assert list(response.iter_lines()) == ["line one", "line two"]
            client.close()

    def test_a_request_that_timed_out_gives_nothing_back(self, clients: Clients) -> None:
        proceed = threading.Event()
        with RawServer(paused(b"abc", b"def", proceed)) as server:
            client = clients(timeout=Timeouts(read=0.05))
            with pytest.raises(errors.ReadTimeout):
                client.get(server.url)
            assert client.statistics.open == 0
            with client.stream("GET", server.url) as response, pytest.raises(errors.ReadTimeout):
                response.read()
            assert client.statistics.open == 0
            proceed.set()
