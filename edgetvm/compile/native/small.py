"""Objects whose code is small: LLVM is told so for each function."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

# What LLVM's code generator takes as a wish for few bytes; on AArch64 it then shares sequences of
# instructions, too.
SMALL = "minsize optsize"
# All functions but those that the entry calls by name from the other object can go unseen.
_HIDDEN = (
    ("define dllexport ", "define hidden "),
    ("define weak dso_local ", "define weak hidden "),
)


def small_object(kernels: Any, folder: Path) -> Path:
    """Write the object file of TVM's kernels, with nothing that others could find in it.

    Args:
        kernels: TVM's runtime module of them.
        folder: for files of one's own; it is the caller's.
    """
    from tvm.runtime import load_module

    text = kernels.inspect_source("ll")
    for usual, hidden in _HIDDEN:
        text = text.replace(usual, hidden)
    source, found = folder / "kernels.ll", folder / "kernels.o"
    source.write_text(re.sub(r"^(attributes #\d+ = \{)", rf"\1 {SMALL}", text, flags=re.MULTILINE))
    load_module(str(source)).write_to_file(str(found), "o")
    return found
