"""The chain of one-element additions as a TFLite file, for LiteRT."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np

from edgetvm.measure.peers.case import Case


def as_tflite(case: Case) -> Case:
    """The same chain and data.

    Args:
        case: of `benchmarks.footprint.chain`.
    """
    from ai_edge_litert import schema_py_generated as schema

    chain = _Chain(schema)
    for index in range(int(case.name.rpartition("-")[2])):
        chain.add(np.float32(1 + index))
    file = case.file.with_suffix(".tflite")
    file.write_bytes(chain.packed())
    return replace(case, file=file)


class _Chain:
    """A graph that grows by an addition."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        # The first buffer of a file is empty.
        self._buffers = [schema.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._last = self._tensor(None)

    def _tensor(self, data: bytes | None) -> int:
        buffer, tensor = self._schema.BufferT(), self._schema.TensorT()
        buffer.data = data
        tensor.name, tensor.shape = f"t{len(self._tensors)}", [1, 1]
        tensor.type, tensor.buffer = self._schema.TensorType.FLOAT32, len(self._buffers)
        self._buffers.append(buffer)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def add(self, number: np.float32) -> None:
        """One more operator."""
        operator = self._schema.OperatorT()
        operator.inputs = [self._last, self._tensor(number.tobytes())]
        self._last = self._tensor(None)
        operator.outputs = [self._last]
        operator.builtinOptionsType = self._schema.BuiltinOptions.AddOptions
        operator.builtinOptions = self._schema.AddOptionsT()
        self._operators.append(operator)

    def packed(self) -> bytes:
        """The file."""
        schema = self._schema
        code, graph, model = schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
        code.version, model.version = 1, 3
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = [0], [self._last]
        model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], self._buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
