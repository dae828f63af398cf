"""Cores in the middle of a window of instructions: one that issues in order, one that reorders."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.estimate.core_table import Kind, Table


@dataclass(frozen=True)
class Decoded:
    """An instruction as a core sees it.

    Attributes:
        kind: of it.
        reads, writes: registers.
        accumulates: the register that it adds to; empty where it does not.
        moves: the register of an address that it moves on; empty where it does not.
    """

    kind: Kind
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    accumulates: str
    moves: str


def cycles_of_window(table: Table, window: Sequence[Decoded]) -> int:
    """From the first instruction's issue to the last result."""
    pipeline: _Reordering | _InOrder = _Reordering(table) if table.window else _InOrder(table)
    for one in window:
        pipeline.issue(one)
    return pipeline.end


class _Registers:
    """When registers have their values."""

    def __init__(self) -> None:
        self._ready: dict[str, int] = {}
        self._added: dict[str, int] = {}  # when registers may be added to

    def operands(self, one: Decoded) -> int:
        """The cycle in which all that it reads is there."""
        begin = max((self._ready.get(register, 0) for register in one.reads), default=0)
        if one.accumulates:
            ready = self._ready.get(one.accumulates, 0)
            begin = max(begin, self._added.get(one.accumulates, ready))
        return begin

    def began(self, one: Decoded, begin: int) -> None:
        """It was issued in that cycle."""
        for register in one.writes:
            self._ready[register] = begin + one.kind.latency
            self._added.pop(register, None)
        if one.accumulates:
            self._added[one.accumulates] = begin + one.kind.accumulate
        if one.moves:
            self._ready[one.moves] = begin + 1

    @property
    def last(self) -> int:
        """The cycle in which all of them have their values."""
        return max(self._ready.values(), default=0)


class _InOrder:
    """An instruction issues when the one before it has, its operands are there, and its units are
    free."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._now = self._issued = 0  # the present cycle, and the instructions in it
        self._registers = _Registers()
        self._free = dict.fromkeys(table.units, 0.0)

    def issue(self, one: Decoded) -> None:
        """The next instruction."""
        kind = one.kind
        begin = self._begin(one)
        self._issued = self._issued + 1 if begin == self._now else 1
        self._issued = self._table.issue if kind.alone else self._issued
        self._now = begin
        for unit, taken in kind.units.items():
            self._free[unit] = max(self._free[unit], begin) + taken / self._table.units[unit]
        self._registers.began(one, begin)

    def _begin(self, one: Decoded) -> int:
        """The first cycle in which it can issue."""
        kind, operands = one.kind, self._registers.operands(one)
        begin = max(operands, self._now, *(int(self._free[unit]) for unit in kind.units))
        full = self._issued == self._table.issue or (kind.alone and self._issued > 0)
        return begin + 1 if begin == self._now and full else begin

    @property
    def end(self) -> int:
        """The cycle in which all is done."""
        return max(self._now + 1, self._registers.last)


class _Reordering:
    """Instructions are taken up in order, wait side by side, and issue as soon as they can: what is
    older first. Each leaves when it and all before it are done, and makes room for another."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._now = self._taken_up = 0  # the present cycle, and the instructions taken up in it
        self._registers = _Registers()
        self._used: dict[str, defaultdict[int, int]] = {
            unit: defaultdict(int) for unit in table.units
        }
        self._leave: deque[int] = deque(maxlen=table.window)
        self.end = 0

    def issue(self, one: Decoded) -> None:
        """The next instruction."""
        self._take_up()
        earliest = max(self._now, self._registers.operands(one))
        begin = max(
            (self._reserved(unit, taken, earliest) for unit, taken in one.kind.units.items()),
            default=earliest,
        )
        self._registers.began(one, begin)
        self.end = max(self.end, begin + one.kind.latency)
        self._leave.append(self.end)

    def _take_up(self) -> None:
        """Move on to the cycle in which there is room for one more."""
        if self._taken_up == self._table.issue:
            self._now, self._taken_up = self._now + 1, 0
        if len(self._leave) == self._table.window and self._leave[0] > self._now:
            self._now, self._taken_up = self._leave[0], 0
        self._taken_up += 1

    def _reserved(self, unit: str, taken: int, cycle: int) -> int:
        """Reserve units from that cycle on; the first cycle in which one is free."""
        used, there = self._used[unit], self._table.units[unit]
        first = -1
        while taken:
            now = min(taken, there - used[cycle])
            if now:
                used[cycle] += now
                taken -= now
                first = cycle if first < 0 else first
            cycle += 1
        return first
