"""Whatever is offered as extensions, a server answers with what the client can read, and both mean the same by it."""

from __future__ import annotations

from drivetrain.engine.errors import WebSocketHandshakeError
from drivetrain.engine.protocol.websocket_deflate import DeflateOptions
from drivetrain.engine.protocol.websocket_extensions import accept_deflate, parse_extensions, read_answer

SEEDS = (
    b"permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate",
    b'permessage-deflate;server_no_context_takeover;client_no_context_takeover;client_max_window_bits="9"',
    b'permessage-deflate; server_max_window_bits=8\nx-other; a=1; b="c, \\"d; e", , permessage-deflate; x',
    b"permessage-deflate; client_max_window_bits=16, permessage-deflate; client_max_window_bits; client_max_window_bits",
    b'Permessage-Deflate ; CLIENT_MAX_WINDOW_BITS = "15"',
)
ANYTHING = DeflateOptions(server_max_window_bits=None, client_max_window_bits=None)
SETTINGS = (
    ANYTHING,
    DeflateOptions(),
    DeflateOptions(True, True, 9, 15),
)


def check(data: bytes) -> None:
    try:
        offers = parse_extensions(data.decode("latin-1").split("\n"))
    except WebSocketHandshakeError:
        return
    for settings in SETTINGS:
        accepted = accept_deflate(offers, settings)
        if accepted is None:
            continue
        answer, agreed = accepted
        assert 9 <= agreed.server_max_window_bits <= (settings.server_max_window_bits or 15)
        assert 8 <= agreed.client_max_window_bits <= 15
        assert read_answer(parse_extensions([answer]), ANYTHING) == agreed
