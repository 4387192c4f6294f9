"""A WebSocket client of other people's, held against a server of ours: run by the Python of the peers' environment.

    python clients.py websockets|websockets-sync|websocket-client|aiohttp CERTIFICATE URI...

It imports nothing of ours. At each URI the server must do what `tests.support.websocket_handlers` says of paths. The exit
status is 0 when everything was as it should be; the last line then says how many checks were made.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, NamedTuple

SIZES = (0, 1, 125, 126, 1000, 65535, 65536, 1_000_000)
MESSAGES: list[str | bytes] = [kind for size in SIZES for kind in ("é" * (size // 2), b"\xff" * size)]
CODES = (1000, 1001, 1003, 1008, 1011, 1012, 1013, 1014, 3000, 4999)
PATIENCE = 20.0
ABNORMAL = 1006


class Ended(NamedTuple):
    """The end of a connection, as a library tells it; the reason is None where it does not tell."""

    code: int
    reason: str | None


class RefusedError(Exception):
    """The server answered the handshake with (status, body); body is None where a library does not tell."""


class Connection(ABC):
    """A connection of one library; everything blocks."""

    protocol: str | None
    compressed: bool

    @abstractmethod
    def say(self, message: str | bytes) -> None: ...

    @abstractmethod
    def hear(self) -> str | bytes | Ended: ...

    @abstractmethod
    def say_pieces(self, pieces: list[str]) -> None: ...

    @abstractmethod
    def ping(self) -> None:
        """Send a Ping and see its Pong."""

    @abstractmethod
    def close(self, code: int, reason: str) -> Ended:
        """Close, and return what the server said to it."""


class Library(ABC):
    """One library, connecting to `uri`."""

    can_compress = True

    def __init__(self, uri: str, context: ssl.SSLContext | None) -> None:
        self.uri = uri
        self.context = context
        self.opened: list[Any] = []  # what has to be closed

    @abstractmethod
    def open(self, path: str, compress: bool = False) -> Connection:
        """Connect, with the subprotocols "a" and "b"."""

    @abstractmethod
    def finish(self) -> None:
        """Let go of everything."""


class Loop(Library):
    """A library of coroutines."""

    def __init__(self, uri: str, context: ssl.SSLContext | None) -> None:
        super().__init__(uri, context)
        self.loop = asyncio.new_event_loop()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE))

    def finish(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


# --- websockets -------------------------------------------------------------------------------------------------------


class Websockets(Loop):
    class Wrapped(Connection):
        def __init__(self, library: Websockets, made: Any) -> None:
            self.run, self.made = library.run, made
            self.protocol = made.subprotocol
            self.compressed = bool(made.protocol.extensions)

        def say(self, message: str | bytes) -> None:
            self.run(self.made.send(message))

        def hear(self) -> str | bytes | Ended:
            from websockets.exceptions import ConnectionClosed

            try:
                return self.run(self.made.recv())  # type: ignore[no-any-return]
            except ConnectionClosed:
                return Ended(self.made.close_code, self.made.close_reason)

        def say_pieces(self, pieces: list[str]) -> None:
            self.run(self.made.send(pieces))

        def ping(self) -> None:
            async def ping() -> None:
                await (await self.made.ping())

            self.run(ping())

        def close(self, code: int, reason: str) -> Ended:
            self.run(self.made.close(code, reason))
            return Ended(self.made.close_code, self.made.close_reason)

    def open(self, path: str, compress: bool = False) -> Connection:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus

        async def opening() -> Any:
            return await connect(
                self.uri + path,
                subprotocols=["a", "b"],  # type: ignore[list-item]
                ssl=self.context,
                compression="deflate" if compress else None,
                max_size=None,
                proxy=None,
            )

        try:
            return self.Wrapped(self, self.run(opening()))
        except InvalidStatus as error:
            raise RefusedError(error.response.status_code, error.response.body) from None


class WebsocketsSync(Library):
    class Wrapped(Connection):
        def __init__(self, made: Any) -> None:
            self.made = made
            self.protocol = made.subprotocol
            self.compressed = bool(made.protocol.extensions)

        def say(self, message: str | bytes) -> None:
            self.made.send(message)

        def hear(self) -> str | bytes | Ended:
            from websockets.exceptions import ConnectionClosed

            try:
                return self.made.recv(PATIENCE)  # type: ignore[no-any-return]
            except ConnectionClosed:
                return Ended(self.made.close_code, self.made.close_reason)

        def say_pieces(self, pieces: list[str]) -> None:
            self.made.send(pieces)

        def ping(self) -> None:
            assert self.made.ping().wait(PATIENCE)

        def close(self, code: int, reason: str) -> Ended:
            self.made.close(code, reason)
            return Ended(self.made.close_code, self.made.close_reason)

    def open(self, path: str, compress: bool = False) -> Connection:
        from websockets.exceptions import InvalidStatus
        from websockets.sync.client import connect

        # Since 17.1 it warns where it is used without a context manager.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            made = connect(
                self.uri + path,
                subprotocols=["a", "b"],  # type: ignore[list-item]
                ssl=self.context,
                compression="deflate" if compress else None,
                max_size=None,
                proxy=None,
            )
        except InvalidStatus as error:
            raise RefusedError(error.response.status_code, error.response.body) from None
        self.opened.append(made)
        return self.Wrapped(made)

    def finish(self) -> None:
        for made in self.opened:
            made.close()


# --- websocket-client -------------------------------------------------------------------------------------------------


class WebsocketClient(Library):
    can_compress = False

    class Wrapped(Connection):
        compressed = False

        def __init__(self, made: Any) -> None:
            from websocket import ABNF

            self.made, self.abnf = made, ABNF
            self.protocol = made.getsubprotocol()

        def say(self, message: str | bytes) -> None:
            self.made.send(message, self.abnf.OPCODE_BINARY if isinstance(message, bytes) else self.abnf.OPCODE_TEXT)

        def hear(self) -> str | bytes | Ended:
            from websocket import WebSocketConnectionClosedException

            try:
                kind, data = self.made.recv_data(control_frame=False)
            except (WebSocketConnectionClosedException, ConnectionError, ssl.SSLError):
                return Ended(ABNORMAL, "")
            if kind == self.abnf.OPCODE_CLOSE:
                return Ended(int.from_bytes(data[:2], "big"), data[2:].decode())
            return data.decode() if kind == self.abnf.OPCODE_TEXT else data  # type: ignore[no-any-return]

        def say_pieces(self, pieces: list[str]) -> None:
            for number, piece in enumerate(pieces):
                opcode = self.abnf.OPCODE_CONT if number else self.abnf.OPCODE_TEXT
                self.made.send_frame(self.abnf.create_frame(piece, opcode, int(number == len(pieces) - 1)))

        def ping(self) -> None:
            self.made.ping(b"ping")
            assert self.made.recv_data(control_frame=True) == (self.abnf.OPCODE_PONG, b"ping")

        def close(self, code: int, reason: str) -> Ended:
            self.made.send_close(code, reason.encode())
            ended = self.hear()
            self.made.shutdown()
            assert isinstance(ended, Ended), ended
            return ended

    def open(self, path: str, compress: bool = False) -> Connection:
        import websocket

        options = {"timeout": PATIENCE, "sslopt": {"context": self.context}, "http_no_proxy": ["*"]}
        try:
            made = websocket.create_connection(self.uri + path, subprotocols=["a", "b"], **options)
        except websocket.WebSocketBadStatusException as error:
            raise RefusedError(error.status_code, error.resp_body) from None
        self.opened.append(made)
        return self.Wrapped(made)

    def finish(self) -> None:
        for made in self.opened:
            made.shutdown()


# --- aiohttp ----------------------------------------------------------------------------------------------------------


class Aiohttp(Loop):
    class Wrapped(Connection):
        def __init__(self, library: Aiohttp, made: Any) -> None:
            from aiohttp import WSMsgType

            self.run, self.made, self.kinds = library.run, made, WSMsgType
            self.protocol = made.protocol
            self.compressed = bool(made.compress)

        def say(self, message: str | bytes) -> None:
            self.run(self.made.send_bytes(message) if isinstance(message, bytes) else self.made.send_str(message))

        def hear(self) -> str | bytes | Ended:
            message = self.run(self.made.receive())
            if message.type is self.kinds.CLOSE:
                return Ended(message.data, message.extra)
            if message.type in (self.kinds.CLOSED, self.kinds.ERROR):
                return Ended(self.made.close_code, None)
            return message.data  # type: ignore[no-any-return]

        def say_pieces(self, pieces: list[str]) -> None:
            self.say("".join(pieces))  # it sends messages whole only

        def ping(self) -> None:
            # Whether the Pong comes it says to nobody; it would not go on without one, see `heartbeat`.
            self.run(self.made.ping(b"ping"))

        def close(self, code: int, reason: str) -> Ended:
            self.run(self.made.close(code=code, message=reason.encode()))
            return Ended(self.made.close_code, None)

    def open(self, path: str, compress: bool = False) -> Connection:
        from aiohttp import ClientSession, WSServerHandshakeError

        async def opening() -> Any:
            return await session.ws_connect(
                self.uri + path,
                protocols=("a", "b"),
                compress=15 if compress else 0,
                max_msg_size=0,
                ssl=True if self.context is None else self.context,
                heartbeat=1.0,
            )

        async def begin() -> ClientSession:
            return ClientSession()

        session = self.run(begin())
        self.opened.append(session)
        try:
            return self.Wrapped(self, self.run(opening()))
        except WSServerHandshakeError as error:
            raise RefusedError(error.status, None) from None

    def finish(self) -> None:
        for session in self.opened:
            self.run(session.close())
        super().finish()


# --- what is done with each -------------------------------------------------------------------------------------------


class Checks:
    """The same checks whatever the library."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.count = 0

    def that(self, holds: bool, *what: object) -> None:
        self.count += 1
        if not holds:
            raise AssertionError(*what)

    def ended(self, told: object, code: int, reason: str) -> None:
        self.that(isinstance(told, Ended), "it did not end", told)
        assert isinstance(told, Ended)
        self.that(told.code == code and told.reason in (reason, None), told, code, reason)

    def run(self, compress: bool) -> None:
        opened = self.library.open
        self.echo(opened("/echo", compress), compress)
        pieces = opened("/pieces", compress)
        for message in MESSAGES:
            pieces.say(message)
            self.that(pieces.hear() == message, "in pieces", len(message))
        self.ended(pieces.close(1000, ""), 1000, "")
        pinged = opened("/ping", compress)
        latency = pinged.hear()
        self.that(isinstance(latency, str) and float(latency) >= 0, latency)
        self.ended(pinged.close(1001, "seen"), 1001, "seen")
        for code in CODES:
            self.ended(opened(f"/close?code={code}&reason=so", compress).hear(), code, "so")
        gone = opened("/gone", compress)
        self.that(gone.hear() == "hello")
        gone.say("go")
        self.ended(gone.hear(), ABNORMAL, "")
        try:
            opened("/refused", compress)
        except RefusedError as error:
            status, body = error.args
            self.that(status == 403 and (body is None or bytes(body).strip() == b"not here"), error)
        else:
            raise AssertionError("it was not refused")

    def echo(self, connection: Connection, compress: bool) -> None:
        self.that(connection.protocol == "b", connection.protocol)
        self.that(connection.compressed is compress, "compression", compress)
        for message in MESSAGES:
            connection.say(message)
            self.that(connection.hear() == message, "echo", len(message))
        connection.say_pieces(["one ", "two ", "three"])
        self.that(connection.hear() == "one two three", "pieces")
        connection.ping()
        for turn in range(20):
            connection.say(f"{turn}")
        self.that([connection.hear() for _ in range(20)] == [f"{turn}" for turn in range(20)], "in a row")
        self.ended(connection.close(4001, "byé"), 4001, "byé")


LIBRARIES: dict[str, type[Library]] = {
    "websockets": Websockets,
    "websockets-sync": WebsocketsSync,
    "websocket-client": WebsocketClient,
    "aiohttp": Aiohttp,
}


def main() -> None:
    name, authority, *uris = sys.argv[1:]
    count = 0
    for uri in uris:
        context = ssl.create_default_context(cafile=authority) if uri.startswith("wss:") else None
        library = LIBRARIES[name](uri, context)
        checks = Checks(library)
        checks.run(compress=False)
        if library.can_compress:
            checks.run(compress=True)
        library.finish()
        count += checks.count
    print(count, "checks")


if __name__ == "__main__":
    main()
