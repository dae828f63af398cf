"""Operators that ONNX itself defines by a function of simpler ones."""

from __future__ import annotations

from collections.abc import Sequence
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
