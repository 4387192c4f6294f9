"""Other people's APIs over drivetrain's engine: translation only, no protocol logic, its public names only.

Each package below is one face. `install` puts the engine below the originals themselves, for programs that are to stay as
they are; `python -m drivetrain.compat run` does so for a program from the command line.
"""

from __future__ import annotations

from drivetrain.compat.installing import FACES, Report, install, installed, uninstall

__all__ = ["FACES", "Report", "install", "installed", "uninstall"]
