"""Becomes a command that ends with its owner: `python -m edgetvm.base.tied OWNER COMMAND…`."""

from __future__ import annotations

import os
import sys

from edgetvm.base.workers import end_with_owner

if __name__ == "__main__":
    end_with_owner(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted
