"""`verify` and `cert` of a request, and what a subclass makes of them, as TLS contexts of the engine.

Laws:

- what verified with requests verifies here: `verify=True` trusts requests' own bundle (certifi's) *and* the system's store,
  where users and administrators put the authorities of their own networks;
- a path trusts what it names and nothing else;
- a file that is replaced on disk takes effect with the next request, as it does where every connection reads it anew.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import SSLError
from urllib3.util.ssl_ import assert_fingerprint, create_urllib3_context, resolve_cert_reqs, resolve_ssl_version

from drivetrain.engine import tls
from drivetrain.engine.errors import UsageError

__all__ = ["NotUnderstood", "TlsSettings", "check_fingerprint", "make_context", "preparation_of"]

# Hexadecimal digits of MD5, SHA-1 and SHA-256.
_FINGERPRINTS = frozenset({32, 40, 64})
_NO_HEX = re.compile("[^0-9a-fA-F:]").search


class NotUnderstood(Exception):
    """Only urllib3 does what a subclass wants. Caught where a request can be left to it."""


class TlsSettings:
    """How to speak TLS, in the terms of urllib3; `HTTPAdapter.cert_verify` writes its decisions on one.

    Args:
        system: see below.

    Attributes:
        cert_reqs: "CERT_REQUIRED" or "CERT_NONE".
        ca_certs, ca_cert_dir: a file or directory of authorities.
        cert_file, key_file, key_password: the client's certificate.
        assert_hostname: False verifies the chain, but not the name; a text is the name to verify.
        assert_fingerprint: the certificate that is accepted, whatever its name.
        server_hostname: sent, and verified unless `assert_hostname` is another one.
        ssl_version, ssl_minimum_version, ssl_maximum_version: of TLS.
        ssl_context: a context of the caller's own, which has its versions already.
        ca_cert_data: authorities in memory.
        system: whether the request asked for the default trust.
    """

    def __init__(self, system: bool) -> None:
        self.system = system
        self.cert_reqs: Any = "CERT_REQUIRED"
        self.ca_certs: str | None = None
        self.ca_cert_dir: str | None = None
        self.cert_file: str | None = None
        self.key_file: str | None = None
        self.key_password: str | None = None
        self.assert_hostname: Any = None
        self.assert_fingerprint: str | None = None
        self.server_hostname: str | None = None
        self.ssl_version: Any = None
        self.ssl_minimum_version: Any = None
        self.ssl_maximum_version: Any = None
        self.ssl_context: ssl.SSLContext | None = None
        self.ca_cert_data: str | bytes | None = None

    @property
    def verifies(self) -> bool:
        """Whether certificates are verified at all."""
        return self.cert_reqs not in ("NONE", "CERT_NONE", ssl.CERT_NONE)

    @property
    def warns(self) -> bool:
        """Whether urllib3 warns of a connection like that."""
        return self.cert_reqs not in (None, "REQUIRED", "CERT_REQUIRED", ssl.CERT_REQUIRED) and not (
            self.assert_fingerprint
        )

    @property
    def is_usual(self) -> bool:
        """Whether the usual trust is all that is asked for."""
        return not (self.cert_file or self.ca_cert_data or self.names_are_left_out or self.has_versions)

    @property
    def has_versions(self) -> bool:
        """Whether versions of TLS were chosen."""
        return not (self.ssl_version is self.ssl_minimum_version is self.ssl_maximum_version is None)

    @property
    def names_are_left_out(self) -> bool:
        """Whether OpenSSL is to verify no name: none is to be, or another one than it is told."""
        return bool(self.assert_fingerprint or self.assert_hostname or self.assert_hostname is False)

    def verified_name(self, is_given: bool) -> str | Literal[True] | None:
        """What name the engine is to verify, True for the host's; None where there is none, or the context does it.

        Args:
            is_given: whether the context is one of the caller's, in which OpenSSL may be told not to.
        """
        if self.assert_fingerprint or self.assert_hostname is False or not self.verifies:
            return None
        if self.assert_hostname:
            return str(self.assert_hostname).strip("[]")
        return True if is_given else None

    @property
    def identity(self) -> tuple[Any, ...]:
        """What is equal for requests that may share connections."""
        return tuple(sorted((name, value) for name, value in vars(self).items() if value is not None))

    def for_proxy(self) -> TlsSettings:
        """How to verify an https proxy on the way: likewise, but by its own name and without showing a certificate."""
        settings = TlsSettings(self.system)
        settings.cert_reqs, settings.ca_certs, settings.ca_cert_dir = self.cert_reqs, self.ca_certs, self.ca_cert_dir
        return settings

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Changes when one of the files does. A directory is read by OpenSSL when it needs it, and has no stamp."""
        stamps: list[tuple[int, int, int]] = []
        for path in (self.ca_certs, self.cert_file, self.key_file):
            if path is not None:
                found = os.stat(os.path.expanduser(path))
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(stamps)


