"""The exceptions: words, attributes, families, and the way through pickle."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import pytest

from drivetrain.compat.websockets_api import exceptions
from drivetrain.compat.websockets_api.datastructures import Headers, MultipleValuesError
from drivetrain.compat.websockets_api.exceptions import ConnectionClosed, PayloadTooBig
from drivetrain.compat.websockets_api.frames import Close, CloseCode
from drivetrain.compat.websockets_api.http11 import Response

REFUSAL = Response(403, "Forbidden", Headers())

TEXTS: list[tuple[str, tuple[Any, ...], str]] = [
    ("ConnectionClosed", (None, None), "no close frame received or sent"),
    ("ConnectionClosed", (Close(1000, ""), None), "received 1000 (OK); no close frame sent"),
    ("ConnectionClosed", (None, Close(1001, "bye")), "sent 1001 (going away) bye; no close frame received"),
    ("ConnectionClosedOK", (Close(1000, ""), Close(1000, ""), True), "received 1000 (OK); then sent 1000 (OK)"),
    (
        "ConnectionClosedError",
        (Close(1011, "oops"), Close(4000, ""), False),
        "sent 4000 (private use); then received 1011 (internal error) oops",
    ),
    ("InvalidURI", ("http://a", "scheme isn't ws or wss"), "http://a isn't a valid URI: scheme isn't ws or wss"),
    ("InvalidProxy", ("ftp://a", "no"), "ftp://a isn't a valid proxy: no"),
    ("InvalidMethod", ("PUT",), "unsupported HTTP method: PUT"),
    ("InvalidProtocol", ("HTTP/1.0",), "unsupported HTTP version: HTTP/1.0"),
    ("InvalidStatus", (REFUSAL,), "server rejected WebSocket connection: HTTP 403"),
    ("InvalidProxyStatus", (REFUSAL,), "proxy rejected connection: HTTP 403"),
    ("InvalidHeader", ("Upgrade",), "missing Upgrade header"),
    ("InvalidHeader", ("Upgrade", ""), "empty Upgrade header"),
    ("InvalidHeaderValue", ("Upgrade", "tea"), "invalid Upgrade header: tea"),
    ("InvalidHeaderFormat", ("Upgrade", "expected token", "é", 0), "invalid Upgrade header: expected token at 0 in é"),
    ("InvalidUpgrade", ("Connection", "keep-alive"), "invalid Connection header: keep-alive"),
    ("InvalidOrigin", (None,), "missing Origin header"),
    ("InvalidOrigin", ("http://a",), "invalid Origin header: http://a"),
    ("DuplicateParameter", ("x",), "duplicate parameter: x"),
    ("InvalidParameterName", ("x",), "invalid parameter name: x"),
    ("InvalidParameterValue", ("x", None), "missing value for parameter x"),
    ("InvalidParameterValue", ("x", ""), "empty value for parameter x"),
    ("InvalidParameterValue", ("x", "y"), "invalid value for parameter x: y"),
    ("PayloadTooBig", (10, 5), "frame with 10 bytes exceeds limit of 5 bytes"),
    ("PayloadTooBig", (None, 5), "frame exceeds limit of 5 bytes"),
    ("PayloadTooBig", (10, 5, 3), "frame with 10 bytes after reading 3 bytes exceeds limit of 8 bytes"),
    ("TooManyFragments", (4,), "fragmented message exceeds limit of 4 frames"),
    ("InvalidMessage", ("did not receive a valid HTTP response",), "did not receive a valid HTTP response"),
]


@pytest.mark.parametrize(("name", "args", "text"), TEXTS)
def test_its_words_survive_pickle(name: str, args: tuple[Any, ...], text: str) -> None:
    error = getattr(exceptions, name)(*args)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(error), str(twin)) == (text, text)
    assert type(twin) is type(error)
    assert twin.args == error.args


FAMILIES = {
    "WebSocketException": ["ConcurrencyError", "InvalidState", "ProtocolError", "TooManyFragments", "InvalidHandshake"],
    "ConnectionClosed": ["ConnectionClosedError", "ConnectionClosedOK"],
    "InvalidHandshake": [
        "SecurityError",
        "ProxyError",
        "InvalidMessage",
        "InvalidStatus",
        "NegotiationError",
        "InvalidHeader",
    ],
    "SecurityError": ["RequestLineTooLong", "StatusLineTooLong", "HeaderLineTooLong", "TooManyHeaders"],
    "ProxyError": ["InvalidProxyMessage", "InvalidProxyStatus"],
    "InvalidHeader": ["InvalidHeaderFormat", "InvalidHeaderValue", "InvalidOrigin", "InvalidUpgrade"],
    "NegotiationError": ["DuplicateParameter", "InvalidParameterName", "InvalidParameterValue"],
}


@pytest.mark.parametrize("parent", FAMILIES)
def test_families(parent: str) -> None:
    assert all(issubclass(getattr(exceptions, child), getattr(exceptions, parent)) for child in FAMILIES[parent])


def test_relatives_outside() -> None:
    assert issubclass(exceptions.InvalidState, AssertionError)
    assert issubclass(exceptions.ConcurrencyError, RuntimeError)
    assert issubclass(MultipleValuesError, LookupError)
    assert all(issubclass(getattr(exceptions, name), exceptions.WebSocketException) for name in exceptions.__all__)


@pytest.mark.parametrize(
    ("rcvd", "code", "reason"), [(None, 1006, ""), (Close(1011, "oops"), 1011, "oops"), (Close(1005, ""), 1005, "")]
)
def test_code_and_reason_are_deprecated(rcvd: Close | None, code: int, reason: str) -> None:
    error = ConnectionClosed(rcvd, None)
    with pytest.deprecated_call(match=r"ConnectionClosed.code is deprecated; use Protocol.close_code"):
        assert error.code == code
    with pytest.deprecated_call(match=r"ConnectionClosed.reason is deprecated"):
        assert error.reason == reason


def test_the_code_of_none_is_named() -> None:
    with pytest.deprecated_call():
        assert ConnectionClosed(None, None).code is CloseCode.ABNORMAL_CLOSURE


@pytest.mark.parametrize(
    "args", [(None, None, True), (Close(1000, ""), None, False), (Close(1000, ""), Close(1000, ""))]
)
def test_an_order_goes_with_two_frames(args: tuple[Any, ...]) -> None:
    with pytest.raises(AssertionError):
        ConnectionClosed(*args)


def test_a_payload_is_too_big_for_the_rest_of_the_message() -> None:
    error = PayloadTooBig(None, 10)
    error.set_current_size(None)
    assert (error.size, error.max_size, error.current_size) == (None, 10, None)
    error.set_current_size(90)
    assert (error.max_size, error.current_size, error.cur_size) == (100, 90, 90)
    with pytest.raises(AssertionError):
        error.set_current_size(1)


def test_a_payload_too_big_in_words_is_deprecated() -> None:
    with pytest.deprecated_call(match=r"PayloadTooBig\(message\) is deprecated"):
        assert str(PayloadTooBig("over size limit")) == "over size limit"
    with pytest.raises(AssertionError):
        PayloadTooBig("over size limit", 5)
    with pytest.raises(AssertionError):
        PayloadTooBig(5)


@pytest.mark.parametrize("name", ["AbortHandshake", "InvalidStatusCode", "RedirectHandshake", "WebSocketProtocolError"])
def test_deprecated_names(name: str) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = getattr(exceptions, name)
    assert issubclass(found, exceptions.WebSocketException)
    assert f"websockets.exceptions.{name} is deprecated" in [str(each.message) for each in warned]
    assert name in dir(exceptions)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Teapot'"):
        exceptions.Teapot  # noqa: B018


def test_a_kind_of_ones_own() -> None:
    class OutOfTea(exceptions.InvalidHandshake):
        def __init__(self, pot: str) -> None:
            super().__init__(pot)
            self.pot = pot

    with pytest.raises(exceptions.WebSocketException, match="brown") as caught:
        raise OutOfTea("brown")
    assert caught.value.args == ("brown",)
