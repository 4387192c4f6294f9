"""A short run of the cookie targets: their seeds, pieces of them in any order, and any bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz import netscape_file, set_cookie


def inputs(seeds: tuple[bytes, ...], divider: bytes) -> st.SearchStrategy[bytes]:
    """Pieces of the seeds, mixed with anything."""
    pieces = sorted({piece for seed in seeds for line in seed.split(b"\n") for piece in line.split(divider)})
    mixed = st.lists(st.sampled_from([*pieces, divider, b"\n", b"="]) | st.binary(max_size=5), max_size=20)
    return mixed.map(b"".join) | st.lists(st.sampled_from(pieces), max_size=16).map(divider.join) | st.binary()


@given(inputs(set_cookie.SEEDS, b";"))
@example(b"a=" + b"x" * 4095)
def test_set_cookie(data: bytes) -> None:
    set_cookie.check(data)


@given(inputs(netscape_file.SEEDS, b"\t"))
def test_netscape_file(data: bytes) -> None:
    netscape_file.check(data)


@pytest.mark.parametrize("module", [set_cookie, netscape_file])
def test_the_seeds(module: object) -> None:
    check: Callable[[bytes], None] = module.check  # type: ignore[attr-defined]
    for seed in module.SEEDS:  # type: ignore[attr-defined]
        for end in range(len(seed) + 1):
            check(seed[:end])
