"""requests on drivetrain's engine: an adapter that a real `requests.Session` mounts.

::

    session = requests.Session()
    session.mount("https://", EngineAdapter())
    session.mount("http://", EngineAdapter())

Laws:

- what a program sees is what it saw before: requests' classes, urllib3's classes where requests shows them, the same
  exceptions, the same bytes on the wire;
- what the engine cannot do yet (proxies, pools that a subclass makes itself) goes through urllib3 as before.
"""

from __future__ import annotations

from drivetrain.compat.requests_api.adapter import EngineAdapter

__all__ = ["EngineAdapter"]
