"""TLS contexts: trust, certificates from files and memory, ciphers, and names matched by hand."""

from __future__ import annotations

import os
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine import tls
from drivetrain.engine.errors import CertificateError, UsageError
from drivetrain.engine.tls import (
    banned_ciphers,
    default_client_context,
    is_banned_cipher,
    match_hostname,
    new_client_context,
    new_server_context,
    offering,
)
from tests.support.certificates import Certificates


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str | None = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Do a handshake in memory and return both ends; raises what either of them raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True))
    for _ in range(5):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    # TLS 1.3: the server learns of a missing client certificate only after the client believes to be done.
    ends[0].write(b"x")
    assert ends[1].read() == b"x"
    return ends


def pems(leaf: trustme.LeafCert) -> tuple[bytes, bytes]:
    """The chain and the key."""
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes()


class TestClientContext:
    def test_what_is_on_by_default(self) -> None:
        context = new_client_context()
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert not context.hostname_checks_common_name
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION

    def test_a_stranger_is_refused(self, certificates: Certificates) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            shake_hands(new_client_context(), certificates.server_context())

    def test_trust_in_a_file_memory_or_directory(self, certificates: Certificates, tmp_path: Path) -> None:
        text = certificates.ca_file.read_text()
        for verify in (
            certificates.ca_file,
            str(certificates.ca_file),
            text,
            "Größe: the authority\n".encode("latin-1") + text.encode(),
            ssl.PEM_cert_to_DER_cert(text),
        ):
            client, _ = shake_hands(new_client_context(verify=verify), certificates.server_context())
            assert client.getpeercert()

    def test_trust_in_a_directory(self, certificates: Certificates, tmp_path: Path) -> None:
        context = new_client_context(verify=tmp_path)  # empty: trusts nobody
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(context, certificates.server_context())

    @pytest.mark.parametrize("verify", ["/no/such/file.pem", b"-----BEGIN nonsense", b"\x30\x00"])
    def test_trust_in_nothing_usable(self, verify: Any) -> None:
        with pytest.raises(UsageError, match="trust"):
            new_client_context(verify=verify)

    def test_the_wrong_name_is_refused(self, certificates: Certificates) -> None:
        context = new_client_context(verify=certificates.ca_file)
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake_hands(context, certificates.server_context(), "other.test")

    def test_the_common_name_is_no_name(self, certificates: Certificates) -> None:
        server = new_server_context(pems(certificates.authority.issue_cert("1.2.3.4", common_name="localhost")))
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake_hands(new_client_context(verify=certificates.ca_file), server)

    def test_without_check_hostname_the_chain_is_still_verified(self, certificates: Certificates) -> None:
        trusting = new_client_context(verify=certificates.ca_file, check_hostname=False)
        client, _ = shake_hands(trusting, certificates.server_context(), "other.test")
        assert client.getpeercert()
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(new_client_context(check_hostname=False), certificates.server_context())

    def test_verify_false_accepts_anybody(self, certificates: Certificates) -> None:
        context = new_client_context(verify=False)
        client, _ = shake_hands(context, certificates.server_context(), "other.test")
        assert client.version() == "TLSv1.3"
        assert not context.check_hostname

    def test_an_intermediate_authority_can_be_trusted(self, certificates: Certificates) -> None:
        child = certificates.authority.create_child_ca()
        server = new_server_context(pems(child.issue_cert("localhost")))
        client, _ = shake_hands(new_client_context(verify=child.cert_pem.bytes()), server)
        assert client.getpeercert()

    def test_alpn(self, certificates: Certificates) -> None:
        server = new_server_context((certificates.server_file, certificates.server_key), alpn=["h2", "http/1.1"])
        plain = new_client_context(verify=certificates.ca_file, alpn=("http/1.1",))
        both = new_client_context(verify=certificates.ca_file)
        none = new_client_context(verify=certificates.ca_file, alpn=())
        other = new_client_context(verify=certificates.ca_file, alpn=("spdy/1",))
        chosen = [shake_hands(client, server)[0].selected_alpn_protocol() for client in (plain, both, none, other)]
        assert chosen == ["http/1.1", "h2", None, None]
        assert tls.has_alpn
        assert tls.has_hostname_validation

    def test_a_shared_context_offers_something_for_a_moment(self, certificates: Certificates) -> None:
        server = new_server_context((certificates.server_file, certificates.server_key))
        shared = certificates.client_context()
        with offering(shared, ()):
            untouched, _ = shake_hands(shared, server)
        with offering(shared, ("h2", "http/1.1")):
            meanwhile, _ = shake_hands(shared, server)
        afterwards, _ = shake_hands(shared, server)
        chosen = [session.selected_alpn_protocol() for session in (untouched, meanwhile, afterwards)]
        assert chosen == [None, "h2", "http/1.1"]

    def test_keys_are_logged_where_the_environment_asks_for_it(
        self, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        shake_hands(new_client_context(verify=certificates.ca_file), certificates.server_context())
        assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()


class TestSystemStore:
    def no_store(self, monkeypatch: pytest.MonkeyPatch, capath: str | None) -> None:
        paths = ssl.DefaultVerifyPaths(None, capath, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")  # type: ignore[arg-type]
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *args: None)

    @pytest.mark.parametrize("capath", [None, "/no/such/directory"])
    def test_certifi_steps_in_where_there_is_none(self, monkeypatch: pytest.MonkeyPatch, capath: str | None) -> None:
        self.no_store(monkeypatch, capath)
        assert new_client_context().cert_store_stats()["x509_ca"] > 50

    def test_a_directory_is_a_store_if_it_has_hashed_names(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        self.no_store(monkeypatch, str(tmp_path))
        (tmp_path / "README").touch()
        assert new_client_context().cert_store_stats()["x509_ca"] > 50
        (tmp_path / "5ed36f99.0").touch()
        assert new_client_context().cert_store_stats()["x509_ca"] == 0

    @pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
    def test_the_users_choice_is_not_widened(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.no_store(monkeypatch, None)
        monkeypatch.setenv(name, "/no/such/place")
        assert new_client_context().cert_store_stats()["x509_ca"] == 0

    def test_openssl_s_variable_is_heard(self, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
        client, _ = shake_hands(new_client_context(), certificates.server_context())
        assert client.getpeercert()

    def test_the_default_context_is_one_per_process_and_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tls, "_default_contexts", {})
        barrier = threading.Barrier(4)
        found: list[ssl.SSLContext] = []

        def fetch() -> None:
            barrier.wait()
            found.append(default_client_context())

        threads = [threading.Thread(target=fetch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1
        assert default_client_context(alpn=["h2", "http/1.1"]) is found[0]
        other = default_client_context(check_hostname=False)
        assert other is not found[0]
        assert other.verify_mode == ssl.CERT_REQUIRED
        assert not other.check_hostname


class TestCertificates:
    def kinds(self, certificates: Certificates) -> dict[str, Any]:
        chain, key = pems(certificates.client)
        return {
            "file": certificates.client_file,
            "file as text": str(certificates.client_file),
            "memory": chain + key,
            "memory as text": (key + chain).decode(),
            "two in memory": (chain, key.decode()),
            "file and nothing": (certificates.client_file, None),
            "with a password not needed": (chain, key, "secret"),
        }

    @pytest.mark.parametrize("memfd", [True, False])
    def test_a_client_shows_its_certificate(
        self, certificates: Certificates, memfd: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        if not memfd:
            monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        server = new_server_context((certificates.server_file, certificates.server_key), verify=certificates.ca_file)
        for kind, cert in self.kinds(certificates).items():
            client = new_client_context(verify=certificates.ca_file, cert=cert)
            _, accepted = shake_hands(client, server)
            shown = accepted.getpeercert()
            assert shown, kind
            assert ("email", "client@example.org") in shown["subjectAltName"], kind
            assert list(tmp_path.iterdir()) == []  # no key is left behind

    def test_the_temporary_file_is_private_and_goes_away_on_failure(
        self, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        modes = []

        def load(self: ssl.SSLContext, path: str, *rest: object) -> None:
            modes.append(os.stat(path).st_mode & 0o777)
            raise OSError("no")

        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
        with pytest.raises(UsageError):
            new_client_context(verify=False, cert=pems(certificates.client))
        assert modes == ([0o600] if sys.platform != "win32" else modes)
        assert list(tmp_path.iterdir()) == []

    def test_a_server_insists_on_it(self, certificates: Certificates) -> None:
        server = new_server_context((certificates.server_file, certificates.server_key), verify=certificates.ca_file)
        with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
            shake_hands(new_client_context(verify=certificates.ca_file), server)

    def test_an_encrypted_key(self, certificates: Certificates) -> None:
        chain, key = pems(certificates.client)
        locked = load_pem_private_key(key, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        for password in ("secret", b"secret"):
            assert new_client_context(verify=False, cert=(chain, locked, password))
        with pytest.raises(UsageError, match="no password"):
            new_client_context(verify=False, cert=(chain, locked))
        with pytest.raises(UsageError, match="in memory"):
            new_client_context(verify=False, cert=(chain, locked, "wrong"))

    @pytest.mark.parametrize(
        ("cert", "text"),
        [("/no/such/cert.pem", "/no/such/cert.pem"), (b"-----BEGIN nonsense", "in memory"), ((), "one source")],
    )
    def test_nothing_usable(self, cert: Any, text: str) -> None:
        with pytest.raises(UsageError, match=text):
            new_client_context(verify=False, cert=cert)

    def test_a_key_of_another_certificate(self, certificates: Certificates) -> None:
        with pytest.raises(UsageError, match=r"server\.pem"):
            new_server_context((certificates.server_file, certificates.client.private_key_pem.bytes()))


def every_cipher() -> dict[str, int]:
    """OpenSSL's name of each suite it has, and its number in IANA's registry."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}


# RFC 9113 appendix A in the numbers of IANA's registry: 276 suites.
APPENDIX_A = """
    0000-001B 001E-0046 0067-006D 0084-009D 00A0-00A1 00A4-00A9 00AC-00C5 00FF C001-C02A C02D-C02E C031-C051 C054-C055
    C058-C05B C05E-C05F C062-C06B C06E-C07B C07E-C07F C082-C085 C088-C089 C08C-C08F C092-C09D C0A0-C0A1 C0A4-C0A5 C0A8-C0A9
"""


class TestCiphers:
    def test_the_banned_are_those_of_the_rfc(self) -> None:
        prohibited = set()
        for span in APPENDIX_A.split():
            first, _, last = span.partition("-")
            prohibited.update(range(int(first, 16), int(last or first, 16) + 1))
        assert len(prohibited) == 276
        known = every_cipher()
        assert len(known) > 50
        assert {name for name in known if is_banned_cipher(name)} == {
            name for name, number in known.items() if number in prohibited
        }

    def test_what_is_not_banned_is_ephemeral_and_authenticated(self) -> None:
        later = {"PSK-CHACHA20-POLY1305", "RSA-PSK-CHACHA20-POLY1305"}  # registered after the list was drawn up
        for name in set(every_cipher()) - banned_ciphers - later:
            if not name.startswith("TLS_"):
                assert "DHE-" in name, name
                assert "GCM" in name or "CCM" in name or "POLY1305" in name, name

    def test_examples(self) -> None:
        assert is_banned_cipher("AES128-GCM-SHA256")  # no ephemeral key
        assert is_banned_cipher("ECDHE-RSA-AES128-SHA256")  # a block cipher
        assert is_banned_cipher("DES-CBC3-SHA")  # also where OpenSSL is built without it
        assert not is_banned_cipher("ECDHE-RSA-AES128-GCM-SHA256")  # the one every HTTP/2 server has
        assert not is_banned_cipher("TLS_AES_128_GCM_SHA256")

    @pytest.mark.parametrize("name", ["intermediate_cipher_list", "old_cipher_list"])
    def test_the_lists_are_ready_for_openssl(self, name: str) -> None:
        wanted = getattr(tls, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers(wanted)
        given = [cipher["name"] for cipher in context.get_ciphers() if not cipher["name"].startswith("TLS_")]
        assert given == [part for part in wanted.split(":") if part in given]  # Mozilla's order
        assert len(given) >= 6

    def test_intermediate_is_fit_for_http2(self) -> None:
        assert not set(tls.intermediate_cipher_list.split(":")) & banned_ciphers

    def test_each_list_holds_the_one_before(self) -> None:
        assert tls.intermediate_cipher_list.startswith(tls.modern_cipher_list + ":")
        assert tls.old_cipher_list.startswith(tls.intermediate_cipher_list + ":")

    def test_modern_means_tls_1_3(self, certificates: Certificates) -> None:
        files = (certificates.server_file, certificates.server_key)
        modern = new_server_context(files, ciphers=tls.modern_cipher_list)
        client = new_client_context(verify=certificates.ca_file)
        assert shake_hands(client, modern)[0].version() == "TLSv1.3"
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            shake_hands(client, modern)
        cipher = shake_hands(client, new_server_context(files))[0].cipher()
        assert cipher
        assert cipher[0] in tls.intermediate_cipher_list.split(":")

    def test_a_list_of_nothing_known(self) -> None:
        with pytest.raises(UsageError, match="NO-SUCH"):
            new_client_context(verify=False, ciphers="NO-SUCH-CIPHER")


def certificate_for(*names: tuple[str, str]) -> dict[str, Any]:
    return {"subject": ((("commonName", "cn.test"),),), "subjectAltName": names}


def is_valid_for(certificate: dict[str, Any], host: str) -> bool:
    try:
        match_hostname(certificate, host)
    except CertificateError:
        return False
    return True


class TestMatchHostname:
    @pytest.mark.parametrize(
        ("presented", "host"),
        [
            ("example.com", "example.com"),
            ("Example.COM", "eXample.com"),
            ("example.com", "example.com."),
            ("*.example.com", "www.example.com"),
            ("*.example.com", "xn--bcher-kva.example.com"),
            ("a_b.example.com", "a_b.example.com"),
        ],
    )
    def test_names_that_match(self, presented: str, host: str) -> None:
        assert is_valid_for(certificate_for(("DNS", "else.test"), ("DNS", presented)), host)

    @pytest.mark.parametrize(
        ("presented", "host"),
        [
            ("example.com", "www.example.com"),
            ("*.example.com", "example.com"),
            ("*.example.com", "a.b.example.com"),
            ("*.example.com", ".example.com"),
            ("w*.example.com", "www.example.com"),
            ("*w.example.com", "www.example.com"),
            ("www.*.com", "www.example.com"),
            ("*.*.com", "www.example.com"),
            ("*", "localhost"),
            ("*.com", "example.com"),
            ("*.", "a."),
            ("example.com\0.evil.test", "example.com"),
            ("example.com.", "example.com"),
            ("exam\u212aple.com", "examkple.com"),  # the Kelvin sign
            ("examkple.com", "exam\u212aple.com"),
            ("", ""),
            ("*.example.com", "*.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("*.0.0.1", "127.0.0.1"),
        ],
    )
    def test_names_that_do_not(self, presented: str, host: str) -> None:
        with pytest.raises(CertificateError, match="not valid for"):
            match_hostname(certificate_for(("DNS", presented)), host)

    @pytest.mark.parametrize(
        ("presented", "host"),
        [
            ("127.0.0.1", "127.0.0.1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("0:0:0:0:0:0:0:1\n", "::1"),  # as older versions of Python print it
            ("FE80:0:0:0:0:0:0:1", "fe80::1%eth0"),
        ],
    )
    def test_addresses_that_match(self, presented: str, host: str) -> None:
        assert is_valid_for(certificate_for(("DNS", "else.test"), ("IP Address", presented)), host)

    @pytest.mark.parametrize(
        ("presented", "host"), [("127.0.0.1", "127.0.0.2"), ("::1", "0.0.0.1"), ("<invalid>", "::1")]
    )
    def test_addresses_that_do_not(self, presented: str, host: str) -> None:
        with pytest.raises(CertificateError):
            match_hostname(certificate_for(("IP Address", presented)), host)

    def test_other_kinds_and_the_subject_do_not_count(self) -> None:
        with pytest.raises(CertificateError, match="no name at all"):
            match_hostname(certificate_for(("URI", "cn.test"), ("email", "cn.test"), ("IP Address ", "x")), "cn.test")
        with pytest.raises(CertificateError):
            match_hostname({}, "cn.test")

    def test_the_error_says_what_it_is_for(self) -> None:
        certificate = certificate_for(("DNS", "a.test"), ("IP Address", "10.0.0.1"))
        with pytest.raises(CertificateError, match=r"'b\.test', only for: a\.test, 10\.0\.0\.1"):
            match_hostname(certificate, "b.test")

    @given(st.text("ab*.-", max_size=12), st.text("ab.-", max_size=12))
    def test_whatever_matches_differs_in_the_leftmost_label_only(self, presented: str, host: str) -> None:
        if not is_valid_for(certificate_for(("DNS", presented)), host):
            return
        labels, wanted = presented.split("."), host.removesuffix(".").split(".")
        assert len(labels) == len(wanted)
        assert labels[1:] == wanted[1:]
        assert labels[0] in (wanted[0], "*")
        assert all(wanted)
