"""Helpers: this module is `requests.utils` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.utils
from requests.utils import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.utils
