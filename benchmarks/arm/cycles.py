"""An estimate of a core's cycles: llvm-mca's, of sampled stretches of what was executed.

Each window is simulated from an empty pipeline; together they give cycles per instruction, with the
standard error of their mean. Caches, branch prediction and the forwarding of stores to loads are
not in llvm-mca's models. On x86, where the truth can be measured, such estimates had a mean error
factor of 1.2 where memory is no limit, and read too well for code that spills registers.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from benchmarks.arm.tools import program
from edgetvm.measure.peers.case import Unavailable

_TRIPLE = "-triple=aarch64"
# llvm-mca takes 100 cycles for a call, which costs a core no more than another branch.
_CALLS = {"bl": "b", "blr": "br"}


@dataclass(frozen=True)
class Rate:
    """Cycles per instruction.

    Attributes:
        standard_error: of the mean over the windows.
    """

    cycles: float
    standard_error: float


def rate(windows: Sequence[Sequence[str]], cpu: str) -> Rate:
    """The rate at which a core runs the windows.

    Raises:
        Unavailable: LLVM's programs are not installed, or refuse the code.
    """
    text = assembly(sorted({code for window in windows for code in window}), cpu)
    counts = [len(window) for window in windows]
    regions = [region(number, [text[code] for code in one]) for number, one in enumerate(windows)]
    command = [program("llvm-mca"), f"-m{_TRIPLE[1:]}", f"-mcpu={cpu}", "-iterations=1"]
    command += ["-all-views=false", "-summary-view", "-skip-unsupported-instructions=any"]
    cycles = cycles_of(_output(command, "".join(regions)))
    if len(cycles) != len(windows):
        raise Unavailable(f"llvm-mca answers for {len(cycles)} of {len(windows)} windows")
    rates = [cycle / count for cycle, count in zip(cycles, counts, strict=True)]
    mean = sum(cycles) / sum(counts)
    return Rate(mean, stdev(rates) / len(rates) ** 0.5 if len(rates) > 1 else 0.0)


def region(number: int, lines: Sequence[str]) -> str:
    """One region of llvm-mca's input."""
    body = "\n".join(_without_calls(line) for line in lines)
    return f"// LLVM-MCA-BEGIN {number}\n{body}\n// LLVM-MCA-END {number}\n"


def _without_calls(line: str) -> str:
    name, separator, rest = line.partition("\t")
    return _CALLS.get(name, name) + separator + rest


def cycles_of(output: str) -> list[int]:
    """The cycles of each region in llvm-mca's summary views."""
    return [int(word) for word in re.findall(r"^Total Cycles:\s+(\d+)$", output, re.MULTILINE)]


def assembly(codes: Sequence[str], cpu: str) -> dict[str, str]:
    """Each instruction's text, by its code in hexadecimal."""
    lines = "".join(" ".join(f"0x{code[i : i + 2]}" for i in (0, 2, 4, 6)) + "\n" for code in codes)
    found = _output([program("llvm-mc"), "--disassemble", _TRIPLE, f"-mcpu={cpu}"], lines)
    texts = [
        line.strip() for line in found.splitlines() if line[:1] == "\t" and line[1:2] not in "."
    ]
    if len(texts) != len(codes):
        raise Unavailable(f"llvm-mc knows {len(texts)} of {len(codes)} instructions")
    return dict(zip(codes, texts, strict=True))


def _output(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        raise Unavailable(f"{command[0]} fails: {lines[-1]:.200}")
    return done.stdout
