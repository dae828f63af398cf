"""What the plugin writes, read: `plugin/trace.c` has the format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.base.errors import StorageError

_HEADING = "edgetvm-trace 1"
# Of each level: loads not foreseen, loads foreseen, stores not foreseen, stores foreseen.
_KINDS = 4


@dataclass(frozen=True)
class Misses:
    """Accesses that level 1 did not have, and the next level had.

    Attributes:
        loads, stores: that no prefetcher could foresee.
        foreseen_loads, foreseen_stores: the next line of a stream of misses.
    """

    loads: int = 0
    foreseen_loads: int = 0
    stores: int = 0
    foreseen_stores: int = 0


@dataclass(frozen=True)
class Block:
    """Instructions that are run one after the other.

    Attributes:
        address: of the first.
        codes: of each instruction, in hexadecimal, in the order of memory.
    """

    address: int
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A stretch that the program marked.

    Attributes:
        instructions: of the thread that marked it.
        others: of all other threads.
        misses: by the level that had the line: level 2 first, memory last.
        windows: numbers of blocks, each window as it was run.
    """

    instructions: int
    others: int
    misses: tuple[Misses, ...]
    windows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Trace:
    """All that the plugin wrote of a program."""

    runs: tuple[Run, ...]
    blocks: dict[int, Block]

    def codes(self, window: Sequence[int]) -> list[str]:
        """The instructions of a window, in the order in which they were run."""
        return [code for number in window for code in self.blocks[number].codes]


def parse_trace(text: str, where: str = "") -> Trace:
    """Read what the plugin wrote.

    Raises:
        StorageError: it is not whole, or no trace; names the line.
    """
    lines = text.splitlines()
    if not lines or lines[0] != _HEADING or lines[-1] != "end":
        raise StorageError("it is no whole trace of edgetvm's plugin", where=where)
    runs: list[Run] = []
    blocks: dict[int, Block] = {}
    for number, line in enumerate(lines[1:-1], 2):
        kind, *words = line.split(" ")
        try:
            if kind == "run":
                runs.append(_run(words))
            elif kind == "window":
                runs[-1] = _with_window(runs[-1], words)
            elif kind == "block":
                blocks[int(words[0])] = _block(words)
            else:
                raise ValueError(kind)
        except (ValueError, IndexError):
            raise StorageError(f"line {number} is none of a trace's", where=where) from None
    if any(one not in blocks for run in runs for window in run.windows for one in window):
        raise StorageError("a window names a block that is not told", where=where)
    return Trace(tuple(runs), blocks)


def _run(words: Sequence[str]) -> Run:
    instructions, others, *misses = (_natural(word) for word in words)
    if len(misses) % _KINDS:
        raise ValueError(words)
    levels = (misses[at : at + _KINDS] for at in range(0, len(misses), _KINDS))
    return Run(instructions, others, tuple(Misses(*level) for level in levels), ())


def _with_window(run: Run, words: Sequence[str]) -> Run:
    window = tuple(_natural(word) for word in words)
    return Run(run.instructions, run.others, run.misses, (*run.windows, window))


def _block(words: Sequence[str]) -> Block:
    _, address, *codes = words
    if not codes or any(not bytes.fromhex(code) for code in codes):
        raise ValueError(words)
    return Block(int(address, 16), tuple(codes))


def _natural(word: str) -> int:
    if not word.isascii() or not word.isdigit():
        raise ValueError(word)
    return int(word)
