"""Every door against nginx, in clear and over verified TLS."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import threading
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from drivetrain.compat import urllib_api
from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import AsyncClient, Client, errors
from tests.support.certificates import Certificates
from tests.support.peers import Nginx

pytestmark = pytest.mark.peers

Door = Callable[[str, str], "tuple[int, bytes]"]


def native(url: str, ca_file: str) -> tuple[int, bytes]:
    with Client(verify=ca_file) as client:
        response = client.get(url)
        return response.status, response.content


def native_asyncio(url: str, ca_file: str) -> tuple[int, bytes]:
    async def fetch() -> tuple[int, bytes]:
        async with AsyncClient(verify=ca_file) as client:
            response = await client.get(url)
            return response.status, response.content

    return asyncio.run(fetch())


def adapter(url: str, ca_file: str) -> tuple[int, bytes]:
    with requests.Session() as session:
        session.mount("http://", EngineAdapter())
        session.mount("https://", EngineAdapter())
        response = session.get(url, verify=ca_file)
        return response.status_code, response.content


def urlopen(url: str, ca_file: str) -> tuple[int, bytes]:
    try:
        with urllib_api.urlopen(url, timeout=10, context=ssl.create_default_context(cafile=ca_file)) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


doors = pytest.mark.parametrize("door", [native, native_asyncio, adapter, urlopen], ids=lambda door: door.__name__)
schemes = pytest.mark.parametrize("scheme", ["http", "https"])


def base_url(nginx: Nginx, scheme: str) -> str:
    return nginx.url if scheme == "http" else f"https://localhost:{nginx.tls_port}"


@doors
@schemes
def test_a_file_arrives_whole(nginx: Nginx, certificates: Certificates, door: Door, scheme: str) -> None:
    content = bytes(range(256)) * 4000
    (nginx.files / "whole").write_bytes(content)
    assert door(base_url(nginx, scheme) + "/whole", str(certificates.ca_file)) == (200, content)


@doors
@schemes
def test_a_missing_file_is_404_with_a_body(nginx: Nginx, certificates: Certificates, door: Door, scheme: str) -> None:
    status, body = door(base_url(nginx, scheme) + "/no-such-file", str(certificates.ca_file))
    assert status == 404
    assert b"404 Not Found" in body


def test_a_stranger_certificate_is_refused(nginx: Nginx) -> None:
    with Client() as client, pytest.raises(errors.CertificateError):
        client.get(f"https://localhost:{nginx.tls_port}/")


def test_connections_are_kept_and_shared_by_threads(nginx: Nginx) -> None:
    (nginx.files / "small").write_bytes(b"x" * 100)
    bad: list[object] = []
    with Client() as client:

        def work() -> None:
            for _ in range(50):
                response = client.get(nginx.url + "/small")
                if (response.status, response.content) != (200, b"x" * 100):
                    bad.append(response)

        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert bad == []
        assert client.statistics.created <= 10
        assert client.statistics.created + client.statistics.reused == 500


def test_ranges_and_conditions_keep_the_connection(nginx: Nginx) -> None:
    (nginx.files / "ranged").write_bytes(b"0123456789")
    with Client() as client:
        part = client.get(nginx.url + "/ranged", headers={"Range": "bytes=2-4"})
        assert (part.status, part.content) == (206, b"234")
        unchanged = client.get(nginx.url + "/ranged", headers={"If-None-Match": part.headers["etag"]})
        assert (unchanged.status, unchanged.content) == (304, b"")
        head = client.head(nginx.url + "/ranged")
        assert (head.status, head.headers["content-length"], head.content) == (200, "10", b"")
        assert client.statistics.created == 1


def test_a_large_download_is_whole_in_pieces(nginx: Nginx, certificates: Certificates) -> None:
    content = hashlib.sha256(b"seed").digest() * (20 * 1024 * 1024 // 32)
    (nginx.files / "large").write_bytes(content)
    digest = hashlib.sha256()
    with (
        Client(verify=certificates.ca_file) as client,
        client.stream("GET", f"https://localhost:{nginx.tls_port}/large") as response,
    ):
        for piece in response.iter_bytes():
            digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("length_known", [True, False], ids=["length", "chunked"])
def test_an_upload_is_whole(tmp_path: Path, certificates: Certificates, length_known: bool) -> None:
    content = hashlib.sha256(b"upload").digest() * (8 * 1024 * 1024 // 32)
    location = "location /put/ { dav_methods PUT; create_full_put_path on; client_body_temp_path $folder/files/tmp; }"
    with Nginx(tmp_path, certificates, locations=location) as nginx, Client() as client:
        body = content if length_known else (content[at : at + 100_000] for at in range(0, len(content), 100_000))
        response = client.put(nginx.url + "/put/upload", content=body)
        assert response.status == 201
        assert (nginx.files / "put" / "upload").read_bytes() == content


def test_a_refused_upload_gives_its_answer(tmp_path: Path, certificates: Certificates) -> None:
    location = "location /small { client_max_body_size 10k; dav_methods PUT; }"
    with Nginx(tmp_path, certificates, locations=location) as nginx, Client() as client:
        response = client.put(nginx.url + "/small", content=(b"x" * 100_000 for _ in range(300)))
        assert response.status == 413
        assert client.get(nginx.url + "/").status in (403, 404)


def test_a_response_compressed_by_nginx_is_decoded(tmp_path: Path, certificates: Certificates) -> None:
    location = "location /text { default_type text/html; gzip on; gzip_min_length 1; gzip_http_version 1.0; }"
    with Nginx(tmp_path, certificates, locations=location) as nginx, Client() as client:
        (nginx.files / "text").write_bytes(b"again and again " * 1000)
        response = client.get(nginx.url + "/text")
        assert response.headers["content-encoding"] == "gzip"
        assert response.content == b"again and again " * 1000
        with client.stream("GET", nginx.url + "/text") as raw:
            assert b"".join(raw.iter_raw())[:2] == b"\x1f\x8b"


def test_redirects_are_followed(tmp_path: Path, certificates: Certificates) -> None:
    location = (
        "location = /a { return 302 /b; } location = /b { return 301 /c?d=e; } location = /c { return 200 $args; }"
    )
    with Nginx(tmp_path, certificates, locations=location) as nginx, Client() as client:
        response = client.get(nginx.url + "/a#part")
        assert (response.status, response.content) == (200, b"d=e")
        assert [hop.status for hop in response.history] == [302, 301]
        assert client.statistics.created == 1
