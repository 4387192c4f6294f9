"""Compression of messages (RFC 7692): what is offered and agreed on, and the extension itself, frame by frame.

The factories are how programs configure compression; on connections it is the engine that compresses.

Parameters of constructors are those of RFC 7692 section 7.1. A window of 8 bits can be received but not sent: zlib has none.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from drivetrain.compat.websockets_api.exceptions import (
    DuplicateParameter,
    InvalidParameterName,
    InvalidParameterValue,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
)
from drivetrain.compat.websockets_api.extensions.base import ClientExtensionFactory, Extension, ServerExtensionFactory
from drivetrain.compat.websockets_api.frames import CONT, CTRL_OPCODES, Frame
from drivetrain.compat.websockets_api.typing import ExtensionName, ExtensionParameter

__all__ = [
    "ClientPerMessageDeflateFactory",
    "PerMessageDeflate",
    "ServerPerMessageDeflateFactory",
    "enable_client_permessage_deflate",
    "enable_server_permessage_deflate",
]

_NAME = ExtensionName("permessage-deflate")
# What a flush ends with, and what is not sent of it (RFC 7692 section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"
_WIDEST = 15


class PerMessageDeflate(Extension):
    """Compression on one connection. Every message is compressed.

    Args:
        remote_no_context_takeover: the peer begins each message with an empty window.
        local_no_context_takeover: so do we.
        remote_max_window_bits: size of the peer's window, 8 to 15.
        local_max_window_bits: size of ours, 9 to 15.
        compress_settings: keywords for `zlib.compressobj`, apart from `wbits`.
    """

    name = _NAME

    def __init__(
        self,
        remote_no_context_takeover: bool,
        local_no_context_takeover: bool,
        remote_max_window_bits: int,
        local_max_window_bits: int,
        compress_settings: dict[Any, Any] | None = None,
    ) -> None:
        settings = {} if compress_settings is None else compress_settings
        if not (8 <= remote_max_window_bits <= _WIDEST and 9 <= local_max_window_bits <= _WIDEST):
            raise AssertionError("there is no such window")
        if "wbits" in settings:
            raise AssertionError("compress_settings must not include wbits")
        self.remote_no_context_takeover = remote_no_context_takeover
        self.local_no_context_takeover = local_no_context_takeover
        self.remote_max_window_bits = remote_max_window_bits
        self.local_max_window_bits = local_max_window_bits
        self.compress_settings = settings
        self.decode_cont_data = False  # whether the message under way is a compressed one
        if not remote_no_context_takeover:
            self.decoder = self._new_decoder()
        if not local_no_context_takeover:
            self.encoder = self._new_encoder()

    def __repr__(self) -> str:
        shown = (
            "remote_no_context_takeover",
            "local_no_context_takeover",
            "remote_max_window_bits",
            "local_max_window_bits",
        )
        return f"PerMessageDeflate({', '.join(f'{name}={getattr(self, name)}' for name in shown)})"

    # Their types have no names that could be written here.
    def _new_decoder(self) -> Any:
        return zlib.decompressobj(wbits=-self.remote_max_window_bits)

    def _new_encoder(self) -> Any:
        return zlib.compressobj(wbits=-self.local_max_window_bits, **self.compress_settings)

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Return a received frame with its payload inflated.

        Args:
            frame: as received. One that is not compressed is returned as it is.
            max_size: how large the payload may become, in bytes. No more than one byte beyond it is ever inflated.

        Raises:
            PayloadTooBig: it would become larger.
            ProtocolError: it cannot be inflated, or is marked as compressed where no frame may be.
        """
        if frame.opcode in CTRL_OPCODES or not self._is_compressed(frame):
            return frame
        payload = bytes(frame.data) + _TAIL if frame.fin else frame.data
        try:
            data = self.decoder.decompress(payload, 0 if max_size is None else max_size + 1)
        except zlib.error as error:
            raise ProtocolError("decompression failed") from error
        if max_size is not None and len(data) > max_size:
            raise PayloadTooBig(None, max_size)
        if frame.fin and self.remote_no_context_takeover:
            del self.decoder  # tens of kilobytes that are of no more use
        return Frame(frame.opcode, data, frame.fin, False, frame.rsv2, frame.rsv3)

    def _is_compressed(self, frame: Frame) -> bool:
        """Whether a data frame is; makes ready for the message that begins or goes on with it."""
        if frame.opcode is not CONT:
            if not frame.rsv1:
                return False
            if self.remote_no_context_takeover:
                self.decoder = self._new_decoder()
        elif not self.decode_cont_data:
            return False
        elif frame.rsv1:
            raise ProtocolError("RSV1 bit set in continuation frame")
        self.decode_cont_data = not frame.fin
        return True

    def encode(self, frame: Frame) -> Frame:
        """Return a frame with its payload deflated; control frames as they are."""
        if frame.opcode in CTRL_OPCODES:
            return frame
        begins = frame.opcode is not CONT
        if begins and self.local_no_context_takeover:
            self.encoder = self._new_encoder()
        data = self.encoder.compress(frame.data) + self.encoder.flush(zlib.Z_SYNC_FLUSH)
        if frame.fin:
            data = data.removesuffix(_TAIL)
            if self.local_no_context_takeover:
                del self.encoder
        return Frame(frame.opcode, data, frame.fin, begins, frame.rsv2, frame.rsv3)


