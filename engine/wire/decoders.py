"""Removing content codings (RFC 9110 section 8.4): any number of them in a row, within limits on what they may blow up to.

gzip, x-gzip and deflate are always there; br (RFC 7932) with the package `brotli` or `brotlicffi`, zstd (RFC 8878) with Python
3.14 or `backports.zstd`. The laws are those of `codings`: input may come in any pieces, the work of a call is bounded, and what
is corrupt or cut short is a `DecodingError`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Protocol

from ..errors import DecodingError, LimitExceeded, UsageError
from .codings import CODINGS, Inflater

__all__ = ["DEFAULT_DECODING_LIMITS", "ContentDecoder", "DecodingLimits", "accepted_codings", "known_codings"]

_BROTLI = ("brotli", "brotlicffi")
_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
# What zstd content may need to be held for it to be decoded: 8 MiB (RFC 9659 section 3).
_ZSTD_WINDOW_LOG = 23
# More codings in a row than anybody means; each is work for every byte.
_MOST_CODINGS = 5
_BETWEEN = 64 * 1024  # handed from one coding to the next at a time


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """What content may grow to when its codings are removed. Passing a limit is a `LimitExceeded`; None for no limit.

    Args:
        max_ratio: bytes out for each byte in, looked at from
        ratio_from: this many bytes out on, so that small content of much repetition passes.
        max_size: bytes out in all.
    """

    max_ratio: float | None = 250.0
    ratio_from: int = 16 * 1024 * 1024
    max_size: int | None = 10 * 1024 * 1024 * 1024


DEFAULT_DECODING_LIMITS = DecodingLimits()


class _Stage(Protocol):
    """What every decoder can do; see `Inflater`."""

    @property
    def has_pending(self) -> bool: ...

    def decode(self, data: bytes, max_length: int = 0) -> bytes: ...

    def finish(self) -> None: ...


@lru_cache(maxsize=1)
def _brotli_module() -> Any:
    """The package for br, None without one. Before 1.2 they cannot be told how much to give out at a time."""
    for name in _BROTLI:
        if find_spec(name) is not None:
            module = importlib.import_module(name)
            if hasattr(module.Decompressor, "can_accept_more_data"):
                return module
    return None


@lru_cache(maxsize=1)
def _zstd_module() -> str | None:
    try:
        return _ZSTD if find_spec(_ZSTD) is not None else None
    except ModuleNotFoundError:  # not even the package above it
        return None


@lru_cache(maxsize=1)
def known_codings() -> frozenset[str]:
    """The codings that can be removed here, in lower case."""
    known = set(CODINGS)
    if _brotli_module() is not None:
        known.add("br")
    if _zstd_module() is not None:
        known.add("zstd")
    return frozenset(known)


@lru_cache(maxsize=1)
def accepted_codings() -> str:
    """The value of Accept-Encoding that asks for all of them."""
    return ", ".join(name for name in ("gzip", "deflate", "br", "zstd") if name in known_codings())


class _Brotli:
    def __init__(self) -> None:
        module = _brotli_module()
        self._decoder: Any = module.Decompressor()
        self._error: Any = module.error
        self._started = False

    @property
    def has_pending(self) -> bool:
        return not self._decoder.can_accept_more_data()

    def decode(self, data: bytes, max_length: int = 0) -> bytes:
        if data:
            self._started = True
        elif not self.has_pending:
            return b""
        try:
            output: bytes = self._decoder.process(data, output_buffer_limit=max_length or sys.maxsize)
        except self._error as error:
            raise DecodingError(f"corrupt br data: {error}") from error
        return output

    def finish(self) -> None:
        if self._started and not self._decoder.is_finished():
            raise DecodingError("br data is cut short")


class _Zstd:
    """One frame after the other (RFC 8878 section 3.1)."""

    def __init__(self) -> None:
        self._module: Any = importlib.import_module(_zstd_module() or _ZSTD)
        self._decoder: Any = None
        self._started = False
        self._rest = b""

    @property
    def has_pending(self) -> bool:
        return bool(self._rest) or (self._decoder is not None and not self._decoder.needs_input)

    def decode(self, data: bytes, max_length: int = 0) -> bytes:
        data = self._rest + data
        self._rest = b""
        output = b""
        while not output and (data or (self._decoder is not None and not self._decoder.needs_input)):
            if self._decoder is None:
                self._started = True
                limit = {self._module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
                self._decoder = self._module.ZstdDecompressor(options=limit)
            try:
                output = self._decoder.decompress(data, max_length or -1)
            except self._module.ZstdError as error:
                raise DecodingError(f"corrupt zstd data: {error}") from error
            data = b""
            if self._decoder.eof:
                data = self._rest = self._decoder.unused_data
                self._decoder = None
                if output:
                    break
        self._rest = data
        return output

    def finish(self) -> None:
        if self._decoder is not None or self._rest:
            raise DecodingError("zstd data is cut short")


def _new_stage(coding: str) -> _Stage:
    if coding == "br":
        return _Brotli()
    if coding == "zstd":
        return _Zstd()
    return Inflater(coding)


class ContentDecoder:
    """Removes the codings of one body.

    Args:
        codings: their names as in Content-Encoding, in the order in which they were put on; all of them known.
        limits: see `DecodingLimits`.

    Raises:
        UsageError: one is not known.
        DecodingError: there are too many.
    """

    __slots__ = ("_limits", "_read", "_source", "_stages", "_written", "codings")

    def __init__(self, codings: Iterable[str], limits: DecodingLimits = DEFAULT_DECODING_LIMITS) -> None:
        self.codings = tuple(coding.lower() for coding in codings)
        for coding in self.codings:
            if coding not in known_codings():
                raise UsageError(f"the coding {coding!r} is not known here")
        if len(self.codings) > _MOST_CODINGS:
            raise DecodingError(f"{len(self.codings)} content codings in a row")
        self._stages = [_new_stage(coding) for coding in reversed(self.codings)]
        self._limits = limits
        self._source = b""
        self._read = self._written = 0

    @property
    def has_pending(self) -> bool:
        """Whether `decode(b"", max_length)` may return more without further input."""
        return bool(self._source) or any(stage.has_pending for stage in self._stages)

    def decode(self, data: bytes, max_length: int) -> bytes:
        """Take in `data` and return some of what it decodes to, about `max_length` bytes at most; see `has_pending`.

        Raises:
            DecodingError: the content is corrupt.
            LimitExceeded: it grows beyond the limits.
        """
        if data:
            self._read += len(data)
            self._source += data
        output = self._pull(len(self._stages) - 1, max_length)
        if output:
            self._written += len(output)
            self._check()
        return output

    def _pull(self, index: int, max_length: int) -> bytes:
        if index < 0:
            data, self._source = self._source, b""
            return data
        stage = self._stages[index]
        while stage.has_pending:
            output = stage.decode(b"", max_length)
            if output:
                return output
        while piece := self._pull(index - 1, _BETWEEN):
            output = stage.decode(piece, max_length)
            if output:
                return output
        return b""

    def _check(self) -> None:
        limits, written = self._limits, self._written
        if limits.max_size is not None and written > limits.max_size:
            raise LimitExceeded(f"the content is more than {limits.max_size} bytes when its codings are removed")
        if limits.max_ratio is not None and written > limits.ratio_from and written > limits.max_ratio * self._read:
            raise LimitExceeded(f"the content grows more than {limits.max_ratio:g}-fold when its codings are removed")

    def finish(self) -> None:
        """Say that the input has ended; call when nothing is pending any more. Raises `DecodingError` for a cut one."""
        for stage in self._stages:
            stage.finish()
