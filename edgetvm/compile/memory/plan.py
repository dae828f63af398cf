"""Places for tensors in one arena: those that live at the same time never overlap.

Each tensor goes to the lowest free place, so that the order in which they are placed decides all.
Some orders that are good for most models are tried (Pisarchyk and Lee, "Efficient Memory
Management for Deep Neural Net Inference", 2020), then the best is improved by small changes, as
Arm's Vela does, until nothing reaches above the lower bound: the most that lives at one time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What kernels may rely on, as with any tensor of TVM's runtime; a cache line.
ALIGNMENT_BYTES = 64


def aligned(size_bytes: int) -> int:
    """The size up to where a tensor may begin."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


# Places given while improving, over all tensors: a tenth of a second, and tenfold what was needed
# for any of 45 models.
_MOST_PLACES = 100_000
_STARTS = 4


@dataclass(frozen=True)
class Lifetime:
    """When a tensor is needed.

    Attributes:
        size_bytes: of its elements.
        first, last: the steps that write it first and read it last. It lives during both.
    """

    size_bytes: int
    first: int
    last: int

    @property
    def padded_bytes(self) -> int:
        """The size up to where another tensor may begin."""
        return aligned(self.size_bytes)

    def meets(self, other: Lifetime) -> bool:
        """Whether both are needed in some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Where tensors lie in an arena.

    Attributes:
        offsets_bytes: of each tensor, from the arena's begin; multiples of `ALIGNMENT_BYTES`.
        size_bytes: of the arena.
        lower_bound_bytes: the most that lives at one time: no arena can be smaller.
    """

    offsets_bytes: tuple[int, ...]
    size_bytes: int
    lower_bound_bytes: int


def plan(tensors: Sequence[Lifetime]) -> Plan:
    """Place tensors. The same tensors get the same places."""
    bound = lower_bound_bytes(tensors)
    meeting = [
        [index for index, other in enumerate(tensors) if other is not one and one.meets(other)]
        for one in tensors
    ]
    tries = [_Try.of(tensors, meeting, order, bound) for order in _orders(tensors)]
    best = min(tries, key=lambda one: one.size_bytes)
    start = min(tries, key=lambda one: one.excess_bytes)
    for seed in range(_STARTS):
        if best.size_bytes > bound:
            chance = random.Random(seed)  # noqa: S311 - the same for each run, no secret
            found = _improved(tensors, meeting, start, bound, chance)
            best = min(best, found, key=lambda one: one.size_bytes)
    return Plan(best.offsets_bytes, best.size_bytes, bound)


def lower_bound_bytes(tensors: Sequence[Lifetime]) -> int:
    """The most bytes that live at one time."""
    changes = [(one.first, one.padded_bytes) for one in tensors]
    changes += [(one.last + 1, -one.padded_bytes) for one in tensors]
    live = most = 0
    for _, change in sorted(changes):
        live += change
        most = max(most, live)
    return most


@dataclass(frozen=True)
class _Try:
    """What an order of placing gives.

    Attributes:
        excess_bytes: by how much tensors reach above the lower bound, together. Unlike the arena's
            size, it falls with each of several tensors that is placed better.
    """

    order: tuple[int, ...]
    offsets_bytes: tuple[int, ...]
    size_bytes: int
    excess_bytes: int

    @classmethod
    def of(
        cls,
        tensors: Sequence[Lifetime],
        meeting: Sequence[Sequence[int]],
        order: Sequence[int],
        bound: int,
    ) -> _Try:
        """Place each tensor at the lowest place that is free while it lives."""
        offsets: dict[int, int] = {}
        for index in order:
            size, place = tensors[index].padded_bytes, 0
            for begin, end in sorted(
                (offsets[other], offsets[other] + tensors[other].padded_bytes)
                for other in meeting[index]
                if other in offsets
            ):
                if begin - place >= size:
                    break
                place = max(place, end)
            offsets[index] = place
        ends = [place + tensors[index].padded_bytes for index, place in offsets.items()]
        return cls(
            order=tuple(order),
            offsets_bytes=tuple(offsets[index] for index in range(len(tensors))),
            size_bytes=max(ends, default=0),
            excess_bytes=sum(max(0, end - bound) for end in ends),
        )


def _orders(tensors: Sequence[Lifetime]) -> list[list[int]]:
    """Largest first; largest and longest first; longest first; as they are needed."""
    keys: tuple[Callable[[Lifetime], tuple[int, int]], ...] = (
        lambda one: (-one.padded_bytes, one.first),
        lambda one: (-one.padded_bytes * (one.last - one.first + 1), one.first),
        lambda one: (one.first - one.last, -one.padded_bytes),
        lambda one: (one.first, -one.padded_bytes),
    )
    return [sorted(range(len(tensors)), key=lambda index: key(tensors[index])) for key in keys]


def _improved(
    tensors: Sequence[Lifetime],
    meeting: Sequence[Sequence[int]],
    start: _Try,
    bound: int,
    chance: random.Random,
) -> _Try:
    """Exchange a tensor that reaches too high with one near it, or place it before that one."""
    best = now = start
    for _ in range(_MOST_PLACES // _STARTS // len(tensors)):
        high = [
            index
            for index, place in enumerate(now.offsets_bytes)
            if place + tensors[index].padded_bytes > bound
        ]
        if not high:
            break
        one = chance.choice(high)
        near = [*meeting[one], *(third for other in meeting[one] for third in meeting[other])]
        order = list(now.order)
        places = sorted((order.index(one), order.index(chance.choice(near))))
        if chance.random() < 0.5:
            order[places[0]], order[places[1]] = order[places[1]], order[places[0]]
        else:
            order.insert(places[0], order.pop(places[1]))
        found = _Try.of(tensors, meeting, order, bound)
        if found.excess_bytes <= now.excess_bytes:
            now = found
        best = min(best, found, key=lambda one: one.size_bytes)
    return best
