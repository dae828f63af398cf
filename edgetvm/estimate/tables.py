"""Core cycles by edgetvm's own tables: cores that issue in order, and that LLVM prices wrongly.

An instruction issues when the one before it has, its operands are there and its units are free. A
table (`cores/NAME.yaml`) says which units it takes and for how many cycles, and when its result is
there. Units are taken in whole: `vector: 2` of two units is one instruction a cycle.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.yamlfile import read_yaml

_STRICT = ConfigDict(extra="forbid")
_FOLDER = Path(__file__).parent / "cores"
Positive = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, config=_STRICT)
class Kind:
    """Instructions that a core treats alike.

    Attributes:
        match: pattern that their text begins with.
        units: that they take, by name: units x cycles.
        latency: cycles until the result is there.
        accumulate: cycles after which an operand that is added to must be there; as `latency`
            of the one before it counts where it is 0.
        alone: whether nothing else issues in the same cycle.
    """

    match: str
    units: dict[str, Positive]
    latency: Positive
    accumulate: Annotated[int, Field(ge=0)] = 0
    alone: bool = False


@dataclass(frozen=True, config=_STRICT)
class Table:
    """A core that issues in order.

    Attributes:
        issue: instructions in a cycle.
        units: how many there are of each.
        kinds: of instructions; the first that matches counts.
    """

    issue: Positive
    units: dict[str, Positive]
    kinds: tuple[Kind, ...] = field(default_factory=tuple)


@functools.cache
def load_table(name: str) -> Table:
    """The table of a core.

    Raises:
        ConfigurationError: its file cannot be used.
    """
    return read_yaml(_FOLDER / f"{name}.yaml", Table)


@dataclass(frozen=True)
class _Decoded:
    kind: Kind
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    accumulates: str


def table_cycles_of(windows: Sequence[Sequence[str]], name: str) -> list[int]:
    """The cycles of each window.

    Args:
        windows: instructions of AArch64 as LLVM writes them.
        name: of the core's table.
    """
    table = load_table(name)
    patterns = [(re.compile(one.match), one) for one in table.kinds]
    known: dict[str, _Decoded] = {}

    def decoded(text: str) -> _Decoded:
        if text not in known:
            kind = next(one for pattern, one in patterns if pattern.match(text))
            known[text] = _Decoded(kind, *_operands(text, kind))
        return known[text]

    return [_cycles(table, [decoded(text) for text in window]) for window in windows]


def _cycles(table: Table, window: Sequence[_Decoded]) -> int:
    pipeline = _Pipeline(table)
    for one in window:
        pipeline.issue(one)
    return max([pipeline.now + 1, *pipeline.ready.values()])


class _Pipeline:
    """A core in the middle of a window.

    Attributes:
        now: cycle in which the last instruction issued.
        ready: cycle in which each register has its value.
    """

    def __init__(self, table: Table) -> None:
        self.now = 0
        self.ready: dict[str, int] = {}
        self._table = table
        self._issued = 0  # in this cycle
        self._free = dict.fromkeys(table.units, 0.0)
        self._added: dict[str, int] = {}  # when registers may be added to

    def issue(self, one: _Decoded) -> None:
        """The next instruction."""
        kind = one.kind
        begin = self._begin(one)
        self._issued = self._issued + 1 if begin == self.now else 1
        self._issued = self._table.issue if kind.alone else self._issued
        self.now = begin
        for unit, taken in kind.units.items():
            self._free[unit] = max(self._free[unit], begin) + taken / self._table.units[unit]
        for register in one.writes:
            self.ready[register] = begin + kind.latency
            self._added.pop(register, None)
        if one.accumulates:
            self._added[one.accumulates] = begin + kind.accumulate

    def _begin(self, one: _Decoded) -> int:
        """The first cycle in which it can issue."""
        kind = one.kind
        begin = max((self.ready.get(register, 0) for register in one.reads), default=0)
        if one.accumulates:
            ready = self.ready.get(one.accumulates, 0)
            begin = max(begin, self._added.get(one.accumulates, ready))
        begin = max(begin, self.now, *(int(self._free[unit]) for unit in kind.units))
        full = self._issued == self._table.issue or (kind.alone and self._issued > 0)
        return begin + 1 if begin == self.now and full else begin


_REGISTER = re.compile(r"\b(?:v(\d+)|[qdshb](\d+)|([xw])(\d+)|(sp)|([xw]zr))\b")
_FLAG_WRITERS = re.compile(r"^(?:cm[pn]|tst|ccm[pn]|fcmpe?|fccmp|(?:add|sub|and|bic|adc|sbc)s)\b")
_FLAG_READERS = re.compile(
    r"^(?:b\.\w+|ccm[pn]|cset|csetm|cs(?:el|inc|inv|neg)|cinc|fcsel|fccmp)\b"
)
_WRITES_NONE = re.compile(r"^(?:st|cmp|cmn|tst|ccm|fcmp|fccmp|b\b|b\.|bl|br|ret|cb|tb|prf|nop)")
_KEEPS = re.compile(r"^(?:ins|mov\s+v\d+\.\w\[|movk|bsl|bit|bif|ld[1-4]\s+\{[^}]*\}\[|\w+n2\s)")
_FLAGS = "flags"


def _operands(text: str, kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Registers that are read and written, and the one that is added to."""
    name, _, rest = text.partition("\t")
    before, _, inside = rest.partition("[x") if name[:2] in ("ld", "st") else (rest, "", "")
    parts = [_named(match) for match in _REGISTER.finditer(before)]
    results = 0 if _WRITES_NONE.match(text) else _results(name, before)
    writes, reads = parts[:results], parts[results:]
    address = [_named(match) for match in _REGISTER.finditer("x" + inside)] if inside else []
    moves_on = "]!" in inside or "]," in inside
    accumulates = _accumulated(name, reads, writes) if kind.accumulate and writes else ""
    kept = writes[:1] if not accumulates and _KEEPS.match(text) else []
    reads = [*reads, *address, *kept, *([_FLAGS] if _FLAG_READERS.match(text) else [])]
    writes = [*writes, *(address[:1] if moves_on else [])]
    writes += [_FLAGS] if _FLAG_WRITERS.match(text) else []
    return tuple(reads), tuple(writes), accumulates


def _accumulated(name: str, reads: list[str], writes: list[str]) -> str:
    """The register that is added to; of scalars it is the last one that is read, and taken away."""
    return reads.pop() if name.startswith(("fmadd", "fmsub", "fnm")) else writes[0]


def _results(name: str, before: str) -> int:
    """How many of the registers that come first are written."""
    if name in ("ldp", "ldnp", "ldpsw"):
        return 2
    if name.startswith(("ld1", "ld2", "ld3", "ld4")):
        return len(_REGISTER.findall(before))
    return 1


def _named(match: re.Match[str]) -> str:
    vector = match[1] or match[2]
    if vector:
        return f"v{vector}"
    return f"x{match[4]}" if match[4] else match[0]
