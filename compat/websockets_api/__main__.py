"""`python -m drivetrain.compat.websockets_api ws://…`: see `cli`."""

from __future__ import annotations

from drivetrain.compat.websockets_api.cli import main

if __name__ == "__main__":
    main()
