"""h2_fields: what goes out, what is refused on the way in, and that the one undoes the other."""

from __future__ import annotations

import pytest
from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import InvalidHeader, LocalProtocolError
from drivetrain.engine.wire import h2_fields
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from drivetrain.engine.wire.h2_fields import SectionKind, WireField, content_length, from_h2_fields, to_h2_fields
from drivetrain.engine.wire.headers import Headers

REQUEST, RESPONSE, TRAILERS = SectionKind

START = [(":method", "GET"), (":scheme", "https"), (":authority", "example.com"), (":path", "/")]
NO_AUTHORITY = [field for field in START if field[0] != ":authority"]
WIRE_START = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.com"), (b":path", b"/")]
CONNECT = [(b":method", b"CONNECT"), (b":authority", b"example.com:443")]
WEBSOCKET = [
    *((b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https")),
    *((b":path", b"/chat"), (b":authority", b"example.com")),
]


def sent(*fields: tuple[str, str], start: list[tuple[str, str]] = START) -> list[WireField]:
    """What fields of a request become, the pseudo-header fields left out."""
    return to_h2_fields(Headers.adopt([*start, *fields]))[len(start) :]


def received(*fields: WireField, start: list[WireField] = WIRE_START) -> list[tuple[str, str]]:
    return list(from_h2_fields([*start, *fields], REQUEST))[len(start) :]


def flags(fields: list[WireField]) -> list[bool]:
    return [isinstance(field, NeverIndexedHeaderTuple) for field in fields]


def assert_malformed(fields: list[WireField], kind: SectionKind, match: str, extended_connect: bool = False) -> None:
    with pytest.raises(H2Error, match=match) as caught:
        from_h2_fields(fields, kind, extended_connect=extended_connect)
    assert (caught.value.code, caught.value.stream_error) == (H2ErrorCode.PROTOCOL_ERROR, True)


class TestSending:
    def test_names_in_lower_case_and_pseudo_header_fields_first(self) -> None:
        headers = Headers([("User-Agent", "x"), (":status", "200"), ("ETAG", '"a"')])
        assert to_h2_fields(headers) == [(b":status", b"200"), (b"user-agent", b"x"), (b"etag", b'"a"')]
        assert to_h2_fields(Headers([*START, ("A", "b")])) == [*WIRE_START, (b"a", b"b")]
        assert to_h2_fields(Headers([("Trailer-A", "b")])) == [(b"trailer-a", b"b")]
        assert to_h2_fields(Headers()) == []

    def test_the_headers_are_left_as_they_are(self) -> None:
        headers = Headers([*START, ("Host", "other.example"), ("Cookie", "a=b; c=d"), ("Connection", "close")])
        before = headers.clone()
        to_h2_fields(headers)
        assert headers == before

    def test_every_byte_survives_and_blanks_around_are_cut(self) -> None:
        assert sent(("a", "caf\xe9 \x80\t\xff")) == [(b"a", b"caf\xe9 \x80\t\xff")]
        assert sent(("a", " \tb c\t ")) == [(b"a", b"b c")]

    @pytest.mark.parametrize("name", ["Connection", "keep-alive", "Proxy-Connection", "UPGRADE"])
    def test_what_is_of_an_http1_connection_is_left_out(self, name: str) -> None:
        assert sent(("a", "1"), (name, "x"), ("b", "2")) == [(b"a", b"1"), (b"b", b"2")]

    def test_so_are_the_fields_that_connection_names(self) -> None:
        fields = [("X-Hop", "1"), ("Connection", "close, x-hop"), ("X-HOP", "2"), ("te", "trailers"), ("b", "3")]
        assert sent(*fields, ("connection", "TE, HTTP2-Settings"), ("HTTP2-Settings", "AA")) == [
            (b"te", b"trailers"),
            (b"b", b"3"),
        ]

    @pytest.mark.parametrize(
        ("te", "expected"),
        [
            ("trailers", [(b"te", b"trailers")]),
            ("gzip, Trailers", [(b"te", b"trailers")]),
            ("gzip, deflate", []),
            ("trailers;q=0.5", []),
            ("", []),
        ],
    )
    def test_te_says_trailers_or_nothing(self, te: str, expected: list[WireField]) -> None:
        assert sent(("TE", te)) == expected

    def test_chunked_is_done_by_http2_itself(self) -> None:
        assert sent(("Transfer-Encoding", "chunked"), ("a", "b")) == [(b"a", b"b")]
        assert sent(("transfer-encoding", " Chunked ")) == []

    @pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity", ""])
    def test_other_transfer_codings_are_refused(self, coding: str) -> None:
        with pytest.raises(LocalProtocolError, match="transfer codings"):
            sent(("Transfer-Encoding", coding))

    def test_never_indexed_fields(self) -> None:
        headers = Headers(
            [*START, ("authorization", "x"), ("Set-Cookie", "y", False), ("x-key", "z", True), ("a", "b")]
        )
        headers.modifyi(3, "/secret", True)
        fields = to_h2_fields(headers)
        assert flags(fields) == [False, False, False, True, True, False, True, False]
        assert fields[3] == (b":path", b"/secret")


class TestSendingHost:
    def test_it_becomes_a_missing_authority(self) -> None:
        fields = to_h2_fields(Headers([*NO_AUTHORITY, ("Host", "example.com"), ("a", "b")]))
        assert sorted(fields[:4]) == sorted(WIRE_START)
        assert fields[4:] == [(b"a", b"b")]

    def test_it_stands_in_place_of_the_authority_as_in_http1(self) -> None:
        fields = to_h2_fields(Headers([*START, ("Host", "other.example:8080")]))
        assert dict(fields)[b":authority"] == b"other.example:8080"
        assert len(fields) == 4

    def test_not_for_a_tunnel(self) -> None:
        headers = Headers([(":method", "CONNECT"), (":authority", "example.com:443"), ("Host", "proxy.example")])
        assert to_h2_fields(headers) == CONNECT

    def test_it_is_an_ordinary_field_elsewhere(self) -> None:
        assert to_h2_fields(Headers([(":status", "200"), ("Host", "a")])) == [(b":status", b"200"), (b"host", b"a")]
        assert flags(to_h2_fields(Headers([("Host", "a", True)]))) == [True]

    def test_two_of_them(self) -> None:
        with pytest.raises(LocalProtocolError, match="more than one Host"):
            sent(("host", "a.example"), ("Host", "a.example"))


class TestSendingCookies:
    LONG = "session=" + "0123456789abcdef"

    def test_one_field_for_each(self) -> None:
        fields = sent(("a", "b"), ("Cookie", "c=d; e=f;  g=h"), ("i", "j"))
        assert fields == [(b"a", b"b"), *((b"cookie", crumb) for crumb in (b"c=d", b"e=f", b"g=h")), (b"i", b"j")]

    @pytest.mark.parametrize("value", ["", ";", "a=b;c=d", "a=b;"])
    def test_what_is_no_list_is_sent_as_it_is(self, value: str) -> None:
        assert sent(("cookie", value)) == [(b"cookie", value.encode())]

    def test_all_are_never_indexed_by_default(self) -> None:
        assert flags(sent(("cookie", f"a=b; {self.LONG}"))) == [True, True]

    def test_short_ones_are_never_indexed_whatever_is_said(self) -> None:
        headers = Headers([("cookie", f"a=b; {self.LONG}; {'x' * 19}; {'y' * 20}", False)])
        assert flags(to_h2_fields(headers)) == [True, False, True, False]


class TestSendingWhatCannotBe:
    @pytest.mark.parametrize(
        ("fields", "match"),
        [
            ([(":status", "200"), (":method", "GET")], ":status in the fields of a request"),
            ([(":status", "200"), (":status", "200")], ":status is there twice"),
            ([(":status", "101")], "101"),
            ([(":status", "20")], "malformed :status"),
            ([(":foo", "x")], "unknown pseudo-header field"),
            ([(":path", "/")], "in the fields of a response"),
            ([(":method", "GET")], "no :scheme"),
            ([(":method", "G T"), *START[1:]], ":method is not a token"),
            (START[:2] + START[3:], "neither :authority nor Host"),
            ([*START[:3], (":path", "/a b")], "malformed :path"),
            ([*START[:3], (":path", "/\xe9")], "malformed :path"),
            ([*START[:2], (":authority", "user@example.com"), (":path", "/")], "not host"),
            ([(":method", "CONNECT"), (":authority", "example.com")], "not host:port"),
        ],
    )
    def test_pseudo_header_fields(self, fields: list[tuple[str, str]], match: str) -> None:
        with pytest.raises(LocalProtocolError, match=match):
            to_h2_fields(Headers.adopt(fields))

    @pytest.mark.parametrize(
        ("name", "value"),
        [("a b", "x"), ("", "x"), ("a:", "x"), ("a\n", "x"), ("\xe9", "x"), ("a", "b\nc"), ("a", "b\rc"), ("a", "\0")],
    )
    def test_names_and_values(self, name: str, value: str) -> None:
        for _ in range(2):  # no memory of names makes the second one pass
            with pytest.raises(InvalidHeader):
                sent((name, value))

    def test_values_above_a_byte(self) -> None:
        with pytest.raises(InvalidHeader, match="\u20ac"):
            sent(("a", "10 \u20ac"))

    def test_messages_do_not_quote_values(self) -> None:
        with pytest.raises(InvalidHeader) as caught:
            sent(("x-key", "secret\n"))
        assert "secret" not in str(caught.value)

    def test_a_tunnel_made_for_http1_passes(self) -> None:
        headers = Headers(
            [(":method", "CONNECT"), (":scheme", "https"), (":authority", "example.com:443"), (":path", "/")]
        )
        assert to_h2_fields(headers) == CONNECT

    def test_extended_connect_keeps_all(self) -> None:
        headers = Headers([(name.decode(), value.decode()) for name, value in WEBSOCKET])
        assert to_h2_fields(headers) == WEBSOCKET


class TestReceiving:
    def test_a_request(self) -> None:
        headers = from_h2_fields([*WIRE_START, (b"accept", b"*/*"), (b"x", b"")], REQUEST)
        assert list(headers) == [*START, ("accept", "*/*"), ("x", "")]

    def test_a_response(self) -> None:
        assert list(from_h2_fields([(b":status", b"204"), (b"a", b"b")], RESPONSE)) == [(":status", "204"), ("a", "b")]

    def test_trailers(self) -> None:
        assert list(from_h2_fields([(b"a", b"b")], TRAILERS)) == [("a", "b")]
        assert list(from_h2_fields([], TRAILERS)) == []

    def test_every_byte_survives(self) -> None:
        assert received((b"a", b"caf\xe9 \x80\t\xff")) == [("a", "caf\xe9 \x80\t\xff")]

    def test_never_indexed_fields(self) -> None:
        fields: list[WireField] = [
            *(*WIRE_START[:3], NeverIndexedHeaderTuple(b":path", b"/")),
            *((b"host", b"example.com"), NeverIndexedHeaderTuple(b"x-key", b"k"), HeaderTuple(b"a", b"b")),
            *((b"cookie", b"c=d"), NeverIndexedHeaderTuple(b"cookie", b"e=f"), NeverIndexedHeaderTuple(b"z", b"z")),
        ]
        headers = from_h2_fields(fields, REQUEST)
        assert [never for _, _, never in headers.each()] == [False, False, False, True, True, False, True, True]
        assert [name for name, _ in headers][4:] == ["x-key", "a", "cookie", "z"]

    def test_cookies_are_joined_where_the_first_stood(self) -> None:
        fields = [(b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d"), (b"cookie", b"e=f")]
        assert received(*fields) == [("cookie", "a=b; c=d; e=f"), ("x", "y")]

    def test_empty_cookies_leave_no_blanks_at_the_ends(self) -> None:
        assert received((b"cookie", b""), (b"cookie", b"a=b"), (b"cookie", b"")) == [("cookie", "a=b")]
        assert received((b"cookie", b""), (b"cookie", b"")) == [("cookie", "")]

    @pytest.mark.parametrize("host", [b"example.com", b"EXAMPLE.com", b"example.com:443"])
    def test_a_host_that_agrees_is_taken_out(self, host: bytes) -> None:
        assert received((b"a", b"b"), (b"host", host)) == [("a", "b")]

    def test_a_host_stands_for_a_missing_authority(self) -> None:
        fields = [*WIRE_START[:2], WIRE_START[3], (b"host", b"example.com"), (b"a", b"b")]
        headers = from_h2_fields(fields, REQUEST)
        assert sorted(headers.items()[:4]) == sorted(START)
        assert headers.items()[4:] == [("a", "b")]

    def test_te_trailers(self) -> None:
        assert received((b"te", b"trailers")) == [("te", "trailers")]

    @pytest.mark.parametrize(
        "start",
        [
            [(b":method", b"OPTIONS"), *WIRE_START[1:3], (b":path", b"*")],
            [(b":method", b"M-SEARCH"), *WIRE_START[1:]],
            [*WIRE_START[:2], (b":authority", b"[::1]:8443"), (b":path", b"/?a=%20")],
            [(b":method", b"GET"), (b":scheme", b"urn"), (b":path", b"a:b")],
            CONNECT,
        ],
    )
    def test_other_requests(self, start: list[WireField]) -> None:
        assert from_h2_fields(start, REQUEST).items() == [(n.decode(), v.decode()) for n, v in start]

    def test_extended_connect(self) -> None:
        headers = from_h2_fields(WEBSOCKET, REQUEST, extended_connect=True)
        assert headers[":protocol"] == "websocket"
        assert_malformed(WEBSOCKET, REQUEST, "setting")

    def test_the_memory_of_names_is_bounded(self) -> None:
        for number in range(h2_fields._MAX_NAMES + 10):
            assert received((b"made-up-%d" % number, b"x")) == [(f"made-up-{number}", "x")]
            assert sent((f"Made-Up-{number}", "x")) == [(b"made-up-%d" % number, b"x")]
        assert len(h2_fields._names_in) == len(h2_fields._names_out) == h2_fields._MAX_NAMES


class TestMalformed:
    @pytest.mark.parametrize(
        ("field", "match"),
        [
            ((b"Accept", b"x"), "lower case"),
            ((b"", b"x"), "lower case"),
            ((b"a b", b"x"), "lower case"),
            ((b"a:b", b"x"), "lower case"),
            ((b"a\x7f", b"x"), "lower case"),
            ((b"a\xe9", b"x"), "lower case"),
            ((b"a\0", b"x"), "lower case"),
            ((b"a", b"b\0"), "control"),
            ((b"a", b"b\nc"), "control"),
            ((b"a", b"b\rc"), "control"),
            ((b"a", b"\x1b[0m"), "control"),
            ((b"a", b"\x7f"), "control"),
            ((b"a", b" b"), "blanks"),
            ((b"a", b"b\t"), "blanks"),
            ((b"a", b" "), "blanks"),
            ((b"connection", b"close"), "connection-specific"),
            ((b"keep-alive", b"5"), "connection-specific"),
            ((b"proxy-connection", b"close"), "connection-specific"),
            ((b"transfer-encoding", b"chunked"), "connection-specific"),
            ((b"upgrade", b"h2c"), "connection-specific"),
            ((b"te", b"gzip"), "te "),
            ((b"te", b"trailers, gzip"), "te "),
        ],
    )
    def test_fields_in_every_section(self, field: WireField, match: str) -> None:
        for _ in range(2):
            assert_malformed([*WIRE_START, field], REQUEST, match)
            assert_malformed([(b":status", b"200"), field], RESPONSE, match)
            assert_malformed([(b"a", b"b"), field], TRAILERS, match)

    @pytest.mark.parametrize(
        ("fields", "match"),
        [
            ([], "no :method"),
            (WIRE_START[1:], "no :method"),
            ([WIRE_START[0], *WIRE_START[2:]], "no :scheme"),
            (WIRE_START[:3], "no :path"),
            ([*WIRE_START[:2], WIRE_START[3]], "neither :authority nor Host"),
            ([*WIRE_START[:2], (b":authority", b""), WIRE_START[3]], "neither :authority nor Host"),
            ([*WIRE_START[:2], WIRE_START[3], (b"host", b"")], "neither :authority nor Host"),
            ([*WIRE_START, WIRE_START[0]], ":method is there twice"),
            ([*WIRE_START[:3], (b"a", b"b"), WIRE_START[3]], ":path after other fields"),
            ([*WIRE_START, (b":status", b"200")], ":status in the fields of a request"),
            ([*WIRE_START, (b":custom", b"x")], "unknown pseudo-header"),
            ([*WIRE_START, (b":Method", b"x")], "unknown pseudo-header"),
            ([*WIRE_START, (b":protocol", b"websocket")], "no CONNECT"),
            ([(b":method", b""), *WIRE_START[1:]], ":method is not a token"),
            ([(b":method", b"G(T"), *WIRE_START[1:]], ":method is not a token"),
            ([WIRE_START[0], (b":scheme", b"ht tp"), *WIRE_START[2:]], "malformed :scheme"),
            ([*WIRE_START[:3], (b":path", b"")], "malformed :path"),
            ([*WIRE_START[:3], (b":path", b"index")], "malformed :path"),
            ([*WIRE_START[:3], (b":path", b"*")], "malformed :path"),
            ([*WIRE_START[:3], (b":path", b"/a b")], "malformed :path"),
            ([*WIRE_START[:3], (b":path", b"/a#b")], "malformed :path"),
            ([*WIRE_START[:3], (b":path", b"/\xe9")], "malformed :path"),
            ([*WIRE_START[:2], (b":authority", b"me@example.com"), WIRE_START[3]], "not host"),
            ([*WIRE_START[:2], (b":authority", b"a/b"), WIRE_START[3]], "not host"),
            ([*WIRE_START, (b"host", b"other.example")], "does not agree"),
            ([*WIRE_START, (b"host", b"example.com:80")], "does not agree"),
            ([*WIRE_START, (b"host", b"example.com"), (b"host", b"example.com")], "more than one host"),
            ([*CONNECT, (b":path", b"/")], "CONNECT with"),
            ([*CONNECT, (b":scheme", b"https")], "CONNECT with"),
            (CONNECT[:1], "not host:port"),
            ([CONNECT[0], (b":authority", b"example.com")], "not host:port"),
            ([CONNECT[0], (b"host", b"example.com:443")], "not host:port"),
        ],
    )
    def test_requests(self, fields: list[WireField], match: str) -> None:
        assert_malformed(fields, REQUEST, match, extended_connect=True)

    @pytest.mark.parametrize("missing", [b":scheme", b":path", b":authority"])
    def test_extended_connect_needs_them_all(self, missing: bytes) -> None:
        fields = [field for field in WEBSOCKET if field[0] != missing]
        assert_malformed(fields, REQUEST, f"{missing.decode()}", extended_connect=True)

    @pytest.mark.parametrize(
        ("fields", "match"),
        [
            ([], "no :status"),
            ([(b"a", b"b")], "no :status"),
            ([(b":status", b"101")], "101"),
            *(
                ([(b":status", status)], "malformed :status")
                for status in (b"", b"20", b"2000", b"099", b"2x0", b"+20")
            ),
            ([(b":status", b"200"), (b":path", b"/")], ":path in the fields of a response"),
            ([(b":status", b"200"), (b":status", b"200")], "twice"),
        ],
    )
    def test_responses(self, fields: list[WireField], match: str) -> None:
        assert_malformed(fields, RESPONSE, match)

    @pytest.mark.parametrize("field", [*WIRE_START, (b":status", b"200"), (b":protocol", b"x")])
    def test_trailers_have_no_pseudo_header_fields(self, field: WireField) -> None:
        assert_malformed([field], TRAILERS, "in the fields of trailers")

    def test_messages_do_not_quote_values(self) -> None:
        with pytest.raises(H2Error) as caught:
            received((b"authorization", b"secret\n"))
        assert "authorization" in str(caught.value)
        assert "secret" not in str(caught.value)


class TestContentLength:
    @pytest.mark.parametrize(
        ("values", "expected"), [("", None), ("0", 0), ("42", 42), ("042", 42), ("7 7", 7), ("9" * 18, 10**18 - 1)]
    )
    def test_good(self, values: str, expected: int | None) -> None:
        assert content_length(Headers([("Content-Length", value) for value in values.split()])) == expected

    @pytest.mark.parametrize(
        "values", ["", "-1", "+1", "1_0", "0x1", "1.0", "1 2", "5, 5", "\xb2", "9" * 5000, "1|2", "1|"]
    )
    def test_bad(self, values: str) -> None:
        with pytest.raises(H2Error, match="content-length") as caught:
            content_length(Headers([("content-length", value) for value in values.split("|")]))
        assert (caught.value.code, caught.value.stream_error) == (H2ErrorCode.PROTOCOL_ERROR, True)


# --- properties ------------------------------------------------------------------------------------------------------

NAMES = st.text("abcXYZ0-_~", min_size=1, max_size=8) | st.sampled_from(["Authorization", "Set-Cookie", "Content-Type"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
CRUMBS = st.lists(st.text("abc=", min_size=1, max_size=30), min_size=1, max_size=4).map("; ".join)
FIELDS = st.tuples(NAMES, VALUES, st.none() | st.just(True)) | st.tuples(st.just("Cookie"), CRUMBS, st.none())
STARTS = st.sampled_from([START, [(":status", "200")], []])
KINDS = {4: REQUEST, 1: RESPONSE, 0: TRAILERS}


@given(STARTS, st.lists(FIELDS, max_size=6))
def test_what_was_sent_is_received(start: list[tuple[str, str]], fields: list[tuple[str, str, bool | None]]) -> None:
    headers = Headers(start)
    headers.extend(fields)
    back = from_h2_fields(to_h2_fields(headers), KINDS[len(start)])
    cookies = [value for name, value, _ in fields if name == "Cookie"]
    expected = Headers([field for field in headers.each() if field[0] != "Cookie"])
    assert back.get("cookie") == ("; ".join(cookies) if cookies else None)
    back.delete("cookie")
    assert back == expected


ANY_NAMES = st.binary(max_size=6) | st.sampled_from(
    [name for name, _ in WEBSOCKET] + [b"host", b"te", b"cookie", b":status"]
)
ANY_VALUES = st.binary(max_size=8) | st.sampled_from(
    [value for _, value in WEBSOCKET + WIRE_START] + [b"200", b"trailers"]
)


@given(
    st.sampled_from([WIRE_START, CONNECT, WEBSOCKET, [(b":status", b"200")], []]),
    st.lists(st.tuples(ANY_NAMES, ANY_VALUES), max_size=4),
    st.sampled_from(SectionKind),
    st.booleans(),
)
def test_what_passes_can_be_sent_again(start, fields: list[WireField], kind: SectionKind, extended: bool) -> None:
    """Nothing but `H2Error` is raised, and whatever passes is a message that this side would send, and reads the same."""
    code = H2ErrorCode.PROTOCOL_ERROR
    try:
        headers = from_h2_fields([*start, *fields], kind, extended_connect=extended)
    except H2Error as error:
        code = error.code
    else:
        assert Headers(headers.each()) == headers
        assert from_h2_fields(to_h2_fields(headers), kind, extended_connect=extended) == headers
    assert code == H2ErrorCode.PROTOCOL_ERROR
