"""The `edgetvm` command: parse, call the library, print."""

from edgetvm.cli.root import main

__all__ = ["main"]
