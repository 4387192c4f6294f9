"""`verify` and `cert`."""

from __future__ import annotations

import ssl
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.utils
import urllib3
from urllib3.exceptions import InsecureRequestWarning

from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter, trust
from tests.compat.requests_api.support import OK, Recorder, session_with
from tests.support.certificates import Certificates
from tests.support.servers import RawServer


@pytest.fixture
def server(certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(Recorder(OK), context=certificates.server_context()) as made:
        yield made


@pytest.fixture
def url(server: RawServer) -> str:
    return f"https://localhost:{server.port}/"


def test_a_bundle(session: requests.Session, url: str, server: RawServer, certificates: Certificates) -> None:
    for _ in range(3):
        assert session.get(url, verify=str(certificates.ca_file)).text == "ok"
    assert session.get(url.replace("localhost", "127.0.0.1"), verify=str(certificates.ca_file)).text == "ok"
    assert server.connections == 2


@pytest.fixture
def directory(certificates: Certificates, tmp_path: Path) -> Path:
    """A directory of authorities as OpenSSL wants it: files are named by a hash of who it is."""
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificates.ca_file)]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / f"{name}.0").write_bytes(certificates.ca_file.read_bytes())
    return folder


def test_a_directory(session: requests.Session, url: str, server: RawServer, directory: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert session.get(url, verify=str(directory)).text == "ok"
    assert server.connections == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        session.get(url, verify=str(tmp_path / "empty"))
    directory.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="invalid path"):
        session.get(url, verify=str(directory))


def test_the_default_refuses_a_stranger(session: requests.Session, url: str) -> None:
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        session.get(url)
    reason = caught.value.args[0].reason
    assert isinstance(reason, urllib3.exceptions.SSLError)
    assert isinstance(reason.args[0], ssl.SSLCertVerificationError)
    assert caught.value.request is not None


def test_the_wrong_name(session: requests.Session, certificates: Certificates, tmp_path: Path) -> None:
    other = Certificates.create(tmp_path, ["other.example"])
    with (
        RawServer(Recorder(OK), context=other.server_context()) as server,
        pytest.raises(requests.exceptions.SSLError, match="localhost"),
    ):
        session.get(f"https://localhost:{server.port}/", verify=str(other.ca_file))


def test_no_verification_warns(session: requests.Session, url: str) -> None:
    with pytest.warns(InsecureRequestWarning, match="Unverified HTTPS request is being made to host 'localhost'"):
        assert session.get(url, verify=False).text == "ok"


def test_trust_is_not_shared(session: requests.Session, url: str, certificates: Certificates) -> None:
    """A connection made without verification must not serve a request that asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)
        assert session.get(url, verify=False).text == "ok"
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url)
    assert session.get(url, verify=str(certificates.ca_file)).text == "ok"
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url)


@pytest.mark.parametrize("kind_of_session", ["mounted", "module"])
def test_the_environment_names_a_bundle(
    kind: Any,
    kind_of_session: str,
    url: str,
    certificates: Certificates,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of requests goes before that of curl; an argument goes before both, and so does not to trust the environment."""
    with requests_api.Session() if kind_of_session == "module" else session_with(kind()) as session:
        for requests_says, curl_says in (
            (str(certificates.ca_file), "/nowhere"),
            ("", str(certificates.ca_file)),
            ("", str(directory)),
        ):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests_says)
            monkeypatch.setenv("CURL_CA_BUNDLE", curl_says)
            assert session.get(url).text == "ok"
            assert session.get(url, verify=True).text == "ok"
        monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere")
        with pytest.raises(OSError, match="invalid path: /nowhere"):
            session.get(url)
        assert session.get(url, verify=str(certificates.ca_file)).text == "ok"
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url)


def test_the_system_store_is_trusted_too(
    url: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, engine_session: requests.Session
) -> None:
    trust._default_context.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    try:
        assert engine_session.get(url).text == "ok"
    finally:
        trust._default_context.cache_clear()


def test_requests_own_bundle_is_trusted() -> None:
    context = trust._default_context()
    bundle = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bundle.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    assert {str(ca) for ca in bundle.get_ca_certs()} <= {str(ca) for ca in context.get_ca_certs()}


@pytest.mark.parametrize(
    "options", [{"verify": "/nowhere/ca.pem"}, {"cert": "/nowhere/c.pem"}, {"cert": ("/no", "/no")}]
)
def test_files_that_are_not_there(session: requests.Session, url: str, options: Any) -> None:
    with pytest.raises(OSError, match="invalid path: /no"):
        session.get(url, **options)


def test_a_file_that_is_no_certificate(session: requests.Session, url: str, tmp_path: Path) -> None:
    path = tmp_path / "not.pem"
    path.write_text("nothing")
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url, verify=str(path))
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url, cert=str(path))


def test_client_certificates(session: requests.Session, certificates: Certificates, tmp_path: Path) -> None:
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    certificates.client.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(blob.bytes() for blob in certificates.client.cert_chain_pems))
    with RawServer(Recorder(OK), context=certificates.server_context(ask_client=True)) as server:
        url, verify = f"https://localhost:{server.port}/", str(certificates.ca_file)
        assert session.get(url, verify=verify, cert=str(certificates.client_file)).text == "ok"
        for _ in range(2):
            assert session.get(url, verify=verify, cert=(str(chain), str(key))).text == "ok"
            assert session.get(url, verify=Path(verify), cert=(chain, key)).text == "ok"  # type: ignore[arg-type]
        with pytest.raises(requests.ConnectionError):
            session.get(url, verify=verify)


def test_a_bundle_that_is_replaced_takes_effect(
    engine_session: requests.Session, url: str, certificates: Certificates, tmp_path: Path
) -> None:
    stranger = Certificates.create(tmp_path)
    path = tmp_path / "bundle.pem"
    path.write_bytes(stranger.ca_file.read_bytes())
    with pytest.raises(requests.exceptions.SSLError):
        engine_session.get(url, verify=str(path))
    path.write_bytes(certificates.ca_file.read_bytes() + b"\n")
    assert engine_session.get(url, verify=str(path)).text == "ok"


def test_a_context_of_ones_own(url: str, certificates: Certificates) -> None:
    context = certificates.client_context()
    with session_with(EngineAdapter(ssl_context=context)) as session:
        assert session.get(url).text == "ok"


def test_a_context_given_to_the_pool_manager(kind: Any, url: str, certificates: Certificates) -> None:
    context = certificates.client_context()

    class Adapter(kind):  # type: ignore[misc]
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **options)

    with session_with(Adapter()) as session:
        assert session.get(url).text == "ok"


def test_a_server_that_speaks_no_tls(session: requests.Session) -> None:
    def handler(connection: Any) -> None:
        connection.recv(10_000)
        connection.sendall(OK)

    with RawServer(handler) as server, pytest.raises(requests.exceptions.SSLError) as caught:
        session.get(f"https://localhost:{server.port}/", timeout=5)
    assert isinstance(caught.value.args[0].reason.args[0], ssl.SSLError)


def test_a_body_until_a_ragged_end(session: requests.Session, certificates: Certificates) -> None:
    def handler(connection: Any) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    with RawServer(handler, context=certificates.server_context()) as server:
        assert session.get(f"https://localhost:{server.port}/", verify=str(certificates.ca_file)).text == "all of it"
