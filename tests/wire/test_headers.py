"""Headers: lua-http's interface, Python's protocols, what is refused, and a naive list as the model of it all."""

from __future__ import annotations

import copy
import email.message
import enum
import io
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from requests.structures import CaseInsensitiveDict

from drivetrain.engine.errors import InvalidHeader, UsageError
from drivetrain.engine.wire import headers as headers_module
from drivetrain.engine.wire.headers import SENSITIVE_NAMES, Headers

SAMPLE = [(":status", "200"), ("Set-Cookie", "foo=bar"), ("connection", "close"), ("set-cookie", "baz=qux")]


@pytest.fixture
def sample() -> Headers:
    return Headers(SAMPLE)


class TestMaking:
    def test_from_nothing(self) -> None:
        assert list(Headers()) == []
        assert list(Headers(None)) == []

    @pytest.mark.parametrize("make", [dict, CaseInsensitiveDict, lambda pairs: iter(pairs), tuple])
    def test_from_mappings_and_iterables(self, make: Callable[[list[tuple[str, str]]], object]) -> None:
        pairs = [("A", "1"), ("b", "2")]
        assert list(Headers(make(pairs))) == pairs  # type: ignore[arg-type]

    def test_from_what_has_items_without_being_a_mapping(self) -> None:
        message = email.message.Message()
        message["A"] = "1"
        message["a"] = "2"
        assert list(Headers(message)) == [("A", "1"), ("a", "2")]

    def test_from_three_tuples(self) -> None:
        assert list(Headers([("a", "1", True), ("cookie", "2", False)]).each()) == [
            ("a", "1", True),
            ("cookie", "2", False),
        ]

    def test_from_headers_is_independent_and_keeps_the_flags(self) -> None:
        original = Headers([("a", "1", True), ("b", "2")])
        twin = Headers(original)
        twin.append("c", "3")
        assert len(original) == 2
        assert list(twin.each()) == [("a", "1", True), ("b", "2", False), ("c", "3", False)]

    def test_extend_by_headers_moves_the_flags_and_drops_the_index(self) -> None:
        headers = Headers([("x", "0", True)])
        assert not headers.has("a")
        headers.extend(Headers([("a", "1"), ("a", "2", True)]))
        headers.extend(headers)
        assert [never for _, _, never in headers.each()] == [True, False, True, True, False, True]
        assert headers.get_as_sequence("A") == ["1", "2", "1", "2"]

    def test_adopt_takes_the_list_itself_unchecked(self) -> None:
        fields = [("bad name", "a\nb")]
        headers = Headers.adopt(fields)
        assert headers.raw_fields() is fields
        assert headers["BAD NAME"] == "a\nb"

    @pytest.mark.parametrize("source", ["ab", ["ab"], [b"ab"], 5, [("a", "b", None, "d")], [("a",)]])
    def test_other_sources_are_type_errors(self, source: object) -> None:
        with pytest.raises(TypeError):
            Headers(source)  # type: ignore[arg-type]


class TestReading:
    def test_each_and_len(self, sample: Headers) -> None:
        flags = [False, True, False, True]
        assert list(sample.each()) == [(name, value, never) for (name, value), never in zip(SAMPLE, flags, strict=True)]
        assert len(sample) == 4

    def test_lookup_ignores_case(self, sample: Headers) -> None:
        assert sample.has("SET-COOKIE")
        assert "Connection" in sample
        assert sample.get("SET-Cookie") == sample["set-cookie"] == "foo=bar"
        assert sample.get_as_sequence("SET-COOKIE") == ["foo=bar", "baz=qux"]
        assert sample.first_values() == {":status": "200", "set-cookie": "foo=bar", "connection": "close"}

    def test_what_is_absent(self, sample: Headers) -> None:
        assert not sample.has("x")
        assert sample.get("x") is None
        assert sample.get("x", 5) == 5
        assert sample.get_as_sequence("x") == []
        assert sample.get_comma_separated("x") is None
        assert 5 not in sample
        with pytest.raises(KeyError):
            sample["x"]

    def test_sequences_are_the_callers_own(self) -> None:
        headers = Headers([("a", "1")])
        headers.get_as_sequence("a").append("2")
        headers.items().clear()
        assert headers.get_as_sequence("a") == ["1"]

    def test_get_comma_separated(self) -> None:
        headers = Headers([("Vary", "a"), ("x", "y"), ("vary", "b, c")])
        assert headers.get_comma_separated("VARY") == "a, b, c"
        assert headers.get_comma_separated("x") == "y"

    def test_geti(self, sample: Headers) -> None:
        assert sample.geti(0) == (":status", "200", False)
        assert sample.geti(-1) == ("set-cookie", "baz=qux", True)
        for position in (4, -5):
            with pytest.raises(IndexError, match="there are 4"):
                sample.geti(position)

    def test_views(self, sample: Headers) -> None:
        assert sample.keys() == [name for name, _ in SAMPLE]
        assert sample.values() == [value for _, value in SAMPLE]
        assert sample.items() == list(sample) == SAMPLE
        assert dict(Headers([("a", "1"), ("a", "2")])) == {"a": "1"}


