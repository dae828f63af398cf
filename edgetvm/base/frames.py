"""A remedy for slow imports of TVM's schedule search."""

from __future__ import annotations

import inspect

_FROZEN = ("importlib._bootstrap", "importlib._bootstrap_external")


def quick_frames() -> None:
    """Let `inspect` know the two frozen modules that every import goes through.

    TVM parses a hundred intrinsics when `tvm.s_tir.meta_schedule` is imported, and for each asks
    `inspect.stack()` about every frame. Frozen modules have no file, so `inspect` looks through all
    of `sys.modules` for them, each time: the import takes a minute, and 5 s with this.
    """
    for name in _FROZEN:
        inspect.modulesbyfile.setdefault(f"<frozen {name}>", name)  # type: ignore[attr-defined]
