"""TLS contexts for clients and servers, cipher lists, and the matching of names against certificates.

This is lua-http's `http.tls` on the standard library's `ssl`. Laws:

- TLS 1.2 is the least that is spoken, compression and renegotiation are off (RFC 9113 section 9.2.1);
- a client context verifies chain and name unless told not to; names are looked for in the certificate's subject
  alternative names only, never in its common name (RFC 9525);
- trust comes from the system's store as OpenSSL finds it; certifi's list is used only where the system has none and
  neither `SSL_CERT_FILE` nor `SSL_CERT_DIR` says otherwise;
- key material given in memory does not stay on a disk.

A context that is in use must not be changed: connections made by other threads would see half of the change.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import CertificateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "DEFAULT_ALPN",
    "CertificateSource",
    "PemSource",
    "TrustSource",
    "banned_ciphers",
    "default_client_context",
    "has_alpn",
    "has_hostname_validation",
    "intermediate_cipher_list",
    "is_banned_cipher",
    "match_hostname",
    "modern_cipher_list",
    "new_client_context",
    "new_server_context",
    "offering",
    "old_cipher_list",
    "verifies_hosts",
]

PemSource: TypeAlias = str | bytes | os.PathLike[str]
"""A path, or PEM text itself: bytes, or a str that holds `-----BEGIN`."""

CertificateSource: TypeAlias = (
    PemSource | tuple[PemSource, PemSource | None] | tuple[PemSource, PemSource | None, str | bytes | None]
)
"""A certificate chain with its key: one source holding both, (chain, key), or (chain, key, password of the key)."""

TrustSource: TypeAlias = bool | PemSource
"""Whom to trust: True the system, False anybody, else a file, a directory, or certificates in memory (PEM or DER)."""

DEFAULT_ALPN = ("h2", "http/1.1")

has_alpn: bool = ssl.HAS_ALPN
"""Whether OpenSSL can negotiate the HTTP version inside the handshake (RFC 7301)."""

has_hostname_validation: bool = True
"""Whether certificates are matched against names: always so in the OpenSSL versions that Python 3.10 accepts."""

_TLS13_SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

modern_cipher_list: str = _TLS13_SUITES
"""Mozilla's "modern" list (guidelines 6.0): TLS 1.3 only.

OpenSSL has another switch for the suites of TLS 1.3, so `SSLContext.set_ciphers` refuses this list on its own; the
`ciphers` parameter of `new_client_context` and `new_server_context` understands it and forbids TLS 1.2.
"""

intermediate_cipher_list: str = (
    f"{_TLS13_SUITES}"
    ":ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
    ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Mozilla's "intermediate" list (guidelines 6.0), its advice for a server with no special needs."""

old_cipher_list: str = (
    f"{intermediate_cipher_list}"
    ":DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
    ":ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
    ":ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
    ":DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:AES256-GCM-SHA384"
    ":AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA"
)
"""Mozilla's "old" list (guidelines 5.7, the last to have one), for very old peers only."""

