"""Hooks: this module is `requests.hooks` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.hooks
from requests.hooks import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.hooks
