"""A remedy for slow imports of TVM's schedule search."""

from __future__ import annotations

import inspect

# Names that code without a file has in tracebacks, and a module to answer for each: what every
# import goes through, what `python -m` and `python -c` begin with, and what TVM's parser evaluates.
_FILELESS = {
    "<frozen importlib._bootstrap>": "importlib._bootstrap",
    "<frozen importlib._bootstrap_external>": "importlib._bootstrap_external",
    "<frozen runpy>": "runpy",
    "<string>": "builtins",
    "<ast>": "builtins",
}


def quick_frames() -> None:
    """Let `inspect` know the code that has no file.

    TVM parses a hundred intrinsics when `tvm.s_tir.meta_schedule` is imported, and for each asks
    `inspect.stack()` about every frame. For a frame without a file `inspect` looks through all of
    `sys.modules`, each time: the import takes a minute, and a few seconds with this.
    """
    for file, module in _FILELESS.items():
        inspect.modulesbyfile.setdefault(file, module)
