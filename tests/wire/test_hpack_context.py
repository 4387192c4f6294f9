"""HpackContext: the examples of RFC 7541 appendix C, lua-http's interface, size updates, limits, and any input."""

from __future__ import annotations

import hpack
import pytest
from hpack import NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import InvalidHeader, LimitExceeded, UsageError
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.hpack_context import HpackContext, header_list_size

DATE = "Mon, 21 Oct 2013 20:13:21 GMT"
LATER = "Mon, 21 Oct 2013 20:13:22 GMT"
COOKIE = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
GET = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")]
GET_TLS = [(":method", "GET"), (":scheme", "https"), (":path", "/index.html"), (":authority", "www.example.com")]
REQUESTS = [GET, [*GET, ("cache-control", "no-cache")], [*GET_TLS, ("custom-key", "custom-value")]]
REQUEST_TABLES = [
    "[  1] (s =  57) :authority: www.example.com\n      Table size:  57",
    "[  1] (s =  53) cache-control: no-cache\n[  2] (s =  57) :authority: www.example.com\n      Table size: 110",
    (
        "[  1] (s =  54) custom-key: custom-value\n[  2] (s =  53) cache-control: no-cache\n"
        "[  3] (s =  57) :authority: www.example.com\n      Table size: 164"
    ),
]
RESPONSES = [
    [(":status", "302"), ("cache-control", "private"), ("date", DATE), ("location", "https://www.example.com")],
    [(":status", "307"), ("cache-control", "private"), ("date", DATE), ("location", "https://www.example.com")],
    [
        *((":status", "200"), ("cache-control", "private"), ("date", LATER), ("location", "https://www.example.com")),
        *(("content-encoding", "gzip"), ("set-cookie", COOKIE)),
    ],
]
RESPONSE_TABLES = [
    (
        f"[  1] (s =  63) location: https://www.example.com\n[  2] (s =  65) date: {DATE}\n"
        "[  3] (s =  52) cache-control: private\n[  4] (s =  42) :status: 302\n      Table size: 222"
    ),
    (
        f"[  1] (s =  42) :status: 307\n[  2] (s =  63) location: https://www.example.com\n[  3] (s =  65) date: {DATE}\n"
        "[  4] (s =  52) cache-control: private\n      Table size: 222"
    ),
    (
        "[  1] (s =  98) set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age\\\n                 =3600; version=1\n"
        f"[  2] (s =  52) content-encoding: gzip\n[  3] (s =  65) date: {LATER}\n      Table size: 215"
    ),
]
# RFC 7541 sections C.3 to C.6: table size, Huffman, sections, tables.
EXAMPLES = {
    "C.3": (4096, False, REQUESTS, REQUEST_TABLES),
    "C.4": (4096, True, REQUESTS, REQUEST_TABLES),
    "C.5": (256, False, RESPONSES, RESPONSE_TABLES),
    "C.6": (256, True, RESPONSES, RESPONSE_TABLES),
}
# The three blocks of each.
BLOCKS = {
    "C.3": """828684410f7777772e6578616d706c652e636f6d |
        828684be58086e6f2d6361636865 |
        828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565""",
    "C.4": """828684418cf1e3c2e5f23a6ba0ab90f4ff |
        828684be5886a8eb10649cbf |
        828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf""",
    "C.5": """4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17687474
        70733a2f2f7777772e6578616d706c652e636f6d |
        4803333037c1c0bf |
        88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a
        4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31""",
    "C.6": """488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae
        82ae43d3 |
        4883640effc1c0bf |
        88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960
        d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007""",
}


def decode(block: bytes | str, **options: int) -> list[tuple[str, str, bool]]:
    payload = bytes.fromhex(block) if isinstance(block, str) else block
    return list(HpackContext(**options).decode_headers(payload).each())


