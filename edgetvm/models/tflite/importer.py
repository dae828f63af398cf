"""TFLite files into Relax."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.imported import (
    Axis,
    Imported,
    bound_array,
    check_names,
    converter_stopped,
    fixed_shapes,
    relax_signature,
    shape_changes,
)
from edgetvm.models.importers import unsupported
from edgetvm.models.model import (
    DTYPES,
    ImportOptions,
    Quantisation,
    Signature,
    State,
    counted,
)
from edgetvm.models.naming import naming_builder
from edgetvm.models.tflite.emitter import Emitter, Value
from edgetvm.models.tflite.file import (
    DAMAGE,
    Graph,
    Tensor,
    TFLiteFile,
    cut_off,
    read_file,
)
from edgetvm.models.tflite.lowering import Lowering, plain
from edgetvm.models.tflite.operators import RULES
from edgetvm.models.tflite.operators.control import called_by
from edgetvm.models.tflite.variables import Variable, variables_of

if TYPE_CHECKING:
    from tvm.ir import IRModule


# Lengths that are tried in turn for open axes of a signal: a window may be longer than the first.
_LENGTHS = tuple(128 << doubled for doubled in range(8))


def read(path: Path, options: ImportOptions) -> Imported:
    """Import a TFLite file. See `edgetvm.models.importers.import_model` for the errors."""
    file = read_file(path)
    try:
        graphs = reachable(file)
        unknown = _unknown(graphs)
    except DAMAGE as error:
        raise cut_off(path) from error
    if unknown:
        raise unsupported(path, unknown)
    main = file.graph(0)
    axes: dict[str, tuple[Axis, ...]] = {
        main.tensors[number].name: main.tensors[number].shape for number in main.inputs
    }
    _check_dtypes([main.tensors[number] for number in main.inputs], path)
    check_names(list(axes), options, path)
    errors = []
    tried: list[dict[str, tuple[int, ...]]] = []
    for length in _LENGTHS:
        shapes = fixed_shapes(axes, options, path, length)
        if shapes in tried:
            continue
        tried.append(shapes)
        try:
            return _imported(file, graphs, axes, shapes, options)
        except ModelUnreadableError as error:
            errors.append(error)
    raise errors[0]


def _imported(
    file: TFLiteFile,
    graphs: Sequence[Graph],
    axes: Mapping[str, Sequence[Axis]],
    shapes: Mapping[str, tuple[int, ...]],
    options: ImportOptions,
) -> Imported:
    main, path = file.graphs[0], file.path
    dtypes = {main.tensors[number].name: main.tensors[number].dtype for number in main.inputs}
    bound = {
        name: bound_array(name, shapes[name], dtypes[name], options, path)
        for name in options.bindings
    }
    lowering = Lowering(file)
    variables = _variables(lowering, graphs)
    module, nodes = _module(lowering, variables, shapes, bound)
    if lowering.refused:
        raise unsupported(path, lowering.refused)
    names = [main.tensors[number].name for number in main.inputs]
    results = [main.tensors[number].name for number in main.outputs]
    signature = relax_signature(
        module,
        [name for name in names if name not in bound] + [one.name for one in variables],
        results + [one.next_name for one in variables],
        path,
    )
    return Imported(
        module=module,
        nodes=nodes,
        signature=_described(signature, main, variables),
        operators=dict(Counter(one.name for graph in graphs for one in graph.operators)),
        parameters=_parameters(graphs),
        quantised=counted(_quantised_tensors(graphs)),
        changes=(
            *shape_changes(axes, shapes, options),
            *(f"input {name} became a constant" for name in bound),
            *(f"variable {one.name} became a state" for one in variables),
        ),
    )


def variable_names(path: Path) -> list[str]:
    """Names of the variables that became states, in the order of the signature."""
    file = read_file(path)
    return [one.name for one in _variables(Lowering(file), reachable(file))]


def _variables(lowering: Lowering, graphs: Sequence[Graph]) -> list[Variable]:
    try:
        return variables_of(lowering, graphs)
    except ModelUnreadableError:
        raise
    except struct.error as error:
        raise cut_off(lowering.file.path) from error
    except Exception as error:
        raise converter_stopped(
            error, lowering.file.path, "export the model anew", who="what runs once"
        ) from error


# Their 32-bit constants are biases; others take shapes and axes as such.
_BIASED = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
)


def _parameters(graphs: Sequence[Graph]) -> dict[str, int]:
    """Elements of the file's constants by dtype, each counted once, without shapes and axes."""
    seen: set[tuple[int, int]] = set()
    totals: Counter[str] = Counter()
    for index, graph in enumerate(graphs):
        for operator in graph.operators:
            for position, number in enumerate(operator.inputs):
                data = graph.tensors[number].data if number >= 0 else None
                if data is None or (operator.name == "TRANSPOSE_CONV" and position == 0):
                    continue
                known = (index, number) in seen
                if data.dtype.name not in ("int32", "int64") or operator.name in _BIASED:
                    totals[data.dtype.name] += 0 if known else data.size
                    seen.add((index, number))
    return dict(totals)


