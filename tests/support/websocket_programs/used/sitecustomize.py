"""Notes, at the end of a process, how many protocols of the `websockets` library itself it made."""

from __future__ import annotations

import atexit
import os
import sys


def note() -> None:
    with open(os.environ["PROTOCOLS_MADE"], "w") as file:
        file.write(str(len(made)))


made: list[str] = []
CLASSES = {"websockets.protocol": "Protocol", "websockets.legacy.protocol": "WebSocketCommonProtocol"}


class Count:
    """Changes the original's protocols when they are imported."""

    def find_spec(self, name, path, target=None):
        if name not in CLASSES:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        loader = spec.loader

        class Loader:
            def create_module(self, spec):
                return None

            def exec_module(self, module):
                loader.exec_module(module)
                kind = getattr(module, CLASSES[name])
                init = kind.__init__

                def counting(self, *args, **kwargs):
                    made.append(name)
                    init(self, *args, **kwargs)

                kind.__init__ = counting

        spec.loader = Loader()
        return spec


if "PROTOCOLS_MADE" in os.environ:
    sys.meta_path.insert(0, Count())
    atexit.register(note)
