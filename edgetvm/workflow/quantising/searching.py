"""Which layers cost accuracy, and how few of them must stay in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgetvm.base.steps import Step
from edgetvm.models.quantising import Layer

Loss = Callable[[Sequence[Layer]], float]

# A layer may be in the chosen ones for the sake of its place in the order alone.
_MOST_TRIED_AGAIN = 16


@dataclass(frozen=True)
class LayerError:
    """A layer, and how far the outputs move when it alone is quantised.

    Attributes:
        layer: which.
        error_pct: root mean square of the outputs' error, in percent of that of the outputs; None
            where it was not asked for.
    """

    layer: Layer
    error_pct: float | None


def ranked(layers: Sequence[Layer], error: Loss, this: Step) -> list[LayerError]:
    """The layers, the worst first.

    Each is quantised alone, so that an error is its own and not that of the layers before it, and
    it is measured at the outputs, so that one which later layers hide counts little.

    Args:
        layers: of the graph.
        error: of the outputs, in percent, when only these layers are quantised.
        this: is told the progress.
    """
    found = []
    for index, layer in enumerate(layers):
        found.append((error([layer]), layer))
        this.advance(index + 1, len(layers))
    found.sort(key=lambda one: -one[0])
    return [LayerError(layer, error_pct) for error_pct, layer in found]


def fewest_in_float(order: Sequence[Layer], loss: Loss, most_pct: float) -> list[Layer] | None:
    """As few layers as need to stay in float for a loss of at most `most_pct`.

    The first layers of the order stay in float: their number is doubled until the loss is within
    bounds, then halved in between. Of those, whatever can be spared is quantised again.

    Args:
        order: all layers, the worst first.
        loss: in percent, when only these layers are quantised.
        most_pct: that may be lost.

    Returns:
        None where not even one layer can be quantised.
    """

    def enough(kept: Sequence[Layer]) -> bool:
        return loss([layer for layer in order if layer not in kept]) <= most_pct

    failed, count = 0, 0
    while not enough(order[:count]):
        failed, count = count, min(max(1, 2 * count), len(order) - 1)
        if failed == count:
            return None
    while count - failed > 1:
        middle = (failed + count) // 2
        if enough(order[:middle]):
            count = middle
        else:
            failed = middle
    kept = list(order[:count])
    for layer in kept[-2::-1][:_MOST_TRIED_AGAIN]:  # without the last one it failed
        without = [one for one in kept if one != layer]
        if enough(without):
            kept = without
    return kept
