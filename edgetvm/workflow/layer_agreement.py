"""An 8-bit model on a board beside its float original, layer by layer."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgetvm.base.errors import UsageError
from edgetvm.base.steps import step
from edgetvm.base.words import plural
from edgetvm.boards.profile import load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.standing_boards import connected
from edgetvm.measure.deployment import deploy
from edgetvm.measure.measurement import LayerAgreement
from edgetvm.measure.peers.graphs import fixed
from edgetvm.measure.plan import Plan
from edgetvm.models.correctness import rms_relative
from edgetvm.models.model import Arrays, Signature
from edgetvm.models.quantising import PRODUCTS, GraphRunner
from edgetvm.models.reference import run_stream
from edgetvm.recipes import prepare, samples
from edgetvm.workflow.build import build
from edgetvm.workflow.subject import Subject

if TYPE_CHECKING:
    import onnx

# Of a recipe's data: what layers lose shows on few.
_MOST_SAMPLES = 8


def layers_beside(
    subject: Subject,
    original: Subject,
    board: Board = LOCAL,
    plan: Plan | None = None,
    options: CompileOptions = DEFAULTS,
) -> tuple[LayerAgreement, ...]:
    """Compile an 8-bit model with all layers as outputs, run it on a board, and compare each.

    The float model runs in ONNX Runtime on this machine. Inputs are those of the recipe's data, or
    random ones. With layers as outputs fewer operators are fused than in the package you deploy.

    Args:
        subject: the 8-bit model, an ONNX file.
        original: the float model that it was made from.

    Returns:
        the layers that both files have, in the graph's order.

    Raises:
        UsageError: a file is no ONNX file, or they share no layer.
        EdgetvmError: see `edgetvm.workflow.build` and `edgetvm.measure.deploy`.
    """
    plan = plan or Plan()
    signature = subject.load().signature
    ours, theirs = (_fixed(one, signature) for one in (subject, original))
    operators = _shared_layers(ours, theirs)
    if not operators:
        raise UsageError(
            "no layer has the same name in both",
            where=f"{subject.path.name} and {original.path.name}",
            mend="give the float file that the 8-bit one was made from: edgetvm quantize",
        )
    with tempfile.TemporaryDirectory(prefix="edgetvm-") as folder:
        path = _written(ours, operators, Path(folder, subject.path.name))
        built = build(
            replace(subject, path=path, options=replace(subject.options, shapes={}, bindings={})),
            load_profile(board.profile),
            UNTUNED,
            True,
            options,
        )
    runner = GraphRunner(_with_outputs(theirs, operators))
    with connected(board) as session, step(f"compare {plural(len(operators), 'layer')}") as this:
        deploy(session, built.package, plan.threads, allow_mismatch=True)
        found: list[Arrays] = []
        expected: list[Arrays] = []
        for inputs in _inputs(subject, built.package.sample_inputs):
            if signature.states:
                found.append(session.stream(inputs)[1])
                expected.append(run_stream(runner, signature, inputs))
            else:
                found.append(session.run(inputs)[1])
                expected.append(runner.run(inputs))
        layers = tuple(
            LayerAgreement(name, operator, _error_pct(name, found, expected))
            for name, operator in operators.items()
        )
        this.detail = f"the worst is off by {max(one.error_pct for one in layers):.3g} %"
    return layers


def _fixed(subject: Subject, signature: Signature) -> onnx.ModelProto:
    import onnx

    if subject.path.suffix != ".onnx":
        raise UsageError(
            "layers are compared of ONNX files only",
            where=str(subject.path),
            mend="leave out --layers",
        )
    shapes = {spec.name: spec.shape for spec in signature.inputs}
    model: onnx.ModelProto = fixed(onnx.load(subject.path), shapes, subject.options.bindings)
    return model


def _shared_layers(ours: onnx.ModelProto, theirs: onnx.ModelProto) -> dict[str, str]:
    """Operators of the float model's convolutions and products, by the tensors that both have."""
    known = {name for node in ours.graph.node for name in node.output}
    # A state's or the model's own output is there already.
    known -= {entry.name for entry in ours.graph.output}
    return {
        node.output[0]: node.op_type
        for node in theirs.graph.node
        if node.op_type in PRODUCTS and node.output[0] in known
    }


def _with_outputs(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    from onnx import TensorProto, helper

    there = {entry.name for entry in model.graph.output}
    typed = {entry.name: entry for entry in model.graph.value_info}
    for name in names:
        if name not in there:
            made = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            model.graph.output.append(typed.get(name, made))
    return model


def _written(model: onnx.ModelProto, names: dict[str, str], path: Path) -> Path:
    import onnx

    onnx.save(_with_outputs(model, names), path)
    return path


def _inputs(subject: Subject, sample: Arrays) -> list[Arrays]:
    recipe = subject.recipe
    if recipe is None or recipe.data is None:
        states = subject.options.states
        fed = {name: array for name, array in sample.items() if name not in states}
        return [{name: array[np.newaxis] for name, array in fed.items()} if states else fed]
    return [prepare(recipe, one) for one in samples(recipe)[:_MOST_SAMPLES]]


def _error_pct(name: str, found: list[Arrays], expected: list[Arrays]) -> float:
    ours, wanted = (
        np.concatenate([np.ravel(one[name]) for one in side]) for side in (found, expected)
    )
    return 100 * rms_relative(ours, wanted)