class TestExamples:
    @pytest.mark.parametrize("name", EXAMPLES)
    def test_three_in_a_row(self, name: str) -> None:
        size, huffman, sections, tables = EXAMPLES[name]
        blocks = "".join(BLOCKS[name].split()).split("|")
        encoder, decoder = HpackContext(size), HpackContext(size)
        for section, table, block in zip(sections, tables, blocks, strict=True):
            for field in section:
                assert encoder.add_header_indexed(*field, huffman) is encoder
            assert encoder.render_data().hex() == block
            assert encoder.dynamic_table_tostring() == table
            encoder.clear_data()
            decoded = decoder.decode_headers(bytes.fromhex(block))
            assert list(decoded.each()) == [(*field, False) for field in section]
            assert decoder.dynamic_table_tostring() == table

    @pytest.mark.parametrize(
        ("block", "field", "remembered"),
        [
            ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", ("custom-key", "custom-header", False), 1),
            ("040c2f73616d706c652f70617468", (":path", "/sample/path", False), 0),
            ("100870617373776f726406736563726574", ("password", "secret", True), 0),
            ("82", (":method", "GET", False), 0),
        ],
        ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4"],
    )
    def test_each_representation(self, block: str, field: tuple[str, str, bool], remembered: int) -> None:
        context = HpackContext()
        assert list(context.decode_headers(bytes.fromhex(block)).each()) == [field]
        assert context.dynamic_table_tostring().count("(s =") == remembered

    @pytest.mark.parametrize(("size", "block"), [(10, "2a"), (30, "3e"), (31, "3f00"), (1337, "3f9a0a")])
    def test_integers_of_section_c1(self, size: int, block: str) -> None:
        context = HpackContext()
        context.encode_max_size(size)
        assert context.render_data().hex() == block


class TestBuffer:
    def test_it_collects_until_it_is_cleared(self) -> None:
        context = HpackContext()
        assert context.append_data(b"ab").append_data(b"c").render_data() == b"abc"
        context.add_header_indexed(":method", "GET")
        assert context.render_data() == b"abc\x82"
        context.clear_data()
        assert context.render_data() == b""

    def test_huffman_where_it_is_shorter(self) -> None:
        plain, coded, chosen = (
            HpackContext().add_header_never_indexed("a|", "eeeeeeee", huffman).render_data()
            for huffman in (False, True, None)
        )
        assert plain == b"\x10\x02a|\x08eeeeeeee"
        assert chosen == b"\x10\x02a|" + coded[-6:]
        assert {tuple(decode(block)) for block in (plain, coded, chosen)} == {(("a|", "eeeeeeee", True),)}

    def test_characters_above_a_byte_are_refused(self) -> None:
        for name, value in (("a", "\u20ac"), ("\u20ac", "a")):
            with pytest.raises(InvalidHeader):
                HpackContext().add_header_indexed(name, value)


class TestNeverIndexed:
    def test_it_stays_so_when_the_table_knows_the_pair(self) -> None:
        context = HpackContext()
        context.add_header_indexed("x", "secret").clear_data()
        context.add_header_never_indexed("x", "secret", False)
        assert context.render_data() == b"\x1f\x2f\x06secret"
        context.clear_data()
        context.add_header_never_indexed(":method", "GET", False)
        assert context.render_data() == b"\x12\x03GET"

    def test_flags_of_headers_reach_the_other_side(self) -> None:
        headers = Headers([("X-Key", "k", True), ("Cookie", "a=b"), ("set-cookie", "c=d", False), ("accept", "*/*")])
        encoder, decoder = HpackContext(), HpackContext()
        for _ in range(2):
            encoder.encode_headers(headers)
            assert decoder.decode_headers(encoder.render_data()) == headers
            encoder.clear_data()
        assert encoder.lookup_pair_index(("set-cookie", "c=d")) is not None
        assert encoder.lookup_name_index("x-key") is None

    def test_fields(self) -> None:
        encoder, decoder = HpackContext(), HpackContext()
        fields = [(b":path", b"/a"), NeverIndexedHeaderTuple(b"x-key", b"k"), (b"accept", b"*/*"), (b"x\xff", b"\xff")]
        for _ in range(2):
            decoded = decoder.decode_fields(encoder.encode_fields(fields))
            assert decoded == fields
            assert [field.indexable for field in decoded] == [True, False, True, True]
        assert encoder.render_data() == b""
        # What rarely comes twice takes no room from what does.
        assert encoder.lookup_pair_index((":path", "/a")) is None
        assert encoder.lookup_pair_index(("accept", "*/*")) == 63

    def test_fields_follow_what_is_in_the_buffer(self) -> None:
        context = HpackContext()
        context.encode_max_size(10)
        assert context.encode_fields([(b":method", b"GET")]) == b"\x2a\x82"
        assert context.encode_fields([(b":method", b"GET")]) == b"\x82"