# --- agreeing on parameters ------------------------------------------------------------------------------------------


class _Parameters(NamedTuple):
    """Parameters in the order in which they are written. True for `client_max_window_bits` is the name without a value."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | Literal[True] | None = None

    def written(self) -> list[ExtensionParameter]:
        """As they are in the header field."""
        pairs = ((name, getattr(self, name)) for name in self._fields)
        return [(name, None if value is True else str(value)) for name, value in pairs if value]


def _read(params: Sequence[ExtensionParameter], *, is_request: bool) -> _Parameters:
    """Take parameters out of a header field. Requests may have `client_max_window_bits` without a value."""
    found: dict[str, Any] = {}
    for name, value in params:
        if name not in _Parameters._fields:
            raise InvalidParameterName(name)
        if name in found:
            raise DuplicateParameter(name)
        may_be_bare = name.endswith("takeover") or (is_request and name == "client_max_window_bits")
        if value is None and may_be_bare:
            found[name] = True
        elif name.endswith("bits") and value in ("8", "9", "10", "11", "12", "13", "14", "15"):
            found[name] = int(value)
        else:
            raise InvalidParameterValue(name, value)
    return _Parameters(**found)


def _check_bits(name: str, bits: int | None, smallest: int) -> None:
    if bits is not None and not smallest <= bits <= _WIDEST:
        raise ValueError(f"{name} must be between {smallest} and {_WIDEST}")


def _check_settings(settings: dict[str, Any] | None, instead: str) -> None:
    if settings is not None and "wbits" in settings:
        raise ValueError(f"compress_settings must not include wbits, set {instead} instead")


def _refuse_second(accepted: Sequence[Extension], verb: str) -> None:
    if any(other.name == _NAME for other in accepted):
        raise NegotiationError(f"{verb} duplicate {_NAME}")


class ClientPerMessageDeflateFactory(ClientExtensionFactory):
    """Offers compression to a server.

    Args:
        server_no_context_takeover: demand it of the server.
        client_no_context_takeover: promise it.
        server_max_window_bits: demand of the server, 8 to 15.
        client_max_window_bits: promise, 9 to 15; True leaves it to the server.
        compress_settings: keywords for `zlib.compressobj`, apart from `wbits`.

    Raises:
        ValueError: there is no such window, or `wbits` is in the settings.
    """

    name = _NAME

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | Literal[True] | None = True,
        compress_settings: dict[str, Any] | None = None,
    ) -> None:
        _check_bits("server_max_window_bits", server_max_window_bits, 8)
        if client_max_window_bits is not True:
            _check_bits("client_max_window_bits", client_max_window_bits, 9)
        _check_settings(compress_settings, "client_max_window_bits")
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.compress_settings = compress_settings

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters of the offer."""
        return _Parameters(
            self.server_no_context_takeover,
            self.client_no_context_takeover,
            self.server_max_window_bits,
            self.client_max_window_bits,
        ).written()

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> PerMessageDeflate:
        """Return the extension as the server has agreed to it; see the base class."""
        _refuse_second(accepted_extensions, "received")
        agreed = _read(params, is_request=False)
        if self.server_no_context_takeover and not agreed.server_no_context_takeover:
            raise NegotiationError("expected server_no_context_takeover")
        return PerMessageDeflate(
            agreed.server_no_context_takeover,
            # A promise is kept also where the server does not repeat it.
            self.client_no_context_takeover or agreed.client_no_context_takeover,
            self._server_bits(agreed.server_max_window_bits),
            self._client_bits(agreed.client_max_window_bits),
            self.compress_settings,
        )

    def _server_bits(self, agreed: int | None) -> int:
        demanded = self.server_max_window_bits
        if demanded is not None:
            if agreed is None:
                raise NegotiationError("expected server_max_window_bits")
            if agreed > demanded:
                raise NegotiationError("unsupported server_max_window_bits")
        return agreed or _WIDEST

    def _client_bits(self, agreed: int | None) -> int:
        promised = self.client_max_window_bits
        if promised is None:
            if agreed is not None:
                raise NegotiationError("unexpected client_max_window_bits")
        elif promised is not True:
            if agreed is None:
                agreed = promised
            elif agreed > promised:
                raise NegotiationError("unsupported client_max_window_bits")
        if agreed == 8:
            raise NegotiationError("unsupported client_max_window_bits = 8, use 9")
        return agreed or _WIDEST


