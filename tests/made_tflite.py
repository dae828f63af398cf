"""Small TFLite models, built table by table with FlatBuffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

_TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "int8": tflite.TensorType.INT8,
    "int32": tflite.TensorType.INT32,
    "string": tflite.TensorType.STRING,
}


@dataclass(frozen=True)
class Tensor:
    """A tensor; with `data` it is a constant, with `scale` it is quantised."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    data: NDArray[np.generic] | None = None
    scale: float = 0.0


@dataclass(frozen=True)
class Operator:
    """A builtin operator by its name, or a custom one; inputs and outputs are tensor numbers.

    Writers that are `new` tell its number in the newer of the two fields alone.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom: str = ""
    new: bool = False


def _numbers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _tables(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _buffer(builder: flatbuffers.Builder, data: NDArray[np.generic] | None) -> int:
    content = None if data is None else builder.CreateByteVector(data.tobytes())
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return int(tflite.BufferEnd(builder))


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int) -> int:
    name, shape = builder.CreateString(tensor.name), _numbers(builder, tensor.shape)
    quantisation = None
    if tensor.scale:
        scale = builder.CreateNumpyVector(np.array([tensor.scale], np.float32))
        zero = builder.CreateNumpyVector(np.array([0], np.int64))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero)
        quantisation = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, _TYPES[tensor.dtype])
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    if quantisation is not None:
        tflite.TensorAddQuantization(builder, quantisation)
    return int(tflite.TensorEnd(builder))


def _code(builder: flatbuffers.Builder, operator: Operator) -> int:
    custom = builder.CreateString(operator.custom) if operator.custom else None
    number = getattr(tflite.BuiltinOperator, operator.name)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    if not operator.new:
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, 127))
    tflite.OperatorCodeAddVersion(builder, 1)
    if custom is not None:
        tflite.OperatorCodeAddCustomCode(builder, custom)
    return int(tflite.OperatorCodeEnd(builder))


def _operator(builder: flatbuffers.Builder, operator: Operator, code: int) -> int:
    options = None
    if operator.name == "FULLY_CONNECTED":
        tflite.FullyConnectedOptionsStart(builder)
        tflite.FullyConnectedOptionsAddFusedActivationFunction(
            builder, tflite.ActivationFunctionType.RELU
        )
        options = tflite.FullyConnectedOptionsEnd(builder)
    taken, given = _numbers(builder, operator.inputs), _numbers(builder, operator.outputs)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, taken)
    tflite.OperatorAddOutputs(builder, given)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, tflite.BuiltinOptions.FullyConnectedOptions)
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def write(
    path: Path,
    tensors: Sequence[Tensor],
    operators: Sequence[Operator],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> Path:
    """Write a model of one graph."""
    builder = flatbuffers.Builder(1024)
    # The first buffer of a file is empty.
    buffers = [_buffer(builder, data) for data in (None, *(one.data for one in tensors))]
    graph_parts = (
        _tables(builder, [_tensor(builder, one, at + 1) for at, one in enumerate(tensors)]),
        _numbers(builder, inputs),
        _numbers(builder, outputs),
        _tables(builder, [_operator(builder, one, at) for at, one in enumerate(operators)]),
    )
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, graph_parts[0])
    tflite.SubGraphAddInputs(builder, graph_parts[1])
    tflite.SubGraphAddOutputs(builder, graph_parts[2])
    tflite.SubGraphAddOperators(builder, graph_parts[3])
    graph = tflite.SubGraphEnd(builder)
    codes = [_code(builder, one) for one in operators]
    parts = [_tables(builder, offsets) for offsets in (codes, [graph], buffers)]
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, parts[0])
    tflite.ModelAddSubgraphs(builder, parts[1])
    tflite.ModelAddBuffers(builder, parts[2])
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def write_dense(path: Path) -> Path:
    """`x` float32[1, 6] -> dense with ReLU -> tanh -> `y` float32[1, 4]."""
    random = np.random.default_rng(5)
    tensors = [
        Tensor("x", (1, 6)),
        Tensor("weights", (4, 6), data=random.standard_normal((4, 6), np.float32)),
        Tensor("bias", (4,), data=random.standard_normal(4, np.float32)),
        Tensor("hidden", (1, 4)),
        Tensor("y", (1, 4)),
    ]
    operators = [Operator("FULLY_CONNECTED", (0, 1, 2), (3,)), Operator("TANH", (3,), (4,))]
    return write(path, tensors, operators, [0], [4])


def write_quantised(path: Path) -> Path:
    """The same, with 8-bit tensors."""
    tensors = [
        Tensor("x", (1, 6), "int8", scale=0.1),
        Tensor("weights", (4, 6), "int8", np.ones((4, 6), np.int8), 0.1),
        Tensor("bias", (4,), "int32", np.zeros(4, np.int32), 0.01),
        Tensor("hidden", (1, 4), "int8", scale=0.1),
        Tensor("y", (1, 4), "int8", scale=0.1),
    ]
    operators = [Operator("FULLY_CONNECTED", (0, 1, 2), (3,)), Operator("TANH", (3,), (4,))]
    return write(path, tensors, operators, [0], [4])


def write_custom(path: Path) -> Path:
    """Operators that no converter knows: a custom one twice, and a builtin one."""
    tensors = [Tensor(name, (1, 4)) for name in ("x", "a", "b", "y")]
    operators = [
        Operator("CUSTOM", (0,), (1,), "Warp"),
        Operator("CUSTOM", (1,), (2,), "Warp"),
        Operator("SVDF", (2,), (3,)),
    ]
    return write(path, tensors, operators, [0], [3])
