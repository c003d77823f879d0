"""The command line."""

from leyden.cli.main import main

__all__ = ["main"]
