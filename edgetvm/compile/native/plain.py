"""Kernels as plain C functions: `int32_t edgetvm_kernel_NAME(void *, …)`, one pointer a tensor.

TVM's own convention takes each tensor with its shape and checks all of it at every call. Here
nothing is checked: whoever calls them was compiled with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.ir import IRModule

# The passes of TVM's pipeline that belong to its convention, or ask for it.
LEFT_OUT = ("tirx.MakePackedAPI", "tirx.FP8StorageLegalize", "tirx.BF16StorageLegalize")

# As DLPack numbers kinds of devices.
_CPU = 1


def symbol(kernel: str) -> str:
    """A kernel's name in the library: no function of the C library has such a name."""
    return f"edgetvm_kernel_{kernel}"


def plain_functions(module: IRModule) -> IRModule:
    """Lowered kernels that take pointers and answer with 0, or an error's code."""
    from tvm import ir, tirx

    result = module.clone()
    for variable, function in module.functions_items():
        if isinstance(function, tirx.PrimFunc):
            result[variable] = _plain(function, variable.name_hint)
    with ir.transform.PassContext():  # one that leaves nothing out
        for legalize in (tirx.transform.FP8StorageLegalize, tirx.transform.BF16StorageLegalize):
            result = legalize()(result)
    return result


def _plain(function: Any, name: str) -> Any:
    from tvm import ir, tirx

    pointers, statements, alignments = [], [], []
    for buffer in function.params:
        pointer = tirx.Var(buffer.name, ir.PointerType(ir.PrimType(str(buffer.dtype))))
        offset = buffer.elem_offset
        if isinstance(offset, tirx.Var):
            statements.append(tirx.Bind(offset, tirx.const(0, str(offset.ty.dtype))))
        statements.append(tirx.DeclBuffer(buffer, data=pointer))
        pointers.append(pointer)
        # Less than the arena's where the tensor is a part of a larger one.
        alignments.append(int(buffer.ty.data_alignment))
    body = tirx.SeqStmt([*statements, function.body, tirx.Return(tirx.const(0, "int32"))])
    for pointer, alignment_bytes in zip(pointers, alignments, strict=True):
        body = tirx.AttrStmt(pointer, "storage_alignment", alignment_bytes, body)
    for key, value in (("device_type", _CPU), ("device_id", 0)):
        body = tirx.AttrStmt("default", key, value, body)
    plain = tirx.PrimFunc(pointers, body, ir.PrimType("int32"), function.attrs, function.span)
    return plain.with_attr("global_symbol", symbol(name))
