"""Names that requests keeps for old callers: this module is `requests.compat` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.compat
from requests.compat import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.compat
