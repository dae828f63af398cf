"""From a scheduled kernel to what LLVM gets: TVM's own passes and, near the end, ours.

Ours comes when loops are vectorised and simplified: the expressions it puts in are long, nothing
walks over them any more, and each is built once for a whole vector.
"""

from __future__ import annotations

import functools
from typing import Any

from edgetvm.compile.assembly import import_assembly
from edgetvm.compile.by_element import multiply_by_element
from edgetvm.compile.elementary import expand, power
from edgetvm.compile.memory.kernels import with_own_memory
from edgetvm.compile.narrowing import narrow_to_bytes
from edgetvm.compile.options import Functions


def kernel_pipeline(functions: Functions = "accurate") -> str:
    """The pipeline's name, as `relax.build(tir_pipeline=…)` and `tirx.build(pipeline=…)` take it.

    Args:
        functions: the grade of elementary functions.
    """
    from tvm.s_tir.pipeline import default_s_tir_pipeline
    from tvm.tirx.compilation_pipeline import register_tir_pipeline

    _vectorise_rounding()
    name = f"edgetvm-{functions}"

    def make() -> tuple[Any, Any, Any]:
        passes, _, finalize_device = default_s_tir_pipeline()
        return passes, lambda: _finalize_host(functions), finalize_device

    register_tir_pipeline(name, make)
    return name


@functools.cache
def _vectorise_rounding() -> None:
    """TVM does not say that it can, and leaves a loop that rounds to LLVM."""
    from tvm import ir

    ir.Op.get("tirx.nearbyint").set_attr("TVectorizable", True)


def _finalize_host(functions: Functions) -> Any:
    from tvm import ir, tirx

    ours = [] if functions == "libm" else [expand_functions(functions == "approximate")]
    return ir.transform.Sequential(
        [
            ir.transform.module_pass(lambda module, _: with_own_memory(module), opt_level=0),
            multiply_by_element(),
            import_assembly(),
            narrow_to_bytes(),
            tirx.transform.LowerTVMBuiltin(),
            *ours,
            tirx.transform.LowerIntrin(),
        ]
    )


def expand_functions(rough: bool) -> Any:
    """The pass that replaces elementary functions by their expressions."""
    import tvm_ffi
    from tvm import ir, tirx

    def replace(call: Any) -> Any:
        if not isinstance(call.op, ir.Op):
            return call
        if call.op.name == "tirx.pow":
            expression = _power(*call.args)
        else:
            expression = expand(call.op.name, call.args[0], rough) if call.args else None
        return call if expression is None else expression

    @tirx.transform.prim_func_pass(opt_level=0, name="expand elementary functions")  # type: ignore[untyped-decorator]
    def run(function: Any, _module: Any, _context: Any) -> Any:
        return function.with_body(
            tvm_ffi.structural_map(function.body, (ir.Call, replace), order="post")
        )

    return run


def _power(base: Any, exponent: Any) -> Any | None:
    from tvm import tirx

    value = exponent.value if isinstance(exponent, tirx.Broadcast) else exponent
    return power(base, float(value.value)) if isinstance(value, tirx.FloatImm) else None
