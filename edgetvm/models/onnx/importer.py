"""ONNX files into Relax: fix shapes, bind constants, simplify, convert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.counting import parameter_counts
from edgetvm.models.imported import (
    Axis,
    Imported,
    bound_array,
    check_names,
    converter_stopped,
    free_quietly,
    relax_signature,
    shape_changes,
)
from edgetvm.models.importers import unsupported
from edgetvm.models.model import DTYPES, ImportOptions
from edgetvm.models.onnx.apart import WORKER
from edgetvm.models.onnx.checks import MOST_NODES, label
from edgetvm.models.onnx.converters import CONVERTERS
from edgetvm.models.onnx.file import load
from edgetvm.models.onnx.functions import expanded, has_body
from edgetvm.models.onnx.graph import GraphReader, tvm_converters
from edgetvm.models.onnx.narrow import CARRIERS
from edgetvm.models.onnx.prepare import AS_IT_IS, simplified, upgraded
from edgetvm.models.onnx.scales import output_quantisation, quantised_tensors
from edgetvm.models.onnx.sizes import Guesses, Shapes, guesses

if TYPE_CHECKING:
    import onnx
    from tvm.ir import IRModule

    Conversion = tuple[IRModule, Mapping[str, str], str]


def graph_inputs(model: onnx.ModelProto) -> dict[str, tuple[Axis, ...]]:
    """Axes of the inputs that are not parameters; a symbol or None for a dynamic one."""
    parameters = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: tuple(
            axis.dim_value
            if axis.dim_value > 0 or (axis.HasField("dim_value") and axis.dim_value == 0)
            else _symbol(axis.dim_param)
            for axis in value.type.tensor_type.shape.dim
        )
        for value in model.graph.input
        if value.name not in parameters
    }


def _check_kinds(model: onnx.ModelProto, names: Sequence[str], path: Path) -> None:
    """Refuse inputs that are no tensors of numbers."""
    from onnx import helper

    for entry in model.graph.input:
        if entry.name not in names:
            continue
        kind = entry.type.WhichOneof("value") or "nothing"
        if kind == "tensor_type":
            dtype = helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
            kind = "string" if dtype.kind == "O" else dtype.name
        if kind not in DTYPES and kind not in CARRIERS:
            raise ModelUnreadableError(
                f"input {entry.name!r} is {kind.removesuffix('_type')}",
                where=str(path),
                mend=f"export it with inputs of {', '.join(DTYPES)}",
            )


def _symbol(text: str) -> str | None:
    """The name of a dynamic axis; some exporters write `?` or `-1` for one without a name."""
    return text if text.strip("?-1") else None


def bound_inputs(
    model: onnx.ModelProto, options: ImportOptions, path: Path
) -> dict[str, NDArray[np.generic]]:
    """The constants of bound inputs, by name.

    Raises:
        InputError: an input cannot hold its value.
    """
    from onnx import helper

    axes = graph_inputs(model)
    return {
        entry.name: bound_array(
            entry.name,
            axes[entry.name],
            helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type).name,
            options,
            path,
        )
        for entry in model.graph.input
        if entry.name in options.bindings
    }


def bind(model: onnx.ModelProto, options: ImportOptions, path: Path) -> list[str]:
    """Turn bound inputs into parameters, in place. Answers with what was done."""
    from onnx import numpy_helper

    changes = []
    for name, array in bound_inputs(model, options, path).items():
        declared = next(entry for entry in model.graph.input if entry.name == name)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
        # Before version 4, a parameter had to be an input as well; later, that may be overridden.
        if model.ir_version >= 4:
            model.graph.input.remove(declared)
        changes.append(f"input {name} became the constant {options.bindings[name]}")
    return changes


def _operators(graph: onnx.GraphProto) -> Counter[str]:
    counts: Counter[str] = Counter()
    for node in graph.node:
        counts[node.op_type] += 1
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                counts += _operators(below)
    return counts


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Call nodes without a name by their first output; simplifiers would make names up."""
    for node in graph.node:
        node.name = node.name or next(filter(None, node.output), "")
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                _name_nodes(below)