_BANNED = """
    ADH-AES128-GCM-SHA256 ADH-AES128-SHA ADH-AES128-SHA256 ADH-AES256-GCM-SHA384 ADH-AES256-SHA ADH-AES256-SHA256
    ADH-CAMELLIA128-SHA ADH-CAMELLIA128-SHA256 ADH-CAMELLIA256-SHA ADH-CAMELLIA256-SHA256 ADH-DES-CBC3-SHA
    ADH-RC4-MD5 ADH-SEED-SHA AECDH-AES128-SHA AECDH-AES256-SHA AECDH-DES-CBC3-SHA AECDH-NULL-SHA AECDH-RC4-SHA
    AES128-CCM AES128-CCM8 AES128-GCM-SHA256 AES128-SHA AES128-SHA256 AES256-CCM AES256-CCM8 AES256-GCM-SHA384
    AES256-SHA AES256-SHA256 ARIA128-GCM-SHA256 ARIA256-GCM-SHA384 CAMELLIA128-SHA CAMELLIA128-SHA256
    CAMELLIA256-SHA CAMELLIA256-SHA256 DES-CBC3-SHA DHE-DSS-AES128-SHA DHE-DSS-AES128-SHA256 DHE-DSS-AES256-SHA
    DHE-DSS-AES256-SHA256 DHE-DSS-CAMELLIA128-SHA DHE-DSS-CAMELLIA128-SHA256 DHE-DSS-CAMELLIA256-SHA
    DHE-DSS-CAMELLIA256-SHA256 DHE-DSS-DES-CBC3-SHA DHE-DSS-SEED-SHA DHE-PSK-3DES-EDE-CBC-SHA
    DHE-PSK-AES128-CBC-SHA DHE-PSK-AES128-CBC-SHA256 DHE-PSK-AES256-CBC-SHA DHE-PSK-AES256-CBC-SHA384
    DHE-PSK-CAMELLIA128-SHA256 DHE-PSK-CAMELLIA256-SHA384 DHE-PSK-NULL-SHA DHE-PSK-NULL-SHA256 DHE-PSK-NULL-SHA384
    DHE-PSK-RC4-SHA DHE-RSA-AES128-SHA DHE-RSA-AES128-SHA256 DHE-RSA-AES256-SHA DHE-RSA-AES256-SHA256
    DHE-RSA-CAMELLIA128-SHA DHE-RSA-CAMELLIA128-SHA256 DHE-RSA-CAMELLIA256-SHA DHE-RSA-CAMELLIA256-SHA256
    DHE-RSA-DES-CBC3-SHA DHE-RSA-SEED-SHA ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES256-SHA
    ECDHE-ECDSA-AES256-SHA384 ECDHE-ECDSA-CAMELLIA128-SHA256 ECDHE-ECDSA-CAMELLIA256-SHA384
    ECDHE-ECDSA-DES-CBC3-SHA ECDHE-ECDSA-NULL-SHA ECDHE-ECDSA-RC4-SHA ECDHE-PSK-3DES-EDE-CBC-SHA
    ECDHE-PSK-AES128-CBC-SHA ECDHE-PSK-AES128-CBC-SHA256 ECDHE-PSK-AES256-CBC-SHA ECDHE-PSK-AES256-CBC-SHA384
    ECDHE-PSK-CAMELLIA128-SHA256 ECDHE-PSK-CAMELLIA256-SHA384 ECDHE-PSK-NULL-SHA ECDHE-PSK-NULL-SHA256
    ECDHE-PSK-NULL-SHA384 ECDHE-PSK-RC4-SHA ECDHE-RSA-AES128-SHA ECDHE-RSA-AES128-SHA256 ECDHE-RSA-AES256-SHA
    ECDHE-RSA-AES256-SHA384 ECDHE-RSA-CAMELLIA128-SHA256 ECDHE-RSA-CAMELLIA256-SHA384 ECDHE-RSA-DES-CBC3-SHA
    ECDHE-RSA-NULL-SHA ECDHE-RSA-RC4-SHA EDH-DSS-DES-CBC3-SHA EDH-RSA-DES-CBC3-SHA IDEA-CBC-SHA NULL-MD5 NULL-SHA
    NULL-SHA256 PSK-3DES-EDE-CBC-SHA PSK-AES128-CBC-SHA PSK-AES128-CBC-SHA256 PSK-AES128-CCM PSK-AES128-CCM8
    PSK-AES128-GCM-SHA256 PSK-AES256-CBC-SHA PSK-AES256-CBC-SHA384 PSK-AES256-CCM PSK-AES256-CCM8
    PSK-AES256-GCM-SHA384 PSK-ARIA128-GCM-SHA256 PSK-ARIA256-GCM-SHA384 PSK-CAMELLIA128-SHA256
    PSK-CAMELLIA256-SHA384 PSK-NULL-SHA PSK-NULL-SHA256 PSK-NULL-SHA384 PSK-RC4-SHA RC4-MD5 RC4-SHA
    RSA-PSK-3DES-EDE-CBC-SHA RSA-PSK-AES128-CBC-SHA RSA-PSK-AES128-CBC-SHA256 RSA-PSK-AES128-GCM-SHA256
    RSA-PSK-AES256-CBC-SHA RSA-PSK-AES256-CBC-SHA384 RSA-PSK-AES256-GCM-SHA384 RSA-PSK-ARIA128-GCM-SHA256
    RSA-PSK-ARIA256-GCM-SHA384 RSA-PSK-CAMELLIA128-SHA256 RSA-PSK-CAMELLIA256-SHA384 RSA-PSK-NULL-SHA
    RSA-PSK-NULL-SHA256 RSA-PSK-NULL-SHA384 RSA-PSK-RC4-SHA SEED-SHA SRP-3DES-EDE-CBC-SHA SRP-AES-128-CBC-SHA
    SRP-AES-256-CBC-SHA SRP-DSS-3DES-EDE-CBC-SHA SRP-DSS-AES-128-CBC-SHA SRP-DSS-AES-256-CBC-SHA
    SRP-RSA-3DES-EDE-CBC-SHA SRP-RSA-AES-128-CBC-SHA SRP-RSA-AES-256-CBC-SHA
"""

