"""The SOCKS machines: the bytes of RFC 1928, RFC 1929 and SOCKS 4(a), every split of the answers, every way to be wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivetrain.engine.errors import EngineError, ProxyError, RemoteProtocolError, SocksError, UsageError
from drivetrain.engine.protocol.socks_machine import SocksMachine
from drivetrain.engine.protocol.socks_v4 import SOCKS4_REPLIES, Socks4Machine
from drivetrain.engine.protocol.socks_v5 import SOCKS5_REPLIES, Socks5Machine

Make = Callable[[], SocksMachine]
BOUND_4 = b"\x05\x00\x00\x01\xc0\x00\x02\x01\x1f\x90"

# What is asked for, and the whole conversation: alternately what the client says and what the server answers.
CONVERSATIONS: list[tuple[str, Make, list[bytes], tuple[str, int]]] = [
    (
        "RFC 1928 sections 3 and 4: IPv4, no authentication",
        lambda: Socks5Machine("192.0.2.7", 443),
        [b"\x05\x01\x00", b"\x05\x00", b"\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb", BOUND_4],
        ("192.0.2.1", 8080),
    ),
    (
        "RFC 1928 section 5: a name",
        lambda: Socks5Machine("example.com", 80),
        [b"\x05\x01\x00", b"\x05\x00", b"\x05\x01\x00\x03\x0bexample.com\x00\x50", BOUND_4],
        ("192.0.2.1", 8080),
    ),
    (
        "RFC 1928 section 5: IPv6, and an IPv6 address in the reply",
        lambda: Socks5Machine("2001:db8::1", 65535),
        [
            b"\x05\x01\x00",
            b"\x05\x00",
            b"\x05\x01\x00\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\xff\xff",
            b"\x05\x00\x00\x04" + bytes(15) + b"\x01\x00\x01",
        ],
        ("::1", 1),
    ),
    (
        "RFC 1928 section 6: a name in the reply, an empty one too, and a reserved byte that is not 0",
        lambda: Socks5Machine("a", 1),
        [b"\x05\x01\x00", b"\x05\x00", b"\x05\x01\x00\x03\x01a\x00\x01", b"\x05\x00\x07\x03\x00\x00\x02"],
        ("", 2),
    ),
    (
        "RFC 1929: the server chooses the password",
        lambda: Socks5Machine("a.test", 1, ("user", "pass")),
        [
            b"\x05\x02\x00\x02",
            b"\x05\x02",
            b"\x01\x04user\x04pass",
            b"\x01\x00",
            b"\x05\x01\x00\x03\x06a.test\x00\x01",
            b"\x05\x00\x00\x03\x05bound\x00\x03",
        ],
        ("bound", 3),
    ),
    (
        "RFC 1928 section 3: the server chooses no password",
        lambda: Socks5Machine("a", 1, ("ü", "")),
        [b"\x05\x02\x00\x02", b"\x05\x00", b"\x05\x01\x00\x03\x01a\x00\x01", BOUND_4],
        ("192.0.2.1", 8080),
    ),
    (
        "RFC 1929: UTF-8, bytes that are not UTF-8, and no password",
        lambda: Socks5Machine("a", 1, ("ü\udcff", "")),
        [
            b"\x05\x02\x00\x02",
            b"\x05\x02",
            b"\x01\x03\xc3\xbc\xff\x00",
            b"\x01\x00",
            b"\x05\x01\x00\x03\x01a\x00\x01",
            BOUND_4,
        ],
        ("192.0.2.1", 8080),
    ),
    (
        "SOCKS 4: an address and a user id",
        lambda: Socks4Machine("192.0.2.7", 80, "me"),
        [b"\x04\x01\x00\x50\xc0\x00\x02\x07me\x00", b"\x00\x5a\x1f\x90\xc0\x00\x02\x01"],
        ("192.0.2.1", 8080),
    ),
    (
        "SOCKS 4a: a name",
        lambda: Socks4Machine("example.com", 443),
        [b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00example.com\x00", b"\x00\x5a" + bytes(6)],
        ("0.0.0.0", 0),
    ),
]
conversations = pytest.mark.parametrize(
    ("make", "talk", "bound"), [case[1:] for case in CONVERSATIONS], ids=[case[0] for case in CONVERSATIONS]
)


@conversations
def test_the_bytes_of_a_conversation(make: Make, talk: list[bytes], bound: tuple[str, int]) -> None:
    machine = make()
    for said, answer in zip(talk[::2], talk[1::2], strict=True):
        assert machine.take_output() == said
        assert machine.take_output() == b""
        assert not machine.is_done
        assert machine.bound is None
        while answer:
            assert 0 < machine.needed <= len(answer)
            piece, answer = answer[: machine.needed], answer[machine.needed :]
            machine.receive(piece)
    assert machine.is_done
    assert machine.needed == 0
    assert machine.bound == bound
    assert machine.rest == b""
    assert machine.take_output() == b""


def outcome(make: Make, pieces: list[bytes]) -> tuple[Any, ...]:
    """Everything that can be seen of a machine that was fed `pieces`."""
    machine = make()
    output = machine.take_output()
    try:
        for piece in pieces:
            machine.receive(piece)
            output += machine.take_output()
    except EngineError as error:
        # What is said before a fault is noticed depends on who is quicker; that it is noticed does not.
        return type(error), str(error), getattr(error, "code", None), getattr(error, "errno", None)
    return output, machine.is_done, machine.bound, machine.needed, machine.rest


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(marks) if start < end]


@conversations
def test_the_tunnels_bytes_are_kept(make: Make, talk: list[bytes], bound: tuple[str, int]) -> None:
    machine = make()
    machine.receive(b"".join(talk[1::2]) + b"hello")
    assert (machine.is_done, machine.rest, machine.bound) == (True, b"hello", bound)
    machine.receive(b" you")
    machine.receive(b"")
    assert machine.rest == b"hello you"
    assert machine.take_output() == b"".join(talk[::2])


@given(st.sampled_from(CONVERSATIONS), st.binary(max_size=4), st.lists(st.integers(0, 400), max_size=20))
def test_splits_make_no_difference(
    case: tuple[str, Make, list[bytes], tuple[str, int]], rest: bytes, cuts: list[int]
) -> None:
    _, make, talk, _ = case
    answers = b"".join(talk[1::2]) + rest
    assert outcome(make, split(answers, cuts)) == outcome(make, [answers])
    assert outcome(make, [answers[at : at + 1] for at in range(len(answers))]) == outcome(make, [answers])


MAKERS: list[Make] = [
    lambda: Socks5Machine("example.com", 80),
    lambda: Socks5Machine("example.com", 80, ("user", "password")),
    lambda: Socks4Machine("example.com", 80),
]


@given(st.sampled_from(MAKERS), st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=8))
@example(MAKERS[0], b"HTTP/1.1 400 Bad Request\r\n\r\n", [1])
@example(MAKERS[1], b"\x05\x02\x01\x00\x05\x00\x00\x09", [3])
def test_any_answer_is_a_tunnel_or_a_typed_error(make: Make, answers: bytes, cuts: list[int]) -> None:
    """Random bytes, prefixed so that they get somewhere: the same outcome however split, and no other exceptions."""
    for prefix in (b"", b"\x05\x00", b"\x05\x02\x01\x00", b"\x05\x00\x05\x00\x00", b"\x00\x5a"):
        whole = outcome(make, [prefix + answers] if prefix + answers else [])
        assert outcome(make, split(prefix + answers, cuts)) == whole


# --- refusals ---------------------------------------------------------------------------------------------------------

ERRNOS = {
    1: errno.ECONNABORTED,
    2: errno.EACCES,
    3: errno.ENETUNREACH,
    4: errno.EHOSTUNREACH,
    5: errno.ECONNREFUSED,
    6: errno.ETIMEDOUT,
    7: errno.EOPNOTSUPP,
    8: errno.EAFNOSUPPORT,
}


@pytest.mark.parametrize(("code", "number"), ERRNOS.items())
@pytest.mark.parametrize("tail", [b"", b"\x00\x01\x00\x00\x00\x00\x00\x00"], ids=["cut short", "whole"])
def test_every_socks_5_refusal_is_clear(code: int, number: int, tail: bytes) -> None:
    """RFC 1928 section 6; some servers send no more than the code."""
    machine = Socks5Machine("example.com", 80)
    with pytest.raises(SocksError, match=SOCKS5_REPLIES[code].text) as caught:
        machine.receive(b"\x05\x00\x05" + bytes([code]) + tail)
    assert (caught.value.code, caught.value.errno) == (code, number)
    assert isinstance(caught.value, ProxyError)
    assert len(SOCKS5_REPLIES) == len(ERRNOS)


@pytest.mark.parametrize("code", [9, 0x80, 0xFF])
def test_an_unassigned_refusal(code: int) -> None:
    machine = Socks5Machine("example.com", 80)
    with pytest.raises(SocksError, match=f"unassigned code {code}") as caught:
        machine.receive(b"\x05\x00\x05" + bytes([code]))
    assert (caught.value.code, caught.value.errno) == (code, None)


@pytest.mark.parametrize(
    ("code", "number"), [(91, errno.ECONNREFUSED), (92, errno.EACCES), (93, errno.EACCES), (0, None), (94, None)]
)
def test_every_socks_4_refusal_is_clear(code: int, number: int | None) -> None:
    machine = Socks4Machine("example.com", 80)
    text = SOCKS4_REPLIES[code][1] if code in SOCKS4_REPLIES else f"unassigned code {code}"
    with pytest.raises(SocksError, match=text) as caught:
        machine.receive(bytes([0, code]))
    assert (caught.value.code, caught.value.errno) == (code, number)


@pytest.mark.parametrize(
    ("credentials", "answers", "text"),
    [
        (None, b"\x05\xff", "wants authentication"),
        (("a", "b"), b"\x05\xff", "wants other authentication"),
        (("a", "b"), b"\x05\x02\x01\x01", "refused the user name or password"),
        (("a", "b"), b"\x05\x02\x01\xff", "refused the user name or password"),
    ],
)
def test_refused_credentials(credentials: tuple[str, str] | None, answers: bytes, text: str) -> None:
    """RFC 1928 section 3, RFC 1929 section 2."""
    machine = Socks5Machine("example.com", 80, credentials)
    with pytest.raises(SocksError, match=text) as caught:
        machine.receive(answers)
    assert caught.value.errno == errno.EACCES
    assert caught.value.code is None


@pytest.mark.parametrize(
    ("make", "answers", "text"),
    [
        (MAKERS[0], b"HTTP", "does not speak SOCKS 5: its answer begins with byte 72"),
        (MAKERS[0], b"\x04\x00", "does not speak SOCKS 5"),
        (MAKERS[0], b"\x05\x02", "method 2, which was not offered"),
        (MAKERS[1], b"\x05\x01", "method 1, which was not offered"),
        (MAKERS[1], b"\x05\x02\x05\x00", "in version 5, not 1"),
        (MAKERS[0], b"\x05\x00\x04\x00", "does not speak SOCKS 5"),
        (MAKERS[0], b"\x05\x00\x05\x00\x00\x02", "unknown type 2"),
        (MAKERS[2], b"HTTP", "does not speak SOCKS 4: its answer begins with byte 72"),
        (MAKERS[2], b"\x04\x5a", "does not speak SOCKS 4"),
    ],
)
def test_malformed_answers(make: Make, answers: bytes, text: str) -> None:
    machine = make()
    with pytest.raises(RemoteProtocolError, match=text) as caught:
        machine.receive(answers)
    assert not machine.is_done
    for more in (b"\x05\x00", b""):
        with pytest.raises(RemoteProtocolError) as again:
            machine.receive(more)
        assert again.value is caught.value


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("length", range(1, 12))
def test_an_end_before_the_tunnel_stands(make: Make, length: int) -> None:
    machine = make()
    answers = b"\x00\x5a" + bytes(5) if isinstance(machine, Socks4Machine) else b"\x05\x00" + BOUND_4
    machine.receive(answers[: min(length, len(answers) - 1)])
    with pytest.raises(SocksError, match="hung up"):
        machine.receive(b"")


# --- what cannot be asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 255])
def test_the_longest_fields_fit(length: int) -> None:
    machine = Socks5Machine("h" * length, 1, ("u" * length, "p" * length))
    machine.receive(b"\x05\x02\x01\x00")
    text = bytes([length])
    assert machine.take_output() == (
        b"\x05\x02\x00\x02"
        + (b"\x01" + text + b"u" * length + text + b"p" * length)
        + (b"\x05\x01\x00\x03" + text + b"h" * length + b"\x00\x01")
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Socks5Machine("a", 1, ("u" * 256, "p")), "user name has 1 to 255 bytes, not 256"),
        (lambda: Socks5Machine("a", 1, ("ü" * 128, "p")), "user name has 1 to 255 bytes, not 256"),
        (lambda: Socks5Machine("a", 1, ("", "secret")), "user name has 1 to 255 bytes, not 0"),
        (lambda: Socks5Machine("a", 1, ("u", "secret" * 50)), "password has 0 to 255 bytes, not 300"),
        (lambda: Socks5Machine("a", 1, ("u", "secret\ud800")), "password has no form in UTF-8"),
        (lambda: Socks5Machine("a" * 256, 1), "1 to 255 bytes, not 256"),
        (lambda: Socks5Machine("", 1), "1 to 255 bytes, not 0"),
        (lambda: Socks5Machine("bücher.test", 1), "not a host name in ASCII form"),
        (lambda: Socks5Machine("a b", 1), "not a host name in ASCII form"),
        (lambda: Socks5Machine("fe80::1%eth0", 1), "zone"),
        (lambda: Socks5Machine("a", 0), "port 0"),
        (lambda: Socks5Machine("a", 65536), "port 65536"),
        (lambda: Socks4Machine("a", 65536), "port 65536"),
        (lambda: Socks4Machine("a\0b", 1), "not a host name in ASCII form"),
        (lambda: Socks4Machine("a", 1, "u\0"), "no NUL"),
        (lambda: Socks4Machine("a", 1, "u" * 256), "user id has 0 to 255 bytes"),
        (lambda: Socks4Machine("0.0.0.9", 1), "would wait for a name"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(make: Make, text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        make()
    assert "secret" not in str(caught.value)


def test_socks_4_knows_no_ipv6() -> None:
    with pytest.raises(SocksError, match="no IPv6") as caught:
        Socks4Machine("::1", 80)
    assert caught.value.errno == errno.EAFNOSUPPORT
