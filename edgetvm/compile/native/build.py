"""A program and its kernels as a shared library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.linker import link_shared, linked, scratch_folder
from edgetvm.compile.native.entry import write_object
from edgetvm.compile.native.merging import Merging
from edgetvm.compile.native.plain import LEFT_OUT
from edgetvm.compile.native.program import Program
from edgetvm.compile.native.small import SMALL, small_object
from edgetvm.compile.options import Level

if TYPE_CHECKING:
    from tvm.ir import IRModule


def build_native(program: Program, module: IRModule, target: Any, level: Level) -> bytes:
    """Generate code and link.

    Args:
        program: of the module.
        module: with the kernels.
        target: TVM's.
        level: the grade of elementary functions, and whether code is to be small.
    """
    import tvm
    from tvm import tirx

    called = {call.kernel for call in program.calls}
    kernels = tvm.IRModule(
        {one: kernel for one, kernel in module.functions_items() if one.name_hint in called}
    )
    merging = Merging() if level.small else None
    pipeline = kernel_pipeline(level.functions, plain=True, merging=merging)
    with tvm.transform.PassContext(disabled_pass=list(LEFT_OUT)):
        library = tirx.build(kernels, target, pipeline)
    with scratch_folder() as folder:
        if merging is None:
            return linked(library, folder, [write_object(program, target, folder)])
        entry = write_object(program, target, folder, merging.uses, SMALL)
        found = folder / "model.so"
        link_shared(str(found), [str(entry), str(small_object(library, folder))], "--gc-sections")
        return found.read_bytes()
