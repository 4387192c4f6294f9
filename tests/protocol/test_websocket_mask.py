from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.protocol import websocket_mask
from drivetrain.engine.protocol.websocket_mask import Masker, apply_mask, apply_mask_in_python, load_compiled

KEYS = st.binary(min_size=4, max_size=4)


def by_hand(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


@given(st.binary(max_size=300), KEYS)
def test_it_is_the_exclusive_or_with_the_key(data: bytes, key: bytes) -> None:
    assert apply_mask_in_python(data, key) == by_hand(data, key)
    assert apply_mask(data, key) == by_hand(data, key)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 4098, 4099, 4100, 40001, 65536, 65537, 140_003])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_large_payloads_of_every_kind_go_the_same_way(size: int, kind: type) -> None:
    data, key = os.urandom(size), os.urandom(4)
    masked = apply_mask_in_python(kind(data), key)
    assert type(masked) is bytes
    assert masked == by_hand(data, key)
    assert apply_mask(masked, key) == data


@given(st.binary(max_size=200), KEYS, st.lists(st.integers(0, 30)))
def test_a_payload_may_come_in_pieces(data: bytes, key: bytes, sizes: list[int]) -> None:
    masker = Masker(key)
    result, at = b"", 0
    for size in [*sizes, len(data)]:
        result += masker.process(data[at : at + size])
        at += size
    assert result == by_hand(data, key)


def test_somebody_elses_masker_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_mask.importlib.machinery.PathFinder, "find_spec", lambda *_: None)
    assert load_compiled() is None


def test_a_broken_installation_of_it_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ImportError("half removed")

    monkeypatch.setattr(websocket_mask.importlib.machinery.PathFinder, "find_spec", broken)
    assert load_compiled() is None
