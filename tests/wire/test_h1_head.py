"""Start lines and field lines: parsing names each fault, formatting refuses what must not be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import InvalidHeader, LocalProtocolError, RemoteProtocolError
from drivetrain.engine.wire import h1_head
from drivetrain.engine.wire.h1_head import (
    check_method,
    check_target,
    encode_head,
    format_fields,
    format_request_line,
    format_status_line,
    is_authority,
    parse_field_line,
    parse_fields,
    parse_request_line,
    parse_status_line,
)

TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
names = st.text(TOKEN_CHARS, min_size=1)
values = st.text(st.characters(max_codepoint=0xFF, exclude_characters="".join(map(chr, range(0x20))) + "\x7f")).map(
    lambda value: value.strip(" ")
)
BLANKS = st.text(" \t", max_size=3)


# -- fields ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(names, BLANKS, values, BLANKS)))
def test_fields_are_parsed(rows: list[tuple[str, str, str, str]]) -> None:
    text = "".join(f"{name}:{before}{value}{after}\r\n" for name, before, value, after in rows)
    expected = [(name, value) for name, _, value, _ in rows]
    assert parse_fields(text) == expected
    start = "GET / HTTP/1.1\r\n"
    assert parse_fields(start + text, len(start)) == expected
    assert [parse_field_line(line) for line in text.split("\r\n")[:-1]] == expected


@given(st.lists(st.tuples(names, values)))
def test_fields_survive_formatting(fields: list[tuple[str, str]]) -> None:
    text = format_fields(fields)
    assert parse_fields(text) == fields
    assert encode_head(text).decode("latin-1") == text


@given(st.text(st.sampled_from("aA:- \t\r\n\0\x7f\xe9,"), max_size=30))
def test_one_pass_agrees_with_line_by_line(text: str) -> None:
    text += "\r\n"
    try:
        expected = [parse_field_line(line) for line in text.split("\r\n")[:-1]]
    except RemoteProtocolError:
        with pytest.raises(RemoteProtocolError):
            parse_fields(text)
    else:
        assert parse_fields(text) == expected


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "without a colon"),
        ("a", "without a colon"),
        ("a b", "without a colon"),
        (": b", "without a name"),
        (":", "without a name"),
        (" a: b", "obs-fold"),
        ("\ta: b", "obs-fold"),
        ("a : b", "white space before the colon of field 'a'"),
        ("a\t: b", "white space before the colon of field 'a'"),
        ("a b: c", "not a token"),
        ("\xe9: c", "not a token"),
        ("a\0: c", "not a token"),
        ("a\r: c", "not a token"),
        ("a: b\rc", "bare CR in the value of field 'a'"),
        ("a: b\nc", "bare LF in the value of field 'a'"),
        ("a: b\0c", "NUL in the value of field 'a'"),
        ("a: b\x1fc", "control character '\\x1f' in the value of field 'a'"),
        ("a: \x0b", "control character '\\x0b' in the value of field 'a'"),
        ("a: b\x7f", "control character '\\x7f' in the value of field 'a'"),
    ],
)
def test_faults_of_a_field_line(line: str, fault: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_field_line(line)
    assert fault in str(caught.value)
    with pytest.raises(RemoteProtocolError) as caught:
        parse_fields(f"x: y\r\n{line}\r\nz:\r\n")
    assert (fault if "\n" not in line else "bare LF") in str(caught.value)


def test_long_lines_are_not_repeated_whole() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_field_line("x" * 5000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("a\r\nb", "x"),
        ("\xe9", "x"),
        ("\u0131", "x"),
        ("a", "x\r\nb: c"),
        ("a", "x\n"),
        ("a", "\r"),
        ("a", "\0"),
    ],
)
def test_fields_that_are_not_sent(name: str, value: str) -> None:
    for fields in ([(name, value)], [("known", "1"), (name, value), ("other", "2")]):
        with pytest.raises(InvalidHeader) as caught:
            format_fields(fields)
        assert "b: c" not in str(caught.value)


def test_pseudo_fields_are_left_out() -> None:
    assert format_fields([(":status", "200"), ("a", "1"), (":unheard-of", "x\r\n"), ("B", "")]) == "a: 1\r\nB: \r\n"


def test_names_made_up_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h1_head, "_known_names", set())
    for i in range(1200):
        assert format_fields([(f"made-up-{i}", "x")]) == f"made-up-{i}: x\r\n"
    assert len(h1_head._known_names) == 1000
    with pytest.raises(InvalidHeader):
        format_fields([("made up", "x")])


def test_long_names_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h1_head, "_known_names", set())
    name = "n" * 65
    assert format_fields([(name, "x"), ("n", "y")]) == f"{name}: x\r\nn: y\r\n"
    assert h1_head._known_names == {"n"}


def test_characters_that_have_no_byte() -> None:
    with pytest.raises(InvalidHeader, match="encode it first"):
        encode_head("a: \u20ac\r\n")


# -- start lines -------------------------------------------------------------------------------------------------------


@given(names, st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), st.sampled_from([1.0, 1.1]))
def test_request_lines(method: str, target: str, version: float) -> None:
    line = format_request_line(method, target, version)
    assert line == f"{method} {target} HTTP/{version}\r\n"
    assert parse_request_line(line[:-2]) == (method, target, version)


@pytest.mark.parametrize(
    ("line", "status", "fault"),
    [
        ("", 400, "malformed request line"),
        ("GET", 400, "malformed request line"),
        ("GET /", 400, "malformed request line"),
        ("GET / HTTP/1.1 ", 400, "malformed request line"),
        ("GET / HTTP/1.1\n", 400, "bare LF"),
        ("GET / HTTP/1.1\r", 400, "bare CR"),
        ("GET /\x7f HTTP/1.1", 400, "control character"),
        ("GET  HTTP/1.1", 400, "malformed request line"),
        ("GET / HTTP/1.2", 505, "HTTP version not supported: HTTP/1.2"),
        ("GET / HTTP/3", 505, "HTTP version not supported: HTTP/3"),
        ("GET / HTTP/1.1x", 400, "malformed request line"),
        ("GET / HTTP/1,1", 400, "malformed request line"),
        ("GET / HTTP /1.1", 400, "malformed request line"),
        ("GET / HTTPS/1.1", 400, "malformed request line"),
        ("GET / HTTP/\u0661.1", 400, "malformed request line"),
        ("(GET) / HTTP/1.1", 400, "malformed request line"),
    ],
)
def test_faults_of_a_request_line(line: str, status: int, fault: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_request_line(line)
    assert fault in str(caught.value)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HTTP/1.1 200 OK", (1.1, "200", "OK")),
        ("HTTP/1.0 404 Not Found", (1.0, "404", "Not Found")),
        ("HTTP/1.1 999 ", (1.1, "999", "")),
        ("HTTP/1.1 100", (1.1, "100", "")),
        ("HTTP/1.1 200  two\tblanks \xe9 ", (1.1, "200", "two\tblanks \xe9")),
    ],
)
def test_status_lines(line: str, expected: tuple[float, str, str]) -> None:
    assert parse_status_line(line) == expected
    assert parse_status_line(line) == expected


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "malformed"),
        ("HTTP/1.1", "malformed"),
        ("HTTP/1.1 20", "malformed"),
        ("HTTP/1.1 2000", "malformed"),
        ("HTTP/1.1 012 X", "malformed"),
        ("HTTP/1.1 2\u0660\u0660 X", "malformed"),
        ("HTTP/1.1 200\tOK", "malformed"),
        ("HTTP/1.3 200 OK", "version not supported"),
        ("HTTP/1.1 200 O\rK", "bare CR"),
        ("HTTP/1.1 200 O\nK", "bare LF"),
        ("HTTP/1.1 200 OK\n", "bare LF"),
        ("HTTP/1.1 200 \0", "NUL"),
    ],
)
def test_faults_of_a_status_line(line: str, fault: str) -> None:
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match=fault):
            parse_status_line(line)


def test_a_status_line_is_formatted() -> None:
    assert format_status_line(1.1, "200", "OK") == "HTTP/1.1 200 OK\r\n"
    assert format_status_line(1.0, "404", "") == "HTTP/1.0 404 \r\n"


@pytest.mark.parametrize(
    ("status", "reason"), [("20", "X"), ("0200", "X"), ("000", "X"), ("200", "a\r\nb"), ("200", "\0")]
)
def test_a_status_line_is_refused(status: str, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match="bad status line"):
        format_status_line(1.1, status, reason)


@pytest.mark.parametrize("method", ["", "G T", "GET ", "GET\r\n", "G:T", "\xc9T"])
def test_methods_that_are_refused(method: str) -> None:
    with pytest.raises(LocalProtocolError, match="method is not a token"):
        check_method(method)
    with pytest.raises(LocalProtocolError, match="method is not a token"):
        format_request_line(method, "/", 1.1)


@pytest.mark.parametrize("target", ["", " ", "/a b", "/\r\n", "/\n", "/\t", "/\0", "/\x7f", "/\xe9", "/\u20ac"])
def test_targets_that_are_refused(target: str) -> None:
    with pytest.raises(LocalProtocolError, match="request target"):
        check_target(target)
    with pytest.raises(LocalProtocolError, match="request target"):
        format_request_line("GET", target, 1.1)


def test_what_is_right_passes_the_checks() -> None:
    assert check_method("M-SEARCH") is None
    assert check_target('/~"<>{}|\\^`%') is None


# -- authorities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("a", "A.b-c_d~e", "a:80", "a:", "127.0.0.1:1", "[::1]", "[::1]:65535", "[::ffff:1.2.3.4]:80", "[v1.x:y]"),
        *("[fe80::1%25eth0]", "a%20b", "%61", "!$&'()*+,;=", "a.:80"),
    ],
)
def test_authorities(text: str) -> None:
    assert is_authority(text)
    assert is_authority(text, port_needed=True) is text.rpartition("]")[2].rpartition(":")[2].isdigit()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            ":80",
            "u@a",
            "u:p@a:80",
            "a/b",
            "a?b",
            "a#b",
            "a b",
            "a:b",
            "a:80:80",
            "a:-1",
            "a:+1",
            "a:0",
            "a:65536",
        ),
        *(
            "a:123456",
            "a%",
            "a%2",
            "a%zz",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[::1]a",
            "[g::]",
            "a\\b",
            "a\n",
            "\xe4",
            "a:\u0661",
        ),
    ],
)
def test_what_is_no_authority(text: str) -> None:
    assert not is_authority(text)
    assert not is_authority(text, port_needed=True)


def test_an_authority_is_judged_in_linear_time() -> None:
    assert not is_authority("a" * 100_000 + "/")
    assert not is_authority("%41" * 30_000 + "%")
    assert not is_authority("[v1." + "a:" * 50_000)
