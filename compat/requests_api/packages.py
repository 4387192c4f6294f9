"""The packages below requests: this module is `requests.packages` itself, and so are the modules below it."""

from __future__ import annotations

import sys

import requests.packages

_PREFIX = "requests.packages."


def _alias() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith(_PREFIX):
            sys.modules[f"{__name__}.{name[len(_PREFIX) :]}"] = module


_alias()
sys.modules[__name__] = requests.packages
