"""Runs all programs on one implementation, and writes what came of each as JSON.

python -m tests.peers.websockets_sync.program PACKAGE PORT TLS_PORT PATH CA_FILE CERTIFICATE KEY
"""

from __future__ import annotations

import json
import ssl
import sys
import traceback
from typing import Any

from tests.peers.websockets_sync import connecting, differences, endings, handshakes, messages, proxied, threads
from tests.peers.websockets_sync.base import DIFFERENCES, SCENARIOS, Library, Site

__all__ = ["main"]

MODULES = (connecting, differences, endings, handshakes, messages, proxied, threads)


def plain(value: Any) -> Any:
    """What a program told, for JSON; nothing is lost but the difference between lists and tuples."""
    if isinstance(value, dict):
        return [[plain(key), plain(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value if isinstance(value, (str, float, bool, type(None))) else repr(value)


def main(
    package: str, port: str, tls_port: str, path: str, ca_file: str, certificate: str, key: str, *only: str
) -> None:
    """Run them, or those that are named."""
    context = ssl.create_default_context(cafile=ca_file)
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(certificate, key)
    site = Site(int(port), int(tls_port), path, context, server_context)
    library = Library(package)
    found = {}
    for name, function in {**SCENARIOS, **DIFFERENCES}.items():
        if only and name not in only:
            continue
        try:
            found[name] = plain(function(library, site))
        except Exception:
            found[name] = {"failed": traceback.format_exc()}
        if site.seen:
            found[name] = {"failed": f"left over: {site.seen}"}
            site.seen.clear()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
