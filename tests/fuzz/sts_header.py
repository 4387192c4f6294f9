"""Whatever a server says of HSTS, its host is known for at most a century or not at all, before and after a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from drivetrain.engine.policy.hsts import HstsStore, parse_sts

SEEDS = (
    b"max-age=31536000; includeSubDomains; preload",
    b'max-age="1";IncludeSubDomains',
    b"max-age=0",
    b';; max-age = 99999999999999999999999 ;a="b;c\\"";',
    b"max-age=1; max-age=2; includeSubDomains=x",
)

NOW = 1_000_000_000.0
CENTURY = 101 * 365.25 * 24 * 3600


def check(data: bytes) -> None:
    value = data.decode("latin-1")
    store = HstsStore(clock=lambda: NOW)
    directives = parse_sts(value)
    assert store.store_header("host.example", value) is (directives is not None)
    lasts = directives is not None and bool(directives["max-age"].strip("0"))
    assert len(store) == store.check("host.example") == lasts
    below = lasts and directives is not None and "includesubdomains" in directives
    assert store.check("a.host.example") == below
    assert not store.check("example")
    assert not store.check("nothost.example")
    if not lasts:
        return
    assert 0 < store.clean_due() <= CENTURY
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hsts"
        store.save(path)
        again = HstsStore(clock=lambda: NOW)
        assert again.load(path) == 1
    assert (again.check("host.example"), again.check("a.host.example")) == (True, below)
    assert abs(again.clean_due() - store.clean_due()) < 1
