"""Our servers, of both colours, in clear and with TLS, under other people's WebSocket clients."""

from __future__ import annotations

import re

import pytest

from tests.support.certificates import Certificates
from tests.support.websocket_handlers import SERVERS
from tests.support.websocket_peers import CLIENTS, run_client

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("colour", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_it_is_content_with_our_server(client: str, colour: str, certificates: Certificates) -> None:
    """Echo of every size and kind, with compression and without, pieces, Pings, every close code, faults and refusals."""
    context = certificates.server_context(["h2", "http/1.1"])
    # The blocking client of websockets reads and writes one TLS session at once, which tickets of TLS 1.3 can bring to a halt.
    context.num_tickets = 0
    with SERVERS[colour]() as served, SERVERS[colour](context=context) as secure:
        said = run_client(client, certificates, f"ws://127.0.0.1:{served.port}", f"wss://localhost:{secure.port}")
        assert served.errors == secure.errors == []
    found = re.fullmatch(r"(\d+) checks\n", said)
    assert found is not None, said
    assert int(found[1]) >= 100
