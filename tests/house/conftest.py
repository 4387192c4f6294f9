"""What the checks share."""

from __future__ import annotations

import pytest

from tests.house.tree import Module, other_modules


@pytest.fixture(scope="package")
def users() -> list[Module]:
    """Tests, bench and examples: parsed once for all checks, and let go of after them, for they are many megabytes."""
    return other_modules("tests", "bench", "examples", "conformance")
