"""A float model made an 8-bit one that loses no more than is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.base.errors import AccuracyError, InputError
from edgetvm.base.files import sha256_of_file
from edgetvm.base.steps import step
from edgetvm.base.version import __version__
from edgetvm.base.words import plural
from edgetvm.models.model import Signature
from edgetvm.models.quantising import (
    QUICK_METHODS,
    Layer,
    Method,
    check_format,
    ranges,
)
from edgetvm.workflow.quantising.data import gathered
from edgetvm.workflow.quantising.judging import (
    Figure,
    Judge,
    loss_pct,
    output_error_pct,
)
from edgetvm.workflow.quantising.searching import LayerError, fewest_in_float, ranked
from edgetvm.workflow.quantising.work import Work, errors_alone
from edgetvm.workflow.quantising.writing import check_free, write_model, write_recipe
from edgetvm.workflow.subject import Subject


@dataclass(frozen=True)
class Quantized:
    """What came of a quantisation.

    Attributes:
        name: of the model.
        path: the ONNX file that was written.
        recipe_path: a recipe for it beside it, where the model was named by one.
        method: by which ranges were taken.
        calibration_samples, judged_samples: how many; for a stream, of signals.
        held_out: whether none of them is in both.
        max_loss_pct: that was asked for.
        layers: of the graph, and how much each costs alone, the worst first; in the graph's order
            and without error where no loss was asked for.
        in_float: names of the layers that were left so.
        before: the measures with all layers quantised.
        after: those of the file.
        source_bytes, size_bytes: of the float file and of the new one.
        signature: of both models.
        judge: what measured it.
    """

    name: str
    path: Path
    recipe_path: Path | None
    method: Method
    calibration_samples: int
    judged_samples: int
    held_out: bool
    max_loss_pct: float | None
    layers: tuple[LayerError, ...]
    in_float: tuple[str, ...]
    before: tuple[Figure, ...]
    after: tuple[Figure, ...]
    source_bytes: int
    size_bytes: int
    signature: Signature
    judge: Judge = field(repr=False, compare=False)

    @property
    def loss_pct(self) -> float:
        """Of the file."""
        return loss_pct(self.after)


@dataclass(frozen=True)
class _Calibrated:
    """Ranges by one method, and what all layers quantised with them lose."""

    method: Method
    ranges: Any
    figures: tuple[Figure, ...]

    @property
    def order(self) -> tuple[float, float]:
        """The less is lost the better; of equals, the smaller error. What is won is chance."""
        return max(0.0, loss_pct(self.figures)), output_error_pct(self.figures)


def quantize(
    subject: Subject,
    output: Path | None = None,
    *,
    data: Path | None = None,
    max_loss_pct: float | None = None,
    method: Method | None = None,
    made_up_data: bool = False,
) -> Quantized:
    """Quantise an ONNX model to 8 bits after training, and write it as an ONNX file.

    Args:
        subject: from `edgetvm.workflow.find_subject`; a recipe's data are calibrated on.
        output: to write; NAME.int8.onnx in this folder without it.
        data: more samples: a folder, or one .npz file.
        max_loss_pct: leave as few layers in float as need be for the loss to stay within it;
            without it all are quantised. For what the loss is, see `Judge`.
        method: how ranges are taken; without it minmax or percentile, whichever loses less.
        made_up_data: calibrate on random numbers where there is nothing else.

    Raises:
        UsageError: there is nothing to calibrate on, or the file is the model itself.
        ModelError: it is no float ONNX file.
        AccuracyError: it loses more, however few layers are quantised.
        MissingToolError: ONNX Runtime is not installed.
        StorageError: the file cannot be written.
    """
    check_format(subject.path)
    output = output or Path(f"{subject.name.rsplit('/', 1)[-1]}.int8.onnx")
    check_free(output, subject)
    model = subject.load()
    with step("prepare the graph and the samples") as this:
        found = gathered(model.signature, subject.recipe, data, made_up_data)
        work = Work(model, subject.recipe, found)
        this.detail = (
            f"{plural(len(work.layers), 'layer')}; {plural(len(found.calibration), 'sample')} "
            f"to calibrate on, {len(found.judged)} to judge by"
        )
    best = _calibrated(work, (method,) if method else QUICK_METHODS)
    errors, kept = _chosen(work, best, max_loss_pct, subject.name)
    int8 = [layer for layer in work.layers if layer not in kept]
    graph = work.quantised(best.ranges, int8)
    after = work.figures(graph) if kept else best.figures
    in_float = tuple(layer.name for layer in kept)
    told = {
        "edgetvm.version": __version__,
        "edgetvm.source_sha256": sha256_of_file(model.source),
        "edgetvm.calibration": f"{best.method}, {plural(len(found.calibration), 'sample')}",
        "edgetvm.layers_in_float": "\n".join(in_float),
        "edgetvm.loss_pct": f"{loss_pct(after):.4g}",
    }
    write_model(graph, model, told, output)
    return Quantized(
        name=subject.name,
        path=output,
        recipe_path=write_recipe(output, subject.recipe, model),
        method=best.method,
        calibration_samples=len(found.calibration),
        judged_samples=len(found.judged),
        held_out=found.held_out,
        max_loss_pct=max_loss_pct,
        layers=tuple(errors),
        in_float=in_float,
        before=best.figures,
        after=after,
        source_bytes=model.source.stat().st_size,
        size_bytes=output.stat().st_size,
        signature=model.signature,
        judge=work.judge,
    )


def _calibrated(work: Work, methods: Sequence[Method]) -> _Calibrated:
    """The best of some methods."""
    inputs = work.calibration_inputs()
    found = []
    for method in methods:
        with step(f"calibrate by {method}") as this:
            taken = ranges(work.graph, inputs, method)
            _check_finite(taken)
            figures = work.figures(work.quantised(taken, work.layers))
            found.append(_Calibrated(method, taken, figures))
            this.detail = f"loss {loss_pct(figures):.3g} % with all layers quantised"
    return min(found, key=lambda one: one.order)


def _check_finite(taken: Any) -> None:
    for name, found in taken.items():
        if not np.isfinite(found.range_value).all():
            raise InputError(
                f"tensor {name!r} is not finite on the calibration samples",
                mend="leave out the samples on which the float model overflows",
            )


def _chosen(
    work: Work, best: _Calibrated, max_loss_pct: float | None, name: str
) -> tuple[list[LayerError], list[Layer]]:
    """All layers, by what each costs, and those that stay in float."""
    if max_loss_pct is None:
        return [LayerError(layer, None) for layer in work.layers], []
    with step(f"quantise each of {plural(len(work.layers), 'layer')} alone") as this:
        errors = ranked(work.layers, errors_alone(work, best.ranges), this)
        this.detail = f"the worst, {errors[0].layer.name}, costs {errors[0].error_pct:.3g} %"
    with step(f"keep layers in float until at most {max_loss_pct:g} % is lost") as this:
        order = [one.layer for one in errors]

        def loss(layers: Sequence[Layer]) -> float:
            # With all layers quantised it is known.
            some = len(layers) < len(order)
            figures = work.figures(work.quantised(best.ranges, layers)) if some else best.figures
            found = loss_pct(figures)
            this.advance(0, 0, f"{found:.3g} % with {len(order) - len(layers)} in float")
            return found

        kept = fewest_in_float(order, loss, max_loss_pct)
        if kept is None:
            raise AccuracyError(
                f"it loses more than {max_loss_pct:g} % with any of its layers quantised; with all "
                f"of them {loss_pct(best.figures):.3g} %",
                where=name,
                mend="allow more with --max-loss, calibrate on other data, or stay in float",
            )
        this.detail = f"{len(kept)} of {len(order)} layers stay in float"
    return errors, kept
