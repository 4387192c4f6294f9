"""Certificates that are known by their fingerprint."""

from __future__ import annotations

import hashlib
import hmac
import re

from ..errors import CertificateError, UsageError

__all__ = ["match_fingerprint", "parse_fingerprint"]

_DIGESTS = {32: "md5", 40: "sha1", 64: "sha256"}


def parse_fingerprint(text: str) -> str:
    """The hexadecimal digits of a certificate's fingerprint (SHA-256, SHA-1 or MD5), in lower case and without colons.

    Raises:
        UsageError: it has other characters, or the length of none of these.
    """
    digits = text.replace(":", "").lower()
    if len(digits) not in _DIGESTS:
        raise UsageError(f"a fingerprint has 64, 40 or 32 hexadecimal digits, not {len(digits)}: {digits[:100]!r}")
    if re.fullmatch("[0-9a-f]+", digits) is None:
        raise UsageError(f"a fingerprint has hexadecimal digits only: {digits!r}")
    return digits


def match_fingerprint(certificate: bytes | None, fingerprint: str) -> None:
    """Check that a certificate is the very one that is expected.

    Args:
        certificate: what `SSLObject.getpeercert(True)` gave.
        fingerprint: what `parse_fingerprint` returned.

    Raises:
        CertificateError: it is another one; `fingerprint` is its own.
    """
    if certificate is None:
        raise CertificateError("the peer has shown no certificate")
    found = hashlib.new(_DIGESTS[len(fingerprint)], certificate, usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(found, fingerprint):
        error = CertificateError(f"the certificate has the fingerprint {found}, not {fingerprint}")
        error.fingerprint, error.expected = found, fingerprint
        raise error
