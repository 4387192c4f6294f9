"""Fuzz targets: each module has a function `check(data: bytes)` that raises if its invariant, the first line, is broken."""
