"""What goes through the engine in a process that runs a suite, what goes past it, and where the process runs.

It stands alone, since it runs in the suites' environment as well: `conformance.library_suites` copies it there.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from drivetrain.engine import Client

__all__ = ["Watch", "bare_environment"]

_NAMED = ("requests_ca_bundle", "curl_ca_bundle", "netrc")


class Watch:
    """Counts from when it is made.

    Attributes:
        exchanges: requests that the engine's client was given.
        past: connections that http.client opened, which urllib3's pools use too.
    """

    def __init__(self) -> None:
        self.exchanges = self.past = 0
        original = Client.exchange

        def exchange(client: Client, *args: Any, **kwargs: Any) -> Any:
            self.exchanges += 1
            return original(client, *args, **kwargs)

        Client.exchange = exchange  # type: ignore[method-assign, assignment]
        sys.addaudithook(self._note)

    def _note(self, event: str, _: tuple[Any, ...]) -> None:
        if event == "http.client.connect":
            self.past += 1


def bare_environment(**more: str) -> dict[str, str]:
    """The environment without what requests and urllib read from it: the suites expect none of that."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in _NAMED and not name.lower().endswith("_proxy")
    }
    return {**kept, **more}
