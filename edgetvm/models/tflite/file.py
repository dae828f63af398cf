"""A TFLite file as plain records, every offset and length checked on the way."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.tflite.constants import NUMPY_DTYPES, array_of, dense

# An offset that leads astray ends in any of these: FlatBuffers checks nothing before it reads.
DAMAGE = (struct.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)

# More than any model for these boards needs; a few bytes of a file can declare it.
_MOST_BYTES = 1 << 31
_MOST_EXPANDED = 1 << 24

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
        variable: an operator writes to it, and the next run finds that.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scales: Scales | None
    data: NDArray[np.generic] | None
    variable: bool


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator; inputs and outputs are numbers of tensors, -1 for one that is left out.

    Attributes:
        index: its place in its graph.
        name: `CONV_2D`; a custom one is `CUSTOM Name`.
        label: name of its first output, as profiles and errors show it.
        table: as FlatBuffers reads it.
    """

    index: int
    name: str
    label: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Any

    @property
    def place(self) -> str:
        """Which one it is, for messages."""
        shown = "".join(one if one.isprintable() else "?" for one in self.label[:80])
        return f"#{self.index} {shown}"

    def options(self, class_name: str) -> Any:
        """The options of the class `tflite.NAME`; its defaults where the file has no such ones."""
        import tflite

        made = getattr(tflite, class_name)()
        for kind, table in (
            (tflite.BuiltinOptions, (self.table.BuiltinOptionsType, self.table.BuiltinOptions)),
            (tflite.BuiltinOptions2, (self.table.BuiltinOptions2Type, self.table.BuiltinOptions2)),
        ):
            found = table[1]() if table[0]() == getattr(kind, class_name, None) else None
            if found is not None:
                made.Init(found.Bytes, found.Pos)
                return made
        made.Init(*_EMPTY_TABLE)
        return made

    def custom_option(self, key: str, default: float) -> float:
        """A number among the options of a custom operator, a FlexBuffers map."""
        from flatbuffers import flexbuffers

        if self.table.CustomOptionsIsNone():
            return default
        root = flexbuffers.GetRoot(self.table.CustomOptionsAsNumpy().tobytes())
        try:
            return float(root.AsMap[key].AsFloat)
        except KeyError:
            return default


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
    size_bytes: int
    graphs: tuple[Graph, ...]

    def graph(self, index: int) -> Graph:
        """A subgraph by its number.

        Raises:
            ValueError: there is no such number.
        """
        if not 0 <= index < len(self.graphs):
            raise ValueError(f"no graph has the number {index}")
        return self.graphs[index]


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
        graphs = _Reader(path, data).graphs()
    except DAMAGE as error:
        raise cut_off(path) from error
    if not graphs:
        raise ModelUnreadableError("it holds no graph", where=str(path), mend="export it again")
    return TFLiteFile(path, len(data), graphs)


def is_hybrid(file: TFLiteFile) -> bool:
    """Whether operators multiply floats by 8-bit weights: they quantise the data as they come."""
    return any(
        _weighs_floats([graph.tensors[number] for number in operator.inputs[:2] if number >= 0])
        for graph in file.graphs
        for operator in graph.operators
    )


def _weighs_floats(operands: Sequence[Tensor]) -> bool:
    if len(operands) < 2:
        return False
    data, weights = operands
    return data.dtype == "float32" and weights.scales is not None and weights.data is not None


def cut_off(path: Path) -> ModelUnreadableError:
    """The error for a file whose parts do not fit together."""
    return ModelUnreadableError(
        "damaged or cut off", where=str(path), mend="export or copy it again"
    )