class TestTable:
    @pytest.fixture
    def context(self) -> HpackContext:
        context = HpackContext(200)
        for name in ("a", "b", "c"):
            context.add_to_dynamic_table(name, name.upper())
        return context

    def test_numbers_and_indexes(self, context: HpackContext) -> None:
        assert [context.dynamic_table_id_to_index(number) for number in (1, 2, 3)] == [64, 63, 62]
        assert [context.dynamic_index_to_table_id(index) for index in (64, 63, 62)] == [1, 2, 3]
        for number in (0, 4, -1):
            with pytest.raises(IndexError):
                context.dynamic_table_id_to_index(number)
        for index in (61, 65):
            with pytest.raises(IndexError):
                context.dynamic_index_to_table_id(index)

    def test_lookup_by_index(self, context: HpackContext) -> None:
        assert context.lookup_index(2) == (":method", "GET")
        assert context.lookup_index(1) == (":authority", "")
        assert context.lookup_index(61) == ("www-authenticate", "")
        assert context.lookup_index(62) == ("c", "C")
        assert context.lookup_index(64) == ("a", "A")
        assert [context.lookup_index(index) for index in (-1, 0, 65)] == [None, None, None]

    def test_lookup_of_pairs_and_names(self, context: HpackContext) -> None:
        assert context.lookup_pair_index((":method", "POST")) == 3
        assert context.lookup_pair_index((":method", "PUT")) is None
        assert context.lookup_pair_index(("b", "B")) == 63
        assert context.lookup_name_index(":method") == 2
        assert context.lookup_name_index("a") == 64
        assert context.lookup_name_index("d") is None
        context.add_to_dynamic_table("a", "again")
        assert context.lookup_name_index("a") == 62

    def test_eviction_takes_the_oldest(self, context: HpackContext) -> None:
        sizes = [context.dynamic_current_size]
        while context.evict_from_dynamic_table():
            sizes.append(context.dynamic_current_size)
        assert sizes == [102, 68, 34, 0]
        assert context.dynamic_max == 200
        assert not context.evict_from_dynamic_table()
        context.add_to_dynamic_table("d", "D")
        assert context.dynamic_current_size == 34

    def test_resizing_evicts_only_what_does_not_fit(self, context: HpackContext) -> None:
        context.resize_dynamic_table(102)
        assert context.dynamic_current_size == 102
        context.resize_dynamic_table(101)
        assert [context.lookup_index(index) for index in (62, 63, 64)] == [("c", "C"), ("b", "B"), None]
        context.resize_dynamic_table(200)
        assert (context.dynamic_max, context.dynamic_current_size) == (200, 68)

    def test_resizing_above_the_limit(self, context: HpackContext) -> None:
        for change in (context.resize_dynamic_table, context.encode_max_size):
            with pytest.raises(H2Error, match="above the limit of 200") as caught:
                change(201)
            assert caught.value.code == H2ErrorCode.COMPRESSION_ERROR
            assert not caught.value.stream_error
        assert context.dynamic_max == 200

    @pytest.mark.parametrize("size", [-1, 2**32])
    def test_what_is_no_size(self, context: HpackContext, size: int) -> None:
        for change in (context.set_max_dynamic_table_size, context.resize_dynamic_table, HpackContext):
            with pytest.raises(UsageError):
                change(size)

    def test_an_entry_larger_than_the_table_empties_it(self, context: HpackContext) -> None:
        context.add_to_dynamic_table("d", "D" * 200)
        assert context.dynamic_table_tostring() == "      Table size:   0"

    def test_without_a_table(self) -> None:
        context = HpackContext(0)
        context.add_header_indexed("a", "b", False)
        assert context.render_data() == b"\x40\x01a\x01b"
        assert context.dynamic_current_size == 0


