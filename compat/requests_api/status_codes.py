"""`codes`: this module is `requests.status_codes` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.status_codes
from requests.status_codes import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.status_codes
