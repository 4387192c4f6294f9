"""Limits and times, and compression, as `websockets` says them and as the engine does."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from drivetrain.compat.websockets_api.compression import (
    UnsupportedExtension,
    agreed_extensions,
    client_deflate,
    server_deflate,
)
from drivetrain.compat.websockets_api.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from drivetrain.compat.websockets_api.settings import (
    NO_LIMIT,
    Settings,
    split_max_queue,
    split_max_size,
    split_write_limit,
)
from drivetrain.engine import DeflateOptions

MIB = 1 << 20


@pytest.mark.parametrize(
    ("max_size", "pair"), [(None, (None, None)), (5, (5, None)), ((5, 3), (5, 3)), ((None, 3), (None, 3))]
)
def test_max_size(max_size: Any, pair: tuple[int | None, int | None]) -> None:
    assert split_max_size(max_size) == pair
    limits = Settings(max_size=max_size).limits
    assert (limits.max_message_size, limits.max_frame_size) == pair


@pytest.mark.parametrize(
    ("max_queue", "pair"),
    [
        (None, (None, None)),
        (16, (16, 4)),
        (0, (0, 0)),
        ((16, None), (16, 4)),
        ((16, 2), (16, 2)),
        ((None, 4), (16, 4)),
        ((None, None), (None, None)),
    ],
)
def test_max_queue(max_queue: Any, pair: tuple[int | None, int | None]) -> None:
    assert split_max_queue(max_queue) == pair
    assert split_max_queue(pair) == pair


@pytest.mark.parametrize(("write_limit", "pair"), [(32768, (32768, 8192)), ((10, None), (10, 2)), ((10, 10), (10, 10))])
def test_write_limit(write_limit: Any, pair: tuple[int, int]) -> None:
    assert split_write_limit(write_limit) == pair
    assert Settings(write_limit=write_limit).limits.max_outbox == pair[0]


def test_marks_that_contradict_each_other() -> None:
    for call in (lambda: split_max_queue((1, 2)), lambda: split_max_queue((1, -1)), lambda: split_write_limit((1, 2))):
        with pytest.raises(ValueError, match="low"):
            call()
    with pytest.raises(ValueError, match="low"):
        Settings(max_queue=(1, 2))
    with pytest.raises(ValueError, match="low"):
        Settings(write_limit=(1, 2))


@pytest.mark.parametrize("max_size", [MIB, None, 100, 30 * MIB])
def test_there_is_room_for_as_many_frames_of_the_largest_size_as_were_asked_for(max_size: int | None) -> None:
    limits = Settings(max_size=max_size, max_queue=16).limits
    assert limits.queue_size >= 16 * (max_size or MIB)
    assert limits.max_queue >= 16 * max((max_size or MIB) // 16384, 1)
    assert Settings(max_size=max_size, max_queue=None).limits.queue_size == NO_LIMIT
    assert Settings(max_size=max_size, max_queue=0).limits.max_queue >= 1


def test_options() -> None:
    options = Settings().options
    assert (options["close_timeout"], options["ping_interval"], options["ping_timeout"]) == (10, 20, 20)
    options = Settings(ping_interval=None, ping_timeout=None, close_timeout=None).options
    assert (options["close_timeout"], options["ping_interval"], options["ping_timeout"]) == (math.inf, None, None)
    assert Settings(ping_interval=0).options["ping_interval"] > 0


# --- compression ------------------------------------------------------------------------------------------------------


def test_no_extensions_mean_no_compression() -> None:
    assert client_deflate(None) is client_deflate([]) is server_deflate(None) is None


@pytest.mark.parametrize(
    ("factory", "options"),
    [
        (ClientPerMessageDeflateFactory(), DeflateOptions(False, False, None, None, -1, 8)),
        (ClientPerMessageDeflateFactory(True, True, 10, 11), DeflateOptions(True, True, 10, 11, -1, 8)),
        (
            ClientPerMessageDeflateFactory(compress_settings={"level": 9, "memLevel": 3}),
            DeflateOptions(False, False, None, None, 9, 3),
        ),
        (ClientPerMessageDeflateFactory(server_max_window_bits=8), DeflateOptions(False, False, 9, None, -1, 8)),
    ],
)
def test_a_client_s_factory(factory: Any, options: DeflateOptions) -> None:
    assert client_deflate([factory]) == options
    assert client_deflate([factory, ClientPerMessageDeflateFactory(True)]) == options


def test_a_server_s_factory() -> None:
    factory = ServerPerMessageDeflateFactory(True, False, 10, 11, {"memLevel": 5})
    assert server_deflate([factory]) == DeflateOptions(True, False, 10, 11, -1, 5)


def test_other_extensions() -> None:
    with pytest.raises(UnsupportedExtension, match="'x-other'"):
        client_deflate([ClientPerMessageDeflateFactory(), SimpleNamespace(name="x-other")])
    with pytest.raises(NotImplementedError, match="SimpleNamespace"):
        server_deflate([SimpleNamespace()])


@pytest.mark.parametrize("side", ["client", "server"])
def test_what_was_agreed_on_is_shown_from_this_side(side: str) -> None:
    agreed = SimpleNamespace(
        server_no_context_takeover=True,
        client_no_context_takeover=False,
        server_max_window_bits=10,
        client_max_window_bits=11,
    )
    core: Any = SimpleNamespace(machine=SimpleNamespace(deflate=agreed), type=side)
    (extension,) = agreed_extensions(core, [ClientPerMessageDeflateFactory(compress_settings={"level": 1})])
    local = (extension.local_no_context_takeover, extension.local_max_window_bits)
    remote = (extension.remote_no_context_takeover, extension.remote_max_window_bits)
    assert (local, remote) == (((False, 11), (True, 10)) if side == "client" else ((True, 10), (False, 11)))
    core.machine.deflate = None
    assert agreed_extensions(core, None) == []
