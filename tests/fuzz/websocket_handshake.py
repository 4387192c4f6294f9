"""Whatever a handshake says, either side reads it or says what is wrong; what they agree on is among what was offered.

The first byte of the input says who reads it and over which version of HTTP; lines of fields follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from drivetrain.engine.errors import WebSocketHandshakeError
from drivetrain.engine.protocol.websocket_deflate import DeflateOptions
from drivetrain.engine.protocol.websocket_handshake import (
    Agreement,
    ClientHandshake,
    ServerHandshake,
    accept_key,
    is_websocket_request,
)
from drivetrain.engine.wire.headers import Headers

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PROTOCOLS = ("b", "a")
REQUEST = (
    b":method: GET\n:path: /\n:authority: example.com\nupgrade: websocket\nconnection: keep-alive, Upgrade\n"
    b"sec-websocket-version: 13\nsec-websocket-key: " + KEY.encode() + b"\nsec-websocket-protocol: a, b\n"
    b'sec-websocket-extensions: permessage-deflate; client_max_window_bits="10", x\norigin: https://example.com'
)
TUNNEL = (
    b":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /\n:authority: example.com\n"
    b"sec-websocket-version: 13\nsec-websocket-protocol: a\nsec-websocket-protocol: c"
)
RESPONSE = (
    b":status: 101\nupgrade: WebSocket\nconnection: upgrade\nsec-websocket-accept: " + accept_key(KEY).encode() + b"\n"
    b"sec-websocket-protocol: a\nsec-websocket-extensions: permessage-deflate; server_max_window_bits=10"
)
SEEDS = (b"\x00" + REQUEST, b"\x01" + TUNNEL, b"\x02" + RESPONSE, b"\x03:status: 200\nsec-websocket-protocol: b")

T = TypeVar("T")

# What no field value that was received can hold.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_OFFER = DeflateOptions()


def fields_of(data: bytes) -> Headers:
    headers = []
    for line in data.decode("latin-1").split("\n"):
        name, _, value = line[1:].partition(":")
        headers.append((line[:1].lower() + name.strip().lower(), _CONTROLS.sub("", value).strip(" \t")))
    return Headers.adopt(headers)


def check(data: bytes) -> None:
    if not data:
        return
    headers, is_h2 = fields_of(data[1:]), data[0] % 2 == 1
    if not is_h2:
        headers.delete(":protocol")  # there is none in HTTP/1
    if data[0] & 2:
        check_response(headers, is_h2)
    else:
        check_request(headers, is_h2)


def attempt(function: Callable[[], T]) -> tuple[T | None, WebSocketHandshakeError | None]:
    """What a function returns, or how it refuses."""
    try:
        return function(), None
    except WebSocketHandshakeError as error:
        return None, error


def check_request(headers: Headers, is_h2: bool) -> None:
    is_websocket_request(headers)
    handshake, refusal = attempt(lambda: ServerHandshake(headers, is_h2))
    assert refusal is None or 400 <= refusal.status <= 505
    if handshake is None:
        return
    assert is_websocket_request(headers)
    _, refusal = attempt(lambda: handshake.check_origin(["https://example.com"]))
    assert refusal is None or refusal.status == 403
    _, refusal = attempt(lambda: handshake.check_host(["example.com"]))
    assert refusal is None or refusal.status == 421
    response, agreement = handshake.accept(PROTOCOLS, _OFFER)
    check_agreement(agreement)
    assert agreement.protocol is None or agreement.protocol in handshake.protocols
    if not is_h2:
        assert response[":status"] == "101"
        assert response["sec-websocket-accept"] == accept_key(handshake.key)
    # A client that offered all of it, and is free to be told anything, reads the same.
    anything = DeflateOptions(server_max_window_bits=None, client_max_window_bits=None)
    client = ClientHandshake([*dict.fromkeys(handshake.protocols)], anything, handshake.key)
    assert client.read_response(response, is_h2) == agreement


def check_response(headers: Headers, is_h2: bool) -> None:
    status = headers.get(":status") or ""
    if not (status.isascii() and status.isdigit()):
        return  # no response
    agreement, refusal = attempt(lambda: ClientHandshake(PROTOCOLS, _OFFER, KEY).read_response(headers, is_h2))
    if agreement is not None:
        check_agreement(agreement)
    else:
        assert refusal is not None
        assert refusal.status == int(status)
        assert refusal.headers is headers


def check_agreement(agreement: Agreement) -> None:
    assert agreement.protocol is None or agreement.protocol in PROTOCOLS
    if agreement.deflate is not None:
        assert 8 <= agreement.deflate.server_max_window_bits <= 15
        assert 8 <= agreement.deflate.client_max_window_bits <= 15