def _quantised_tensors(graphs: Sequence[Graph]) -> Iterator[tuple[str, str, bool]]:
    """Role, dtype and whether per channel, of each; biases follow from the two others."""
    for graph in graphs:
        for tensor in graph.tensors:
            if tensor.scales is not None and tensor.dtype not in ("int32", "int64"):
                role = "activations" if tensor.data is None else "weights"
                yield role, tensor.dtype, tensor.scales.per_channel


def reachable(file: TFLiteFile) -> list[Graph]:
    """The main graph and all that it calls, each once."""
    found, known = [0], {0}
    for index in found:
        for operator in file.graph(index).operators:
            for called in called_by(operator):
                if called not in known:
                    known.add(called)
                    found.append(called)
    return [file.graph(index) for index in found]


def _unknown(graphs: Sequence[Graph]) -> dict[str, list[str]]:
    unknown: dict[str, list[str]] = {}
    for graph in graphs:
        for operator in graph.operators:
            if operator.name not in RULES:
                unknown.setdefault(operator.name, []).append(operator.place)
    return unknown


def _check_dtypes(tensors: Any, path: Path) -> None:
    for tensor in tensors:
        if tensor.dtype not in DTYPES:
            raise ModelUnreadableError(
                f"input {tensor.name!r} is {tensor.dtype}",
                where=str(path),
                mend=f"export it with inputs of {', '.join(DTYPES)}",
            )


def _module(
    lowering: Lowering,
    variables: Sequence[Variable],
    shapes: Mapping[str, tuple[int, ...]],
    bound: Mapping[str, Value],
) -> tuple[IRModule, Mapping[str, str]]:
    try:
        return _lowered(lowering, variables, shapes, bound)
    except ModelUnreadableError:
        raise
    except Exception as error:
        raise converter_stopped(
            error, lowering.file.path, "export the model anew", who="lowering"
        ) from error


def _lowered(
    lowering: Lowering,
    variables: Sequence[Variable],
    shapes: Mapping[str, tuple[int, ...]],
    bound: Mapping[str, Value],
) -> tuple[IRModule, Mapping[str, str]]:
    """`main` over the inputs that are not bound and the variables, in this order."""
    from tvm import relax

    main = lowering.file.graphs[0]
    builder = naming_builder()
    inputs: list[Value] = []
    for number in main.inputs:
        tensor = main.tensors[number]
        if tensor.name in bound:
            inputs.append(bound[tensor.name])
        else:
            kind = relax.TensorType(shapes[tensor.name], tensor.dtype)
            inputs.append(relax.Var(plain(tensor.name), kind))
    states = {
        one.name: relax.Var(plain(one.name), relax.TensorType(one.shape, one.tensor.dtype))
        for one in variables
    }
    parameters = [value for value in inputs if not isinstance(value, np.ndarray)]
    with builder.function("main", [*parameters, *states.values()]):
        with builder.dataflow():
            emit = Emitter(builder, lowering.budget)
            lowering.variables.update(states)
            results = lowering.run(0, inputs, emit)
            results += [lowering.variables[one.name] for one in variables]
            if not lowering.refused and any(value is None for value in results):
                raise ValueError("an output that nothing computes")
            lifted = [emit.lifted(value) for value in results if value is not None]
            whole = builder.emit_output(lifted[0] if len(lifted) == 1 else relax.Tuple(lifted))
        builder.emit_func_output(whole)
    return builder.get(), builder.nodes


def _described(signature: Signature, main: Graph, variables: Sequence[Variable]) -> Signature:
    """The signature with quantisations and states."""
    by_name = {tensor.name: _quantisation(tensor) for tensor in main.tensors}
    for number in main.outputs:
        by_name[main.tensors[number].name] = _quantum(number, main)
    by_name |= {
        name: _quantisation(one.tensor) for one in variables for name in (one.name, one.next_name)
    }
    return Signature(
        tuple(replace(one, quantisation=by_name.get(one.name)) for one in signature.inputs),
        tuple(replace(one, quantisation=by_name.get(one.name)) for one in signature.outputs),
        tuple(State(one.name, one.next_name, one.initial) for one in variables),
    )


def _quantisation(tensor: Tensor) -> Quantisation | None:
    if tensor.scales is None or tensor.scales.per_channel:
        return None
    return Quantisation(float(tensor.scales.scale[0]), int(tensor.scales.zero_point[0]))


def _quantum(number: int, graph: Graph) -> Quantisation | None:
    """Of an output; a float one has the quantisation of what it was dequantised from."""
    for operator in graph.operators:
        if operator.name in ("DEQUANTIZE", "RESHAPE") and number in operator.outputs:
            source = graph.tensors[operator.inputs[0]]
            return _quantisation(source) or _quantisation(graph.tensors[number])
    return _quantisation(graph.tensors[number])