class TestWriting:
    @pytest.mark.parametrize("name", sorted(SENSITIVE_NAMES))
    def test_secrets_are_never_indexed_unless_said_otherwise(self, name: str) -> None:
        headers = Headers()
        headers.append(name.title(), "x")
        headers.append(name, "x", never_index=False)
        headers.append("other", "x", never_index=True)
        headers.append("other", "x")
        assert [never for _, _, never in headers.each()] == [True, False, True, False]

    def test_of_a_subclass_of_str_the_characters_count(self) -> None:
        class Named(str, enum.Enum):
            FIELD = "X-Named"
            VALUE = "a value"

        headers = Headers({Named.FIELD: Named.VALUE})
        headers[Named.VALUE.replace(" ", "-")] = Named.VALUE
        headers[Named.FIELD] = Named.FIELD
        assert headers.raw_fields() == [("X-Named", "X-Named"), ("a-value", "a value")]
        assert {type(word) for field in headers.raw_fields() for word in field} == {str}

    def test_append_after_a_lookup_is_found(self, sample: Headers) -> None:
        assert sample.get_as_sequence("set-cookie") == ["foo=bar", "baz=qux"]
        sample.append("SET-COOKIE", "3")
        sample.append("new", "n")
        assert sample.get_as_sequence("set-cookie") == ["foo=bar", "baz=qux", "3"]
        assert sample["New"] == "n"

    def test_modifyi(self, sample: Headers) -> None:
        assert sample["connection"] == "close"
        sample.modifyi(2, "keep-alive", never_index=True)
        sample.modifyi(-1, "new")
        assert sample.geti(2) == ("connection", "keep-alive", True)
        assert sample.geti(3) == ("set-cookie", "new", True)
        assert sample["connection"] == "keep-alive"
        assert sample["set-cookie"] == "foo=bar"
        sample.modifyi(2, "close")
        assert sample.geti(2) == ("connection", "close", False)
        with pytest.raises(IndexError):
            sample.modifyi(4, "x")
        with pytest.raises(InvalidHeader):
            sample.modifyi(0, "a\nb")

    def test_upsert(self) -> None:
        headers = Headers([("Host", "a"), ("x", "1")])
        headers.upsert("host", "b")
        headers.upsert("NEW", "n", never_index=True)
        assert list(headers.each()) == [("Host", "b", False), ("x", "1", False), ("NEW", "n", True)]

    def test_upsert_refuses_a_repeated_name(self, sample: Headers) -> None:
        with pytest.raises(UsageError, match="'set-cookie': it is there 2 times"):
            sample.upsert("set-cookie", "x")
        assert list(sample) == SAMPLE

    def test_setitem_replaces_all_where_the_first_stood(self) -> None:
        headers = Headers([("a", "1"), ("X", "2"), ("b", "3", True), ("x", "4", True), ("c", "5", True)])
        headers["x"] = "new"
        assert list(headers.each()) == [("a", "1", False), ("x", "new", False), ("b", "3", True), ("c", "5", True)]
        headers["d"] = "6"
        assert headers.geti(-1) == ("d", "6", False)

    def test_delete(self, sample: Headers) -> None:
        assert sample.delete("SET-COOKIE") is True
        assert sample.delete("set-cookie") is False
        assert list(sample) == [(":status", "200"), ("connection", "close")]
        del sample[":status"]
        with pytest.raises(KeyError, match=":status"):
            del sample[":status"]
        sample.clear()
        assert len(sample) == 0
        assert "connection" not in sample

    def test_changes_stay_in_the_adopted_list(self) -> None:
        fields = [("a", "1"), ("b", "2")]
        headers = Headers.adopt(fields)
        headers.delete("a")
        headers["c"] = "3"
        assert fields == headers.raw_fields() == [("b", "2"), ("c", "3")]

    def test_sort(self) -> None:
        headers = Headers(
            [("b", "2"), ("B", "1"), (":path", "/"), ("a", "1"), (":Method", "GET"), ("a", "1", True), ("a", "0")]
        )
        headers.sort()
        assert list(headers.each()) == [
            (":Method", "GET", False),
            (":path", "/", False),
            ("a", "0", False),
            ("a", "1", True),
            ("a", "1", False),
            ("B", "1", False),
            ("b", "2", False),
        ]

    def test_dump(self, sample: Headers, capsys: pytest.CaptureFixture[str]) -> None:
        out = io.StringIO()
        Headers([("a", "1"), ("cookie", "c")]).dump(out, "> ")
        assert out.getvalue() == "> a: 1\n> cookie: c\n"
        sample.dump()
        assert capsys.readouterr().err == "".join(f"{name}: {value}\n" for name, value in SAMPLE)