banned_ciphers: frozenset[str] = frozenset(_BANNED.split())
"""OpenSSL's names of the suites that RFC 9113 appendix A prohibits in HTTP/2, as far as they have such a name."""


def is_banned_cipher(name: str) -> bool:
    """Tell whether HTTP/2 must not run over the cipher suite with this OpenSSL name (RFC 9113 section 9.2.2)."""
    return name in banned_ciphers


def new_client_context(
    *,
    verify: TrustSource = True,
    cert: CertificateSource | None = None,
    alpn: Sequence[str] = DEFAULT_ALPN,
    ciphers: str | None = None,
    check_hostname: bool = True,
) -> ssl.SSLContext:
    """Make a context for connections to servers.

    Loading the system's store takes tens of milliseconds: keep the context and share it.

    Args:
        verify: whom to trust, see `TrustSource`. False accepts every certificate of anybody.
        cert: the client certificate to show when the server asks for one.
        alpn: the protocols to offer, best first; empty to offer none.
        ciphers: an OpenSSL cipher list instead of Python's own choice.
        check_hostname: False leaves the name to the caller (`match_hostname`) while the chain is still verified.

    Raises:
        UsageError: a file is missing or unusable, or the cipher list names nothing that OpenSSL knows.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, alpn, ciphers)
    context.hostname_checks_common_name = False
    context.check_hostname = check_hostname and verify is not False
    if verify is False:
        context.verify_mode = ssl.CERT_NONE
    _load_trust(context, verify)
    if cert is not None:
        _load_certificate(context, cert)
    key_log = os.environ.get("SSLKEYLOGFILE")
    if key_log and not sys.flags.ignore_environment:
        context.keylog_filename = key_log
    return context


def new_server_context(
    cert: CertificateSource | None = None,
    *,
    verify: TrustSource = False,
    alpn: Sequence[str] = DEFAULT_ALPN,
    ciphers: str = intermediate_cipher_list,
) -> ssl.SSLContext:
    """Make a context for connections from clients.

    Args:
        cert: the server's certificate chain and key; without one the caller loads it, or every handshake fails.
        verify: whose client certificates to demand and trust, see `TrustSource`; False asks for none.
        alpn: the protocols spoken, best first. A client that shares none of them is served without ALPN.
        ciphers: an OpenSSL cipher list.

    Raises:
        UsageError: a file is missing or unusable, or the cipher list names nothing that OpenSSL knows.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, alpn, ciphers)
    if verify is not False:
        context.verify_mode = ssl.CERT_REQUIRED
    _load_trust(context, verify, ssl.Purpose.CLIENT_AUTH)
    if cert is not None:
        _load_certificate(context, cert)
    return context