def make_context(settings: TlsSettings, given: ssl.SSLContext | None) -> ssl.SSLContext:
    """Make the context for some settings.

    Args:
        given: a context of the caller's own, to which the settings are applied as urllib3 does it.

    Raises:
        urllib3.exceptions.SSLError: a file is no certificate or key, or they do not fit.
        ValueError: from `ssl`, when `given` checks names and `verify=False` asks not to.
    """
    try:
        if given is not None:
            return _apply(settings, given)
        if not settings.verifies:
            context = _with_certificate(settings, False)
        elif settings.system and settings.ca_certs == DEFAULT_CA_BUNDLE_PATH:
            if settings.is_usual:
                return _default_context()
            context = _with_certificate(settings, True)
            _load_authorities(context, settings)
        else:
            context = _with_certificate(
                settings, settings.ca_certs or settings.ca_cert_dir or not settings.ca_cert_data
            )
            _load_authorities(context, settings)
        if settings.has_versions:
            _set_versions(context, settings)
        if settings.names_are_left_out:
            context.check_hostname = False
        return context
    except (UsageError, OSError) as error:
        raise SSLError(error.__cause__ or error) from error


@lru_cache(maxsize=1)
def _default_context() -> ssl.SSLContext:
    context = tls.new_client_context()
    settings = TlsSettings(True)
    if os.path.isdir(DEFAULT_CA_BUNDLE_PATH):
        settings.ca_cert_dir = DEFAULT_CA_BUNDLE_PATH
    else:
        settings.ca_certs = DEFAULT_CA_BUNDLE_PATH
    _load_authorities(context, settings)
    return context


def _load_authorities(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.ca_certs or settings.ca_cert_dir or settings.ca_cert_data:
        file, folder = (path and os.path.expanduser(path) for path in (settings.ca_certs, settings.ca_cert_dir))
        context.load_verify_locations(file, folder, settings.ca_cert_data)


def _set_versions(context: ssl.SSLContext, settings: TlsSettings) -> None:
    """Set the versions of TLS that urllib3 would make of these, with its errors and warnings."""
    versions = (settings.ssl_version, settings.ssl_minimum_version, settings.ssl_maximum_version)
    version, minimum, maximum = versions
    theirs = create_urllib3_context(
        ssl_version=resolve_ssl_version(version), ssl_minimum_version=minimum, ssl_maximum_version=maximum
    )
    context.minimum_version, context.maximum_version = theirs.minimum_version, theirs.maximum_version


def _with_certificate(settings: TlsSettings, verify: bool | str) -> ssl.SSLContext:
    if settings.cert_file is None:
        return tls.new_client_context(verify=verify)
    return tls.new_client_context(verify=verify, cert=(settings.cert_file, settings.key_file, settings.key_password))


def _apply(settings: TlsSettings, context: ssl.SSLContext) -> ssl.SSLContext:
    _set_checks(settings, context)
    _load_authorities(context, settings)
    _show_certificate(settings, context)
    return context


def preparation_of(settings: TlsSettings) -> Callable[[ssl.SSLContext], None]:
    """What a context of the caller's own is set to for each connection, as urllib3 does it.

    Others with other settings may be using it too, and the one who came last must not decide for all.
    """
    return partial(_prepare, settings)


def _prepare(settings: TlsSettings, context: ssl.SSLContext) -> None:
    _set_checks(settings, context)
    _show_certificate(settings, context)


def _set_checks(settings: TlsSettings, context: ssl.SSLContext) -> None:
    context.verify_mode = resolve_cert_reqs(settings.cert_reqs)
    if settings.names_are_left_out:
        context.check_hostname = False


def _show_certificate(settings: TlsSettings, context: ssl.SSLContext) -> None:
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file, settings.key_password)


def check_fingerprint(fingerprint: str) -> None:
    """Raise urllib3's error for a fingerprint that is none."""
    if len(fingerprint.replace(":", "")) not in _FINGERPRINTS or _NO_HEX(fingerprint):
        assert_fingerprint(b"", fingerprint)
