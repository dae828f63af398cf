"""Raw samples, however many: held in pieces, read piece by piece, ranked without a copy of all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

Chunk = NDArray[np.int64]

CHUNK = 1 << 16
# So many values at most are sorted at once.
_SORTED_AT_ONCE = 1 << 20
_BINS = 1 << 12


class Samples:
    """Int64 numbers in the order taken. They are read anew each time, and never changed."""

    def __init__(self, count: int, read: Callable[[], Iterator[Chunk]]) -> None:
        """Take what reads them.

        Args:
            count: of all.
            read: gives them piece by piece, from the first on.
        """
        self._count = count
        self._read = read

    @classmethod
    def of(cls, values: Iterable[int] | Chunk) -> Samples:
        """Samples that are held in memory."""
        held = np.asarray(values if isinstance(values, np.ndarray) else list(values), np.int64)
        return cls(len(held), lambda: _pieces(held))

    def chunks(self) -> Iterator[Chunk]:
        """All of them, `CHUNK` at a time."""
        return self._read()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for chunk in self.chunks():
            yield from chunk.tolist()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Samples):
            return len(self) == len(other) and all(
                one == two for one, two in zip(self, other, strict=True)
            )
        return NotImplemented

    def __hash__(self) -> int:
        return hash((len(self), next(iter(self), None)))

    def __repr__(self) -> str:
        return f"Samples of {len(self)}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Read from a list of integers and written as one; `Samples` stay what they are."""
        listed = core_schema.no_info_after_validator_function(
            cls.of, core_schema.list_schema(core_schema.int_schema(ge=0, lt=1 << 63))
        )
        return core_schema.json_or_python_schema(
            json_schema=listed,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), listed], mode="left_to_right"
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(list),
        )


EMPTY = Samples.of(())


def _pieces(held: Chunk) -> Iterator[Chunk]:
    for begin in range(0, len(held), CHUNK):
        yield held[begin : begin + CHUNK]


class Spool:
    """Samples that are taken now. They lie in a file without a name, and not in memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="edgetvm-samples-")  # noqa: SIM115 - lives on
        self._count = 0

    def add(self, chunk: Chunk) -> None:
        """Add what was taken."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(chunk, "<i8").tobytes())
        self._count += len(chunk)

    def samples(self) -> Samples:
        """What was added so far."""
        count = self._count
        return Samples(count, lambda: self._chunks(count))

    def _chunks(self, count: int) -> Iterator[Chunk]:
        for begin in range(0, count, CHUNK):
            self._file.seek(begin * 8)
            data = self._file.read(min(CHUNK, count - begin) * 8)
            yield np.frombuffer(data, "<i8").astype(np.int64)


def spaced(samples: Samples, most: int) -> list[int]:
    """So many at most, in order and evenly spaced; all where they are no more."""
    step = -(-len(samples) // most)
    found: list[int] = []
    begin = 0
    for chunk in samples.chunks():
        found += chunk[-begin % step :: step].tolist()
        begin += len(chunk)
    return found


def ranked(samples: Samples, ranks: Sequence[int]) -> list[int]:
    """What stands at those places once all samples are sorted, exactly, in bounded memory.

    The range of the values is cut into bins and counted, and the bin that holds a place is cut
    anew, until few enough values are left to be sorted.

    Args:
        samples: at least one.
        ranks: places from 0 on.
    """
    if len(samples) <= _SORTED_AT_ONCE:
        held = np.sort(np.concatenate(list(samples.chunks())))
        return [int(held[rank]) for rank in ranks]
    lows, highs = zip(
        *((int(chunk.min()), int(chunk.max())) for chunk in samples.chunks()), strict=True
    )
    known: dict[int, int] = {}
    for rank in sorted(set(ranks)):
        known[rank] = _at_rank(samples, rank, min(lows), max(highs))
    return [known[rank] for rank in ranks]


def middle(samples: Samples) -> int:
    """The p50 of reports: see `edgetvm.measure.statistics.percentile`."""
    return ranked(samples, [len(samples) // 2])[0]


def _at_rank(samples: Samples, rank: int, low: int, high: int) -> int:
    """The value at a place among those from `low` to `high`."""
    while low < high:
        width = -(-(high - low + 1) // _BINS)
        counts = np.zeros(_BINS, np.int64)
        for chunk in samples.chunks():
            inside = chunk[(chunk >= low) & (chunk <= high)]
            counts += np.bincount((inside - low) // width, minlength=_BINS)
        before = np.cumsum(counts)
        index = int(np.searchsorted(before, rank, "right"))
        rank -= int(before[index - 1]) if index else 0
        low, high = low + index * width, min(high, low + (index + 1) * width - 1)
    return low
