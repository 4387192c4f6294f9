"""The same servers on `websockets` or on our package of the same API, for their handshakes to be compared byte by byte.

    python handshakes.py websockets|drivetrain.compat.websockets_api asyncio|sync PORT...

One server for each of `CONFIGURATIONS`, in their order. All echo. What they log goes to standard error, without tracebacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

CONFIGURATIONS = (
    "plain",
    "origins",
    "one_origin",
    "subprotocols",
    "choosing",
    "uncompressed",
    "windows",
    "requiring",
    "nameless",
    "named",
    "answering",
    "rewriting",
    "passwords",
    "checking",
)


class Wording:
    """What servers are told, in the terms of one of the two packages."""

    def __init__(self, package: str, colour: str) -> None:
        self.package = package
        self.is_async = colour == "asyncio"
        self.server = self.module(f"{colour}.server")
        self.headers = self.module("datastructures").Headers
        self.response = self.module("http11").Response
        self.refusal = self.module("exceptions").NegotiationError
        self.deflate = self.module("extensions.permessage_deflate").ServerPerMessageDeflateFactory

    def module(self, name: str) -> Any:
        return importlib.import_module(f"{self.package}.{name}")

    def coloured(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, as a coroutine function for asyncio: programs may use either."""
        if not self.is_async:
            return function

        async def called(*args: Any) -> Any:
            await asyncio.sleep(0)
            return function(*args)

        return called

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def choose(self, _: Any, offered: list[Any]) -> Any:
        if "refused" in offered:
            raise self.refusal("none of these")
        if "broken" in offered:
            raise LookupError("a fault of the program")
        return offered[-1] if offered else None

    def process_request(self, connection: Any, request: Any) -> Any:
        if request.path == "/ok":
            response = connection.respond(200, "It is well.\n")
            response.headers["X-More"] = "yes"
            return response
        if request.path == "/odd":
            return self.response(599, "Rather Odd", self.headers([("x-a", "1"), ("X-B", "é")]), b"\x00\x01")
        if request.path == "/empty":
            return self.response(204, "No Content", self.headers())
        if request.path == "/forced":
            return self.response(101, "As You Wish", self.headers({"Upgrade": "websocket"}))
        if request.path == "/fail":
            raise LookupError("a fault of the program")
        return None

    def process_response(self, connection: Any, request: Any, response: Any) -> Any:
        response.headers["X-Path"] = request.path
        response.headers["X-Status"] = str(response.status_code)
        if request.path == "/replaced":
            return connection.respond(200, "Something else.\n")
        if request.path == "/bare":
            del response.headers["Server"]
            del response.headers["Date"]
        if request.path == "/fail":
            raise LookupError("a fault of the program")
        return None

    def check(self, username: str, password: str) -> bool:
        return (username, password) == ("user", "pass")

    def options(self, name: str) -> dict[str, Any]:
        deflate, basic_auth = self.deflate, self.server.basic_auth
        return {
            "plain": {},
            "origins": {"origins": ["https://a.example", re.compile(r"https://[a-z]+\.test"), None]},
            "one_origin": {"origins": ["https://a.example"]},
            "subprotocols": {"subprotocols": ["chat", "superchat"]},
            "choosing": {"subprotocols": ["chat"], "select_subprotocol": self.choose},
            "uncompressed": {"compression": None},
            "windows": {"extensions": [deflate(server_no_context_takeover=True, server_max_window_bits=10)]},
            "requiring": {"extensions": [deflate(client_max_window_bits=9, require_client_max_window_bits=True)]},
            "nameless": {"server_header": None},
            "named": {"server_header": "me/1"},
            "answering": {"process_request": self.coloured(self.process_request)},
            "rewriting": {"process_response": self.coloured(self.process_response)},
            "passwords": {"process_request": basic_auth("here", [("user", "pass"), ("other", "wörd")])},
            "checking": {"process_request": basic_auth(check_credentials=self.coloured(self.check))},
        }[name]


class Terse(logging.Formatter):
    """Leaves tracebacks out, which name places."""

    def formatException(self, ei: Any) -> str:
        return f"({ei[0].__name__})"


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


def echo_sync(connection: Any) -> None:
    for message in connection:
        connection.send(message)


async def serve_asyncio(wording: Wording, ports: list[int]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for name, port in zip(CONFIGURATIONS, ports, strict=True):
            await stack.enter_async_context(wording.server.serve(echo, "127.0.0.1", port, **wording.options(name)))
        await asyncio.Event().wait()


def serve_sync(wording: Wording, ports: list[int]) -> None:
    with contextlib.ExitStack() as stack:
        for name, port in zip(CONFIGURATIONS, ports, strict=True):
            server = wording.server.serve(echo_sync, "127.0.0.1", port, **wording.options(name))
            threading.Thread(target=stack.enter_context(server).serve_forever, daemon=True).start()
        threading.Event().wait()


def main() -> None:
    package, colour, *ports = sys.argv[1:]
    handler = logging.StreamHandler()
    handler.setFormatter(Terse("%(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    wording = Wording(package, colour)
    numbers = [int(port) for port in ports]
    if colour == "asyncio":
        asyncio.run(serve_asyncio(wording, numbers))
    else:
        serve_sync(wording, numbers)


if __name__ == "__main__":
    main()
