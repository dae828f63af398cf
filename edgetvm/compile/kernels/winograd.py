"""3x3 convolutions at stride 1 by Winograd's minimal filtering.

Output tiles of m x m elements are sums over channels of products in a space of (m + 2) x (m + 2)
elements: with m = 4 a quarter of the multiplications of the direct form (Lavin and Gray 2016, "Fast
Algorithms for Convolutional Neural Networks"). The transforms' constants round: the largest error
of outputs of size 1 is about 1e-5 for m = 2 and 1e-4 for m = 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.kernels.contraction import PACKED, pack, packed_element

# The annotation of the block that makes output tiles: [edge of one, rows of them in a strip].
OUTPUTS = "edgetvm.winograd"
_TAPS = 3


@dataclass(frozen=True)
class Transform:
    """Matrices of one tile size: Y = At [ (G g Gt) . (Bt d B) ] A.

    Attributes:
        outputs: edge of an output tile, m.
        data: Bt, [m + 2, m + 2].
        kernel: G, [m + 2, 3].
        result: At, [m, m + 2].
    """

    outputs: int
    data: tuple[tuple[float, ...], ...]
    kernel: tuple[tuple[float, ...], ...]
    result: tuple[tuple[float, ...], ...]

    @property
    def edge(self) -> int:
        """Edge of an input tile, m + 2."""
        return self.outputs + _TAPS - 1


TRANSFORMS = {
    2: Transform(
        2,
        data=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        kernel=((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
        result=((1, 1, 1, 0), (0, 1, -1, -1)),
    ),
    4: Transform(
        4,
        data=(
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        kernel=(
            (1 / 4, 0, 0),
            (-1 / 6, -1 / 6, -1 / 6),
            (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6),
            (0, 0, 1),
        ),
        result=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    ),
}


def transformed(weights: NDArray[Any], transform: Transform, width: int) -> NDArray[Any]:
    """Weights [3, 3, channels, features] as [blocks, edge, edge, channels, width]."""
    kernel = np.asarray(transform.kernel, np.float64)
    whole = np.einsum("ax,xycf,by->abcf", kernel, weights.astype(np.float64), kernel)
    return pack(whole.astype(weights.dtype), width)


def winograd(
    data: Any,
    weights: Any,
    features: int,
    transform: Transform,
    before: tuple[int, int],
    size: Any,
    strip: int,
) -> Any:
    """The convolution, channels last.

    Args:
        data: [batch, height, width, channels].
        weights: of `transformed`.
        features: of the output.
        transform: the tile.
        before: padding above and left.
        size: height and width of the output.
        strip: rows of tiles that are computed from their transform to their output before the next
            ones begin; it divides them.
    """
    from tvm import te, tirx

    batch, height, width, channels = (int(one) for one in data.shape)
    edge, step = transform.edge, transform.outputs
    down, across = (math.ceil(extent / step) for extent in size)
    strips, tiles = batch * down // strip, strip * across

    def top(tile_row: Any) -> Any:
        """Where a row of tiles begins: the last one ends where the output does."""
        return tirx.Min(tile_row * step, size[0] - step)

    def image(s: Any) -> tuple[Any, Any]:
        """Which image a strip is of, and the first of its rows of tiles."""
        each = down // strip
        return s // each, s % each * strip

    def bordered(s: Any, y: Any, x: Any, c: Any) -> Any:
        (n, first), (above, left) = image(s), before
        row = top(first) + y
        inside = tirx.all(row >= above, row < height + above, x >= left, x < width + left)
        return tirx.if_then_else(
            inside, data[n, row - above, x - left, c], tirx.const(0, data.dtype)
        )

    border = te.compute(
        (strips, strip * step + _TAPS - 1, size[1] + _TAPS - 1, channels), bordered, name="border"
    )

    def patch(s: Any, tile: Any, y: Any, x: Any, c: Any) -> Any:
        _, first = image(s)
        left = tirx.Min(tile % across * step, size[1] - step)
        return border[s, top(first + tile // across) - top(first) + y, left + x, c]

    rows = te.compute(
        (strips, edge, edge, tiles, channels),
        lambda s, a, x, t, c: _combined(
            transform.data, a, lambda y: patch(s, t, y, x, c), data.dtype
        ),
        name="data_rows",
    )
    tensor = te.compute(
        (strips, edge, edge, tiles, channels),
        lambda s, a, b, t, c: _combined(
            transform.data, b, lambda x: rows[s, a, x, t, c], data.dtype
        ),
        name="data_tile",
    )
    channel = te.reduce_axis((0, channels), "channel")
    product = te.compute(
        (strips, edge, edge, tiles, features),
        lambda s, a, b, t, f: te.sum(
            tensor[s, a, b, t, channel] * packed_element(weights, (a, b), channel, f, features),
            axis=[channel],
        ),
        name="contraction",
        attrs={PACKED: [features, int(weights.shape[-1])]},
    )
    half = te.compute(
        (strips, step, edge, tiles, features),
        lambda s, i, b, t, f: _combined(
            transform.result, i, lambda a: product[s, a, b, t, f], data.dtype
        ),
        name="result_rows",
    )

    def tiled(n: Any, y: Any, x: Any, f: Any) -> Any:
        row = n * down + y // step
        place = row // strip, row % strip * across + x // step
        return _combined(
            transform.result,
            x % step,
            lambda b: half[place[0], y % step, b, place[1], f],
            data.dtype,
        )

    result = te.compute(
        (batch, down * step, across * step, features),
        tiled,
        name="result_tile",
        attrs={OUTPUTS: [step, strip]},
    )

    def at(place: Any, extent: int) -> Any:
        """The last tile ends where the output does: it begins within the one before."""
        over = -extent % step
        return place + tirx.Select(place // step == extent // step, over, 0) if over else place

    return te.compute(
        (batch, *size, features),
        lambda n, y, x, f: result[n, at(y, size[0]), at(x, size[1]), f],
        name="untiled",
    )


def _combined(matrix: Any, row: Any, source: Any, dtype: str) -> Any:
    """Row `row` of a constant matrix times a vector: folds to a few terms once `row` is known."""
    from tvm import tirx

    sums = []
    for coefficients in matrix:
        total: Any = None
        for at, coefficient in enumerate(coefficients):
            if not coefficient:
                continue
            value = source(at)
            size = abs(coefficient)
            term = value if size == 1 else value * tirx.const(size, dtype)
            if total is None:
                total = term if coefficient > 0 else tirx.const(0, dtype) - term
            else:
                total = total + term if coefficient > 0 else total - term
        sums.append(total)
    chosen = sums[-1]
    for at in reversed(range(len(sums) - 1)):
        chosen = tirx.Select(row == at, sums[at], chosen)
    return chosen
