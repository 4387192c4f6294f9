"""A certificate authority made on the spot, and TLS contexts on both sides of it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Certificates"]

NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificates:
    """Files and contexts of one authority.

    `ca_file` is what a client trusts; `server_file`/`server_key` are the server's chain and key; `client_file` holds a
    client's key and chain in one file. `authority` issues more.
    """

    authority: trustme.CA
    server: trustme.LeafCert
    client: trustme.LeafCert
    ca_file: Path
    server_file: Path
    server_key: Path
    client_file: Path

    @classmethod
    def create(cls, folder: Path, names: Sequence[str] = NAMES) -> Certificates:
        authority = trustme.CA()
        server = authority.issue_cert(*names)
        client = authority.issue_cert("client@example.org")
        files = [folder / name for name in ("ca.pem", "server.pem", "server.key", "client.pem")]
        authority.cert_pem.write_to_path(str(files[0]))
        server.private_key_pem.write_to_path(str(files[2]))
        for number, blob in enumerate(server.cert_chain_pems):
            blob.write_to_path(str(files[1]), append=number > 0)
        client.private_key_and_cert_chain_pem.write_to_path(str(files[3]))
        return cls(authority, server, client, *files)

    def server_context(self, alpn: Sequence[str] = (), *, ask_client: bool = False) -> ssl.SSLContext:
        """A context for a TLS server; with `ask_client` it insists on a certificate of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if ask_client:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """A context for a TLS client that trusts this authority only, and verifies names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context
