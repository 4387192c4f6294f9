"""Authentication handlers: this module is `requests.auth` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.auth
from requests.auth import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.auth
