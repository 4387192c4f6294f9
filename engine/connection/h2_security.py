"""What TLS must be like for HTTP/2 to run over it."""

from __future__ import annotations

import ssl

from ..tls import is_banned_cipher
from ..wire.h2_errors import H2Error, H2ErrorCode

__all__ = ["check_security"]

_OLD = frozenset({"SSLv2", "SSLv3", "TLSv1", "TLSv1.1"})


def check_security(session: ssl.SSLObject) -> None:
    """Refuse a TLS session that is too weak for HTTP/2 (RFC 9113 section 9.2).

    Raises:
        H2Error: INADEQUATE_SECURITY; the version is below 1.2, or the cipher is one of appendix A.
    """
    version = session.version() or ""
    cipher = (session.cipher() or ("",))[0]
    if version in _OLD or (version == "TLSv1.2" and is_banned_cipher(cipher)):
        raise H2Error.new(H2ErrorCode.INADEQUATE_SECURITY, f"HTTP/2 may not be spoken over {version} with {cipher}")
