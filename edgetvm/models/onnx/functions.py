"""Operators that ONNX itself defines by a function of simpler ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgetvm.models.onnx.emitter import dtype_of, shape_of

if TYPE_CHECKING:
    import onnx


def body_of(node: onnx.NodeProto, opset: int, inputs: Sequence[Any]) -> onnx.FunctionProto | None:
    """The function that defines a node's operator, for these operands; None where there is none."""
    import numpy as np
    import onnx
    from onnx import defs, helper

    try:
        schema: Any = defs.get_schema(node.op_type, opset, node.domain)
    except defs.SchemaError:
        return None
    function = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        versions = schema.context_dependent_function_opset_versions
        types = [
            helper.make_tensor_type_proto(
                helper.np_dtype_to_tensor_dtype(np.dtype(dtype_of(value))), shape_of(value)
            ).SerializeToString()
            if value is not None
            else onnx.TypeProto().SerializeToString()
            for value in inputs
        ]
        body = schema.get_context_dependent_function_with_opset_version(
            _version(versions, opset), node.SerializeToString(), types
        )
    elif schema.has_function:
        body = schema.get_function_with_opset_version(
            _version(schema.function_opset_versions, opset)
        )
    else:
        return None
    if not body:
        return None
    function.ParseFromString(body)
    return function


def has_body(node: onnx.NodeProto, opset: int) -> bool:
    """Whether ONNX defines the operator by a function."""
    from onnx import defs

    try:
        schema: Any = defs.get_schema(node.op_type, opset, node.domain)
    except defs.SchemaError:
        return False
    return bool(schema.has_context_dependent_function or schema.has_function)


def _version(versions: Sequence[int], opset: int) -> int:
    fitting = [version for version in versions if version <= opset]
    return max(fitting) if fitting else min(versions)


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
