"""TFLite models of a few operators, any of them, built with the schema that LiteRT ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
    "complex64": schema.TensorType.COMPLEX64,
    "int4": schema.TensorType.INT4,
    "resource": schema.TensorType.RESOURCE,
}


@dataclass
class T:
    """A tensor: with `data` a constant, with `scale` quantised."""

    shape: Sequence[int]
    dtype: str = "float32"
    data: NDArray[Any] | None = None
    scale: float | Sequence[float] | None = None
    zero: int | Sequence[int] = 0
    axis: int = 0
    name: str = ""
    variable: bool = False


def const(data: Any, dtype: str = "int32", **more: Any) -> T:
    """A constant."""
    array = np.asarray(data, "int8" if dtype == "int4" else dtype)
    return T(array.shape, dtype, array, **more)


@dataclass
class Op:
    """An operator over tensor numbers; `options` are fields of NAMEOptionsT.

    A custom one has its name and the bytes of its options.
    """

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: tuple[str, Mapping[str, Any]] | None = None
    intermediates: Sequence[int] = ()
    version: int = 1
    custom: tuple[str, bytes] | None = None


@dataclass
class Sub:
    """A subgraph."""

    tensors: Sequence[T]
    operators: Sequence[Op]
    inputs: Sequence[int]
    outputs: Sequence[int]


@dataclass
class _File:
    codes: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])


def write_graphs(path: Path, *graphs: Sub) -> Path:
    """Write a file of these subgraphs, the first the model."""
    file = _File()
    model = schema.ModelT()
    model.version = 3
    model.subgraphs = [_graph(file, graph) for graph in graphs]
    model.operatorCodes, model.buffers = file.codes, file.buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def _graph(file: _File, graph: Sub) -> Any:
    made = schema.SubGraphT()
    made.tensors = [_tensor(file, tensor, at) for at, tensor in enumerate(graph.tensors)]
    made.operators = [_operator(file, operator) for operator in graph.operators]
    made.inputs, made.outputs = list(graph.inputs), list(graph.outputs)
    return made


def _tensor(file: _File, tensor: T, index: int) -> Any:
    made = schema.TensorT()
    made.name = (tensor.name or f"t{index}").encode()
    made.shape = list(tensor.shape)
    made.type = _TYPES[tensor.dtype]
    made.isVariable = tensor.variable
    made.buffer = 0
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(_bytes(tensor.data, tensor.dtype), np.uint8)
        made.buffer = len(file.buffers)
        file.buffers.append(buffer)
    if tensor.scale is not None:
        scales = np.atleast_1d(np.asarray(tensor.scale, np.float32))
        quantisation = schema.QuantizationParametersT()
        quantisation.scale = scales
        quantisation.zeroPoint = np.broadcast_to(
            np.asarray(tensor.zero, np.int64), scales.shape
        ).copy()
        quantisation.quantizedDimension = tensor.axis
        made.quantization = quantisation
    return made


def _bytes(data: NDArray[Any], dtype: str) -> bytes:
    if dtype != "int4":
        return np.ascontiguousarray(data.astype(dtype)).tobytes()
    low = np.append(data.ravel(), [0] * (data.size % 2)).astype(np.uint8) & 15
    return bytes(low[::2] | low[1::2] << 4)


def _operator(file: _File, operator: Op) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, operator.name)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = operator.version
    if operator.custom is not None:
        code.customCode = operator.custom[0].encode()
    made = schema.OperatorT()
    made.opcodeIndex = len(file.codes)
    file.codes.append(code)
    made.inputs, made.outputs = list(operator.inputs), list(operator.outputs)
    made.intermediates = list(operator.intermediates)
    if operator.custom is not None:
        made.customOptions = np.frombuffer(operator.custom[1], np.uint8)
    if operator.options is not None:
        name, fields = operator.options
        options = getattr(schema, f"{name}T")()
        for key, value in fields.items():
            assert hasattr(options, key), f"{name} has no {key}"
            setattr(options, key, value)
        if hasattr(schema.BuiltinOptions, name):
            made.builtinOptions = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        else:
            made.builtinOptions2 = options
            made.builtinOptions2Type = getattr(schema.BuiltinOptions2, name)
    return made