class ServerPerMessageDeflateFactory(ServerExtensionFactory):
    """Agrees to compression that a client offers.

    Args:
        server_no_context_takeover: promise it, also unasked.
        client_no_context_takeover: demand it of clients.
        server_max_window_bits: do not go beyond, 9 to 15.
        client_max_window_bits: demand of clients that let it be demanded of them, 8 to 15.
        compress_settings: keywords for `zlib.compressobj`, apart from `wbits`.
        require_client_max_window_bits: turn other clients down, rather than let them have their way.

    Raises:
        ValueError: there is no such window, nothing to require, or `wbits` is in the settings.
    """

    name = _NAME

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | None = None,
        compress_settings: dict[str, Any] | None = None,
        require_client_max_window_bits: bool = False,
    ) -> None:
        _check_bits("server_max_window_bits", server_max_window_bits, 9)
        _check_bits("client_max_window_bits", client_max_window_bits, 8)
        _check_settings(compress_settings, "server_max_window_bits")
        if require_client_max_window_bits and client_max_window_bits is None:
            raise ValueError("require_client_max_window_bits is enabled, but client_max_window_bits isn't configured")
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.compress_settings = compress_settings
        self.require_client_max_window_bits = require_client_max_window_bits

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Return what to answer, and the extension; see the base class."""
        _refuse_second(accepted_extensions, "skipped")
        offer = _read(params, is_request=True)
        answer = _Parameters(
            self.server_no_context_takeover or offer.server_no_context_takeover,
            self.client_no_context_takeover or offer.client_no_context_takeover,
            self._server_bits(offer.server_max_window_bits),
            self._client_bits(offer.client_max_window_bits),
        )
        extension = PerMessageDeflate(
            answer.client_no_context_takeover,
            answer.server_no_context_takeover,
            answer.client_max_window_bits or _WIDEST,
            answer.server_max_window_bits or _WIDEST,
            self.compress_settings,
        )
        return answer.written(), extension

    def _server_bits(self, demanded: int | None) -> int | None:
        limits = [bits for bits in (demanded, self.server_max_window_bits) if bits is not None]
        bits = min(limits, default=None)
        if bits == 8:
            raise NegotiationError("unsupported server_max_window_bits = 8, use 9")
        return bits

    def _client_bits(self, offered: int | Literal[True] | None) -> int | None:
        """`offered` is None when the client lets nothing be demanded of it."""
        limit = self.client_max_window_bits
        if offered is True:
            return limit
        if limit is None:
            return offered
        if offered is None:
            if self.require_client_max_window_bits:
                raise NegotiationError("required client_max_window_bits")
            return None
        return min(offered, limit)


def enable_client_permessage_deflate(
    extensions: Sequence[ClientExtensionFactory] | None,
) -> Sequence[ClientExtensionFactory]:
    """Return a client's extensions with compression among them: as it is there, or with the usual settings."""
    chosen = [] if extensions is None else extensions
    if any(factory.name == _NAME for factory in chosen):
        return chosen
    return [*chosen, ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5})]


def enable_server_permessage_deflate(
    extensions: Sequence[ServerExtensionFactory] | None,
) -> Sequence[ServerExtensionFactory]:
    """Return a server's extensions with compression among them: as it is there, or with the usual settings.

    Those take a quarter of the memory that zlib takes by itself.
    """
    chosen = [] if extensions is None else extensions
    if any(factory.name == _NAME for factory in chosen):
        return chosen
    usual = ServerPerMessageDeflateFactory(
        server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
    )
    return [*chosen, usual]
