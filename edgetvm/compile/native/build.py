"""A program and its kernels as a shared library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.linker import linked, scratch_folder
from edgetvm.compile.native.entry import write_object
from edgetvm.compile.native.plain import LEFT_OUT
from edgetvm.compile.native.program import Program
from edgetvm.compile.options import Functions

if TYPE_CHECKING:
    from tvm.ir import IRModule


def build_native(program: Program, module: IRModule, target: Any, functions: Functions) -> bytes:
    """Generate code and link.

    Args:
        program: of the module.
        module: with the kernels.
        target: TVM's.
        functions: the grade of elementary functions.
    """
    import tvm
    from tvm import tirx

    called = {call.kernel for call in program.calls}
    kernels = tvm.IRModule(
        {one: kernel for one, kernel in module.functions_items() if one.name_hint in called}
    )
    with tvm.transform.PassContext(disabled_pass=list(LEFT_OUT)):
        library = tirx.build(kernels, target, kernel_pipeline(functions, plain=True))
    with scratch_folder() as folder:
        return linked(library, folder, [write_object(program, target, folder)])