class TestSizeUpdates:
    def test_a_lower_limit_shrinks_the_table_when_the_next_block_begins(self) -> None:
        encoder, decoder = HpackContext(), HpackContext()
        fields = [(b"a", b"1"), (b"b", b"2")]
        decoder.decode_fields(encoder.encode_fields(fields))
        for context in (encoder, decoder):
            context.set_max_dynamic_table_size(40)
        assert encoder.dynamic_current_size == 68
        block = encoder.encode_fields(fields)
        assert block[:2] == bytes.fromhex("3f09")
        assert encoder.dynamic_current_size == 34
        assert decoder.decode_fields(block) == fields
        assert decoder.dynamic_table_tostring() == encoder.dynamic_table_tostring()

    def test_the_smallest_limit_in_between_is_announced_first(self) -> None:
        encoder, decoder = HpackContext(), HpackContext()
        decoder.decode_fields(encoder.encode_fields([(b"a", b"1")]))
        for limit in (100, 0, 50, 4096):
            encoder.set_max_dynamic_table_size(limit)
        block = encoder.encode_fields([(b"a", b"1")])
        assert block[:4] == bytes.fromhex("203fe11f")
        assert decoder.decode_fields(block) == [(b"a", b"1")]
        assert encoder.encode_fields([(b"a", b"1")]) == b"\xbe"

    @pytest.mark.parametrize("repeats", [1, 2, 3])
    def test_the_same_limit_again_is_not_forgotten(self, repeats: int) -> None:
        encoder = HpackContext()
        for _ in range(repeats):
            encoder.set_max_dynamic_table_size(100)
        assert encoder.encode_fields([]) == bytes.fromhex("3f45")

    def test_a_higher_limit_changes_nothing_by_itself(self) -> None:
        encoder = HpackContext()
        encoder.set_max_dynamic_table_size(2**32 - 1)
        assert encoder.encode_fields([]) == b""
        assert (encoder.dynamic_max, encoder.total_max) == (4096, 2**32 - 1)
        encoder.encode_max_size(8192)
        assert encoder.encode_fields([]) == bytes.fromhex("3fe13f")
        assert encoder.dynamic_max == 8192

    def test_in_the_middle_of_a_block_it_waits_for_the_next(self) -> None:
        encoder = HpackContext()
        encoder.add_header_indexed("a", "1")
        encoder.encode_max_size(10)
        encoder.add_header_indexed("a", "1")
        assert encoder.render_data() == b"\x40\x01a\x011\xbe"
        encoder.clear_data()
        assert encoder.encode_fields([(b"a", b"1")]) == b"\x2a\x40\x01a\x011"

    def test_the_decoder_insists_on_an_announced_limit(self) -> None:
        decoder = HpackContext()
        decoder.set_max_dynamic_table_size(100)
        with pytest.raises(H2Error, match="did not shrink"):
            decoder.decode_fields(b"\x82")

    @given(st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.integers(0, 6)), max_size=12))
    def test_both_tables_stay_equal(self, steps: list[tuple[int, bool, int]]) -> None:
        encoder, decoder = HpackContext(), hpack.Decoder()
        for limit, twice, number in steps:
            encoder.set_max_dynamic_table_size(limit)
            if twice:
                encoder.set_max_dynamic_table_size(limit // 2)
            decoder.max_allowed_table_size = limit // 2 if twice else limit
            fields = [(b"name-%d" % number, b"value"), (b"x", b"y")]
            assert decoder.decode(encoder.encode_fields(fields), raw=True) == fields
            assert list(decoder.header_table.dynamic_entries) == list(encoder._table.dynamic_entries)


class TestBadInput:
    @pytest.mark.parametrize(
        ("block", "reason"),
        [
            ("80", "index 0"),
            ("be", "index 62"),
            ("ffffffff0f", "index"),
            ("7f", "integer"),
            ("0005686900", "Truncated"),
            ("00856869", "Truncated"),
            ("0001610568", "Truncated"),
            ("40", "integer"),
            ("8220", "not at the start"),
            ("3fe21f", "exceeded"),
            ("ffffffffffffffffff7f", "too long"),
            ("000161ff80808080808080808001", "too long"),
            ("00016181ff", "Huffman"),  # the padding is a whole byte
            ("00016184ffffffff", "Huffman"),  # the end of string itself
            ("0001618100", "Huffman"),  # padded with zeros
        ],
    )
    def test_a_compression_error_of_the_connection(self, block: str, reason: str) -> None:
        with pytest.raises(H2Error, match=reason) as caught:
            decode(block)
        assert caught.value.code == H2ErrorCode.COMPRESSION_ERROR
        assert not caught.value.stream_error
        assert caught.value.__cause__ is None

    def test_the_payload_is_not_quoted(self) -> None:
        with pytest.raises(H2Error) as caught:
            decode(b"\x10\x01k\x7f" + b"\xf3" * 10 + b"secret")
        assert "secret" not in str(caught.value)
        assert "b'" not in str(caught.value)

    @given(st.binary(max_size=80))
    def test_any_bytes_decode_or_fail_as_they_should(self, payload: bytes) -> None:
        context = HpackContext(200)
        code, expected = None, ""
        try:
            headers = context.decode_headers(payload)
        except H2Error as error:
            code, expected = error.code, "PROTOCOL_ERROR" if error.stream_error else "COMPRESSION_ERROR"
        else:
            assert header_list_size(headers) <= context.max_header_list_size
        assert code is None or code.name == expected
        assert context.dynamic_current_size <= context.dynamic_max <= 200


class TestHeaderList:
    def test_a_small_block_that_grows_is_stopped(self) -> None:
        context = HpackContext(max_header_list_size=10_000)
        context.decode_headers(b"\x40\x01a\x7f\xd1\x0e" + b"v" * 2000)
        with pytest.raises(LimitExceeded, match="10000 bytes") as caught:
            context.decode_headers(b"\xbe" * 1000)
        error = caught.value
        assert isinstance(error, H2Error)
        assert (error.code, error.stream_error, error.status) == (H2ErrorCode.ENHANCE_YOUR_CALM, False, 431)

    def test_the_limit_is_exact(self) -> None:
        size = header_list_size([(b":method", b"GET")])
        assert size == 42
        assert decode("8282", max_header_list_size=2 * size) == [(":method", "GET", False)] * 2
        with pytest.raises(LimitExceeded):
            decode("8282", max_header_list_size=2 * size - 1)

    def test_it_is_appended_to(self) -> None:
        context = HpackContext(max_header_list_size=85)
        headers = Headers([(":method", "GET")])
        assert context.decode_headers(b"..\x86", headers, 2) is headers
        assert list(headers) == [(":method", "GET"), (":scheme", "http")]
        with pytest.raises(LimitExceeded):
            context.decode_headers(b"\x86", headers)
        with pytest.raises(H2Error, match="not at the start"):
            context.decode_headers(b"\x2a", headers)

    @pytest.mark.parametrize("block", ["00016101" + "0a", "000220610162", "0001610320622e"[:-2] + "20", "00" + "0000"])
    def test_what_headers_do_not_take_is_a_stream_error(self, block: str) -> None:
        context = HpackContext()
        with pytest.raises(H2Error) as caught:
            context.decode_headers(bytes.fromhex(block) + b"\x40\x01z\x01y")
        assert (caught.value.code, caught.value.stream_error) == (H2ErrorCode.PROTOCOL_ERROR, True)
        # The connection goes on: the block has been read to its end.
        assert context.lookup_pair_index(("z", "y")) == 62


NAMES = st.binary(min_size=1, max_size=12) | st.sampled_from([b":path", b":status", b"accept", b"cookie"])
FIELDS = st.tuples(NAMES, st.binary(max_size=40), st.booleans())


@given(st.lists(st.lists(FIELDS, max_size=6), max_size=6), st.integers(0, 300), st.sampled_from([None, True, False]))
def test_whatever_is_encoded_is_decoded_again(sections, size: int, huffman: bool | None) -> None:
    """By hpack's decoder as well as ours, so that both sides of a mistake could not agree."""
    encoder, decoder, other = HpackContext(size), HpackContext(size), hpack.Decoder()
    other.header_table_size = other.max_allowed_table_size = size
    for section in sections:
        if huffman is None:
            fields = [NeverIndexedHeaderTuple(n, v) if never else (n, v) for n, v, never in section]
            block = encoder.encode_fields(fields)
        else:
            for name, value, never in section:
                add = encoder.add_header_never_indexed if never else encoder.add_header_indexed
                add(name.decode("latin-1"), value.decode("latin-1"), huffman)
            block = encoder.render_data()
            encoder.clear_data()
        decoded = decoder.decode_fields(block)
        assert [(*field, not field.indexable) for field in decoded] == section
        assert other.decode(block, raw=True) == decoded
        assert decoder.dynamic_table_tostring() == encoder.dynamic_table_tostring()