def verifies_hosts(context: ssl.SSLContext) -> bool:
    """Whether connections made with a client's context can be told to be with the host they are for."""
    return context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


_default_contexts: dict[tuple[tuple[str, ...], bool], ssl.SSLContext] = {}


def default_client_context(*, alpn: Sequence[str] = DEFAULT_ALPN, check_hostname: bool = True) -> ssl.SSLContext:
    """Return the process's shared `new_client_context()` for these settings, made at the first call. Do not change it.

    The system's store is read at that first call. Threads that come at once may each make one; all get the same.
    """
    key = (tuple(alpn), check_hostname)
    found = _default_contexts.get(key)
    if found is None:
        # setdefault is atomic: no lock that a fork could catch in the locked state.
        found = _default_contexts.setdefault(key, new_client_context(alpn=alpn, check_hostname=check_hostname))
    return found


_alpn_lock = threading.Lock()


@contextmanager
def offering(context: ssl.SSLContext, alpn: Sequence[str]) -> Iterator[None]:
    """Have the sessions that are made of a shared context meanwhile offer `alpn`; empty for what it offers itself.

    OpenSSL takes the protocols to offer from the context. Afterwards this one offers http/1.1: whoever else uses it must
    not be given HTTP/2 unasked, and what it offered before cannot be found out.
    """
    if not alpn or not has_alpn:
        yield
        return
    with _alpn_lock:
        context.set_alpn_protocols(list(alpn))
        try:
            yield
        finally:
            context.set_alpn_protocols(["http/1.1"])


def _harden(context: ssl.SSLContext, alpn: Sequence[str], ciphers: str | None) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if alpn and has_alpn:
        context.set_alpn_protocols(list(alpn))
    if ciphers is None:
        return
    # OpenSSL's list is for TLS 1.2 and below only; suites of TLS 1.3 are always on and may not stand in it alone.
    names = [name for name in ciphers.split(":") if name and not name.startswith("TLS_")]
    if not names and ciphers:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return
    try:
        context.set_ciphers(":".join(names))
    except ssl.SSLError as error:
        raise UsageError(f"OpenSSL knows no cipher of the list {ciphers!r}") from error


# --- trust ---


def _load_trust(
    context: ssl.SSLContext,
    verify: TrustSource,
    purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH,
) -> None:
    if verify is True:
        context.load_default_certs(purpose)
        if _has_no_authority(context):
            import certifi  # here, for it is slow to import and most systems never need it

            context.load_verify_locations(cafile=certifi.where())
        return
    if verify is False:
        return
    # Whoever names certificates to trust may name an intermediate one, as with curl.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    data = _in_memory(verify)
    try:
        if data is not None:
            context.load_verify_locations(cadata=data)
        elif os.path.isdir(verify):
            context.load_verify_locations(capath=verify)
        else:
            context.load_verify_locations(cafile=verify)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(f"cannot load the certificates to trust {_shown(verify)}: {error}") from error


def _has_no_authority(context: ssl.SSLContext) -> bool:
    if context.cert_store_stats()["x509_ca"]:
        return False
    paths = ssl.get_default_verify_paths()
    if os.environ.get(paths.openssl_cafile_env) or os.environ.get(paths.openssl_capath_env):
        return False  # the user chose a store, be it an empty one: trusting more would be a surprise
    # OpenSSL reads a directory only when it looks for an issuer, under names such as 5ed36f99.0.
    try:
        with os.scandir(paths.capath or "") as entries:
            return not any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", entry.name) for entry in entries)
    except OSError:
        return True


# --- certificates and keys ---