class TestRefusals:
    @pytest.mark.parametrize(
        "name", ["", ":", "a b", "a:", "::a", "a\r", "a\n", "na\xefve", "a(", 'a"', "a\0", " a", "λ"]
    )
    def test_names(self, name: str) -> None:
        headers = Headers()
        for _ in range(2):  # the second time must not find it among the checked ones
            with pytest.raises(InvalidHeader):
                headers.append(name, "x")
        with pytest.raises(InvalidHeader):
            headers[name] = "x"
        assert len(headers) == 0

    @pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
    def test_control_characters(self, code: int) -> None:
        for value in (f"secret{chr(code)}", f"{chr(code)}secret", f"sec{chr(code)}ret"):
            with pytest.raises(InvalidHeader, match="'x-key' has the control character") as caught:
                Headers().append("x-key", value)
            assert "secret" not in str(caught.value)
            assert "sec" not in str(caught.value)

    def test_characters_that_are_no_byte(self) -> None:
        with pytest.raises(InvalidHeader, match=r"'x' has a character above U\+00FF at index 6: encode it") as caught:
            Headers().append("x", "secret\u20ac")
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "value"), [(b"a", "1"), ("a", b"1"), ("a", None), ("a", 1), (1, "a"), (["a"], "1")]
    )
    def test_other_types(self, name: object, value: object) -> None:
        with pytest.raises(TypeError):
            Headers().append(name, value)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("value", "kept"),
        [
            (" \ta b\t ", "a b"),
            ("", ""),
            (" \t", ""),
            ("caf\xe9\x80\xff", "caf\xe9\x80\xff"),
            ("a\tb", "a\tb"),
            ("\xa0", "\xa0"),
        ],
    )
    def test_blanks_around_a_value_are_no_part_of_it(self, value: str, kept: str) -> None:
        headers = Headers([("a", value)])
        headers["b"] = value
        headers.upsert("b", value)
        assert headers.values() == [kept, kept]

    def test_the_set_of_checked_names_is_bounded(self) -> None:
        headers = Headers()
        for number in range(3000):
            headers.append(f"x-made-up-{number}", "")
        assert len(headers_module._checked_names) <= headers_module._MAX_CHECKED_NAMES
        assert len(headers) == 3000


class TestProtocols:
    def test_equality(self) -> None:
        headers = Headers([("A", "1"), ("cookie", "2")])
        assert headers == Headers([("a", "1"), ("Cookie", "2", True)])
        assert headers != Headers([("a", "1"), ("cookie", "2", False)])
        assert headers != Headers([("cookie", "2"), ("a", "1")])
        assert headers != Headers([("a", "1")])
        assert headers != Headers([("a", "1"), ("cookie", "3")])
        assert headers != [("A", "1"), ("cookie", "2")]

    def test_not_hashable(self) -> None:
        with pytest.raises(TypeError):
            hash(Headers())

    @pytest.mark.parametrize("make", [Headers.clone, Headers.copy, copy.copy, copy.deepcopy])
    def test_copies_are_equal_and_independent(self, make: Callable[[Headers], Headers]) -> None:
        original = Headers([("a", "1", True), ("b", "2")])
        assert original.get_as_sequence("a") == ["1"]
        twin = make(original)
        assert twin == original
        twin.modifyi(0, "changed", never_index=False)
        twin.append("c", "3")
        assert list(original.each()) == [("a", "1", True), ("b", "2", False)]
        assert twin["a"] == "changed"

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle(self, protocol: int) -> None:
        original = Headers([("a", "1", True), ("b", "2"), ("b", "3")])
        assert original.get_as_sequence("b") == ["2", "3"]
        twin = pickle.loads(pickle.dumps(original, protocol))
        assert twin == original
        assert twin.get_as_sequence("B") == ["2", "3"]

    def test_repr_hides_secrets(self) -> None:
        headers = Headers(
            [("Cookie", "s3cret"), ("x-key", "s3cret", True), ("authorization", "s3cret", False), ("a", "1")]
        )
        assert "s3cret" not in repr(headers)
        assert "('a', '1')" in repr(headers)

    def test_no_other_attributes(self) -> None:
        with pytest.raises(AttributeError):
            Headers().accept = "x"  # type: ignore[attr-defined]


