"""TFLite files into Relax."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.imported import (
    Axis,
    Imported,
    check_names,
    converter_stopped,
    fixed_shapes,
    parameter_count,
    relax_signature,
    shape_changes,
)
from edgetvm.models.importers import unsupported
from edgetvm.models.model import DTYPES, ImportOptions

# An offset that leads astray ends in any of these: FlatBuffers checks nothing before it reads.
_DAMAGE = (struct.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)


def _load(path: Path) -> Any:
    import tflite

    data = path.read_bytes()
    # The FlatBuffers file identifier lies after the root's offset.
    if data[4:8] != b"TFL3":
        raise ModelUnreadableError(
            "not a TFLite file", where=str(path), mend="export or copy it again"
        )
    try:
        model = tflite.Model.GetRootAsModel(data, 0)
        for index in range(model.SubgraphsLength()):
            model.Subgraphs(index).TensorsLength()
    except _DAMAGE as error:
        raise _cut_off(path) from error
    if model.SubgraphsLength() == 0:
        raise ModelUnreadableError("it holds no graph", where=str(path), mend="export it again")
    return model


def _cut_off(path: Path) -> ModelUnreadableError:
    return ModelUnreadableError(
        "damaged or cut off", where=str(path), mend="export or copy it again"
    )


def _operator_names(model: Any) -> list[str]:
    """Name of each operator of the main graph, in order."""
    import tflite

    builtin = {
        value: name for name, value in vars(tflite.BuiltinOperator).items() if name.isupper()
    }
    graph = model.Subgraphs(0)
    names = []
    for index in range(graph.OperatorsLength()):
        code = model.OperatorCodes(graph.Operators(index).OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = code.CustomCode()
        name = builtin.get(number, f"operator {number}")
        names.append(f"CUSTOM {custom.decode()}" if name == "CUSTOM" and custom else name)
    return names


def _dtype(tensor: Any, path: Path) -> str:
    from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter

    try:
        return str(OperatorConverter.get_tensor_type_str(OperatorConverter, tensor.Type()))
    except NotImplementedError as error:
        raise ModelUnreadableError(
            f"input {tensor.Name().decode()!r} is of TFLite's type {tensor.Type()}",
            where=str(path),
            mend=f"export it with inputs of {', '.join(DTYPES)}",
        ) from error


# Operators that may multiply float activations by int8 weights (dynamic-range quantisation).
_HYBRID = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_INT8 = 9  # tflite.TensorType.INT8


def _quantised_nodes(model: Any, names: list[str]) -> dict[str, list[str]]:
    """Operators that compute on quantised tensors, which TVM's converter does not lower."""
    graph = model.Subgraphs(0)
    found: dict[str, list[str]] = {}
    for index, name in enumerate(names):
        operator = graph.Operators(index)
        if name in _HYBRID and graph.Tensors(operator.Inputs(1)).Type() == _INT8:
            label = graph.Tensors(operator.Outputs(0)).Name().decode()
            found.setdefault(f"{name} with int8 weights", []).append(label)
            continue
        for position in range(operator.OutputsLength()):
            quantisation = graph.Tensors(operator.Outputs(position)).Quantization()
            if name != "DEQUANTIZE" and quantisation and quantisation.ScaleLength() > 0:
                label = graph.Tensors(operator.Outputs(position)).Name().decode()
                found.setdefault(f"quantised {name}", []).append(label)
                break
    return found


def read(path: Path, options: ImportOptions) -> Imported:
    """Import a TFLite file. See `edgetvm.models.importers.import_model` for the errors."""
    from tvm.relax.frontend.tflite import from_tflite
    from tvm.relax.frontend.tflite.tflite_frontend import ExprTable, OperatorConverter

    model = _load(path)
    graph = model.Subgraphs(0)
    try:
        names = _operator_names(model)
        inputs = [graph.Tensors(graph.Inputs(index)) for index in range(graph.InputsLength())]
        outputs = [graph.Tensors(graph.Outputs(index)) for index in range(graph.OutputsLength())]
        axes: dict[str, tuple[Axis, ...]] = {}
        for tensor in inputs:
            declared = tensor.ShapeSignatureAsNumpy()
            if isinstance(declared, int):  # FlatBuffers' answer for an absent vector
                declared = tensor.ShapeAsNumpy()
            sizes = [] if isinstance(declared, int) else declared.tolist()
            axes[tensor.Name().decode()] = tuple(size if size > 0 else None for size in sizes)
        dtypes = {tensor.Name().decode(): _dtype(tensor, path) for tensor in inputs}
        known = OperatorConverter(model, graph, ExprTable(), None).convert_map
        unknown: dict[str, list[str]] = {}
        for index, name in enumerate(names):
            if name not in known:
                output = graph.Tensors(graph.Operators(index).Outputs(0)).Name().decode()
                unknown.setdefault(name, []).append(output)
        unknown |= _quantised_nodes(model, names)
        output_names = [tensor.Name().decode() for tensor in outputs]
    except _DAMAGE as error:
        raise _cut_off(path) from error
    if unknown:
        raise unsupported(path, unknown)
    check_names(list(axes), options, path)
    shapes = fixed_shapes(axes, options, path)
    try:
        module = from_tflite(model, shape_dict=shapes, dtype_dict=dtypes)
    except Exception as error:
        raise converter_stopped(
            error, path, "export the model anew, without the operator that it stopped at"
        ) from error
    if isinstance(module, tuple):
        module = module[0]
    return Imported(
        module=module,
        signature=relax_signature(module, list(axes), output_names, path),
        operators=dict(Counter(names)),
        parameter_count=parameter_count(module),
        changes=tuple(shape_changes(axes, shapes, options)),
    )
