"""h2_errors: the registry by number and by name, unknown numbers, and what an error object carries."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import EngineError, LimitExceeded, RemoteProtocolError, UsageError
from drivetrain.engine.wire.h2_errors import H2_ERRORS, H2Error, H2ErrorCode, H2LimitExceeded, error_name, is_h2_error

# RFC 9113 section 7.
REGISTRY = [
    (0x0, "NO_ERROR"),
    (0x1, "PROTOCOL_ERROR"),
    (0x2, "INTERNAL_ERROR"),
    (0x3, "FLOW_CONTROL_ERROR"),
    (0x4, "SETTINGS_TIMEOUT"),
    (0x5, "STREAM_CLOSED"),
    (0x6, "FRAME_SIZE_ERROR"),
    (0x7, "REFUSED_STREAM"),
    (0x8, "CANCEL"),
    (0x9, "COMPRESSION_ERROR"),
    (0xA, "CONNECT_ERROR"),
    (0xB, "ENHANCE_YOUR_CALM"),
    (0xC, "INADEQUATE_SECURITY"),
    (0xD, "HTTP_1_1_REQUIRED"),
]


class TestRegistry:
    @pytest.mark.parametrize(("number", "name"), REGISTRY)
    def test_by_number_and_by_name(self, number: int, name: str) -> None:
        code = H2ErrorCode(number)
        assert code == number
        assert code.name == error_name(number) == error_name(name) == name
        assert H2_ERRORS[number] is H2_ERRORS[name] is H2ErrorCode[name] is code
        assert code.registered
        assert "Unregistered" not in code.description

    def test_it_is_complete_and_read_only(self) -> None:
        assert [(int(code), code.name) for code in H2ErrorCode] == REGISTRY
        assert len(H2_ERRORS) == 2 * len(REGISTRY)
        with pytest.raises(TypeError):
            H2_ERRORS[0x99] = H2ErrorCode.CANCEL  # type: ignore[index]

    def test_descriptions_differ(self) -> None:
        assert len({code.description for code in H2ErrorCode}) == len(REGISTRY)


class TestUnknownNumbers:
    @given(st.integers(0xE, 2**32 - 1))
    def test_every_number_of_32_bits_is_a_code(self, number: int) -> None:
        code = H2ErrorCode(number)
        assert isinstance(code, H2ErrorCode)
        assert code == number == H2ErrorCode(number)
        assert hash(code) == hash(number)
        assert code.name == error_name(number) == f"UNKNOWN_0x{number:x}"
        assert code.value == number
        assert not code.registered
        assert pickle.loads(pickle.dumps(code)) == code
        assert H2Error(number).code == number

    def test_the_class_does_not_remember_them(self) -> None:
        members = dict(H2ErrorCode._value2member_map_)
        assert H2ErrorCode(0xDEAD).description == "Unregistered error code"
        assert H2ErrorCode._value2member_map_ == members
        assert len(H2ErrorCode) == len(REGISTRY)

    @pytest.mark.parametrize("which", [-1, 2**32, "NO_SUCH_ERROR", "cancel", None, 1.5])
    def test_other_things_are_not_codes(self, which: object) -> None:
        with pytest.raises(UsageError, match="not an HTTP/2 error code"):
            H2Error(which)  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            error_name(which)  # type: ignore[arg-type]


class TestErrorObject:
    def test_fields(self) -> None:
        error = H2Error("CANCEL", "no longer wanted", stream_error=True)
        assert (error.name, error.code, error.description) == ("CANCEL", 8, "Stream cancelled")
        assert (error.message, error.stream_error, error.traceback) == ("no longer wanted", True, None)
        assert error.code is H2ErrorCode.CANCEL

    def test_it_is_about_the_connection_by_default(self) -> None:
        assert H2Error(1).stream_error is False
        assert H2Error(1).message is None

    def test_text(self) -> None:
        assert str(H2Error(0)) == "NO_ERROR(0x0): Graceful shutdown"
        error = H2Error.new(0, "oops", traceback="some traceback")
        assert str(error) == "NO_ERROR(0x0): Graceful shutdown: oops\nsome traceback"
        assert repr(error) == "<H2Error NO_ERROR(0x0) of the connection: oops>"
        assert repr(H2Error(8, stream_error=True)) == "<H2Error CANCEL(0x8) of the stream: Stream cancelled>"

    def test_what_is_not_given_is_taken_from_the_parent(self) -> None:
        parent = H2Error(0x99, "first", name="CUSTOM", description="Of our own", stream_error=True)
        child = H2Error.new(parent, "second")
        assert (child.name, child.code, child.description) == ("CUSTOM", 0x99, "Of our own")
        assert (child.message, child.stream_error) == ("second", False)
        assert H2Error.new(parent, name="OTHER").name == "OTHER"

    def test_its_place_in_the_tree(self) -> None:
        assert isinstance(H2Error(1), RemoteProtocolError)
        assert isinstance(H2Error(1), EngineError)
        assert H2Error(1).status == 400
        assert H2Error(1, status=431).status == 431

    def test_a_limit_is_both_kinds_of_error(self) -> None:
        error = H2LimitExceeded("ENHANCE_YOUR_CALM", "too many pings")
        assert isinstance(error, H2Error)
        assert isinstance(error, LimitExceeded)
        assert error.code == H2ErrorCode.ENHANCE_YOUR_CALM

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
    def test_copies(self, duplicate) -> None:
        error = H2Error(0x99, "why", stream_error=True, name="CUSTOM", traceback="here", status=431)
        twin = duplicate(error)
        assert type(twin) is H2Error
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)

    @pytest.mark.parametrize("ob", [None, {}, "string", 1, H2ErrorCode.CANCEL, RemoteProtocolError("x"), H2Error])
    def test_other_objects_are_not_errors(self, ob: object) -> None:
        assert not is_h2_error(ob)
        assert is_h2_error(H2Error(1))


class TestRaising:
    def test_by_the_code(self) -> None:
        with pytest.raises(H2Error, match="oops") as caught:
            H2ErrorCode.NO_ERROR.error("oops")
        assert (caught.value.code, caught.value.stream_error) == (0, False)
        with pytest.raises(H2Error) as caught:
            H2ErrorCode.CANCEL.error(stream_error=True)
        assert caught.value.stream_error

    def test_new_only_makes_one(self) -> None:
        error = H2ErrorCode.CANCEL.new("why", stream_error=True)
        assert (error.code, error.message, error.stream_error) == (8, "why", True)

    def test_check(self) -> None:
        assert H2ErrorCode.CANCEL.check("anything true") == "anything true"
        for condition in (None, False, 0):
            with pytest.raises(H2Error, match="why"):
                H2ErrorCode.CANCEL.check(condition, "why")

    def test_a_record_of_where_it_was_made(self) -> None:
        def make_it() -> H2Error:
            return H2ErrorCode.CANCEL.new_traceback("why", True)

        error = make_it()
        assert error.stream_error
        assert error.traceback is not None
        assert "H2ErrorCode.CANCEL.new_traceback" in error.traceback.splitlines()[-1]
        assert error.traceback in str(error)
        assert H2Error.new_traceback(8, "why", level=0).traceback is None
        assert H2ErrorCode.CANCEL.new_traceback(level=0).traceback is None

    def test_the_record_ends_at_the_level_asked_for(self) -> None:
        def make_it(level: int) -> str:
            return H2Error.new_traceback("CANCEL", level=level).traceback or ""

        assert "H2Error.new_traceback" in make_it(1).splitlines()[-1]
        assert "make_it(2)" in make_it(2).splitlines()[-1]
