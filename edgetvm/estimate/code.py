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
# Between two instructions: one that compilers do not write.
_MARKS = {
    "aarch64": "0xdf 0x2e 0x03 0xd5",
    "armv7l": "0x7e 0xf0 0x20 0xe3",
    "x86_64": "0x0f 0x1f 0x80 0x4d 0x3c 0x2b 0x1a",
}
_MARK_TEXTS = {"aarch64": "hint\t#118", "armv7l": "hint\t#126", "x86_64": "nopl\t439041101(%rax)"}
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
    command = [llvm_program("llvm-mc"), "--disassemble", "--show-encoding"]
    command += [f"-triple={triple(architecture)}", _ALL[architecture]]
    told = [f"[{_bytes(code)}]\n[{_MARKS[architecture]}]\n" for code in wanted]
    # What is left behind an open end need not be code, and makes LLVM fail after all is told.
    output = subprocess.run(
        command, input="".join(told), capture_output=True, text=True, check=False
    ).stdout
    matches = map(_ENCODING.match, output.splitlines())
    found: list[list[str]] = [[]]
    for text in (match[1].strip() for match in matches if match):
        if text == _MARK_TEXTS[architecture]:
            found.append([])
        else:
            found[-1].append(text)
    if len(found) != len(wanted) + 1 or not all(found[:-1]):
        raise CompileError("LLVM does not know an instruction of the code")
    return {
        # Behind an open end there is more than one; a prefix is one of its own.
        code: texts[0] if _is_open(code, architecture) else " ".join(texts)
        for code, texts in zip(wanted, found[:-1], strict=True)
    }


def _is_open(code: str, architecture: str) -> bool:
    return architecture == "x86_64" and len(code) == 2 * _LONGEST_X86


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
