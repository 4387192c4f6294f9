"""The mappings: this module is `requests.structures` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.structures
from requests.structures import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.structures
