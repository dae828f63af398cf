"""A TFLite file as plain records, every offset and length checked on the way."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError

# An offset that leads astray ends in any of these: FlatBuffers checks nothing before it reads.
DAMAGE = (struct.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)

# TFLite's element types that numpy has too; the others (text, complex, 4 bits) have no kernel here.
_DTYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "FLOAT64": "float64",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "UINT16": "uint16",
    "INT32": "int32",
    "UINT32": "uint32",
    "INT64": "int64",
    "UINT64": "uint64",
    "BOOL": "bool",
    "RESOURCE": "resource",
}

# A table without fields: FlatBuffers then answers with every default of the schema.
_EMPTY_TABLE = (struct.pack("<HHi", 4, 4, 4), 4)


@dataclass(frozen=True, eq=False)
class Scales:
    """How integers stand for real numbers: `scale * (integer - zero_point)`.

    Attributes:
        scale, zero_point: one each, or one for each index of `axis`.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int

    @property
    def per_channel(self) -> bool:
        """Whether every index of `axis` has its own."""
        return self.scale.size > 1

    def along(self, values: NDArray[Any], rank: int, axis: int | None = None) -> NDArray[Any]:
        """`values` (of `scale` or `zero_point`) in a shape that broadcasts over a tensor."""
        if not self.per_channel:
            return values.reshape(())
        shape = [1] * rank
        shape[self.axis if axis is None else axis] = values.size
        return values.reshape(shape)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor as the file declares it.

    Attributes:
        shape: of the file, which other input shapes make stale; None is a dynamic axis.
        dtype: numpy's name, `resource` for a variable's handle, TFLite's own for what has none.
        scales: of an 8- or 16-bit tensor that is quantised.
        data: of a constant.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scales: Scales | None
    data: NDArray[np.generic] | None


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator; inputs and outputs are numbers of tensors, -1 for one that is left out.

    Attributes:
        name: `CONV_2D`; a custom one is `CUSTOM Name`.
        label: name of its first output, as profiles and errors show it.
        version: of the operator in the schema.
    """

    name: str
    label: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Any

    def options(self, class_name: str) -> Any:
        """The options of the class `tflite.NAME`, its defaults where the file has none."""
        import tflite

        made = getattr(tflite, class_name)()
        if self.table is None:
            made.Init(*_EMPTY_TABLE)
        else:
            made.Init(self.table.Bytes, self.table.Pos)
        return made


@dataclass(frozen=True, eq=False)
class Graph:
    """One subgraph."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TFLiteFile:
    """All subgraphs; the first is the model."""

    path: Path
    graphs: tuple[Graph, ...]


def read_file(path: Path) -> TFLiteFile:
    """Read a TFLite file.

    Raises:
        ModelUnreadableError: not a TFLite file, damaged, or without a graph.
    """
    data = path.read_bytes()
    # The FlatBuffers file identifier lies after the root's offset.
    if data[4:8] != b"TFL3":
        raise ModelUnreadableError(
            "not a TFLite file", where=str(path), mend="export or copy it again"
        )
    try:
        graphs = _Reader(data).graphs()
    except DAMAGE as error:
        raise cut_off(path) from error
    if not graphs:
        raise ModelUnreadableError("it holds no graph", where=str(path), mend="export it again")
    return TFLiteFile(path, graphs)


def cut_off(path: Path) -> ModelUnreadableError:
    """The error for a file whose parts do not fit together."""
    return ModelUnreadableError(
        "damaged or cut off", where=str(path), mend="export or copy it again"
    )


