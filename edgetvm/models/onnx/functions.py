"""Operators that ONNX itself defines by a function of simpler ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from edgetvm.models.onnx.apart import WORKER
from edgetvm.models.onnx.emitter import dtype_of, shape_of

if TYPE_CHECKING:
    import onnx


def body_of(node: onnx.NodeProto, opset: int, inputs: Sequence[Any]) -> onnx.FunctionProto | None:
    """The function that defines a node's operator, for these operands; None where there is none."""
    import onnx
    from onnx import defs

    try:
        schema: Any = defs.get_schema(node.op_type, opset, node.domain)
    except defs.SchemaError:
        return None
    if schema.has_context_dependent_function:
        return _made_for(node, opset, inputs)
    if not schema.has_function:
        return None
    versions = schema.function_opset_versions
    fitting = max((one for one in versions if one <= opset), default=min(versions))
    return onnx.FunctionProto.FromString(schema.get_function_with_opset_version(fitting))


def _made_for(node: onnx.NodeProto, opset: int, inputs: Sequence[Any]) -> onnx.FunctionProto | None:
    """The function that ONNX builds for the operands' types, apart: it may crash over a node."""
    import numpy as np
    from onnx import helper

    types = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype_of(value))), shape_of(value)
        )
        for name, value in zip(node.input, inputs, strict=True)
        if value is not None
    ]
    graph = helper.make_graph([node], "one", [], [], value_info=types)
    asked = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
    made = WORKER.run("define", asked, {})
    return made.functions[0] if made is not None else None


@cache
def required_inputs(operator: str, opset: int, domain: str) -> list[tuple[int, str]]:
    """Position and name of the inputs that an operator cannot do without."""
    from onnx import defs

    try:
        schema: Any = defs.get_schema(operator, opset, domain)
    except defs.SchemaError:
        return []
    single = defs.OpSchema.FormalParameterOption.Single
    return [(i, one.name) for i, one in enumerate(schema.inputs) if one.option == single]


def expanded(model: onnx.ModelProto) -> int:
    """How many nodes a model's own functions become when every call is opened; they do not recur.

    Functions that call each other twice, forty deep, are small files and 2^40 nodes.
    """
    bodies = {(one.domain, one.name): one.node for one in model.functions}

    @cache
    def size(key: tuple[str, str]) -> int:
        return sum(1 + size((one.domain, one.op_type)) for one in bodies.get(key, ()))

    return sum(size((one.domain, one.op_type)) for one in model.graph.node)


def has_body(node: onnx.NodeProto, opset: int) -> bool:
    """Whether ONNX defines the operator by a function."""
    from onnx import defs

    try:
        schema: Any = defs.get_schema(node.op_type, opset, node.domain)
    except defs.SchemaError:
        return False
    return bool(schema.has_context_dependent_function or schema.has_function)


def with_attributes(node: onnx.NodeProto, given: dict[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """A node of a function's body with the attributes of the call in place of references."""
    import onnx

    made = onnx.NodeProto()
    made.CopyFrom(node)
    del made.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            copy = made.attribute.add()
            copy.CopyFrom(attribute)
            _into_graph(copy, given)
        elif attribute.ref_attr_name in given:
            copy = made.attribute.add()
            copy.CopyFrom(given[attribute.ref_attr_name])
            copy.name = attribute.name
    return made


def _into_graph(attribute: onnx.AttributeProto, given: dict[str, onnx.AttributeProto]) -> None:
    for graph in (attribute.g, *attribute.graphs):
        for index, node in enumerate(graph.node):
            graph.node[index].CopyFrom(with_attributes(node, given))
