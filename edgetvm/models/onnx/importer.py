"""ONNX files into Relax: fix shapes, bind constants, simplify, convert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.counting import parameter_counts
from edgetvm.models.imported import (
    GUESSED,
    Axis,
    Imported,
    bound_array,
    check_names,
    converter_stopped,
    fixed_shapes,
    free_quietly,
    relax_signature,
    shape_changes,
)
from edgetvm.models.importers import unsupported
from edgetvm.models.model import ImportOptions
from edgetvm.models.onnx.converters import CONVERTERS
from edgetvm.models.onnx.functions import has_body
from edgetvm.models.onnx.graph import GraphReader, label, tvm_converters
from edgetvm.models.onnx.prepare import simplified, upgraded
from edgetvm.models.onnx.scales import quantised_tensors

if TYPE_CHECKING:
    import onnx


# What onnx's checker minds and the importer does not: nodes of a domain that onnx has no schema
# for (all of them are named later), and outputs whose shape is left to be inferred.
_TOLERABLE = ("No Op registered", "No opset import", "Field 'shape' of 'type' is required")


def load(path: Path) -> onnx.ModelProto:
    """Parse and check an ONNX file; its external data must lie in its own folder.

    Raises:
        ModelUnreadableError: not ONNX, truncated, or inconsistent.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise _not_onnx(path) from error
    except (onnx.checker.ValidationError, ValueError, OSError, RuntimeError) as error:
        raise _invalid(path, error) from error
    try:
        onnx.checker.check_model(path)
    except (onnx.checker.ValidationError, ValueError, OSError, RuntimeError) as error:
        shaped = all(entry.type.tensor_type.HasField("shape") for entry in model.graph.input)
        if not shaped or not any(tolerable in str(error) for tolerable in _TOLERABLE):
            raise _invalid(path, error) from error
    return model


def _invalid(path: Path, error: Exception) -> ModelUnreadableError:
    lines = str(error).strip().splitlines()
    return ModelUnreadableError(
        f"not a valid ONNX model: {lines[0] if lines else 'inconsistent'}",
        where=str(path),
        mend="export it again",
    )


def external_files(path: Path) -> list[Path]:
    """The files in which an ONNX file keeps weights, in its own folder.

    Raises:
        ModelUnreadableError: not ONNX, or a file is named that lies elsewhere.
    """
    # Parsing takes long: only a file that may name others is looked into.
    if b"location" not in path.read_bytes():
        return []
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise _not_onnx(path) from error
    names = {
        entry.value
        for tensor in _tensors(model.graph)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelUnreadableError(
                f"its weights are said to lie in {name}",
                where=str(path),
                mend="keep them in the model's own folder",
            )
    return [path.parent / name for name in sorted(names) if (path.parent / name).is_file()]


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for below in (attribute.g, *attribute.graphs):
                yield from _tensors(below)


def _not_onnx(path: Path) -> ModelUnreadableError:
    return ModelUnreadableError(
        "not an ONNX file, or cut off", where=str(path), mend="export or copy it again"
    )


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


def _bind(model: onnx.ModelProto, options: ImportOptions, path: Path) -> list[str]:
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
    model = load(path)
    axes = graph_inputs(model)
    check_names(list(axes), options, path)
    changes = _bind(model, options, path)
    free = {name: declared for name, declared in axes.items() if name not in options.bindings}
    shapes = fixed_shapes(free, options, path)
    changes += shape_changes(axes, shapes, options)
    operators = _operators(model.graph)
    _name_nodes(model.graph)
    model, upgrades = upgraded(model)
    simple, how = simplified(model, shapes)
    changes += [*upgrades, how]
    unknown = _unknown_nodes(simple.graph, simple, frozenset(CONVERTERS) | tvm_converters().keys())
    if unknown:
        raise unsupported(path, unknown)
    try:
        reader = GraphReader(simple, free_inputs(model, shapes))
        module = reader.read()
    except ModelUnreadableError as error:
        free_quietly(error)
        raise ModelUnreadableError(error.what, where=str(path), mend=error.mend) from error
    except Exception as error:
        guesses = [change for change in changes if GUESSED in change]
        mend = (
            f"{'; '.join(guesses)}: give the real shape with --shape NAME=1,3,48,320"
            if guesses
            else "the converter does not cover a part of it: export it in another way"
        )
        raise converter_stopped(error, path, mend) from error
    return Imported(
        module=module,
        signature=relax_signature(
            module, list(shapes), [value.name for value in simple.graph.output], path
        ),
        nodes=reader.builder.nodes,
        operators=dict(operators),
        parameters=parameter_counts(module),
        quantised=quantised_tensors(model),
        changes=tuple(changes),
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
