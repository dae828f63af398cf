"""The register tile of a contraction: how much of the output one pass of the inner loops sums.

A tile is `vectors` vectors along the output's last axis times `rows` x `columns` points. Each of
its sums has a register; so has each vector of the operand that runs along the last axis, and one
register takes the other operand's elements in turn, broadcast (BLIS's micro-kernel: Van Zee and
van de Geijn 2015, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality").
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.dots import Dot

# Sums in flight that hide the latency of a multiply-add.
_CHAINS = 8
# In multiply-adds of whole vectors: what a load takes of the load ports, and what it adds in any
# case. Fitted to sweeps of tiles on Zen 4.
_LOAD_PORT = 0.5
_LOAD = 0.1
# More points than this gain nothing and cost code.
_MOST_POINTS = 28
_MOST_VECTORS = 8
# What a point costs however many vectors it has, where its sums come in parts and go as bytes: for
# a usual depth, of a step.
_FINISH = 0.4
# Registers of results on their way to the sums, where several instructions lead there.
_BETWEEN = 2


@dataclass(frozen=True)
class Tile:
    """What one pass of the innermost loops computes.

    Attributes:
        lanes: elements of one vector: a power of two.
        vectors: vectors along the output's last axis.
        rows, columns: points along the last two other axes.
    """

    lanes: int
    vectors: int
    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} points of {self.vectors}x{self.lanes} lanes"

    @property
    def width(self) -> int:
        """Elements along the output's last axis."""
        return self.lanes * self.vectors


def power_of_two(most: int) -> int:
    """The largest power of two that is not above `most` (at least 1)."""
    return 1 << (most.bit_length() - 1)


def covered(extent: int, tile: int) -> int:
    """The extent in whole tiles: the last one lies over its neighbour where they do not divide."""
    return math.ceil(extent / tile) * tile


@functools.lru_cache(maxsize=4096)
def choose_tile(
    features: int,
    rows: int,
    columns: int,
    outer: int,
    profile: BoardProfile,
    cores: int,
    width: int | None = None,
    together: int = 1,
    across: int | None = None,
    dot: Dot | None = None,
) -> Tile:
    """The tile that costs least for an output of outer x rows x columns x features.

    It is one of `tiles`.

    Args:
        features: elements of the last axis, of one group.
        rows, columns: extents of the two axes whose points a tile may hold.
        outer: the product of all other extents, groups included.
        profile: of the board; its lanes and registers bound the tile.
        cores: that share the tiles.
        width: elements along the last axis, where the packing of weights has fixed them.
        together: elements of the other operand that one load brings, see `elements_together`.
        across: columns of the tile, where the packing of weights has fixed them.
        dot: the instruction that sums, where LLVM is not left to find one.
    """
    possible = tiles(features, rows, columns, profile, width, together, across, dot)
    known = features, rows, columns, outer, profile, cores, together, dot
    return min(possible, key=lambda tile: tile_cost(tile, *known))


def block_width(
    features: int,
    rows: int,
    columns: int,
    outer: int,
    profile: BoardProfile,
    cores: int,
    together: int,
    lanes: int,
) -> int:
    """The features of a tile for which weights are packed.

    Args:
        features, rows, columns, outer, profile, cores, together: as for `choose_tile`.
        lanes: of a block in which features lie, several of which make up a tile; 0 where they all
            lie together.
    """
    known = features, rows, columns, outer, profile, cores
    if not lanes:
        return choose_tile(*known, together=together).width
    blocks = features // lanes
    widths = [lanes * n for n in range(1, _MOST_VECTORS + 1) if blocks % n == 0]

    def cost(width: int) -> tuple[float, int]:
        return tile_cost(choose_tile(*known, width=width, together=together), *known, together)

    return min(widths, key=cost)


def widths(
    features: int,
    rows: int,
    columns: int,
    profile: BoardProfile,
    together: int = 1,
    dot: Dot | None = None,
) -> tuple[int, ...]:
    """For how many features of a tile weights may be packed; arguments as for `choose_tile`."""
    possible = tiles(features, rows, columns, profile, together=together, dot=dot)
    return tuple(sorted({tile.width for tile in possible}))


