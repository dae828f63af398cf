"""The walk over an ONNX graph: every node is folded, converted, or opened into simpler ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import EdgetvmError, ModelUnreadableError
from edgetvm.models.naming import identifier, naming_builder
from edgetvm.models.onnx import narrow
from edgetvm.models.onnx.converters import CONVERTERS
from edgetvm.models.onnx.emitter import Emitter, array_of, dtype_of, is_constant
from edgetvm.models.onnx.folding import evaluate
from edgetvm.models.onnx.functions import body_of, with_attributes
from edgetvm.models.onnx.narrow import CARRIERS, carried, carrier, uncarried
from edgetvm.models.onnx.node import OPEN, Node
from edgetvm.models.onnx.protos import (
    attributes_of,
    check_size,
    check_window,
    label,
    own_name,
)

if TYPE_CHECKING:
    import onnx
    from tvm.ir import IRModule

# Loops are unrolled and functions opened: this many nodes are more than a model may become.
MOST_NODES = 200_000
_DEEPEST = 60

# Operators whose converters know what to do with narrow values, or only move them.
TAKE_NARROW = frozenset(
    ("Cast", "CastLike", "DequantizeLinear", "Identity", "QuantizeLinear", "Shape", "Size")
)

# TVM's converters that answer for another operator (Attention is that of ONNX Runtime's own
# domain), or wrongly: ONNX's functions take their place.
_NOT_TVM = frozenset({"Attention", "RMSNormalization", "Mish"})


@cache
def tvm_converters() -> dict[str, Any]:
    """TVM's own converters by operator: what CONVERTERS does not have is looked up here."""
    from tvm.relax.frontend.onnx import onnx_frontend

    # TVM lists operators that it only knows how to refuse: their entry is None.
    return {
        name: converter
        for name, converter in onnx_frontend._get_convert_map().items()
        if name not in _NOT_TVM
        and converter is not None
        and any(part.startswith("_impl_v") for part in dir(converter))
    }


