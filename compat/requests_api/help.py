"""What requests says about itself in bug reports: this module is `requests.help` itself, whatever is patched in it."""

from __future__ import annotations

import sys

import requests.help
from requests.help import *  # noqa: F403  # for type checkers

sys.modules[__name__] = requests.help
