"""Sessions of OpenSSL made of a context, for one connection each.

OpenSSL, as Python offers it, verifies only a name that it also sends. A session that is to send none is made without, and
the name is verified after the handshake by whoever asked for that (`secure`, in `dial`). For contexts with `check_hostname`
Python makes no such session since 3.14.8, as its callers could take the name for verified. Such a context may be in use
elsewhere and is not to be changed, for a moment even, or somebody else's connection would go unverified; so the session is
made below that check, as it was made before there was one, and only for those who say that they verify the name.
"""

from __future__ import annotations

import ssl
from typing import Any

from ..errors import UsageError

__all__ = ["new_session"]


def new_session(
    context: ssl.SSLContext,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    *,
    server_side: bool,
    server_hostname: str | None,
    name_is_checked_later: bool = False,
) -> ssl.SSLObject:
    """Make a session of a context, which is not changed.

    Args:
        context: settings, certificates and trust.
        incoming: what the peer sends.
        outgoing: what is for the peer.
        server_side: which end this is.
        server_hostname: the name (or address) the peer's certificate must be for, sent as SNI when it is a name. None: none.
        name_is_checked_later: the caller verifies the name itself after the handshake. Without it a client is refused None
            with a context that has `check_hostname` set.

    Raises:
        UsageError: context and name do not fit.
    """
    is_unnamed = not server_side and server_hostname is None and context.check_hostname
    if is_unnamed and not name_is_checked_later:
        raise UsageError("a TLS client that verifies host names must be told the name")
    try:
        return context.wrap_bio(incoming, outgoing, server_side=server_side, server_hostname=server_hostname)
    except (ValueError, ssl.SSLError) as fault:  # not a name, or the other side's kind of context
        if is_unnamed and isinstance(fault, ValueError) and type(context).wrap_bio is ssl.SSLContext.wrap_bio:
            return _Unnamed.make(incoming, outgoing, context)
        raise UsageError(f"TLS with {server_hostname!r}: {fault}") from fault


class _Unnamed(ssl.SSLObject):
    """A client's session without a name, whose chain of certificates is verified as the context says."""

    _sslobj: Any

    @classmethod
    def make(cls, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, context: Any) -> _Unnamed:
        made = cls.__new__(cls)
        made._sslobj = context._wrap_bio(incoming, outgoing, server_side=False, owner=made)
        return made
