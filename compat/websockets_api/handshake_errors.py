"""From the engine's errors in opening a connection to the exceptions that `websockets` raises.

What the system said is raised as the system's: `OSError` and its kinds, `socket.gaierror`, `ssl.SSLError`.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from drivetrain.compat.websockets_api import exceptions
from drivetrain.compat.websockets_api.closing import to_os_error
from drivetrain.compat.websockets_api.datastructures import Headers, MultipleValuesError
from drivetrain.compat.websockets_api.headers import parse_connection, parse_extension, parse_subprotocol, parse_upgrade
from drivetrain.compat.websockets_api.http_views import to_headers, to_response
from drivetrain.engine import Headers as EngineHeaders
from drivetrain.engine import errors

__all__ = ["translate"]

_SWITCHING = 101
_NOT_HTTP = "did not receive a valid HTTP response"
_NO_PROXY_ANSWER = "did not receive a valid HTTP response from proxy"


def translate(error: Exception, extensions: Sequence[Any] | None, subprotocols: Sequence[str] | None) -> Exception:
    """What to raise in the place of `error`; that itself where it is not the engine's.

    Args:
        error: of opening a connection.
        extensions, subprotocols: what was offered.
    """
    if isinstance(error, errors.WebSocketHandshakeError):
        return _refusal(error, extensions, subprotocols)
    if isinstance(error, errors.ProxyError):
        return _proxy_error(error)
    if isinstance(error, errors.RemoteProtocolError) and error.with_proxy:
        is_cut = isinstance(error, errors.IncompleteMessage)
        return _caused(
            exceptions.InvalidProxyMessage(_NO_PROXY_ANSWER), _ended(error) if is_cut else ValueError(str(error))
        )
    if isinstance(error, errors.TLSError):
        cause = error.__cause__
        if isinstance(cause, errors.NetworkError):
            return to_os_error(cause)  # the connection below broke
        return cause if isinstance(cause, (ssl.SSLError, OSError)) else _caused(ssl.SSLError(str(error)), error)
    if isinstance(error, errors.ConnectError):
        return to_os_error(error)
    if isinstance(error, errors.Timeout):
        return TimeoutError()
    if isinstance(error, (errors.NetworkError, errors.IncompleteMessage)):
        # The connection was there, and broke before the answer was.
        return _caused(exceptions.InvalidMessage(_NOT_HTTP), _ended(error))
    if isinstance(error, errors.RemoteProtocolError):
        return _caused(exceptions.InvalidMessage(_NOT_HTTP), ValueError(str(error)))
    if isinstance(error, errors.UsageError):
        return _caused(ValueError(str(error)), error)
    if isinstance(error, errors.EngineError):
        return _caused(exceptions.InvalidHandshake(str(error)), error)
    return error


def _caused(exc: Exception, cause: BaseException) -> Exception:
    exc.__cause__ = cause
    return exc


def _ended(error: Exception) -> EOFError:
    eof = EOFError("connection closed while reading HTTP status line")
    eof.__cause__ = error
    return eof


def _proxy_error(error: errors.ProxyError) -> Exception:
    if error.status is not None:
        fields = error.headers if error.headers is not None else EngineHeaders()
        return exceptions.InvalidProxyStatus(to_response(fields, error.reason, error.body, error.status))
    if isinstance(error, errors.SocksError):
        return _caused(exceptions.ProxyError("failed to connect to SOCKS proxy"), error)
    if isinstance(error.__cause__, errors.ConnectError):
        return to_os_error(error)  # it cannot be reached
    return _caused(exceptions.InvalidProxyMessage(_NO_PROXY_ANSWER), error)


def _refusal(
    error: errors.WebSocketHandshakeError, extensions: Sequence[Any] | None, subprotocols: Sequence[str] | None
) -> Exception:
    """The server answered, but not with a WebSocket that can be used."""
    fields = error.headers if error.headers is not None else EngineHeaders()
    if error.status != _SWITCHING:
        return exceptions.InvalidStatus(to_response(fields, error.reason, error.body, error.status))
    headers = to_headers(fields)
    try:
        _check_upgrade(headers)
        _check_extensions(headers, extensions)
        _check_subprotocol(headers, subprotocols)
    except exceptions.InvalidHandshake as exc:
        return exc
    return exceptions.InvalidHeaderValue("Sec-WebSocket-Accept", headers["Sec-WebSocket-Accept"])


def _check_upgrade(headers: Headers) -> None:
    """Raise what is wrong with the fields that make it an upgrade."""
    connection = [option for value in headers.get_all("Connection") for option in parse_connection(value)]
    if "upgrade" not in [option.lower() for option in connection]:
        raise exceptions.InvalidUpgrade("Connection", ", ".join(connection) or None)
    upgrade = [protocol for value in headers.get_all("Upgrade") for protocol in parse_upgrade(value)]
    if [protocol.lower() for protocol in upgrade] != ["websocket"]:
        raise exceptions.InvalidUpgrade("Upgrade", ", ".join(upgrade) or None)
    try:
        headers["Sec-WebSocket-Accept"]
    except MultipleValuesError:
        raise exceptions.InvalidHeader("Sec-WebSocket-Accept", "multiple values") from None
    except KeyError:
        raise exceptions.InvalidHeader("Sec-WebSocket-Accept") from None


def _check_extensions(headers: Headers, offered: Sequence[Any] | None) -> None:
    """Raise what is wrong with the extensions that the server uses."""
    values = headers.get_all("Sec-WebSocket-Extensions")
    if not values:
        return
    if offered is None:
        raise exceptions.NegotiationError("no extensions supported")
    accepted: list[Any] = []
    for value in values:
        for name, params in parse_extension(value):
            for factory in offered:
                if factory.name != name:
                    continue
                try:
                    accepted.append(factory.process_response_params(params, accepted))
                except exceptions.NegotiationError:
                    continue
                break
            else:
                raise exceptions.NegotiationError(f"Unsupported extension: name = {name}, params = {params}")


def _check_subprotocol(headers: Headers, offered: Sequence[str] | None) -> None:
    """Raise what is wrong with the subprotocol that the server chose."""
    values = headers.get_all("Sec-WebSocket-Protocol")
    if not values:
        return
    if offered is None:
        raise exceptions.NegotiationError("no subprotocols supported")
    chosen = [name for value in values for name in parse_subprotocol(value)]
    if len(chosen) > 1:
        raise exceptions.InvalidHeader("Sec-WebSocket-Protocol", f"multiple values: {', '.join(chosen)}")
    if chosen[0] not in offered:
        raise exceptions.NegotiationError(f"unsupported subprotocol: {chosen[0]}")