class _Reader:
    """Reads with a budget: tables that share their parts could be followed for ever."""

    def __init__(self, data: bytes) -> None:
        import tflite

        self._data = data
        self._left = 4 * len(data) + 1024
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._builtin = _names(tflite.BuiltinOperator)
        self._types = _names(tflite.TensorType)

    def graphs(self) -> tuple[Graph, ...]:
        count = self._spend(self._model.SubgraphsLength())
        return tuple(self._graph(self._model.Subgraphs(index)) for index in range(count))

    def _spend(self, count: int) -> int:
        self._left -= count
        if count < 0 or self._left < 0:
            raise ValueError("more parts than the file has bytes")
        return count

    def _numbers(self, count: int, array: Any) -> tuple[int, ...]:
        self._spend(count)
        # FlatBuffers answers 0 for a vector that is left out.
        return () if isinstance(array, int) else tuple(array.tolist())

    @cached_property
    def _codes(self) -> tuple[str, ...]:
        names = []
        for index in range(self._spend(self._model.OperatorCodesLength())):
            code = self._model.OperatorCodes(index)
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            custom = code.CustomCode()
            name = self._builtin.get(number, f"operator {number}")
            shown = (custom or b"without a name").decode()
            names.append(f"CUSTOM {shown}" if name == "CUSTOM" else name)
        return tuple(names)

    def _graph(self, graph: Any) -> Graph:
        tensors = tuple(
            self._tensor(graph.Tensors(index))
            for index in range(self._spend(graph.TensorsLength()))
        )
        operators = tuple(
            self._operator(graph.Operators(index), tensors)
            for index in range(self._spend(graph.OperatorsLength()))
        )
        inputs = self._numbers(graph.InputsLength(), graph.InputsAsNumpy())
        outputs = self._numbers(graph.OutputsLength(), graph.OutputsAsNumpy())
        _check_numbers((*inputs, *outputs), tensors, least=0)
        return Graph(tensors, operators, inputs, outputs)

    def _operator(self, operator: Any, tensors: tuple[Tensor, ...]) -> Operator:
        inputs = self._numbers(operator.InputsLength(), operator.InputsAsNumpy())
        outputs = self._numbers(operator.OutputsLength(), operator.OutputsAsNumpy())
        _check_numbers(inputs, tensors, least=-1)
        _check_numbers(outputs, tensors, least=0)
        used = outputs or tuple(number for number in inputs if number >= 0)
        return Operator(
            name=self._codes[operator.OpcodeIndex()],
            label=tensors[used[0]].name if used else "",
            inputs=inputs,
            outputs=outputs,
            table=operator.BuiltinOptions(),
        )

    def _tensor(self, tensor: Any) -> Tensor:
        shape = self._numbers(tensor.ShapeLength(), tensor.ShapeAsNumpy())
        signature = self._numbers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy())
        known = self._types.get(tensor.Type(), f"type {tensor.Type()}")
        dtype = _DTYPES.get(known, known)
        name = (tensor.Name() or b"").decode()
        self._spend(len(name) // 4)
        return Tensor(
            name=name,
            shape=tuple(None if size < 0 else size for size in signature or shape),
            dtype=dtype,
            scales=self._scales(tensor.Quantization(), dtype, len(shape)),
            data=self._constant(tensor, dtype, shape),
        )

    def _scales(self, table: Any, dtype: str, rank: int) -> Scales | None:
        if table is None or table.ScaleLength() == 0 or dtype not in ("int8", "uint8", "int16"):
            return None
        count = self._spend(table.ScaleLength())
        self._spend(table.ZeroPointLength())
        scale = np.array(table.ScaleAsNumpy(), np.float32)
        zeros = table.ZeroPointAsNumpy()
        zero_point = np.zeros(1, np.int64) if isinstance(zeros, int) else np.array(zeros, np.int64)
        zero_point = np.broadcast_to(zero_point, scale.shape)
        limits = np.iinfo(dtype)
        axis = table.QuantizedDimension()
        if (
            not (np.isfinite(scale) & (scale > 0)).all()
            or zero_point.min() < limits.min
            or zero_point.max() > limits.max
            or (count > 1 and not 0 <= axis < rank)
        ):
            raise ValueError("a quantisation that maps to no real numbers")
        return Scales(scale, zero_point, axis)

    def _constant(
        self, tensor: Any, dtype: str, shape: tuple[int, ...]
    ) -> NDArray[np.generic] | None:
        data = self._buffer(tensor.Buffer())
        if not data.size or dtype not in _DTYPES.values() or dtype == "resource":
            return None
        if tensor.Sparsity() is not None:
            return None  # only DENSIFY could read it
        return data.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)

    def _buffer(self, index: int) -> NDArray[np.uint8]:
        """A view: many tensors may share a buffer."""
        buffer = self._model.Buffers(index)
        data = buffer.DataAsNumpy()
        if not isinstance(data, int):
            return np.asarray(data, np.uint8)
        # Files beyond 2 GB keep their constants behind the FlatBuffers part.
        offset = buffer.Offset() if buffer.Offset() > 1 else len(self._data)
        return np.frombuffer(self._data, np.uint8)[offset : offset + buffer.Size()]


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if name.isupper()}


def _check_numbers(numbers: tuple[int, ...], tensors: tuple[Tensor, ...], least: int) -> None:
    if any(not least <= number < len(tensors) for number in numbers):
        raise ValueError("a number of no tensor")
