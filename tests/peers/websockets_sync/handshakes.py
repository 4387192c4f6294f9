"""Opening a connection."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from tests.peers.websockets_sync.base import Library, Site, facts, scenario, tried

# --- the handshake ------------------------------------------------------------------------------------------------------


def sent_fields(lib: Library, site: Site, uri: str, **options: Any) -> Any:
    kind, websocket = tried(lib.open, uri, **options)
    if kind == "raised":
        return kind, websocket
    fields = [
        (name, "…" if name == "Sec-WebSocket-Key" else value)
        for name, value in (line.split(": ", 1) for line in websocket.recv(10).split("\n"))
    ]
    version = lib.client.USER_AGENT
    websocket.close()
    own = [(name, value.replace(version, "<version>")) for name, value in fields]
    shown = [
        (name, "…" if name == "Sec-WebSocket-Key" else value) for name, value in websocket.request.headers.raw_items()
    ]
    answer = [
        (name, "…" if name in ("Date", "Sec-WebSocket-Accept") else value)
        for name, value in websocket.response.headers.raw_items()
    ]
    status = websocket.response.status_code, websocket.response.reason_phrase, bytes(websocket.response.body or b"")
    return own, websocket.request.path, shown == fields, status, answer, facts(websocket)


@scenario
def fields_of_the_request(lib: Library, site: Site) -> Any:
    headers = lib.datastructures.Headers([("X-Two", "1"), ("X-Two", "2")])
    options: list[dict[str, Any]] = [
        {},
        {"compression": None},
        {"origin": "https://example.org"},
        {"subprotocols": ["b", "a"]},
        {"subprotocols": ["b", "a"], "compression": None},
        {"additional_headers": {"X-One": "1", "Cookie": "a=b"}},
        {"additional_headers": [("x-low", "1"), ("X-Two", "a"), ("X-Two", "b")]},
        {"additional_headers": headers},
        {"additional_headers": {"User-Agent": "mine"}},
        {"additional_headers": {"Authorization": "Bearer x"}},
        {"user_agent_header": None},
        {"user_agent_header": "somebody/1"},
        {"extensions": [lib.deflate.ClientPerMessageDeflateFactory(client_max_window_bits=12)]},
        {
            "extensions": [lib.deflate.ClientPerMessageDeflateFactory(server_no_context_takeover=True)],
            "compression": None,
        },
    ]
    return [(entry.keys(), sent_fields(lib, site, site.base + "/fields", **entry)) for entry in options]


@scenario
def fields_of_addresses(lib: Library, site: Site) -> Any:
    uris = [
        f"ws://127.0.0.1:{site.port}/fields?a=b&c=%20d",
        f"ws://localhost:{site.port}/fields",
        f"ws://user:pa%20ss@127.0.0.1:{site.port}/fields",
        f"WS://127.0.0.1:{site.port}/fields?",
        f"ws://127.0.0.1:{site.port}/fields/ä?ö",
    ]
    return [sent_fields(lib, site, uri) for uri in uris]


REFUSALS = (
    "200",
    "301 without location",
    "403",
    "404 with body",
    "500",
    "503 in chunks",
    "no upgrade",
    "other upgrade",
    "no connection",
    "no accept",
    "other accept",
    "two accepts",
    "subprotocol nobody asked for",
    "extension nobody asked for",
    "extension with odd parameter",
    "garbage",
    "nothing",
    "half a head",
)


@scenario
def refusals(lib: Library, site: Site) -> Any:
    found = {}
    for name in REFUSALS:
        with site.raw(name) as base:
            kind, error = tried(lib.open, base + "/", open_timeout=5)
            found[name] = kind, error
    return found


@scenario
def subprotocols_that_do_not_fit(lib: Library, site: Site) -> Any:
    found = {}
    for name in ("subprotocol nobody asked for", "two subprotocols"):
        with site.raw(name) as base:
            found[name] = tried(lib.open, base + "/", subprotocols=["a", "b"])
    return found


@scenario
def a_server_that_does_not_answer(lib: Library, site: Site) -> Any:
    with site.raw("mute") as base:
        return tried(lib.open, base + "/", open_timeout=0.2)


@scenario
def servers_that_are_not_there(lib: Library, site: Site) -> Any:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        refused = tried(lib.open, f"ws://127.0.0.1:{port}/")
    unknown = tried(lib.open, "ws://no-such-name.invalid/")
    return refused, unknown[1][0]


@scenario
def addresses_that_are_none(lib: Library, site: Site) -> Any:
    uris = ["http://127.0.0.1/", "ws://", "127.0.0.1", "ws://127.0.0.1/#fragment", "", "ws://user@127.0.0.1/"]
    return [tried(lib.open, uri) for uri in uris]


@scenario
def keywords_that_do_not_fit(lib: Library, site: Site) -> Any:
    options: list[dict[str, Any]] = [
        {"ssl": site.context},
        {"compression": "gzip"},
        {"subprotocols": "a"},
        {"subprotocols": ["a b"]},
        {"max_queue": (1, 2)},
    ]
    found = [tried(lib.open, site.base + "/echo", **entry) for entry in options]
    unknown = tried(lib.open, site.base + "/echo", nonsense=1)
    return found, unknown[1][0], "nonsense" in unknown[1][2]


@scenario
def over_tls(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    with lib.client.connect(site.secure + "/echo", ssl=site.context, proxy=None) as websocket:
        websocket.send("secret")
        found.append(websocket.recv(10))
        found.append(websocket.socket.version())
        found.append(bool(websocket.socket.getpeercert()))
    port = site.secure.rpartition(":")[2]
    with lib.client.connect(
        f"wss://example.invalid:{port}/echo",
        ssl=site.context,
        proxy=None,
        server_hostname="localhost",
        address=("127.0.0.1", int(port)),
    ) as websocket:
        found.append(websocket.request.headers["Host"].replace(port, "<port>"))
    found.append(tried(lib.open, site.secure + "/echo")[1][0])
    kind, error = tried(lib.open, site.secure + "/echo", ssl=site.context, server_hostname="other.example")
    found.append((kind, error[:2]))
    return found


@scenario
def over_other_sockets(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    with lib.client.unix_connect(site.unix, "ws://localhost/echo", legacy=True) as websocket:
        websocket.send("unix")
        found.append((websocket.recv(10), websocket.request.headers["Host"], websocket.remote_address == site.unix))
    found.append(tried(lib.client.unix_connect, legacy=True))
    found.append(tried(lib.client.unix_connect, "/nowhere/at/all", legacy=True))
    sock = socket.create_connection(("127.0.0.1", site.port))
    name = sock.getsockname()
    with lib.client.connect("ws://elsewhere.invalid/echo", sock=sock, proxy=None) as websocket:
        websocket.send("mine")
        found.append((websocket.recv(10), websocket.local_address == name))
        found.append(websocket.remote_address == ("127.0.0.1", site.port))
        found.append(websocket.socket.getpeername() == ("127.0.0.1", site.port))
    with lib.client.connect(site.base + "/echo", proxy=None, source_address=("127.0.0.9", 0)) as websocket:
        found.append(websocket.local_address[0])
        found.append(websocket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
    return found


@scenario
def redirects(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    for path in ("/moved", "/moved?to=/moved%3Fto%3D/echo"):
        with lib.client.connect(site.base + path, proxy=None) as websocket:
            websocket.send("here")
            found.append((websocket.recv(10), websocket.request.path))
    found.append(tried(lib.open, site.base + "/round")[1][0])
    found.append(tried(lib.open, site.base + "/moved?to=http://127.0.0.1/"))
    port = site.secure.rpartition(":")[2]
    down = tried(lib.open, f"{site.secure}/moved?to=ws://127.0.0.1/", ssl=site.context)
    found.append((down[1][0], down[1][2].replace(port, "<port>")))
    with site.raw("fields of the second") as second:
        headers = {"Cookie": "a=b", "Authorization": "x", "X-Kept": "1"}
        tried(lib.open, f"{site.base}/moved?to={second}/", additional_headers=headers)
        found.append(site.take())
    with contextlib.closing(socket.create_connection(("127.0.0.1", site.port))) as sock:
        kind, error = tried(lib.open, site.base + "/moved", sock=sock)
        found.append((kind, error[:2], error[2].replace(str(site.port), "<port>")))
    return found
