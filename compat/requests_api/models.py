"""Requests and responses: this module is `requests.models` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.models
from requests.models import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.models
