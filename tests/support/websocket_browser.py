"""A real browser, headless, and a site that it visits: a page, WebSockets on the same port, and what the page found out."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import inspect
import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from drivetrain.engine import AsyncWebSocket, Headers, WebSocket
from drivetrain.engine.errors import WebSocketError
from drivetrain.engine.protocol.websocket_events import Frame
from tests.faces.serving import reply
from tests.support.certificates import Certificates
from tests.support.peers import find_program
from tests.support.websocket_handlers import OPTIONS, talk_async, talk_sync

__all__ = ["Browser", "BrowserSite"]

PAGE = Path(__file__).with_name("websocket_programs") / "page.html"


class BrowserSite:
    """What a server does for the page of `websocket_programs/page.html`; beside it the paths of `websocket_handlers`.

    Args:
        next_url: where the page goes afterwards; may be set later.

    Attributes:
        results: what the page found out, put in when it is done.
        closes: of the WebSockets whose path had a query, what the browser closed them with.
        counted: how many messages came on each of /count.
    """

    def __init__(self, next_url: str = "") -> None:
        self.next_url = next_url
        self.results: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.closes: dict[str, tuple[int, str] | None] = {}
        self.counted: list[int] = []

    def handle_sync(self, _: Any, stream: Any) -> None:
        """For servers of threads."""
        steps = self._serve(stream)
        value: Any = None
        while True:
            try:
                value = steps.send(value)
            except StopIteration as end:
                if end.value is not None:
                    talk_sync(stream, end.value)
                return

    async def handle_async(self, _: Any, stream: Any) -> None:
        """For servers of tasks."""
        steps = self._serve(stream)
        value: Any = None
        while True:
            try:
                value = await steps.send(value)
            except StopIteration as end:
                if end.value is not None:
                    await talk_async(stream, end.value)
                return

    def _serve(self, stream: Any) -> Generator[Any, Any, Headers | None]:
        """The steps of a handler, awaited where they are coroutines; returns what `websocket_handlers` is to answer."""
        face: Any = AsyncWebSocket if inspect.iscoroutinefunction(stream.get_headers) else WebSocket
        headers = yield stream.get_headers()
        path, _, query = headers[":path"].partition("?")
        websocket = face.from_stream(stream, headers, **OPTIONS)
        if websocket is None:
            yield from self._page(stream, path)
        elif path == "/facts" or path == "/broken" or path == "/count" or (path == "/echo" and query):
            yield websocket.accept(protocols=["b"])
            with contextlib.suppress(WebSocketError):
                yield from self._talk(websocket, path, query)
        elif path == "/elsewhere":
            yield websocket.accept(origins=["https://elsewhere.example"])
        else:
            return headers
        return None

    def _page(self, stream: Any, path: str) -> Generator[Any, Any, None]:
        if path == "/results":
            body = yield stream.get_body_as_string()
            yield reply(stream, self.next_url.encode())
            self.results.put(json.loads(body))
        elif path == "/page":
            yield reply(stream, PAGE.read_bytes(), "200", ("content-type", "text/html; charset=utf-8"))
        elif path == "/text":
            yield reply(stream, b"a text")
        else:
            yield reply(stream, b"", "404")

    def _talk(self, websocket: Any, path: str, query: str) -> Generator[Any, Any, None]:
        if path == "/facts":
            request = websocket.request
            facts = {"version": websocket.version, "origin": websocket.origin, "cookie": request.get("cookie")}
            yield websocket.send(json.dumps(facts))
        elif path == "/broken":
            yield websocket.send_frame(Frame(3))
        count = 0
        while (message := (yield websocket.receive(20))) is not None:
            count += 1
            if path == "/echo":
                yield websocket.send(message)
        if path == "/count":
            self.counted.append(count)
        if query:
            self.closes[query] = websocket.close_received
        yield websocket.close()


class Browser:
    """Debian's chromium without a window, in a folder of its own, which opens one address.

    Args:
        folder: for its profile.
        certificates: whose server certificate it accepts.
        url: where it goes.

    Raises:
        PeerError: it is not installed.
    """

    def __init__(self, folder: Path, certificates: Certificates, url: str) -> None:
        certificate = x509.load_pem_x509_certificate(certificates.server.cert_chain_pems[0].bytes())
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
        self._log = folder / "output.log"
        self._command = [
            find_program("chromium", "chromium"),
            "--headless",
            "--no-sandbox",  # which root cannot have
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            f"--user-data-dir={folder / 'profile'}",
            f"--ignore-certificate-errors-spki-list={pin}",
            url,
        ]

    def __enter__(self) -> Browser:
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It is a family of processes: the session is ended, not the first of them alone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")
