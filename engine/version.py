"""The name and version of the project, written down once: the packaging metadata reads it from here."""

from __future__ import annotations

__all__ = ["name", "version"]

name = "drivetrain"
version = "0.1.0"