class GraphReader:
    """Converts one model into a module with one function, `main`."""

    def __init__(
        self, model: onnx.ModelProto, inputs: Mapping[str, tuple[tuple[int, ...], str]]
    ) -> None:
        """Begin.

        Args:
            model: prepared; it may have lost inputs without a use.
            inputs: shape and dtype of each input, in the order that `main` takes them.
        """
        self.model = model
        self.inputs = inputs
        self.builder = naming_builder()
        self.emitter = Emitter(self.builder)
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.opsets.setdefault("", self.opsets.get("ai.onnx", 1))
        self._functions = {(one.domain, one.name): one for one in model.functions}
        self._tvm = tvm_converters()
        self._values: list[dict[str, Any]] = [{}]
        # What a value really is, where it is carried in another dtype: see narrow.py.
        self.kinds: dict[Any, str] = {}
        # What each graph inside a node begins with, by its id: loops convert theirs many times.
        self._beginnings: dict[int, tuple[onnx.GraphProto, dict[str, Any]]] = {}
        self._parameters: list[Any] = []
        self._nodes = 0
        self._depth = 0
        self._opened_calls = 0

    def read(self) -> IRModule:
        """Convert the whole graph.

        Raises:
            ModelUnreadableError: a node cannot be converted; names it.
        """
        from tvm import relax

        graph = self.model.graph
        parameters = self._parameters
        for index, (name, (shape, kind)) in enumerate(self.inputs.items()):
            dtype = carrier(kind)
            parameters.append(
                relax.Var(identifier(name, f"input_{index}"), relax.TensorType(shape, dtype))
            )
            check_size(f"input {name!r}", parameters[-1])
            # An empty tensor holds nothing that is not known: what follows from it can be folded.
            empty = 0 in shape
            self._values[0][name] = (
                self.emitter.const(np.zeros(shape, dtype)) if empty else parameters[-1]
            )
            self.mark(self._values[0][name], kind)
        self._values[0] |= self._constants(graph)
        with self.builder.function("main", params=parameters):
            with self.builder.dataflow():
                self.convert(graph.node)
                results = [self._output(self.value(entry.name)) for entry in graph.output]
                output = self.builder.emit_output(
                    results[0] if len(results) == 1 else relax.Tuple(results)
                )
            self.builder.emit_func_output(output)
        module: IRModule = self.builder.get()
        return module

    def mark(self, value: Any, kind: str) -> Any:
        """Note what a carried value really is; gives the value."""
        if kind in CARRIERS:
            self.kinds[value] = kind
        return value

    def kind_of(self, value: Any) -> str:
        """What a value is: its dtype, or the narrow type that it carries."""
        return self.kinds.get(value) or dtype_of(value)

    def constant(self, array: NDArray[Any]) -> Any:
        """A constant of any type."""
        return self.mark(self.emitter.const(carried(array)), array.dtype.name)

    def _output(self, value: Any) -> Any:
        """A result; an empty constant, which TVM would not read again, is computed in no steps."""
        from tvm import te

        array = array_of(value)
        if array is None or array.size or not self._parameters:
            return value

        def nothing(data: Any) -> Any:
            first = (0,) * len(data.shape)
            return te.compute(
                array.shape, lambda *_: data[first].astype(str(array.dtype)), name="nothing"
            )

        return self.emitter.te(nothing, self._parameters[0])

    def value(self, name: str) -> Any:
        """The expression of a tensor, from the innermost graph outwards.

        Raises:
            ModelUnreadableError: no node made it yet.
        """
        for scope in reversed(self._values):
            if name in scope:
                return scope[name]
        raise ModelUnreadableError(
            f"tensor {name!r} is used before it is made", mend="export the model again"
        )

    def subgraph(self, graph: onnx.GraphProto, inputs: Sequence[Any]) -> list[Any]:
        """Convert a graph that lies in a node, with these expressions for its inputs."""
        if id(graph) not in self._beginnings:
            self._beginnings[id(graph)] = (graph, self._constants(graph))
        scope = dict(self._beginnings[id(graph)][1])
        scope |= {entry.name: value for entry, value in zip(graph.input, inputs, strict=False)}
        self._values.append(scope)
        try:
            self.convert(graph.node)
            return [self.value(entry.name) for entry in graph.output]
        finally:
            self._values.pop()

    def _constants(self, graph: onnx.GraphProto) -> dict[str, Any]:
        from onnx import numpy_helper

        return {
            tensor.name: self.constant(numpy_helper.to_array(tensor))
            for tensor in graph.initializer
        }

    def convert(self, nodes: Sequence[onnx.NodeProto]) -> None:
        """Convert nodes in their order, into the innermost scope."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ModelUnreadableError(
                f"graphs and functions are nested deeper than {_DEEPEST}", mend="export it again"
            )
        for node in nodes:
            self._nodes += 1
            if self._nodes > MOST_NODES:
                raise ModelUnreadableError(
                    f"its loops unroll to more than {MOST_NODES} nodes",
                    mend="fix smaller shapes or fewer iterations",
                )
            inputs = [self.value(name) if name else None for name in node.input]
            # What a function is opened into keeps the name of the node that calls it.
            named = self.builder.node if self._opened_calls else own_name(node) or node.op_type
            with self.builder.named(named):
                results = self._convert(node, inputs)
            if len(results) < len([name for name in node.output if name]):
                raise ModelUnreadableError(
                    f"{node.op_type} {label(node)!r}: only its first {len(results)} outputs are "
                    "supported",
                    mend="export the model without the others",
                )
            check_window(node, results)
            for result in results:
                check_size(f"{node.op_type} {label(node)!r}", result)
            for name, result in zip(node.output, results, strict=False):
                if name and result is not None:
                    self._values[-1][name] = result
        self._depth -= 1

    def apply(self, operator: str, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """The first output of an operator of ONNX's own, for converters that are made of such."""
        from onnx import helper

        node = helper.make_node(
            operator,
            ["" if value is None else f"input_{i}" for i, value in enumerate(inputs)],
            ["output"],
            **attributes,
        )
        return self._convert(node, inputs)[0]

    def _convert(self, node: onnx.NodeProto, inputs: Sequence[Any]) -> list[Any]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        opset = self.opsets.get(domain, 1)
        folded = self._folded(node, opset, inputs)
        if folded is not None:
            return folded
        opened = False
        key = node.op_type if domain == "" else f"{domain}.{node.op_type}"
        kinds = {self.kinds[value] for value in inputs if value is not None and value in self.kinds}
        if kinds and key not in TAKE_NARROW:
            return self._by_widening(node, inputs, kinds)
        try:
            local = self._functions.get((node.domain, node.op_type))
            if local is not None:
                return self._opened(node, local, inputs)
            if key in CONVERTERS:
                made = self._by_ours(node, key, opset, inputs)
                if made is not None and made is not OPEN:
                    return self._bound(made)
                opened = made is OPEN
            if not opened and domain == "" and node.op_type in self._tvm:
                return self._by_tvm(node, opset, inputs)
            body = body_of(node, opset, inputs)
            if body is not None:
                return self._opened(node, body, inputs)
        except EdgetvmError:
            raise
        except Exception as error:  # converters raise every kind; the node has to be named
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = lines[-1] if lines else type(error).__name__
            raise ModelUnreadableError(
                f"the converter stopped at {node.op_type} {label(node)!r}: {reason}",
                mend="its shapes or attributes may not fit it; --shape fixes inputs",
            ) from error
        raise ModelUnreadableError(
            f"{node.op_type} {label(node)!r}: no converter", mend="export the model without it"
        )

    def _by_widening(
        self, node: onnx.NodeProto, inputs: Sequence[Any], kinds: set[str]
    ) -> list[Any]:
        """A node on narrow values: computed in float32 or int32, its results narrowed again."""
        (kind, *others) = kinds
        if others:
            raise ModelUnreadableError(f"{node.op_type} {label(node)!r}: it mixes {kinds}")
        wide = "int32" if "int" in kind else "float32"
        operands = [
            narrow.convert(self.emitter, value, kind, wide)
            if value is not None and value in self.kinds
            else value
            for value in inputs
        ]
        results = self._convert(node, operands)
        return [
            self.mark(narrow.convert(self.emitter, value, wide, kind), kind)
            if value is not None and dtype_of(value) == wide
            else value
            for value in results
        ]

    def _folded(self, node: onnx.NodeProto, opset: int, inputs: Sequence[Any]) -> list[Any] | None:
        if not all(value is None or is_constant(value) for value in inputs):
            return None
        arrays: list[NDArray[Any] | None] = []
        for value in inputs:
            array = array_of(value)
            kind = self.kinds.get(value)
            arrays.append(uncarried(array, kind) if array is not None and kind else array)
        if not any(array is not None for array in arrays):
            return None
        results = evaluate(node, opset, arrays)
        if results is None:
            return None
        try:
            return [self.constant(result) for result in results]
        except Exception:  # TVM has no such dtype: strings, objects
            return None

    def _by_ours(self, node: onnx.NodeProto, key: str, opset: int, inputs: Sequence[Any]) -> Any:
        return CONVERTERS[key](
            Node(
                operator=node.op_type,
                name=label(node),
                inputs=inputs,
                attributes=attributes_of(node),
                outputs=tuple(node.output),
                opset=opset,
                reader=self,
            )
        )

    def _by_tvm(self, node: onnx.NodeProto, opset: int, inputs: Sequence[Any]) -> list[Any]:
        from tvm.relax.frontend.onnx import onnx_frontend

        helper = onnx_frontend.ONNXGraphImporter({}, {})
        attributes = helper._parse_attr(
            [
                one
                for one in node.attribute
                if one.type not in (one.INTS, one.FLOATS, one.STRINGS)
                or one.ints
                or one.floats
                or one.strings
            ]
        )
        attributes["tvm_custom"] = {"name": label(node), "num_outputs": len(node.output)}
        operands = onnx_frontend.onnx_input(inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convert = self._tvm[node.op_type].get_converter(opset)
            made = convert(self.builder, operands, attributes, [self._values[-1], {}])
        return self._bound(made)

    def _bound(self, made: Any) -> list[Any]:
        """The outputs of a node, each bound to a variable."""
        from tvm import relax

        if isinstance(made, relax.Tuple):
            made = list(made.fields)
        elif not isinstance(made, (list, tuple)):
            bind = self.builder.emit if isinstance(made, relax.Call) else self.builder.normalize
            made = bind(made)
            if isinstance(made.ty, relax.TupleType):
                made = [relax.TupleGetItem(made, i) for i in range(len(made.ty.fields))]
            else:
                made = [made]
        return [
            one
            if one is None or isinstance(one, relax.Var) or is_constant(one)
            else self.builder.emit(one)
            for one in made
        ]

    def _opened(
        self, node: onnx.NodeProto, body: onnx.FunctionProto, inputs: Sequence[Any]
    ) -> list[Any]:
        """A call of a function: its nodes are converted in a scope of their own."""
        from onnx import defs

        given = {one.name: one for one in body.attribute_proto}
        if defs.has(node.op_type, node.domain):
            schema = defs.get_schema(node.op_type, self.opsets.get(node.domain, 1), node.domain)
            given |= {
                name: one.default_value
                for name, one in schema.attributes.items()
                if one.default_value.name
            }
        given |= {one.name: one for one in node.attribute}
        scope: dict[str, Any] = dict.fromkeys(body.input)
        scope |= dict(zip(body.input, inputs, strict=False))
        opsets, values = self.opsets, self._values
        self.opsets = opsets | {entry.domain: entry.version for entry in body.opset_import}
        self._values = [scope]
        self._opened_calls += 1
        try:
            self.convert([with_attributes(one, given) for one in body.node])
            return [self._values[0].get(name) for name in body.output]
        finally:
            self.opsets, self._values = opsets, values
            self._opened_calls -= 1
