"""`verify` and `cert` of a request, and what a subclass makes of them, as TLS contexts of the engine.

Laws:

- what verified with requests verifies here: `verify=True` trusts requests' own bundle (certifi's) *and* the system's store,
  where users and administrators put the authorities of their own networks;
- a path trusts what it names and nothing else;
- a file that is replaced on disk takes effect with the next request, as it does where every connection reads it anew.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import SSLError

from drivetrain.engine import tls
from drivetrain.engine.errors import UsageError

__all__ = ["NotUnderstood", "TlsSettings", "make_context"]

_KNOWN = frozenset(
    {"assert_hostname", "ca_cert_dir", "ca_certs", "cert_file", "cert_reqs", "key_file", "key_password", "system"}
)


class NotUnderstood(Exception):
    """Only urllib3 does what a subclass wants. Caught where a request can be left to it."""


class TlsSettings:
    """What `HTTPAdapter.cert_verify` writes its decisions on, in place of urllib3's pool.

    Args:
        system: see below.
        told: more attributes, as somebody has written them on urllib3's pool.

    Attributes:
        cert_reqs: "CERT_REQUIRED" or "CERT_NONE".
        ca_certs, ca_cert_dir: a file or directory of authorities.
        cert_file, key_file, key_password: the client's certificate.
        assert_hostname: False verifies the chain, but not the name.
        system: whether the request asked for the default trust.
    """

    def __init__(self, system: bool, told: Mapping[str, Any] | None = None) -> None:
        self.system = system
        self.cert_reqs: Any = "CERT_REQUIRED"
        self.ca_certs: str | None = None
        self.ca_cert_dir: str | None = None
        self.cert_file: str | None = None
        self.key_file: str | None = None
        self.key_password: str | None = None
        self.assert_hostname: Any = None
        if told:
            vars(self).update(told)

    @property
    def is_understood(self) -> bool:
        """Whether all that a subclass wrote down can be done by the engine."""
        return self.assert_hostname in (None, False) and _KNOWN.issuperset(vars(self))

    @property
    def verifies(self) -> bool:
        """Whether certificates are verified at all."""
        return self.cert_reqs not in (None, "NONE", "CERT_NONE", ssl.CERT_NONE)

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
                found = os.stat(path)
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
            return _with_certificate(settings, False)
        if settings.system and settings.ca_certs == DEFAULT_CA_BUNDLE_PATH and settings.assert_hostname is None:
            if settings.cert_file is None:
                return _default_context()
            context = _with_certificate(settings, True)
            _load_authorities(context, settings)
            return context
        context = _with_certificate(settings, settings.ca_certs or settings.ca_cert_dir or True)
        if settings.assert_hostname is False:
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
    if settings.ca_certs or settings.ca_cert_dir:
        context.load_verify_locations(settings.ca_certs, settings.ca_cert_dir)


def _with_certificate(settings: TlsSettings, verify: bool | str) -> ssl.SSLContext:
    if settings.cert_file is None:
        return tls.new_client_context(verify=verify)
    return tls.new_client_context(verify=verify, cert=(settings.cert_file, settings.key_file, settings.key_password))


def _apply(settings: TlsSettings, context: ssl.SSLContext) -> ssl.SSLContext:
    if settings.assert_hostname is False:
        context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if settings.verifies else ssl.CERT_NONE
    _load_authorities(context, settings)
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file, settings.key_password)
    return context
