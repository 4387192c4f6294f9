"""A short run of the targets of what WebSocket peers say."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import websocket_extensions, websocket_frames, websocket_handshake
from tests.fuzz.test_cookie_targets import inputs

FRAMES = [
    [said for number, said in enumerate(websocket_frames.talk(masked)) if number != 6] for masked in (False, True)
]


@settings(deadline=None)
@given(inputs(websocket_extensions.SEEDS, b";"))
def test_extensions(data: bytes) -> None:
    websocket_extensions.check(data)


@settings(deadline=None)
@given(st.integers(0, 3), inputs(tuple(seed[1:] for seed in websocket_handshake.SEEDS), b"\n"))
def test_handshakes(choice: int, data: bytes) -> None:
    websocket_handshake.check(bytes((choice,)) + data)


@settings(deadline=None)
@given(st.integers(0, 31), st.lists(st.integers(0, 5) | st.binary(max_size=20), max_size=4), st.integers(0, 400))
def test_frames(choice: int, parts: list[Any], cut: int) -> None:
    said = b"".join(FRAMES[choice % 2][part] if isinstance(part, int) else part for part in parts)
    websocket_frames.check(bytes((choice,)) + said)
    websocket_frames.check(bytes((choice,)) + said[:cut] + said[cut + 1 :])


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_anything_as_frames(data: bytes) -> None:
    websocket_frames.check(data)


@pytest.mark.parametrize(
    "target",
    [websocket_extensions, websocket_handshake, websocket_frames],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_the_seeds(target: Any) -> None:
    for seed in target.SEEDS:
        step = max(1, len(seed) // 60)
        for end in range(0, len(seed) + 1, step):
            target.check(seed[:end])
        for start, end in itertools.combinations(range(1, len(seed), 7 * step), 2):
            target.check(seed[:start] + seed[end:])