def _unknown_nodes(
    graph: onnx.GraphProto, model: onnx.ModelProto, known: frozenset[str]
) -> dict[str, list[str]]:
    """Names of the nodes that nothing converts, by operator."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    functions = {(one.domain, one.name) for one in model.functions}
    found: dict[str, list[str]] = {}
    for node in graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        key = f"{domain}.{node.op_type}" if domain else node.op_type
        named = (node.domain, node.op_type) in functions or key in known
        if not named and not has_body(node, opsets.get(domain, 1)):
            found.setdefault(key, []).append(label(node))
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                for operator, names in _unknown_nodes(below, model, known).items():
                    found.setdefault(operator, []).extend(names)
    return found


def read(path: Path, options: ImportOptions) -> Imported:
    """Import an ONNX file. See `edgetvm.models.importers.import_model` for the errors."""
    WORKER.start()
    model = load(path)
    if expanded(model) > MOST_NODES:
        raise ModelUnreadableError(
            f"its functions open to more than {MOST_NODES} nodes",
            where=str(path),
            mend="export it again",
        )
    axes = graph_inputs(model)
    _check_kinds(model, list(axes), path)
    check_names(list(axes), options, path)
    changes = bind(model, options, path)
    free = {name: declared for name, declared in axes.items() if name not in options.bindings}
    operators = _operators(model.graph)
    _name_nodes(model.graph)
    choices = guesses(free, options, path, sum(operators.values()))
    tvm_converters()  # TVM takes long to load: meanwhile the process for graph tools gets ready
    model, upgrades = upgraded(model)
    try:
        shapes, (module, nodes, how) = _converted_first(model, choices.shapes, path)
    except ModelUnreadableError as error:
        if not choices.flags:
            raise
        raise _with_flags(error, choices, path) from error
    signature = relax_signature(
        module, list(shapes), [value.name for value in model.graph.output], path
    )
    return Imported(
        module=module,
        signature=signature.with_quantised_outputs(output_quantisation(model)),
        nodes=nodes,
        operators=dict(operators),
        parameters=parameter_counts(module),
        quantised=quantised_tensors(model),
        changes=(*changes, *shape_changes(axes, shapes, options), *upgrades, how),
    )


def _converted_first(
    model: onnx.ModelProto, choices: Sequence[Shapes], path: Path
) -> tuple[Shapes, Conversion]:
    """The first shapes that the graph can be converted with; the error is that of the first."""
    first, *others = choices
    try:
        return first, _converted(model, first, path)
    except ModelUnreadableError:
        # Simplifying takes as long as a walk: what does not fit is found without.
        for shapes in others:
            with suppress(ModelUnreadableError):
                _walked(model, shapes, path)
                return shapes, _converted(model, shapes, path)
        raise


def _converted(model: onnx.ModelProto, shapes: Shapes, path: Path) -> Conversion:
    """The module, the nodes of its variables, and how its graph was simplified.

    Raises:
        ModelUnreadableError: of the graph as it is in the file, whose nodes the user knows.
    """
    simple = simplified(model, shapes)
    if simple is not None:
        graph, how = simple
        with suppress(ModelUnreadableError):
            return *_walked(graph, shapes, path), how
    return *_walked(model, shapes, path), AS_IT_IS


def _walked(
    model: onnx.ModelProto, shapes: Shapes, path: Path
) -> tuple[IRModule, Mapping[str, str]]:
    unknown = _unknown_nodes(model.graph, model, frozenset(CONVERTERS) | tvm_converters().keys())
    if unknown:
        raise unsupported(path, unknown)
    try:
        reader = GraphReader(model, free_inputs(model, shapes))
        return reader.read(), reader.builder.nodes
    except ModelUnreadableError as error:
        free_quietly(error)
        raise ModelUnreadableError(error.what, where=str(path), mend=error.mend) from error
    except Exception as error:
        mend = "the converter does not cover a part of it: export it in another way"
        raise converter_stopped(error, path, mend) from error


def _with_flags(error: ModelUnreadableError, guesses: Guesses, path: Path) -> ModelUnreadableError:
    """The error, with the flags that can mend it."""
    tries = len(guesses.shapes)
    guess = "the shapes were guessed" if tries == 1 else f"{tries} guesses at the shapes do not fit"
    return ModelUnreadableError(
        error.what,
        where=str(path),
        mend=f"{error.mend}; {guess}: give the real ones with {guesses.flags}",
    )


def free_inputs(
    model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of each input that stays one."""
    from onnx import helper

    dtypes = {
        entry.name: helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type).name
        for entry in model.graph.input
    }
    return {name: (shape, dtypes[name]) for name, shape in shapes.items()}
