"""What a server makes of a request for a WebSocket: the checks, what is agreed on, and how either is worded.

No I/O, and no colour. The wording (status, fields, text) is that of `websockets`, which clients and people have got used to.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import http
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from drivetrain.compat.websockets_api.compression import server_deflate
from drivetrain.compat.websockets_api.datastructures import Headers, MultipleValuesError
from drivetrain.compat.websockets_api.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderValue,
    InvalidMethod,
    InvalidOrigin,
    InvalidProtocol,
    InvalidUpgrade,
    NegotiationError,
)
from drivetrain.compat.websockets_api.extensions.permessage_deflate import PerMessageDeflate
from drivetrain.compat.websockets_api.headers import (
    build_extension,
    parse_connection,
    parse_extension,
    parse_subprotocol,
    parse_upgrade,
)
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.protocol import Side
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.settings import MaxSize
from drivetrain.compat.websockets_api.typing import ExtensionHeader, LoggerLike, Origin, StatusLike, Subprotocol
from drivetrain.compat.websockets_api.utils import accept_key
from drivetrain.engine import DeflateOptions, DeflateParameters

__all__ = ["INTERNAL_ERROR", "ServerProtocolView", "Subprotocols", "build_refusal"]

Subprotocols = Callable[[Sequence[Subprotocol]], Subprotocol | None]

_FAILED = "Failed to open a WebSocket connection"
INTERNAL_ERROR = f"{_FAILED}.\nSee server log for more information.\n"
"""What a client is told when the program behind the server is at fault."""
_FOR_BROWSERS = "You cannot access a WebSocket server directly with a browser. You need a WebSocket client.\n"
_MAX_BITS = 15


def build_refusal(status: StatusLike, text: str) -> Response:
    """A plain text answer that ends the connection.

    Args:
        status: one that `http.HTTPStatus` knows.
        text: its body.
    """
    known = http.HTTPStatus(status)
    body = text.encode()
    headers = Headers(
        [
            ("Date", email.utils.formatdate(usegmt=True)),
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
            ("Content-Type", "text/plain; charset=utf-8"),
        ]
    )
    return Response(known.value, known.phrase, headers, body)


class ServerProtocolView(ProtocolView):
    """A view of the protocol of a server's connection, and the server's side of its handshake.

    Args:
        origins: the pages that may connect: names, regular expressions for all of one, None for clients that say none.
            Without it, all may.
        extensions: factories of permessage-deflate, in order of preference.
        subprotocols: those that the server speaks, the best first.
        max_size: limits, see `settings.split_max_size`.
        logger: for this connection; None for "websockets.server".

    Attributes:
        origins, available_extensions, available_subprotocols: see above.
        choose: called with what the client offers, to select a subprotocol; None for `select_subprotocol`'s own way.
        accept_called: whether the handshake was looked at; otherwise the program answered by itself.
        deflate: what was agreed on about compression, None for nothing.
        compression: how to compress, where that was agreed on.
        opening: what reads the request and sends the answer (`serving.Opening`); None when that is over.
    """

    def __init__(
        self,
        *,
        origins: Sequence[Origin | re.Pattern[str] | None] | None = None,
        extensions: Sequence[Any] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        max_size: MaxSize = 1 << 20,
        logger: LoggerLike | None = None,
    ) -> None:
        super().__init__(
            Side.SERVER, max_size=max_size, logger=logger, extensions=extensions, subprotocols=subprotocols
        )
        self.origins = origins
        self.choose: Subprotocols | None = None
        self.accept_called = False
        self.deflate: DeflateParameters | None = None
        self.compression: DeflateOptions | None = None
        self.opening: Any = None
        self._agreed_protocol: Subprotocol | None = None

    @property
    def subprotocol(self) -> Subprotocol | None:
        """The subprotocol that was agreed on, None for none; known as soon as the handshake was looked at."""
        return self._agreed_protocol if self.core is None else super().subprotocol

    # -- answers -------------------------------------------------------------------------------------------------------

    def reject(self, status: StatusLike, text: str) -> Response:
        """See `build_refusal`."""
        return build_refusal(status, text)

    def accept(self, request: Request) -> Response:
        """The answer to a request: the one that opens the WebSocket, or one that says why not. Raises nothing."""
        self.accept_called = True
        try:
            accept, extensions, protocol = self.process_request(request)
        except Exception as exc:  # noqa: BLE001 - select_subprotocol may raise anything
            request._exception = exc
            self.handshake_exc = exc
            return self._refusal_for(exc)
        headers = Headers(
            [
                ("Date", email.utils.formatdate(usegmt=True)),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", accept),
            ]
        )
        if extensions is not None:
            headers["Sec-WebSocket-Extensions"] = extensions
        if protocol is not None:
            headers["Sec-WebSocket-Protocol"] = protocol
        return Response(101, http.HTTPStatus.SWITCHING_PROTOCOLS.phrase, headers)

    def _refusal_for(self, exc: Exception) -> Response:
        if not isinstance(exc, InvalidHandshake):
            self.logger.error("opening handshake failed", exc_info=exc)
            return self.reject(500, INTERNAL_ERROR)
        if self.debug:
            self.logger.debug("! %s", type(exc).__name__, exc_info=exc)
        if isinstance(exc, InvalidUpgrade):
            response = self.reject(426, f"{_FAILED}: {exc}.\n\n{_FOR_BROWSERS}")
            response.headers["Upgrade"] = "websocket"
        elif isinstance(exc, InvalidMethod):
            response = self.reject(405, f"{_FAILED}: {exc}.\n")
            response.headers["Allow"] = "GET"
        elif isinstance(exc, InvalidOrigin):
            response = self.reject(403, f"{_FAILED}: {exc}.\n")
        elif isinstance(exc, InvalidProtocol):
            response = self.reject(505, f"{_FAILED}: {exc}.\n")
        else:
            texts: list[str] = []
            link: BaseException | None = exc
            while link is not None:
                texts.append(str(link))
                link = link.__cause__
            response = self.reject(400, f"{_FAILED}: {'; '.join(texts)}.\n")
        return response

    # -- checks --------------------------------------------------------------------------------------------------------

    def process_request(self, request: Request) -> tuple[str, str | None, str | None]:
        """Check a request and agree with it.

        Returns:
            The values of Sec-WebSocket-Accept, Sec-WebSocket-Extensions and Sec-WebSocket-Protocol; None for no such field.

        Raises:
            InvalidHandshake: it asks for no WebSocket, or not in a way that can be answered.
        """
        if request.method != "GET":
            raise InvalidMethod(request.method)
        if request.protocol != "HTTP/1.1":
            raise InvalidProtocol(request.protocol)
        headers = request.headers
        connection = [option for value in headers.get_all("Connection") for option in parse_connection(value)]
        if "upgrade" not in [option.lower() for option in connection]:
            raise InvalidUpgrade("Connection", ", ".join(connection) if connection else None)
        upgrade = [protocol for value in headers.get_all("Upgrade") for protocol in parse_upgrade(value)]
        if [protocol.lower() for protocol in upgrade] != ["websocket"]:
            raise InvalidUpgrade("Upgrade", ", ".join(upgrade) if upgrade else None)
        key = self._read_key(headers)
        version = _single(headers, "Sec-WebSocket-Version")
        if version != "13":
            raise InvalidHeaderValue("Sec-WebSocket-Version", version)
        self.origin = self.process_origin(headers)
        extensions = self.process_extensions(headers)
        self._agreed_protocol = self.process_subprotocol(headers)
        return accept_key(key), extensions, self._agreed_protocol

    @staticmethod
    def _read_key(headers: Headers) -> str:
        key = _single(headers, "Sec-WebSocket-Key")
        try:
            size = len(base64.b64decode(key.encode(), validate=True))
        except binascii.Error as exc:
            raise InvalidHeaderValue("Sec-WebSocket-Key", key) from exc
        if size != 16:
            raise InvalidHeaderValue("Sec-WebSocket-Key", key)
        return key

    def process_origin(self, headers: Headers) -> Origin | None:
        """The page that the client is on, None where it says none.

        Raises:
            InvalidOrigin: it may not connect.
            InvalidHeader: it says several.
        """
        try:
            origin = cast("Origin | None", headers.get("Origin"))
        except MultipleValuesError:
            raise InvalidHeader("Origin", "multiple values") from None
        if self.origins is not None and not any(_is_allowed(origin, allowed) for allowed in self.origins):
            raise InvalidOrigin(origin)
        return origin

    def process_extensions(self, headers: Headers) -> str | None:
        """Agree on compression. Of what the client offers the first that suits one of the factories is taken.

        Returns:
            The value of Sec-WebSocket-Extensions, None for no such field.

        Raises:
            InvalidHandshake: what it offers is malformed.
        """
        values = headers.get_all("Sec-WebSocket-Extensions")
        if not values or not self.available_extensions:
            return None
        offers = [offer for value in values for offer in parse_extension(value)]
        answers: list[ExtensionHeader] = []
        accepted: list[Any] = []
        for name, parameters in offers:
            for factory in self.available_extensions:
                if factory.name != name:
                    continue
                try:
                    answer, extension = factory.process_request_params(parameters, accepted)
                except NegotiationError:
                    continue
                answers.append((name, answer))
                accepted.append(extension)
                self._agree(extension, factory)
                break
        return build_extension(answers) if answers else None

    def _agree(self, extension: PerMessageDeflate, factory: Any) -> None:
        # Not kept: it has compressors of its own, and nobody compresses with them.
        self.deflate = DeflateParameters(
            server_no_context_takeover=extension.local_no_context_takeover,
            client_no_context_takeover=extension.remote_no_context_takeover,
            server_max_window_bits=extension.local_max_window_bits,
            client_max_window_bits=extension.remote_max_window_bits,
        )
        self.compression = server_deflate([factory])

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Agree on a subprotocol.

        Raises:
            InvalidHandshake: what the client offers is malformed, or does not suit.
        """
        values = headers.get_all("Sec-WebSocket-Protocol")
        offered = [name for value in values for name in parse_subprotocol(value)]
        return (self.choose or self.select_subprotocol)(offered)

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """The server's best among those that the client offers; None where the server speaks none.

        Raises:
            NegotiationError: there is none that both speak.
        """
        available = self.available_subprotocols
        if not available:
            return None
        if not subprotocols:
            raise NegotiationError("missing subprotocol")
        for name in available:
            if name in subprotocols:
                return name
        raise NegotiationError(f"invalid subprotocol; expected one of {', '.join(available)}")


def _is_allowed(origin: str | None, allowed: str | re.Pattern[str] | None) -> bool:
    if isinstance(allowed, re.Pattern):
        return origin is not None and allowed.fullmatch(origin) is not None
    return allowed == origin


def _single(headers: Headers, name: str) -> str:
    try:
        return headers[name]
    except KeyError:
        raise InvalidHeader(name) from None
    except MultipleValuesError:
        raise InvalidHeader(name, "multiple values") from None
