"""Calls with random arguments, half of them sensible and half of them nearly so; for `surface`."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from typing import Any

from surface_calls import Call, Library, of

ROUNDS = 400
TOKENS = (
    "a",
    "chat",
    "permessage-deflate",
    "x-y",
    "client_max_window_bits",
    "server_no_context_takeover",
    "9",
    "a/b",
    "",
)
PUNCTUATION = (",", ";", "=", '"', " ", "\t", "\\", "(", "é", "=12", ", ", "; ", '"a b"', '"q"', "\r")
URIS = ("ws://", "wss://", "http://", "socks5h://", "https://", "ws:", "//", "")
HOSTS = (
    "example.com",
    "EXAMPLE.com",
    "[::1]",
    "127.0.0.1",
    "me:secret@host",
    "me@host",
    "h:8080",
    "h:0",
    "bücher.example",
    "",
)
PATHS = ("", "/", "/a", "/a%20b?c=d", "/é?ü", "#x", "/a#b", "?q", "/%E9")
FIRST_LINES = (
    "GET / HTTP/1.1",
    "GET /é HTTP/1.1",
    "POST /a HTTP/1.0",
    "GET /",
    "GET / HTTP/2",
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 204 ",
    "HTTP/1.0 404 Not Found",
    "HTTP/1.1 404",
    "HTTP/1.1 999 x",
    "HTTP/1.1 2x0 x",
    "HTTP/1.1 403 é\x01",
)
LINES = (
    "Host: a",
    "Content-Length: 0",
    "Content-Length: 3",
    "Content-Length: 99999999",
    "Content-Length: x",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "X-Y:  é ",
    "no colon",
    "bad name: x",
    " folded: x",
    "X: \x00",
    "",
)
BODIES = (
    "abc",
    "abcdef",
    "3\r\nabc\r\n0\r\n\r\n",
    "3;x=y\r\nabcd\r\n0\r\n\r\n",
    "zz\r\n",
    "FFFFFFFF\r\n",
    "3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "",
)


def random_calls(rng: random.Random) -> Iterator[Call]:
    fields = ("parse_connection", "parse_upgrade", "parse_extension", "parse_subprotocol", "parse_authorization_basic")
    for _ in range(ROUNDS):
        text = field(rng)
        for function in fields:
            yield of("headers", function, text)
        for function in ("parse_token", "parse_quoted_string", "parse_token68", "parse_end"):
            yield of("headers", function, text, rng.randrange(len(text) + 1), "X")
        yield of("headers", "build_quoted_string", text)
        yield of(
            "headers",
            "parse_authorization_basic",
            f"Basic {rng.choice(TOKENS)}{rng.choice(('', 'YTpi', 'YQ==', '/w=='))}",
        )
        address = rng.choice(URIS) + rng.choice(HOSTS) + rng.choice(PATHS)
        yield of("uri", "parse_uri", address)
        yield of("proxy", "parse_proxy", address)
        payload = data(rng)
        yield of("utils", "apply_mask", payload, rng.randbytes(4))
        yield of("frames", "is_utf8_fragment", payload, rng.random() < 0.5, rng.random() < 0.5)
        yield shown(rng, payload)
        yield from framed(rng, payload)
        yield message(rng)
        yield fields_of(rng)
        yield negotiated(rng)


def field(rng: random.Random) -> str:
    if rng.random() < 0.5:
        items = [
            "; ".join([rng.choice(TOKENS[:3]), *(parameter(rng) for _ in range(rng.randrange(3)))])
            for _ in range(rng.randrange(1, 4))
        ]
        return rng.choice((",", ", ", " ,\t", ",,")).join(items)
    return "".join(rng.choice(rng.choice((TOKENS, PUNCTUATION))) for _ in range(rng.randrange(8)))


def parameter(rng: random.Random) -> str:
    name = rng.choice(TOKENS[:-1])
    return (
        name
        if rng.random() < 0.5
        else name + rng.choice(("=", " = ")) + rng.choice(("9", "x", '"x"', '"\\x"', '"a b"'))
    )


def data(rng: random.Random) -> bytes:
    text = "".join(
        rng.choice(("a", "é", "日", "😀", "\n", "\\x", "\x01")) for _ in range(rng.choice((0, 1, 2, 3, 30, 130, 400)))
    )
    encoded = text.encode()
    start, end = (rng.randrange(4) for _ in range(2))
    return rng.choice(
        (encoded, encoded[start : len(encoded) - end], rng.randbytes(rng.choice((1, 4, 26, 500))), b"\x80" * end)
    )


def shown(rng: random.Random, payload: bytes) -> Call:
    """What the debug log says of a frame."""
    opcode, fin = rng.choice((0, 1, 2, 8, 9, 10)), rng.random() < 0.7
    content = rng.choice((payload, rng.choice((b"\x03\xe8bye", b"\x0f\xa1" + payload[:50], b"\x00\x01", b"\x03"))))
    if opcode != 8 and rng.random() < 0.3:
        content = memoryview(content)  # type: ignore[assignment]
    return f"str of a frame {(opcode, fin, bytes(content))}", lambda library: str(
        library.frames.Frame(library.frames.Opcode(opcode), content, fin)
    )


def framed(rng: random.Random, payload: bytes) -> Iterator[Call]:
    """A frame that is sent, and one that is received a byte at a time."""
    opcode, bits = rng.choice((0, 1, 2, 8, 9, 10)), [rng.random() < 0.9, *(rng.random() < 0.1 for _ in range(3))]

    def sent(library: Library) -> bytes:
        frame = library.frames.Frame(library.frames.Opcode(opcode), payload, *bits)
        return bytes(frame.serialize(mask=False))

    head = bytes(
        [rng.choice((0x81, 0x82, 0x89, 0x01, 0xC1, 0x83, 0x80 | opcode)), rng.choice((5, 0, 126, 127, 0x85, 125))]
    )
    stream, mask, limit = (
        head + rng.randbytes(rng.choice((0, 2, 10, 150))),
        rng.random() < 0.3,
        rng.choice((None, 4, 1000)),
    )

    def received(library: Library) -> Any:
        reader = library.streams.StreamReader()
        parsing = library.frames.Frame.parse(reader.read_exact, mask=mask, max_size=limit)
        return feed(reader, parsing, stream)

    yield f"serialize {(opcode, payload, bits)}", sent
    yield f"parse {(stream, mask, limit)}", received


def feed(reader: Any, parsing: Any, stream: bytes) -> Any:
    """Let a generator have a stream, a byte at a time."""
    pieces = [*(stream[index : index + 1] for index in range(len(stream))), None]
    try:
        for piece in pieces:
            next(parsing)
            if piece is None:
                reader.feed_eof()
            else:
                reader.feed_data(piece)
        next(parsing)
    except StopIteration as stop:
        return stop.value, bytes(reader.buffer)
    return "waits"


def message(rng: random.Random) -> Call:
    """A request or response that is received."""
    lines = [rng.choice(FIRST_LINES), *(rng.choice(LINES) for _ in range(rng.choice((0, 1, 2, 3, 140))))]
    end = rng.choice(("\r\n", "\r\n", "\r\n", "\n"))
    stream = "".join(line + end for line in [*lines, ""]) + rng.choice(BODIES)
    is_request, proxy = stream[:3] != "HTT", rng.random() < 0.2

    def received(library: Library) -> Any:
        reader = library.streams.StreamReader()
        if is_request:
            return feed(reader, library.http11.Request.parse(reader.read_line), stream.encode("iso-8859-1"))
        readers = reader.read_line, reader.read_exact, reader.read_to_eof
        return feed(reader, library.http11.Response.parse(*readers, proxy), stream.encode("iso-8859-1"))

    return f"message {stream[:200]!r}", received


def fields_of(rng: random.Random) -> Call:
    """A number of things that are done to header fields."""
    steps = [
        (rng.choice(("set", "get", "del", "copy")), rng.choice(("A", "a", "B")), rng.choice(("1", "é", "\r")))
        for _ in range(6)
    ]

    def done(library: Library) -> Any:
        headers = library.datastructures.Headers([("A", "1")], C="2")
        for what, name, value in steps:
            if what == "set":
                headers[name] = value
            elif what == "get":
                headers[name]
            elif what == "del":
                del headers[name]
            elif what == "copy":
                headers = headers.copy()
        twin = pickle.loads(pickle.dumps(headers))
        told = repr(headers), str(headers), headers.serialize(), list(headers), len(headers), "a" in headers
        return *told, headers.get_all("A"), list(headers.raw_items()), headers == twin, headers == {"a": "1"}

    return f"Headers {steps}", done


def negotiated(rng: random.Random) -> Call:
    """What two sides make of each other's compression, or one of nonsense."""
    bits = [rng.choice((None, None, 8, 9, 12, 15, 16)) for _ in range(4)]
    flags = [rng.random() < 0.3 for _ in range(5)]
    client_bits = True if rng.random() < 0.4 else bits[1]
    names = (
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    )
    nonsense = [
        (rng.choice((*names, "x")), rng.choice((None, None, "8", "10", "16", ""))) for _ in range(rng.randrange(4))
    ]
    is_honest, accepted = rng.random() < 0.5, rng.random() < 0.05

    def agreed(library: Library) -> Any:
        deflate = library.extensions__permessage_deflate
        before = [deflate.PerMessageDeflate(False, False, 15, 15)] if accepted else []
        client = deflate.ClientPerMessageDeflateFactory(flags[0], flags[1], bits[0], client_bits)
        server = deflate.ServerPerMessageDeflateFactory(flags[2], flags[3], bits[2], bits[3], None, flags[4])
        offer = client.get_request_params()
        answer, theirs = server.process_request_params(offer if is_honest else nonsense, before)
        ours = client.process_response_params(answer if is_honest else nonsense[::-1], before)
        frame = library.frames.Frame(library.frames.TEXT, b"hello " * 20)
        sent = ours.encode(frame)
        return offer, answer, theirs, ours, sent, theirs.decode(sent), theirs.encode(frame)

    return f"deflate {(bits, flags, client_bits, nonsense, is_honest, accepted)}", agreed
