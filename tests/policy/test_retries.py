"""Retries: what is sent again, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import (
    CertificateError,
    ConnectError,
    EngineError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    UsageError,
)
from drivetrain.engine.policy.retries import NO_RETRIES, Retries, retry_after
from drivetrain.engine.wire.headers import Headers

STEADY = Retries(attempts=3, backoff=1.0, jitter=0.0, max_backoff=3.0)


def answer(value: str) -> Headers:
    return Headers([(":status", "503"), ("Retry-After", value)])


def test_nothing_is_sent_again_unless_asked_for() -> None:
    assert NO_RETRIES.after_failure(0, "GET", ConnectError("refused")) is None
    assert NO_RETRIES.after_response(0, "GET", 503, answer("0")) is None


def test_waits_double_up_to_a_limit_and_end() -> None:
    waits = [STEADY.after_failure(made, "GET", ReadError("broken")) for made in range(5)]
    assert waits == [1.0, 2.0, 3.0, None, None]


@pytest.mark.parametrize(
    ("method", "error", "again"),
    [
        ("GET", ReadError("broken"), True),
        ("GET", ReadTimeout("slow"), True),
        ("POST", ReadError("broken"), False),
        ("POST", ReadTimeout("slow"), False),
        ("POST", ConnectError("refused"), True),
        ("GET", RemoteProtocolError("nonsense"), False),
    ],
)
def test_what_is_sent_again_after_a_failure(method: str, error: EngineError, again: bool) -> None:
    assert (STEADY.after_failure(0, method, error) is not None) is again


def test_a_certificate_does_not_become_better() -> None:
    assert STEADY.after_failure(0, "GET", CertificateError("expired")) is None


@pytest.mark.parametrize(
    ("method", "status", "again"), [("GET", 503, True), ("GET", 500, False), ("POST", 503, False), ("PUT", 429, True)]
)
def test_what_is_sent_again_after_a_response(method: str, status: int, again: bool) -> None:
    wait = STEADY.after_response(0, method, status, Headers([(":status", str(status))]))
    assert (wait is not None) is again


def test_a_response_may_say_how_long() -> None:
    assert STEADY.after_response(0, "GET", 503, answer("7")) == 7.0
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    assert STEADY.after_response(0, "GET", 503, answer(date), lambda: 784_111_777.0 - 5) == 5.0
    assert STEADY.after_response(0, "GET", 503, answer(date)) == 0.0
    assert STEADY.after_response(0, "GET", 503, answer("3600")) is None
    ignoring = Retries(attempts=1, backoff=1.0, jitter=0.0, respect_retry_after=False)
    assert ignoring.after_response(0, "GET", 503, answer("7")) == 1.0


@pytest.mark.parametrize(
    "value",
    ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],  # RFC 9110 section 5.6.7
)
def test_old_forms_of_dates(value: str) -> None:
    assert retry_after(answer(value), lambda: 784_111_777.0 - 60) == 60.0


@pytest.mark.parametrize("value", ["", "-1", "1.5", "soon", "1, 2", "Sun, 99 Nov 1994 08:49:37 GMT"])
def test_what_cannot_be_understood_is_as_if_not_said(value: str) -> None:
    assert retry_after(answer(value)) is None
    assert retry_after(Headers([("retry-after", "1"), ("retry-after", "1")])) is None


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_whatever_a_response_says(value: str) -> None:
    wait = retry_after(answer(value))
    assert wait is None or wait >= 0


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_waits_stay_in_their_bounds(made: int, jitter: float) -> None:
    wait = Retries(attempts=20_000, jitter=jitter).after_failure(made, "GET", ReadError("broken"))
    assert wait is not None
    assert 0 <= wait <= 30.0


@pytest.mark.parametrize("options", [{"attempts": -1}, {"backoff": -1.0}, {"jitter": 2.0}, {"backoff": float("nan")}])
def test_figures_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Retries(**options)  # type: ignore[arg-type]
