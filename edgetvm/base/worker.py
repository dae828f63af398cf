"""A process of `edgetvm.base.workers`: `python -m edgetvm.base.worker MODULE:MAKER ARGUMENTS`."""

from __future__ import annotations

import importlib
import sys

from edgetvm.base.workers import end_with_owner, serve


def main(name: str, *arguments: str) -> None:
    """Answer requests with what the maker makes."""
    end_with_owner()
    module, _, maker = name.partition(":")
    serve(lambda: getattr(importlib.import_module(module), maker)(*arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
