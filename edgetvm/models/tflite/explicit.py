"""A file's variables as inputs and outputs: its states can then be set and read in LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def with_explicit_variables(data: bytes, names: Sequence[str]) -> bytes:
    """The same file; each variable is one more input, and what it becomes one more output.

    Args:
        names: of variables that the main graph reads and assigns, and of state tensors of its
            operators, in the order of the new inputs.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    builtin = schema.BuiltinOperator
    handles: dict[int, str] = {}
    first: dict[str, int] = {}
    current: dict[str, int] = {}
    instead: dict[int, int] = {}
    kept = []
    for operator in graph.operators:
        code = _code(model, operator)
        inputs = [instead.get(number, number) for number in _numbers(operator.inputs)]
        if code == builtin.VAR_HANDLE and _name(operator) in names:
            handles[operator.outputs[0]] = _name(operator)
        elif code == builtin.READ_VARIABLE and inputs[0] in handles:
            name = handles[inputs[0]]
            if name in current:
                instead[operator.outputs[0]] = current[name]
            else:
                first[name] = current[name] = operator.outputs[0]
        elif code == builtin.ASSIGN_VARIABLE and inputs[0] in handles:
            current[handles[inputs[0]]] = inputs[1]
        else:
            operator.inputs = inputs
            kept.append(operator)
    if not any(_code(model, operator) == builtin.VAR_HANDLE for operator in kept):
        kept = [one for one in kept if _code(model, one) != builtin.CALL_ONCE]
    for number, tensor in enumerate(graph.tensors):
        name = (tensor.name or b"").decode()
        if tensor.isVariable and name in names:
            first[name] = current[name] = number
    graph.operators = kept
    graph.inputs = [*_numbers(graph.inputs), *(first[name] for name in names)]
    outputs = [instead.get(number, number) for number in _numbers(graph.outputs)]
    graph.outputs = [*outputs, *(current[name] for name in names)]
    model.signatureDefs = []
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _code(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _name(operator: Any) -> str:
    options = operator.builtinOptions
    parts = (options.container or b"", options.sharedName or b"")
    return "/".join(part.decode() for part in parts if part)


def _numbers(numbers: Any) -> list[int]:
    return [] if numbers is None else [int(number) for number in numbers]
