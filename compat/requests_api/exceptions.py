"""Every error: this module is `requests.exceptions` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.exceptions
from requests.exceptions import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.exceptions
