"""The adapter that stands in the place of `requests.adapters.HTTPAdapter` while the engine is installed below requests.

It is a class of its own, so that taking the engine away again leaves alone what a program made of it by name: the classes of
this package, and sessions of `requests_api`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from requests.adapters import HTTPAdapter as OriginalAdapter

from drivetrain.compat.requests_api.adapters import HTTPAdapter
from drivetrain.engine import HstsStore

__all__ = ["InstalledAdapter"]


class InstalledAdapter(HTTPAdapter):
    """See the module. It is pickled under the name it stands in for, with what that knows: elsewhere it is what is there.

    Attributes:
        engine_defaults: options of `EngineAdapter` for every adapter that is not given any.
    """

    engine_defaults: ClassVar[dict[str, Any]] = {}
    _engine_stands_in = True

    __attrs__ = [*OriginalAdapter.__attrs__]  # noqa: RUF012  # as in the base class

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**type(self).engine_defaults, **options})

    def _engine_start(self) -> None:
        if "_engine_options" not in vars(self):  # its constructor was that of requests' own class
            options = dict(type(self).engine_defaults)
            hsts = options.pop("hsts", False)
            self._engine_hsts = HstsStore() if hsts is True else None if hsts is False else hsts
            self._engine_options = options
        super()._engine_start()


InstalledAdapter.__name__ = InstalledAdapter.__qualname__ = OriginalAdapter.__qualname__
InstalledAdapter.__module__ = OriginalAdapter.__module__
