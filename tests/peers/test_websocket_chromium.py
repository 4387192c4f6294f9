"""A real Chromium on pages and WebSockets of our servers, one port for both: in clear, with TLS, and over HTTP/2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from queue import Empty
from typing import Any, NamedTuple

import pytest

from drivetrain.engine.errors import WebSocketHandshakeError
from drivetrain.engine.protocol.websocket_events import Close
from tests.support.certificates import Certificates
from tests.support.websocket_browser import Browser, BrowserSite
from tests.support.websocket_handlers import SERVERS, Served

pytestmark = pytest.mark.peers

# How the pages are served: the protocols of TLS, None without it.
WAYS: dict[str, list[str] | None] = {"ws": None, "wss": ["http/1.1"], "wss-h2": ["h2", "http/1.1"]}
VISITS = [(colour, way) for colour in SERVERS for way in WAYS]
CODES = (1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999)
LOST = [1006, "", False]


class Visit(NamedTuple):
    """A page that was visited: what it was told, and what the server noted."""

    told: dict[str, Any]
    site: BrowserSite
    served: Served
    url: str


@pytest.fixture(scope="module")
def visits(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[dict[tuple[str, str], Visit]]:
    """One browser that goes from page to page: it takes longer to start than to do all of this."""
    with contextlib.ExitStack() as stack:
        stops = []
        for colour, way in reversed(VISITS):
            site = BrowserSite(next_url=stops[0][3] if stops else "")
            protocols = WAYS[way]
            context = None if protocols is None else certificates.server_context(protocols)
            handler = site.handle_sync if colour == "blocking" else site.handle_async
            served = stack.enter_context(SERVERS[colour](handler, context=context))
            root = f"http://127.0.0.1:{served.port}" if context is None else f"https://localhost:{served.port}"
            stops.insert(0, ((colour, way), site, served, root + "/page"))
        browser = stack.enter_context(Browser(tmp_path_factory.mktemp("chromium"), certificates, stops[0][3]))
        found = {}
        for visit, site, served, url in stops:
            try:
                told = site.results.get(timeout=60)
            except Empty:
                pytest.fail(f"no word of {url}: {browser.log()}")
            found[visit] = Visit(told, site, served, url.removesuffix("/page"))
        yield found


@pytest.fixture(params=VISITS, ids="-".join)
def visit(request: pytest.FixtureRequest, visits: dict[tuple[str, str], Visit]) -> Visit:
    return visits[request.param]


@pytest.mark.parametrize("what", ["echo", "pieces"])
def test_messages_of_every_size(visit: Visit, what: str) -> None:
    told = visit.told[what]
    assert told["wrong"] == []
    assert told["closed"] == [1005, "", True]
    assert told["extensions"].startswith("permessage-deflate")


def test_what_both_sides_know(visit: Visit, request: pytest.FixtureRequest) -> None:
    told = visit.told["facts"]
    assert told["version"] == (2 if "h2" in request.node.name else 1.1)
    assert told["origin"] == told["location"] == visit.url
    assert told["cookie"] == "taste=sweet"
    assert told["protocol"] == "b"


def test_a_ping_is_answered(visit: Visit) -> None:
    assert visit.told["ping"] is True


def test_many_at_once(visit: Visit) -> None:
    assert visit.told["many"] == {"heard": [f"{number}" for number in range(10)], "codes": [1000]}


def test_the_server_closes(visit: Visit) -> None:
    assert visit.told["theyClose"] == {f"{code}": [code, "so", True] for code in CODES}


def test_the_browser_closes(visit: Visit) -> None:
    assert visit.told["weClose"] == {
        **{f"{code}": [code, "byé", True] for code in (1000, 3000, 4999)},
        "none": [1005, "", True],
    }
    assert visit.site.closes == {
        **{f"{code}": Close(code, "byé") for code in (1000, 3000, 4999)},
        "none": Close(1005),
    }


def test_what_was_sent_before_the_close_arrives(visit: Visit) -> None:
    assert visit.told["sentBeforeClose"] == [1000, "", True]
    assert visit.site.counted == [100]


def test_faults(visit: Visit) -> None:
    assert visit.told["gone"] == ["hello", *LOST]
    assert visit.told["broken"] == LOST


def test_refusals(visit: Visit) -> None:
    assert visit.told["refused"] == LOST
    assert visit.told["otherOrigin"] == LOST
    (error,) = visit.served.errors
    assert isinstance(error, WebSocketHandshakeError)


def test_pages_beside(visit: Visit) -> None:
    assert visit.told["page"] == "a text"