def _in_memory(source: PemSource) -> str | bytes | None:
    """Return PEM as ASCII text, DER as bytes, and None for a path."""
    if isinstance(source, bytes):
        if b"-----BEGIN" not in source:
            return source
        source = source.decode("latin-1")
    if not isinstance(source, str) or "-----BEGIN" not in source:
        return None
    return source.encode("ascii", "replace").decode("ascii")  # comments between the blocks may be in any script


def _shown(source: PemSource) -> str:
    """Describe a source in an error without showing a key."""
    return "given in memory" if isinstance(source, bytes) or _in_memory(source) else f"in {os.fspath(source)!r}"


def _load_certificate(context: ssl.SSLContext, cert: CertificateSource) -> None:
    parts: tuple[Any, ...] = cert if isinstance(cert, tuple) else (cert,)
    if not 1 <= len(parts) <= 3:
        raise UsageError("a certificate is given as one source, (chain, key) or (chain, key, password)")
    chain, key, password = (*parts, None, None)[:3]

    def no_password() -> str:
        raise UsageError("the private key is encrypted and no password was given")  # else OpenSSL asks on the terminal

    with ExitStack() as files:
        try:
            chain_path = files.enter_context(_as_path(chain))
            key_path = None if key is None else files.enter_context(_as_path(key))
            context.load_cert_chain(chain_path, key_path, no_password if password is None else password)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(f"cannot use the certificate and key {_shown(chain)}: {error}") from error


@contextmanager
def _as_path(source: PemSource) -> Iterator[str]:
    """Give a path to what may be PEM in memory, for `load_cert_chain` reads files only."""
    data = _in_memory(source)
    if data is None:
        yield os.fspath(source)  # type: ignore[misc]  # bytes are always data
        return
    if isinstance(data, str):
        data = data.encode()
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    import tempfile  # here, for it is slow to import and Linux never needs it

    descriptor, path = tempfile.mkstemp(suffix=".pem")  # readable by its owner only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        yield path
    finally:
        os.unlink(path)


# --- names ---


def match_hostname(certificate: Mapping[str, Any], hostname: str) -> None:
    """Check that a certificate was issued for a host, where OpenSSL could not be asked to.

    Only subject alternative names count (RFC 9525 section 6): for an IP address those of type iPAddress, compared as
    addresses; for a name those of type dNSName, compared without regard to case, where `*` may stand for the whole
    leftmost label if at least two labels follow.

    Args:
        certificate: what `SSLObject.getpeercert()` gave.
        hostname: the name in ASCII form, or an IP address without brackets; a zone or a trailing dot is not compared.

    Raises:
        CertificateError: it was not; the text names the host and what the certificate is for.
    """
    names: list[tuple[str, str]] = list(certificate.get("subjectAltName", ()))
    address = _ip_address(hostname)
    if address is not None:
        matched = any(kind == "IP Address" and _ip_address(value.strip()) == address for kind, value in names)
    else:
        wanted = hostname.removesuffix(".")
        matched = any(kind == "DNS" and _matches_name(value, wanted) for kind, value in names)
    if not matched:
        valid_for = ", ".join(value.strip() for kind, value in names if kind in ("DNS", "IP Address"))
        error = CertificateError(
            f"the certificate is not valid for {hostname!r}, only for: {valid_for or 'no name at all'}"
        )
        error.hostname, error.names = hostname, tuple(value for kind, value in names if kind in ("DNS", "IP Address"))
        raise error


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


_DNS_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


def _matches_name(presented: str, wanted: str) -> bool:
    """Compare a name of a certificate with a host; `*` in the host means nothing."""
    # ASCII before lower-casing: the Kelvin sign, for one, has the lower case "k".
    if not (presented.isascii() and wanted.isascii() and _DNS_NAME.fullmatch(wanted.lower())):
        return False
    presented, wanted = presented.lower(), wanted.lower()
    if not presented.startswith("*."):
        return presented == wanted
    suffix = presented[1:]
    _, dot, rest = wanted.partition(".")
    return suffix.count(".") >= 2 and dot + rest == suffix
