"""Words that native libraries write past Python, straight to file descriptor 2."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def native_words_kept_back() -> Iterator[None]:
    """Keep TVM's own words off the user's screen, unless `EDGETVM_NATIVE_LOG` is set.

    TVM warns about its own converters there, line by line, in words that no user can act on, and
    its converters print to Python's stdout, which belongs to results.
    Errors still arrive as exceptions. A terminal that must write meanwhile holds a duplicate of
    descriptor 2 (`edgetvm.cli.terminal`).
    """
    if os.environ.get("EDGETVM_NATIVE_LOG"):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as sink:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(sink.fileno(), 2)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        try:
            sys.stderr.flush()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
