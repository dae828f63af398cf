"""Becomes a command that ends with its owner: `python -m edgetvm.base.tied COMMAND…`."""

from __future__ import annotations

import os
import sys

from edgetvm.base.workers import end_with_owner

if __name__ == "__main__":
    end_with_owner()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted
