"""The record of each kernel: how often it is called, for which nodes, and what it computes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgetvm.compile.artifact import Kernel
from edgetvm.compile.operations import Operation, told
from edgetvm.compile.origins import names_in, nodes_of

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from edgetvm.compile.schedules import Scheduled


@dataclass
class Calls:
    """All calls of one kernel.

    Attributes:
        nodes: of the source, for each call.
        variables: of the graph, that the first call computes.
    """

    nodes: list[tuple[str, ...]] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)


def kernel_calls(module: IRModule, nodes: Mapping[str, str]) -> dict[str, Calls]:
    """The calls of each kernel, in the order of first calls.

    Args:
        module: of fused kernels.
        nodes: see `Model.nodes`.
    """
    import tvm
    from tvm import relax

    found: dict[str, Calls] = {}
    call_tir = tvm.ir.Op.get("relax.call_tir")

    def walk(function: Any) -> None:
        for binding, names in nodes_of(function, nodes):
            call = binding.value
            if not isinstance(call, relax.Call):
                continue
            if call.op == call_tir:
                calls = found.setdefault(call.args[0].name_hint, Calls())
                calls.variables = calls.variables or names_in(binding.var)
                calls.nodes.append(names)
            elif isinstance(call.op, tvm.ir.GlobalVar):
                walk(module[call.op])

    walk(module["main"])
    return found


def kernels_of(
    module: IRModule,
    calls: Mapping[str, Calls],
    rules: Mapping[str, Scheduled],
    operations: Mapping[str, Operation],
) -> tuple[Kernel, ...]:
    """The records of all kernels that are called, in the order of first calls.

    Args:
        module: of fused, unscheduled kernels.
        calls: of `kernel_calls`.
        rules: see `schedule_module`.
        operations: of the graph before it was turned into loops.
    """
    return tuple(
        _record(module[name], name, one, rules[name], operations) for name, one in calls.items()
    )


def operations_in(calls: Calls, operations: Mapping[str, Operation]) -> list[Operation]:
    """What one call computes."""
    return [operations[one] for one in calls.variables if one in operations]


def _record(
    function: Any,
    name: str,
    calls: Calls,
    scheduled: Scheduled,
    operations: Mapping[str, Operation],
) -> Kernel:
    known = operations_in(calls, operations)
    layouts = [one.layout for one in sorted(known, key=lambda one: -one.multiply_adds)]
    return Kernel(
        name,
        len(calls.nodes),
        scheduled.origin,
        scheduled.rule,
        nodes=tuple(calls.nodes),
        workload=told(known),
        layout=next(filter(None, layouts), ""),
        multiply_adds=sum(one.multiply_adds for one in known),
        moved_bytes=sum(_bytes(parameter) for parameter in function.params),
        reduces=_reduces(function),
        decisions=dict(scheduled.decisions),
    )


def _bytes(buffer: Any) -> int:
    from tvm import DataType

    shape = getattr(buffer.ty, "shape", None)
    if shape is None:
        return 0
    try:
        elements = math.prod(int(size) for size in shape)
    except TypeError:
        return 0  # its size depends on the data
    kind = DataType(str(buffer.ty.dtype))
    return elements * -(-int(kind.bits) * int(kind.lanes) // 8)


def _reduces(function: Any) -> bool:
    """Whether a block of an unscheduled kernel begins with an initial value."""
    import tvm_ffi
    from tvm import s_tir

    starts: list[Any] = []
    tvm_ffi.structural_walk(function.body, [(s_tir.SBlock, lambda one: starts.append(one.init))])
    return any(start is not None for start in starts)
