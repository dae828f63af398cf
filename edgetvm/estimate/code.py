"""Machine code as LLVM's assembly text."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence

from edgetvm.base.errors import CompileError
from edgetvm.estimate.tools import llvm_program

_TRIPLES = {"aarch64": "aarch64", "armv7l": "armv8", "x86_64": "x86_64"}
_ALL = {"aarch64": "-mattr=+all", "armv7l": "-mcpu=cortex-a53", "x86_64": "-mcpu=znver4"}
_ENCODING = re.compile(r"^\t(.*?)\s*(?:#|//|@) encoding: \[")
# The plugin tells so many bytes of an x86 instruction whose end QEMU does not tell.
_LONGEST_X86 = 15


def triple(architecture: str) -> str:
    """As LLVM's programs take it."""
    return _TRIPLES[architecture]


def texts_of(codes: Iterable[str], architecture: str) -> dict[str, str]:
    """Each instruction's text, by its code in hexadecimal.

    Raises:
        CompileError: LLVM does not know one of them.
        MissingToolError: LLVM's programs are not installed.
    """
    wanted = sorted(set(codes))
    closed = [code for code in wanted if not _is_open(code, architecture)]
    texts = _decoded(closed, architecture)
    if len(texts) != len(closed):
        raise CompileError(f"LLVM knows {len(texts)} of {len(closed)} instructions")
    found = dict(zip(closed, texts, strict=True))
    for code in wanted:
        if code not in found:
            found[code] = _decoded([code], architecture)[0]
    return found


def _is_open(code: str, architecture: str) -> bool:
    """Whether it goes on behind its end, so that more than one may be decoded."""
    return architecture == "x86_64" and len(code) == 2 * _LONGEST_X86


def _decoded(codes: Sequence[str], architecture: str) -> list[str]:
    command = [llvm_program("llvm-mc"), "--disassemble", "--show-encoding"]
    command += [f"-triple={triple(architecture)}", _ALL[architecture]]
    output = run_llvm(command, "".join(f"[{_bytes(code)}]\n" for code in codes))
    matches = map(_ENCODING.match, output.splitlines())
    return [match[1].strip() for match in matches if match]


def _bytes(code: str) -> str:
    return " ".join(f"0x{code[at : at + 2]}" for at in range(0, len(code), 2))


def run_llvm(command: Sequence[str], text: str) -> str:
    """What one of LLVM's programs says to a text.

    Raises:
        CompileError: it failed; with its last words.
    """
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        raise CompileError(f"{command[0]} failed: {lines[-1]:.200}")
    return done.stdout
