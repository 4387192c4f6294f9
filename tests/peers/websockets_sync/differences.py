"""Where the two differ, and why."""

from __future__ import annotations

from typing import Any

from tests.peers.websockets_sync.base import Library, Site, difference, tried
from tests.support.proxies import ConnectProxy


@difference
def a_close_frame_inside_a_message(lib: Library, site: Site) -> Any:
    """RFC 6455 section 5.4 lets control frames come between fragments; the original takes a Close frame there for a fault."""
    with site.raw("close in a message") as base:
        return tried(lib.open(base + "/", close_timeout=0.3).recv, 1)[1][2]


@difference
def an_answer_of_http_1_0(lib: Library, site: Site) -> Any:
    """The original takes it for garbage, ours for a refusal."""
    with site.raw("http/1.0") as base:
        return tried(lib.open, base + "/")[1][0]


@difference
def the_limit_on_compressed_fragments(lib: Library, site: Site) -> Any:
    """The original counts what is unpacked, ours what is on the wire. Whole messages are counted unpacked by both."""
    websocket = lib.open(f"{site.base}/echo", max_size=(None, 50))
    websocket.send("x" * 101)
    kind, _ = tried(websocket.recv, 10)
    websocket.close()
    return kind


@difference
def what_a_proxy_has_to_say(lib: Library, site: Site) -> Any:
    """Ours has the body of a proxy's refusal as well."""
    with ConnectProxy(credentials="user:password") as proxy:
        _, error = tried(lib.open, site.base, proxy=f"http://127.0.0.1:{proxy.port}")
    return error[3]["response"]