class _Reader:
    """Reads with a budget: tables that share their parts could be followed for ever."""

    def __init__(self, path: Path, data: bytes) -> None:
        import tflite

        self._path = path
        self._data = data
        self._left = 4 * len(data) + 1024
        self._expanded = 0
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
            number = _number_of(code)
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
            self._operator(index, graph.Operators(index), tensors)
            for index in range(self._spend(graph.OperatorsLength()))
        )
        inputs = self._numbers(graph.InputsLength(), graph.InputsAsNumpy())
        outputs = self._numbers(graph.OutputsLength(), graph.OutputsAsNumpy())
        _check_numbers((*inputs, *outputs), tensors, least=0)
        return Graph(tensors, operators, inputs, outputs)

    def _operator(self, index: int, operator: Any, tensors: tuple[Tensor, ...]) -> Operator:
        inputs = self._numbers(operator.InputsLength(), operator.InputsAsNumpy())
        outputs = self._numbers(operator.OutputsLength(), operator.OutputsAsNumpy())
        _check_numbers(inputs, tensors, least=-1)
        _check_numbers(outputs, tensors, least=0)
        used = outputs or tuple(number for number in inputs if number >= 0)
        return Operator(
            index=index,
            name=self._codes[operator.OpcodeIndex()],
            label=tensors[used[0]].name if used else "",
            inputs=inputs,
            outputs=outputs,
            table=operator,
        )

    def _tensor(self, tensor: Any) -> Tensor:
        shape = self._numbers(tensor.ShapeLength(), tensor.ShapeAsNumpy())
        signature = self._numbers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy())
        type_name = self._types.get(tensor.Type(), f"type {tensor.Type()}")
        name = (tensor.Name() or b"").decode()
        self._spend(len(name) // 4)
        data = self._constant(tensor, name, type_name, shape)
        packed = type_name == "INT4" and data is None
        dtype = "int4" if packed else NUMPY_DTYPES.get(type_name, type_name.lower())
        width = np.dtype(NUMPY_DTYPES.get(type_name, "int8")).itemsize
        if math.prod(max(size, 1) for size in shape) * width > _MOST_BYTES:
            raise self._refusal(name, f"is {dtype}{list(shape)}, larger than 2 GiB")
        return Tensor(
            name=name,
            shape=tuple(None if size < 0 else size for size in signature or shape),
            dtype=dtype,
            scales=self._scales(tensor.Quantization(), name, dtype, shape),
            data=data,
            variable=bool(tensor.IsVariable()),
        )

    def _refusal(self, name: str, why: str) -> ModelUnreadableError:
        return ModelUnreadableError(
            f"tensor {name!r} {why}", where=str(self._path), mend="export or copy the file again"
        )

    def _scales(self, table: Any, name: str, dtype: str, shape: tuple[int, ...]) -> Scales | None:
        if table is None or table.ScaleLength() == 0 or dtype not in ("int8", "uint8", "int16"):
            return None
        count = self._spend(table.ScaleLength())
        self._spend(table.ZeroPointLength())
        scale = np.array(table.ScaleAsNumpy(), np.float32)
        zeros = table.ZeroPointAsNumpy()
        zero_point = np.zeros(1, np.int64) if isinstance(zeros, int) else np.array(zeros, np.int64)
        axis, limits = table.QuantizedDimension(), np.iinfo(dtype)
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise self._refusal(name, "has a quantisation scale that is no positive number")
        if zero_point.min() < limits.min or zero_point.max() > limits.max:
            raise self._refusal(name, f"has a zero point that {dtype} does not hold")
        if zero_point.size not in (1, count):
            raise self._refusal(name, f"has {count} scales and {zero_point.size} zero points")
        if count > 1 and not (0 <= axis < len(shape) and shape[axis] == count):
            raise self._refusal(name, f"has {count} scales for axis {axis} of {list(shape)}")
        return Scales(scale, np.broadcast_to(zero_point, scale.shape), axis)

    def _constant(
        self, tensor: Any, name: str, type_name: str, shape: tuple[int, ...]
    ) -> NDArray[np.generic] | None:
        data = self._buffer(tensor.Buffer())
        if type_name not in NUMPY_DTYPES or (not data.size and 0 not in shape):
            return None
        sparsity = tensor.Sparsity()
        if sparsity is not None:
            self._expand(math.prod(shape))
        if sparsity is not None:
            return dense(data, type_name, shape, sparsity)
        try:
            return array_of(data, type_name, shape)
        except ValueError as error:
            raise self._refusal(name, f"does not hold what it says: {error}") from error

    def _expand(self, count: int) -> None:
        """Account for elements that the file does not hold one by one."""
        self._expanded += count
        if self._expanded > _MOST_EXPANDED + 64 * len(self._data):
            raise ValueError("sparse tensors beyond all measure")

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


def _number_of(code: Any) -> int:
    """The larger of the two fields that an operator's number may stand in, as the schema says.

    Some writers fill only the newer one, which the accessor of the package `tflite` then passes by.
    """
    from flatbuffers.number_types import Int32Flags

    table = code._tab
    place = table.Offset(10)
    return max(
        int(code.DeprecatedBuiltinCode()),
        int(table.Get(Int32Flags, table.Pos + place)) if place else 0,
    )
