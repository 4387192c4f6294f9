"""What the adapters have to know of HTTP versions."""

from __future__ import annotations

__all__ = ["VERSION_NUMBERS"]

VERSION_NUMBERS = {"1.0": 10, "1.1": 11, "2": 20}
"""What `version` is of a response whose `http_version` is the key, as `http.client` and urllib3 number them."""
