"""`python -m drivetrain.compat run …`: see `drivetrain.compat.running`."""

from __future__ import annotations

import sys

from drivetrain.compat.running import main

if __name__ == "__main__":
    sys.exit(main())
