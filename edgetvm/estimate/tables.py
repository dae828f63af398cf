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
    now, issued = 0, 0
    free = dict.fromkeys(table.units, 0.0)
    ready: dict[str, int] = {}
    added: dict[str, int] = {}  # when it may be added to
    for one in window:
        kind = one.kind
        begin = max((ready.get(register, 0) for register in one.reads), default=0)
        if one.accumulates:
            begin = max(begin, added.get(one.accumulates, ready.get(one.accumulates, 0)))
        begin = max(begin, now, *(int(free[unit]) for unit in kind.units))
        if begin == now and (issued == table.issue or (kind.alone and issued)):
            begin += 1
        issued = issued + 1 if begin == now else 1
        now = begin
        if kind.alone:
            issued = table.issue
        for unit, taken in kind.units.items():
            free[unit] = max(free[unit], begin) + taken / table.units[unit]
        for register in one.writes:
            ready[register] = begin + kind.latency
            added.pop(register, None)
        if one.accumulates:
            added[one.accumulates] = begin + kind.accumulate
    return max([now + 1, *ready.values()])


_REGISTER = re.compile(r"\b(?:v(\d+)|[qdshb](\d+)|([xw])(\d+)|(sp)|([xw]zr))\b")
_FLAG_WRITERS = re.compile(r"^(?:cm[pn]|tst|ccm[pn]|fcmpe?|fccmp|(?:add|sub|and|bic|adc|sbc)s)\b")
_FLAG_READERS = re.compile(
    r"^(?:b\.\w+|ccm[pn]|cset|csetm|cs(?:el|inc|inv|neg)|cinc|fcsel|fccmp)\b"
)
_WRITES_NONE = re.compile(r"^(?:st|cmp|cmn|tst|ccm|fcmp|fccmp|b\b|b\.|bl|br|ret|cb|tb|prf|nop)")
_KEEPS = re.compile(r"^(?:ins|mov\s+v\d+\.\w\[|movk|bsl|bit|bif|ld[1-4]\s+\{[^}]*\}\[|xtn2|\w+2\s)")
_FLAGS = "flags"


def _operands(text: str, kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Registers that are read and written, and the one that is added to."""
    name, _, rest = text.partition("\t")
    before, _, inside = rest.partition("[x") if name[:2] in ("ld", "st") else (rest, "", "")
    results = _results(name, before)
    parts = [_named(match) for match in _REGISTER.finditer(before)]
    if _WRITES_NONE.match(text):
        writes, reads = [], parts
    else:
        writes, reads = parts[:results], parts[results:]
    address = [_named(match) for match in _REGISTER.finditer("x" + inside)] if inside else []
    reads = reads + address
    if inside and ("]!" in inside or re.search(r"\],", inside)):
        writes = writes + address[:1]
    accumulates = ""
    if kind.accumulate and writes:
        accumulates = writes[0]
        if name.startswith(("fmadd", "fmsub", "fnm")):
            accumulates = reads.pop()
    elif _KEEPS.match(text) and writes:
        reads = reads + writes[:1]
    if _FLAG_WRITERS.match(text):
        writes = [*writes, _FLAGS]
    if _FLAG_READERS.match(text):
        reads = [*reads, _FLAGS]
    return tuple(reads), tuple(writes), accumulates


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
