"""How kernels take their memory: tensors anywhere in a storage, small scratch on the stack."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.ir import IRModule

# Register tiles have up to 2 KiB, and the stack of a worker thread may be as small as 128 KiB.
MOST_STACK_BYTES = 8 << 10

# Of TVM's `TVMStructFieldKind`: fields of a DLTensor.
_DATA, _BYTE_OFFSET = 1, 8


def with_own_memory(module: IRModule) -> IRModule:
    """Change lowered kernels as this module says."""
    from tvm import tirx

    result = module.clone()
    for variable, function in module.functions_items():
        if isinstance(function, tirx.PrimFunc):
            result[variable] = function.with_body(_anywhere(_on_stack(function.body)))
    return result


def _on_stack(body: Any) -> Any:
    """TVM takes all from a pool at run time, accumulators too: LLVM then stores them there."""
    import tvm_ffi
    from tvm import tirx

    def change(statement: Any) -> Any:
        size = size_bytes(statement.buffer)
        if size is None or size > MOST_STACK_BYTES:
            return statement
        kept = tirx.IntImm("bool", 1)
        annotations = {**(statement.annotations or {}), "disable_lower_builtin": kept}
        return tirx.AllocBuffer(statement.buffer, annotations)

    return tvm_ffi.structural_map(body, (tirx.AllocBuffer, change))


def size_bytes(buffer: Any) -> int | None:
    """Of a buffer's elements; None where its shape is not known."""
    from tvm import DataType

    try:
        elements = math.prod(int(size) for size in buffer.shape)
    except TypeError:  # a size that is not known
        return None
    return elements * int(DataType(str(buffer.dtype)).itemsize)


def _anywhere(body: Any) -> Any:
    """Take tensors that do not begin where their storage does; TVM's kernels refuse them.

    Nor are strides looked at where a kernel has its own: tensors of an arena tell none.
    """
    import tvm_ffi
    from tvm import ir, tirx

    # Kernels of `te.extern` add the offset themselves: they have no check.
    refusing = set()

    def without_check(statement: Any) -> Any:
        condition = statement.condition
        for side in (condition.a, condition.b) if isinstance(condition, tirx.EQ) else ():
            if _is_field(side, _BYTE_OFFSET):
                refusing.add(side.args[0])
                return tirx.Evaluate(tirx.const(0))
            if _is_stride(side):
                return tirx.Evaluate(tirx.const(0))
        return statement

    def with_offset(call: Any) -> Any:
        if not _is_field(call, _DATA) or call.args[0] not in refusing:
            return call
        tensor, index, _ = call.args
        offset = tirx.call_intrin("uint64", "tirx.tvm_struct_get", tensor, index, _BYTE_OFFSET)
        return tirx.call_intrin(call.ty, "tirx.handle_add_byte_offset", call, offset)

    body = tvm_ffi.structural_map(body, (tirx.AssertStmt, without_check))
    return tvm_ffi.structural_map(body, (ir.Call, with_offset))


def _is_stride(value: Any) -> bool:
    """Whether a value is a stride that a tensor tells, or what it would have without telling."""
    return _calls(value, "if_then_else") and _calls(value.args[0], "isnullptr")


def _is_field(value: Any, field: int) -> bool:
    """Whether a value is a field of a DLTensor."""
    return _calls(value, "tvm_struct_get") and int(value.args[2]) == field


def _calls(value: Any, name: str) -> bool:
    from tvm import ir

    return isinstance(value, ir.Call) and getattr(value.op, "name", "").endswith(f".{name}")
