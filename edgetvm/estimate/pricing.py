"""Core cycles of windows of instructions, as llvm-mca simulates them.

Each window begins with an empty pipeline. Caches, branch prediction and the forwarding of stores to
loads are not in llvm-mca's models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from edgetvm.base.errors import CompileError
from edgetvm.boards.core import CoreModel
from edgetvm.estimate.code import run_llvm, triple
from edgetvm.estimate.tools import llvm_program

# llvm-mca takes 100 cycles for a call, which costs a core no more than another branch.
_CALLS = {"bl": "b", "blr": "br", "callq": "jmp"}
# QEMU tells these once for each byte or word, which cores copy by whole lines.
_REPEATED = re.compile(r"^rep\b")
_CYCLES = re.compile(r"^Total Cycles:\s+(\d+)$", re.MULTILINE)
# Windows that one process simulates.
_LOT = 64


def cycles_of(windows: Sequence[Sequence[str]], core: CoreModel, architecture: str) -> list[int]:
    """The cycles of each window.

    Args:
        windows: instructions as LLVM writes them.
        core: priced by LLVM's tables of `core.llvm`.
        architecture: of the instructions.

    Raises:
        CompileError: llvm-mca refuses the code.
        MissingToolError: it is not installed.
    """
    command = [llvm_program("llvm-mca"), f"-mtriple={triple(architecture)}", f"-mcpu={core.llvm}"]
    command += ["-iterations=1", "-all-views=false", "-summary-view"]
    command += ["-skip-unsupported-instructions=any"]
    command += [f"-dispatch={core.dispatch}"] if core.dispatch else []
    lots = [windows[at : at + _LOT] for at in range(0, len(windows), _LOT)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        found = threads.map(lambda lot: _cycles_of_lot(lot, command), lots)
        return [cycles for lot in found for cycles in lot]


def _cycles_of_lot(windows: Sequence[Sequence[str]], command: Sequence[str]) -> list[int]:
    text = "".join(_region(number, window) for number, window in enumerate(windows))
    found = [int(word) for word in _CYCLES.findall(run_llvm(command, text))]
    if len(found) != len(windows):
        raise CompileError(f"llvm-mca answers for {len(found)} of {len(windows)} windows")
    return found


def _region(number: int, window: Sequence[str]) -> str:
    lines = [_without_calls(text) for text in window if not _REPEATED.match(text)]
    body = "\n".join(lines or ["nop"])
    return f"# LLVM-MCA-BEGIN {number}\n{body}\n# LLVM-MCA-END {number}\n"


def _without_calls(text: str) -> str:
    name, separator, rest = text.partition("\t")
    return _CALLS.get(name, name) + separator + rest
