"""Which version this is: on the command line, in the description, and on every reply."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("creche")
HEADER = "Creche-Version"
"""The header that every reply has."""
