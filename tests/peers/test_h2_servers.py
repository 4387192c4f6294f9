"""The client's HTTP/2, through every door, against other people's servers: nginx, nghttpd, apache2, haproxy, hypercorn."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import AsyncClient, Client
from tests.peers.h2_doors import DOORS, Adapter, Answer, Door, Native, Site, Urlopen, pieces_of
from tests.support.certificates import Certificates
from tests.support.h2_peers import Apache, Haproxy, Hypercorn, Nghttpd
from tests.support.peers import Nginx

pytestmark = pytest.mark.peers

SMALL = b"0123456789" * 10
LARGE = random.Random(2).randbytes(50_000_000)
LARGE_DIGEST = hashlib.sha256(LARGE).hexdigest()

# $connection is nginx's number of the connection the request came over.
NGINX_LOCATIONS = """
    location = /connection { return 200 $connection; }
    location = /moved { return 302 /small; }
    location = /trailed { add_trailer X-After "the body"; }
    location ~ ^/put- { dav_methods PUT; }
"""
# What a server may do and seldom does: padding, no dynamic table, few streams, small windows, promises that are not wanted.
ODD = (
    "--padding=255",
    "--header-table-size=0",
    "--encoder-header-table-size=0",
    "--max-concurrent-streams=3",
    "--window-bits=14",
    "--push=/small=/large",
    "--trailer=x-after: the body",
)


# --- the servers -----------------------------------------------------------------------------------------------------


def fill(files: Path) -> None:
    (files / "small").write_bytes(SMALL)
    (files / "trailed").write_bytes(b"body")
    (files / "large").write_bytes(LARGE)


@pytest.fixture(scope="module")
def h2_nginx(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Nginx]:
    with Nginx(tmp_path_factory.mktemp("nginx"), certificates, locations=NGINX_LOCATIONS) as server:
        fill(server.files)
        yield server


@pytest.fixture(scope="module")
def nghttpd(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Nghttpd]:
    with Nghttpd(tmp_path_factory.mktemp("nghttpd"), certificates) as server:
        fill(server.files)
        yield server


@pytest.fixture(scope="module")
def odd_nghttpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nghttpd]:
    with Nghttpd(tmp_path_factory.mktemp("odd"), None, *ODD) as server:
        fill(server.files)
        yield server


@pytest.fixture(scope="module")
def apache(certificates: Certificates) -> Iterator[Apache]:
    with Apache(certificates) as server:
        fill(server.files)
        yield server


@pytest.fixture(scope="module")
def hypercorn(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Hypercorn]:
    with Hypercorn(tmp_path_factory.mktemp("hypercorn"), certificates) as server:
        fill(server.files)
        yield server


@pytest.fixture(scope="module")
def haproxy(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, hypercorn: Hypercorn
) -> Iterator[Haproxy]:
    with Haproxy(tmp_path_factory.mktemp("haproxy"), certificates, hypercorn.port) as server:
        yield server


# Name: fixture, attribute that is the port, how HTTP/2 is agreed on, what is learned of an upload.
SITES = {
    "nginx-tls": ("h2_nginx", "h2_port", "tls", "stored"),
    "nginx-prior": ("h2_nginx", "h2c_port", "prior", "stored"),
    "nghttpd-tls": ("nghttpd", "port", "tls", "echoed"),
    "nghttpd-odd": ("odd_nghttpd", "port", "prior", "echoed"),
    "apache-tls": ("apache", "tls_port", "tls", "stored"),
    "apache-prior": ("apache", "port", "prior", "stored"),
    "apache-upgrade": ("apache", "port", "upgrade", "stored"),
    "haproxy-tls": ("haproxy", "tls_port", "tls", "told"),
    "haproxy-prior": ("haproxy", "port", "prior", "told"),
    "hypercorn-tls": ("hypercorn", "tls_port", "tls", "told"),
    "hypercorn-prior": ("hypercorn", "port", "prior", "told"),
    "hypercorn-upgrade": ("hypercorn", "port", "upgrade", "told"),
}
PAIRS = [(door, name) for name, (_, _, mode, _) in SITES.items() for door in DOORS if mode in door.modes]


def site_of(request: pytest.FixtureRequest, name: str) -> Site:
    fixture, port, mode, receipt = SITES[name]
    server = request.getfixturevalue(fixture)
    authority = request.getfixturevalue("certificates").ca_file
    start = "https://localhost" if mode == "tls" else "http://127.0.0.1"
    files = getattr(server, "files", Path())
    return Site(name, f"{start}:{getattr(server, port)}", mode, receipt, authority, files)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Site:
    return site_of(request, request.param)


@pytest.fixture
def door(request: pytest.FixtureRequest) -> Iterator[tuple[Door, Site]]:
    kind, name = request.param
    found = site_of(request, name)
    with contextlib.closing(kind(found)) as opened:
        yield opened, found


def named(pair: tuple[type[Door], str]) -> str:
    return f"{pair[0].__name__.lower()}-{pair[1]}"


def doors_to(*names: str, kinds: tuple[type[Door], ...] = DOORS) -> Any:
    chosen = [pair for pair in PAIRS if (not names or pair[1] in names) and pair[0] in kinds]
    return pytest.mark.parametrize("door", chosen, indirect=True, ids=named)


def sites(*names: str) -> Any:
    return pytest.mark.parametrize("site", names or list(SITES), indirect=True)


# --- one request at a time -------------------------------------------------------------------------------------------


@doors_to()
def test_small_files_over_one_connection(door: tuple[Door, Site]) -> None:
    opened, _ = door
    for _ in range(3):
        answer = opened.fetch("/small")
        assert (answer.status, answer.version, answer.body) == (200, "2", SMALL)
    missing = opened.fetch("/no-such-file")
    assert (missing.status, missing.version) == (404, "2")
    assert missing.body


@doors_to()
def test_a_large_download_is_whole(door: tuple[Door, Site]) -> None:
    answer = door[0].fetch("/large")
    assert (answer.status, answer.version) == (200, "2")
    assert hashlib.sha256(answer.body).hexdigest() == LARGE_DIGEST


def upload(opened: Door, found: Site, body: Any, **fields: str) -> None:
    if found.mode == "upgrade":
        assert opened.fetch("/small").version == "2"  # a request with a body is not one to upgrade with
    path = f"/put-{id(opened)}"
    answer = opened.fetch(path, "PUT", body, **fields)
    assert (answer.status in (200, 201, 204), answer.version) == (True, "2")
    assert found.digest_received(path, answer) == LARGE_DIGEST


@doors_to()
def test_a_large_upload_is_whole(door: tuple[Door, Site]) -> None:
    upload(*door, LARGE)
    assert door[0].fetch("/small").body == SMALL


@doors_to("nginx-tls", "nghttpd-tls", "nghttpd-odd", "apache-tls", "apache-prior", "hypercorn-tls", "haproxy-tls")
def test_an_upload_of_unknown_length_is_whole(door: tuple[Door, Site]) -> None:
    upload(*door, pieces_of(LARGE))
    assert door[0].fetch("/small").body == SMALL


@doors_to("nginx-tls", "nghttpd-tls", "apache-prior", "hypercorn-tls", "haproxy-tls")
def test_an_upload_after_expect_100_continue(door: tuple[Door, Site]) -> None:
    """nghttpd and apache answer 100; the others leave the client to begin on its own."""
    upload(*door, LARGE, Expect="100-continue")
    assert door[0].fetch("/small").body == SMALL


@doors_to()
def test_head_has_no_body(door: tuple[Door, Site]) -> None:
    opened, _ = door
    answer = opened.fetch("/large", "HEAD")
    assert (answer.status, answer.version, answer.body) == (200, "2", b"")
    assert answer.headers["content-length"] == str(len(LARGE))
    assert opened.fetch("/small").body == SMALL


@doors_to()
def test_an_unchanged_file_is_304(door: tuple[Door, Site]) -> None:
    opened, _ = door
    first = opened.fetch("/small")
    name, known = ("If_None_Match", "etag") if "etag" in first.headers else ("If_Modified_Since", "last-modified")
    answer = opened.fetch("/small", **{name: first.headers[known]})
    assert (answer.status, answer.version, answer.body) == (304, "2", b"")
    assert opened.fetch("/small").body == SMALL


@doors_to("nginx-tls", "nginx-prior", "apache-tls", "apache-upgrade", "hypercorn-prior", "haproxy-tls")
def test_a_redirect_is_followed(door: tuple[Door, Site]) -> None:
    opened, found = door
    answer = opened.fetch("/moved")
    assert (answer.status, answer.version, answer.body) == (200, "2", SMALL)
    assert answer.url == found.url + "/small"


@sites("nginx-tls", "nginx-prior", "nghttpd-odd", "hypercorn-tls", "hypercorn-prior")
def test_trailers(site: Site) -> None:
    with Client(**site.client_options()) as client:
        response = client.get(f"{site.url}/trailed", headers={"TE": "trailers"})
        assert (response.status, response.http_version, response.content) == (200, "2", b"body")
        assert response.trailers is not None
        assert response.trailers["x-after"] == "the body"
        assert client.statistics.created == 1


@sites("nghttpd-tls", "apache-tls")
def test_100_continue_is_seen(site: Site) -> None:
    with Client(**site.client_options()) as client:
        response = client.put(f"{site.url}/put-seen", content=b"body", headers={"Expect": "100-continue"})
        assert response.status in (200, 201, 204)
        assert [early[":status"] for early in response.early_responses] == ["100"]


# --- many at once ----------------------------------------------------------------------------------------------------


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Results of `work(number)` in so many threads that begin together."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count)))


def summary(answer: Any) -> tuple[int, str, bytes]:
    """Status, version and body of an `Answer` or a native response."""
    if isinstance(answer, Answer):
        return answer.status, answer.version, answer.body
    return answer.status, answer.http_version, answer.content


@doors_to("nginx-tls", "nginx-prior", kinds=(Native, Adapter, Urlopen))
def test_100_threads_share_one_connection_of_nginx(door: tuple[Door, Site]) -> None:
    answers = at_once(100, lambda _: door[0].fetch("/connection"))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1


@sites()
def test_100_threads_share_one_connection(site: Site) -> None:
    """Also where the server takes fewer streams at a time, and where it is asked for an upgrade first."""
    with Client(**site.client_options()) as client:
        if site.mode == "upgrade":
            assert client.get(f"{site.url}/small").http_version == "2"
        answers = at_once(100, lambda _: [client.get(f"{site.url}/small") for _ in range(5)])
        assert {summary(answer) for each in answers for answer in each} == {(200, "2", SMALL)}
        assert client.statistics.created == 1


async def gather(client: AsyncClient, url: str, count: int) -> set[tuple[int, str, bytes]]:
    return {summary(answer) for answer in await asyncio.gather(*(client.get(url) for _ in range(count)))}


@sites()
@pytest.mark.parametrize("count", [100, 1000])
def test_tasks_share_one_connection(site: Site, count: int) -> None:
    async def work() -> None:
        async with AsyncClient(**site.client_options()) as client:
            if site.mode == "upgrade":
                await client.get(f"{site.url}/small")
            assert await gather(client, f"{site.url}/small", count) == {(200, "2", SMALL)}
            assert client.statistics.created == 1

    asyncio.run(work())


@sites("nginx-tls", "nghttpd-tls", "apache-tls", "hypercorn-tls", "haproxy-tls")
def test_large_bodies_both_ways_at_once(site: Site) -> None:
    """Eight downloads and four uploads in as many threads, on one connection."""
    with Client(**site.client_options()) as client:

        def work(number: int) -> str:
            if number % 3:
                with client.stream("GET", f"{site.url}/large") as response:
                    digest = hashlib.sha256()
                    for piece in response.iter_bytes():
                        digest.update(piece)
                    return digest.hexdigest()
            path = f"/put-{number}"
            response = client.put(site.url + path, content=pieces_of(LARGE))
            answer = Answer(response.status, "", "", response.headers, response.content)
            return site.digest_received(path, answer)

        assert set(at_once(12, work)) == {LARGE_DIGEST}
        assert client.statistics.created == 1


@sites("nginx-tls", "nghttpd-tls", "apache-tls", "hypercorn-tls", "haproxy-tls")
def test_a_body_that_is_not_read_holds_nobody_up(site: Site) -> None:
    with Client(**site.client_options()) as client:
        with client.stream("GET", f"{site.url}/large") as slow, client.stream("GET", f"{site.url}/large") as dropped:
            begun = slow.iter_bytes()
            digest = hashlib.sha256(next(begun))
            next(dropped.iter_bytes())
            for _ in range(20):
                assert summary(client.get(f"{site.url}/small")) == (200, "2", SMALL)
            dropped.close()
            for piece in begun:
                digest.update(piece)
        assert digest.hexdigest() == LARGE_DIGEST
        assert client.statistics.created == 1


@sites("nginx-tls", "nghttpd-tls", "apache-tls", "hypercorn-tls", "haproxy-tls")
def test_cancelled_tasks_harm_nobody(site: Site) -> None:
    async def work() -> None:
        async with AsyncClient(**site.client_options()) as client:
            await client.get(f"{site.url}/small")
            doomed = [asyncio.ensure_future(client.get(f"{site.url}/large")) for _ in range(30)]
            fine = [asyncio.ensure_future(client.get(f"{site.url}/small")) for _ in range(30)]
            await asyncio.wait(fine, return_when=asyncio.FIRST_COMPLETED)
            for task in doomed:
                task.cancel()
            assert {summary(answer) for answer in await asyncio.gather(*fine)} == {(200, "2", SMALL)}
            outcomes = await asyncio.gather(*doomed, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
            large = await client.get(f"{site.url}/large")
            assert hashlib.sha256(large.content).hexdigest() == LARGE_DIGEST
            assert client.statistics.created == 1

    asyncio.run(work())


# --- servers with limits ---------------------------------------------------------------------------------------------


@pytest.fixture
def limited(request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates) -> Iterator[Site]:
    with Nginx(tmp_path / "nginx", certificates, locations=NGINX_LOCATIONS + request.param) as server:
        fill(server.files)
        url = f"https://localhost:{server.h2_port}"
        yield Site("limited", url, "tls", "stored", certificates.ca_file, server.files)


few_streams = pytest.mark.parametrize("limited", ["http2_max_concurrent_streams 4;"], indirect=True, ids=["4"])
goodbyes = pytest.mark.parametrize("limited", ["keepalive_requests 5;"], indirect=True, ids=["5"])


@few_streams
@pytest.mark.parametrize("kind", [Native, Adapter, Urlopen])
def test_threads_wait_for_their_turn(limited: Site, kind: type[Door]) -> None:
    with contextlib.closing(kind(limited)) as opened:
        answers = at_once(40, lambda _: [opened.fetch("/connection") for _ in range(5)])
    assert {answer.status for each in answers for answer in each} == {200}
    assert len({answer.body for each in answers for answer in each}) == 1


@few_streams
def test_tasks_wait_for_their_turn(limited: Site) -> None:
    async def work() -> None:
        async with AsyncClient(**limited.client_options()) as client:
            assert await gather(client, f"{limited.url}/small", 200) == {(200, "2", SMALL)}
            assert client.statistics.created == 1

    asyncio.run(work())


@goodbyes
@pytest.mark.parametrize("kind", [Native, Adapter, Urlopen])
def test_a_goodbye_loses_no_request_of_threads(limited: Site, kind: type[Door]) -> None:
    """Five requests end a connection; the other streams were not looked at and are sent again."""
    with contextlib.closing(kind(limited)) as opened:
        answers = at_once(50, lambda _: opened.fetch("/connection"))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) >= 10


@goodbyes
def test_a_goodbye_loses_no_request_of_tasks(limited: Site) -> None:
    async def work() -> None:
        async with AsyncClient(**limited.client_options()) as client:
            assert await gather(client, f"{limited.url}/small", 50) == {(200, "2", SMALL)}
            assert client.statistics.created >= 10

    asyncio.run(work())


@goodbyes
def test_what_is_under_way_survives_a_goodbye(limited: Site) -> None:
    with Client(**limited.client_options()) as client, client.stream("GET", f"{limited.url}/large") as response:
        begun = response.iter_bytes()
        digest = hashlib.sha256(next(begun))
        for _ in range(12):
            assert summary(client.get(f"{limited.url}/small")) == (200, "2", SMALL)
        for piece in begun:
            digest.update(piece)
    assert digest.hexdigest() == LARGE_DIGEST
