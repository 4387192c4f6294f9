"""Cookie jars: this module is `requests.cookies` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.cookies
from requests.cookies import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.cookies