NAMES = st.sampled_from(["a", "A", "b", "Cookie", "cookie", ":path"])
VALUES = st.sampled_from(["", "1", "2", "\xe9"])
FLAGS = st.sampled_from([None, True, False])


class AgainstAList(RuleBasedStateMachine):
    """Any sequence of operations does to a Headers what it does to a plain list of (name, value, never_index)."""

    def __init__(self) -> None:
        super().__init__()
        self.headers = Headers()
        self.model: list[tuple[str, str, bool]] = []

    @staticmethod
    def flag(name: str, never_index: bool | None) -> bool:
        return name.lower() == "cookie" if never_index is None else never_index

    def positions(self, name: str) -> list[int]:
        return [i for i, field in enumerate(self.model) if field[0].lower() == name.lower()]

    @rule(name=NAMES, value=VALUES, never=FLAGS)
    def append(self, name: str, value: str, never: bool | None) -> None:
        self.headers.append(name, value, never)
        self.model.append((name, value, self.flag(name, never)))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        assert self.headers.delete(name) == bool(self.positions(name))
        self.model = [field for field in self.model if field[0].lower() != name.lower()]

    @rule(name=NAMES, value=VALUES)
    def set(self, name: str, value: str) -> None:
        self.headers[name] = value
        positions = self.positions(name)
        field = (name, value, self.flag(name, None))
        if not positions:
            self.model.append(field)
            return
        self.model[positions[0]] = field
        self.model = [field for i, field in enumerate(self.model) if i not in positions[1:]]

    @rule(name=NAMES, value=VALUES, never=FLAGS)
    def upsert(self, name: str, value: str, never: bool | None) -> None:
        positions = self.positions(name)
        if len(positions) > 1:
            with pytest.raises(UsageError):
                self.headers.upsert(name, value, never)
            return
        self.headers.upsert(name, value, never)
        if positions:
            self.model[positions[0]] = (self.model[positions[0]][0], value, self.flag(name, never))
        else:
            self.model.append((name, value, self.flag(name, never)))

    @rule(i=st.integers(-9, 9), value=VALUES, never=FLAGS)
    def modifyi(self, i: int, value: str, never: bool | None) -> None:
        if -len(self.model) <= i < len(self.model):
            self.headers.modifyi(i, value, never)
            name = self.model[i][0]
            self.model[i] = (name, value, self.flag(name, never))
        else:
            with pytest.raises(IndexError):
                self.headers.modifyi(i, value, never)

    @rule()
    def sort(self) -> None:
        self.headers.sort()
        self.model.sort(key=lambda field: (field[0][0] != ":", field[0].lower(), field[1], not field[2]))

    @rule(name=NAMES)
    def look_up(self, name: str) -> None:
        values = [self.model[i][1] for i in self.positions(name)]
        assert self.headers.has(name) == bool(values)
        assert self.headers.get(name) == (values[0] if values else None)
        assert self.headers.get_as_sequence(name) == values
        assert self.headers.get_comma_separated(name) == (", ".join(values) if values else None)

    @rule()
    def replace_by_a_copy(self) -> None:
        self.headers = Headers(self.headers)

    @invariant()
    def same_fields(self) -> None:
        assert list(self.headers.each()) == self.model
        assert len(self.headers) == len(self.model)


TestAgainstAList = AgainstAList.TestCase


@given(st.text(max_size=8))
def test_a_value_is_refused_or_goes_over_the_wire_unchanged(value: str) -> None:
    try:
        headers = Headers([("x", value)])
    except InvalidHeader:
        assert any(char > "\xff" or (char < " " and char != "\t") or char == "\x7f" for char in value)
    else:
        assert headers["x"].encode("latin-1") == value.strip(" \t").encode("latin-1")
        assert not {"\r", "\n", "\0"} & set(headers["x"])