def tile_cost(
    tile: Tile,
    features: int,
    rows: int,
    columns: int,
    outer: int,
    profile: BoardProfile,
    cores: int,
    together: int = 1,
    dot: Dot | None = None,
) -> tuple[float, int]:
    """What each step of the sums costs with a tile, in multiply-adds of whole vectors.

    The second number tells apart tiles that cost the same. Arguments as for `choose_tile`.
    """
    points = tile.rows * tile.columns
    registers = 1 if dot is None else dot.registers
    vectors = tile.vectors * registers
    pair = 1 if dot is None else dot.points
    loads = pair * vectors + points / together
    if pair > 1:
        loads += points / pair  # whose elements are put into one register
    sums = max(vectors * points, _CHAINS) * profile.slowness(tile.lanes)
    step = max(sums, _LOAD_PORT * loads) + _LOAD * loads
    if registers > 1:
        step += _FINISH * points
    blocks = math.ceil(features / tile.width)
    tasks = outer * blocks * math.ceil(rows / tile.rows)
    rounds = math.ceil(tasks / cores) * cores
    return rounds * math.ceil(columns / tile.columns) * step, points


def elements_together(depth: int, profile: BoardProfile) -> int:
    """How many neighbours of the operand that is not a vector's one load brings.

    Args:
        depth: of the sums, along the axis on which that operand's elements are neighbours.
        profile: of the board.
    """
    lanes = profile.vector_lanes
    return lanes if profile.multiplies_by_element and depth % lanes == 0 else 1


def tiles(
    features: int,
    rows: int,
    columns: int,
    profile: BoardProfile,
    width: int | None = None,
    together: int = 1,
    across: int | None = None,
    dot: Dot | None = None,
) -> Iterator[Tile]:
    """All tiles whose sums and operands have registers; arguments as for `choose_tile`."""
    full = min(profile.vector_lanes, power_of_two(max(1, width or features)))
    if dot is not None:
        possible = {dot.lanes}
    elif width is None:
        possible = {full, max(1, full // 2)}
    else:
        possible = {math.gcd(full, width)}
    for lanes in possible:
        if width is None:
            choices = _vectors(max(1, features // lanes), profile, dot)
        else:
            choices = [width // lanes]
        for vectors in choices:
            points = _most_points(vectors, profile, together, dot)
            if across is not None:
                if vectors == 1 or across <= points:
                    yield Tile(lanes, vectors, 1, across)
                continue
            pair = 1 if dot is None else dot.points
            for one in range(pair, min(columns, points) + 1, pair):
                yield Tile(lanes, vectors, 1, one)
            if columns <= points and columns % pair == 0:
                for down in range(2, min(rows, points // columns) + 1):
                    yield Tile(lanes, vectors, down, columns)


def _vectors(fitting: int, profile: BoardProfile, dot: Dot | None) -> list[int]:
    """How many vectors a tile may have, of those that fit."""
    registers = 1 if dot is None else dot.registers
    if registers == 1:
        return list(range(1, min(_MOST_VECTORS, fitting) + 1))
    # Sums in parts take half of the registers for one point; their bytes are stored as one vector.
    most = max(1, (profile.vector_registers - registers) // (2 * registers))
    return [1 << n for n in range(min(most, fitting).bit_length())]


def _most_points(vectors: int, profile: BoardProfile, together: int, dot: Dot | None) -> int:
    """Points of that many vectors whose sums and operands have registers."""
    registers = 1 if dot is None else dot.registers
    if registers > 1:
        kept, sums = _BETWEEN + 1, vectors * registers
        # Weights or elements stay, whichever are fewer; the others come one by one.
        by_weights = (profile.vector_registers - kept - sums) // sums
        by_points = (profile.vector_registers - kept) // (sums + 1)
        points = max(by_weights, min(by_points, sums))
    elif dot is not None and dot.points > 1:
        # A vector's weights fill a register for each of its points, and one holds a step of them.
        left, elements = profile.vector_registers - dot.points * vectors, together / dot.points
        points = max(dot.points, int(left / (vectors + elements)))
    else:
        left = profile.vector_registers - vectors
        # Elements that came together stay: a register for each point, not one for all.
        points = left // (vectors + 1) if together > 1 else (left - 1) // vectors
    return max(1, min(_MOST_POINTS, points))
