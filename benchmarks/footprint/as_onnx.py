"""A float TFLite convolution network as ONNX, for peers that read no TFLite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgetvm.measure.peers.case import Case, Unavailable

_SAME = 0
_ACTIVATIONS = {0: None, 1: "Relu"}


def as_onnx(case: Case, folder: Path) -> Case:
    """The same model and data, images with their channels first.

    Args:
        case: a TFLite file of one input and one output.
        folder: for what is written.
    """
    from ai_edge_litert import schema_py_generated as schema

    data = case.file.read_bytes()
    read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    file, arrays = folder / f"{case.name}.onnx", dict(np.load(case.data))
    given, answered = arrays["input0"], arrays["output0"]
    graph = _Graph(schema, read).converted(given.shape, answered.shape)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    first = folder / f"{case.name}.npz"
    np.savez(first, input0=np.ascontiguousarray(np.moveaxis(given, -1, 1)), output0=answered)
    operators = frozenset(node.op_type for node in graph.node)
    return replace(
        case, file=file, data=first, inputs=("input",), outputs=("output",), operators=operators
    )


class _Graph:
    """Nodes as they are made, one or two for each operator of the file."""

    def __init__(self, schema: Any, model: Any) -> None:
        self._names = {
            number: name
            for name, number in vars(schema.BuiltinOperator).items()
            if isinstance(number, int)
        }
        self._model, self._graph = model, model.subgraphs[0]
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def converted(self, given: tuple[int, ...], answered: tuple[int, ...]) -> Any:
        """The graph of one input of that shape, channels last there, and one output."""
        names = {int(self._graph.inputs[0]): "input"}
        for operator in self._graph.operators:
            code = self._model.operatorCodes[operator.opcodeIndex]
            kind = self._names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            source, target = names[int(operator.inputs[0])], int(operator.outputs[0])
            is_last = target == int(self._graph.outputs[0])
            names[target] = "output" if is_last else f"t{target}"
            _KINDS[kind](self, operator, source, names[target])
        batch, height, width, channels = given
        first = [batch, channels, height, width]
        return helper.make_graph(
            self._nodes,
            "converted",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, first)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(answered))],
            self._constants,
        )

    def convolution(self, operator: Any, source: str, target: str) -> None:
        options, weights = operator.builtinOptions, self._array(operator.inputs[1])
        depthwise = hasattr(options, "depthMultiplier")
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        strides = options.strideH, options.strideW
        activation = _ACTIVATIONS[options.fusedActivationFunction]
        made = f"{target}_sums" if activation else target
        self._node(
            "Conv",
            [source, self._constant(target, weights.transpose(order)), self._bias(operator)],
            made,
            strides=strides,
            pads=self._pads(operator, strides, weights.shape[1:3]),
            group=weights.shape[3] if depthwise else 1,
        )
        if activation:
            self._node(activation, [made], target)

    def pooling(self, operator: Any, source: str, target: str) -> None:
        options = operator.builtinOptions
        window = options.filterHeight, options.filterWidth
        strides = options.strideH, options.strideW
        pads = self._pads(operator, strides, window)
        self._node("AveragePool", [source], target, kernel_shape=window, strides=strides, pads=pads)

    def flattening(self, operator: Any, source: str, target: str) -> None:
        """Of an image of one pixel: in whatever order its axes are."""
        if self._shape(operator.inputs[0])[1:3] != [1, 1]:
            raise Unavailable("only images of one pixel are flattened")
        self._node("Flatten", [source], target)

    def dense(self, operator: Any, source: str, target: str) -> None:
        weights = self._constant(target, self._array(operator.inputs[1]))
        self._node("Gemm", [source, weights, self._bias(operator)], target, transB=1)

    def softmax(self, operator: Any, source: str, target: str) -> None:
        self._node("Softmax", [source], target, axis=-1)

    def _node(self, kind: str, inputs: list[str], target: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [target], **attributes))

    def _shape(self, tensor: int) -> list[int]:
        return [int(size) for size in self._graph.tensors[tensor].shape]

    def _array(self, tensor: int) -> Any:
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return np.frombuffer(np.asarray(data).tobytes(), np.float32).reshape(self._shape(tensor))

    def _bias(self, operator: Any) -> str:
        bias = int(operator.inputs[2])
        return self._constant(f"bias{bias}", self._array(bias))

    def _constant(self, name: str, array: Any) -> str:
        told = f"{name}_constant"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), told))
        return told

    def _pads(self, operator: Any, strides: tuple[int, int], window: Any) -> list[int]:
        """Before and behind, as TensorFlow has them: the odd one behind."""
        if operator.builtinOptions.padding != _SAME:
            return [0, 0, 0, 0]
        sizes = self._shape(operator.inputs[0])[1:3], self._shape(operator.outputs[0])[1:3]
        whole = [
            max(0, (made - 1) * stride + taps - given)
            for given, made, stride, taps in zip(*sizes, strides, window, strict=True)
        ]
        return [*(size // 2 for size in whole), *(size - size // 2 for size in whole)]


_KINDS: dict[str, Callable[[_Graph, Any, str, str], None]] = {
    "CONV_2D": _Graph.convolution,
    "DEPTHWISE_CONV_2D": _Graph.convolution,
    "AVERAGE_POOL_2D": _Graph.pooling,
    "RESHAPE": _Graph.flattening,
    "FULLY_CONNECTED": _Graph.dense,
    "SOFTMAX": _Graph.softmax,
}
