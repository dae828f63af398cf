"""From a scheduled kernel to what LLVM gets: TVM's own passes and, near the end, ours.

Ours comes when loops are vectorised and simplified: the expressions it puts in are long, nothing
walks over them any more, and each is built once for a whole vector.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgetvm.compile.assembly import import_assembly
from edgetvm.compile.by_element import multiply_by_element
from edgetvm.compile.elementary import expand, power, quotient
from edgetvm.compile.memory.kernels import with_own_memory
from edgetvm.compile.narrowing import narrow_to_bytes
from edgetvm.compile.native.merging import Merging
from edgetvm.compile.native.plain import plain_functions
from edgetvm.compile.options import Functions

if TYPE_CHECKING:
    from tvm.ir import IRModule

_ROUNDING = ("round", "nearbyint", "floor", "ceil", "trunc")


def kernel_pipeline(
    functions: Functions = "accurate", plain: bool = False, merging: Merging | None = None
) -> str:
    """The pipeline's name, as `relax.build(tir_pipeline=…)` and `tirx.build(pipeline=…)` take it.

    Args:
        functions: the grade of elementary functions.
        plain: make plain C functions of kernels; see `edgetvm.compile.native.plain`.
        merging: makes one of those that differ in numbers alone; of plain functions.
    """
    from tvm.s_tir.pipeline import default_s_tir_pipeline
    from tvm.tirx.compilation_pipeline import register_tir_pipeline

    _vectorise_rounding()
    name = f"edgetvm-{functions}{'-plain' * plain}{'-merged' * (merging is not None)}"

    def make() -> tuple[Any, Any, Any]:
        passes, _, finalize_device = default_s_tir_pipeline()
        return passes, lambda: _finalize_host(functions, plain, merging), finalize_device

    register_tir_pipeline(name, make)
    return name


@functools.cache
def _vectorise_rounding() -> None:
    """TVM does not say that it can, and leaves a loop that rounds to LLVM."""
    from tvm import ir

    ir.Op.get("tirx.nearbyint").set_attr("TVectorizable", True)


def _finalize_host(functions: Functions, plain: bool, merging: Merging | None) -> Any:
    from tvm import ir, tirx

    ours = [] if functions == "libm" else [expand_functions(functions == "approximate")]
    convention = [_module_pass(plain_functions)] if plain else []
    if merging is not None:
        convention.append(_module_pass(merging))
    return ir.transform.Sequential(
        [
            *convention,
            _module_pass(with_own_memory),
            multiply_by_element(),
            import_assembly(),
            narrow_to_bytes(),
            tirx.transform.LowerTVMBuiltin(),
            *ours,
            tirx.transform.LowerIntrin(),
        ]
    )


def _module_pass(change: Callable[[IRModule], IRModule]) -> Any:
    from tvm import ir

    return ir.transform.module_pass(lambda module, _: change(module), opt_level=0)


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
        body = function.body
        if not _rounds(body):
            body = tvm_ffi.structural_map(body, (tirx.Div, _product), order="post")
        return function.with_body(tvm_ffi.structural_map(body, (ir.Call, replace), order="post"))

    return run


def _rounds(body: Any) -> bool:
    """Whether a number is rounded to an integer: one that is off by a bit may become another."""
    import tvm_ffi
    from tvm import ir, tirx

    found: list[Any] = []

    def on_call(call: Any) -> None:
        if getattr(call.op, "name", "").rpartition(".")[2] in _ROUNDING:
            found.append(call)

    def on_cast(cast: Any) -> None:
        if _is_float(cast.value) and not _is_float(cast):
            found.append(cast)

    tvm_ffi.structural_walk(body, [(ir.Call, on_call), (tirx.Cast, on_cast)], order="pre")
    return bool(found)


def _is_float(value: Any) -> bool:
    return str(value.ty.dtype).startswith(("float", "bfloat"))


def _product(division: Any) -> Any:
    from tvm import tirx

    divisor = division.b.value if isinstance(division.b, tirx.Broadcast) else division.b
    known = isinstance(divisor, tirx.FloatImm) and str(divisor.ty.dtype) == "float32"
    made = quotient(division.a, float(divisor.value)) if known else None
    return division if made is None else made


def _power(base: Any, exponent: Any) -> Any | None:
    from tvm import tirx

    value = exponent.value if isinstance(exponent, tirx.Broadcast) else exponent
    return power(base, float(value.value)) if isinstance(value, tirx.FloatImm) else None
