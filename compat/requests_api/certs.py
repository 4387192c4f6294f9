"""Where the bundle of authorities is: this module is `requests.certs` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.certs
from requests.certs import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.certs
