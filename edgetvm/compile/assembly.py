"""Functions in assembly that kernels name; LLVM inlines them.

On 32-bit Arm LLVM starts all products of a tile before it adds any to a sum, and has no registers
for them. Here two sums are taken at a time, each instruction beside one that does not wait for it.
"""

from __future__ import annotations

from typing import Any

_PREFIX = "edgetvm_add_to_two_sums"
# Operands: two sums, two registers of products, data, two of weights. `e` and `f` are the halves.
_STEPS = {
    "two_eights": (
        "vmull.s8 ${2:q}, ${4:e}, ${5:e}",
        "vmull.s8 ${3:q}, ${4:e}, ${6:e}",
        "vmlal.s8 ${2:q}, ${4:f}, ${5:f}",
        "vmlal.s8 ${3:q}, ${4:f}, ${6:f}",
        "vpadal.s16 ${0:q}, ${2:q}",
        "vpadal.s16 ${1:q}, ${3:q}",
    ),
    "sixteen": (
        "vmull.s8 ${2:q}, ${4:e}, ${5:e}",
        "vmull.s8 ${3:q}, ${4:e}, ${6:e}",
        "vpadal.s16 ${0:q}, ${2:q}",
        "vpadal.s16 ${1:q}, ${3:q}",
        "vmull.s8 ${2:q}, ${4:f}, ${5:f}",
        "vmull.s8 ${3:q}, ${4:f}, ${6:f}",
        "vpadal.s16 ${0:q}, ${2:q}",
        "vpadal.s16 ${1:q}, ${3:q}",
    ),
    "eight": (
        "vmull.s8 ${2:q}, ${4:P}, ${5:P}",
        "vmull.s8 ${3:q}, ${4:P}, ${6:P}",
        "vpadal.s16 ${0:q}, ${2:q}",
        "vpadal.s16 ${1:q}, ${3:q}",
    ),
}
PAIRS_OF_SUMS = tuple(f"{_PREFIX}_{name}" for name in _STEPS)


def _function(name: str, steps: tuple[str, ...]) -> str:
    depth = 8 if name == "eight" else 16
    first = ", ".join(f"i32 {lane}" for lane in range(depth))
    second = ", ".join(f"i32 {lane}" for lane in range(depth, 2 * depth))
    data, both = f"<{depth} x i8>", f"<{2 * depth} x i8>"
    text = "\\0A".join(steps)
    return f"""
define <8 x i32> @{_PREFIX}_{name}(<8 x i32> %sums, {data} %data, {both} %weights) alwaysinline {{
  %s0 = shufflevector <8 x i32> %sums, <8 x i32> poison, <4 x i32> <i32 0, i32 1, i32 2, i32 3>
  %s1 = shufflevector <8 x i32> %sums, <8 x i32> poison, <4 x i32> <i32 4, i32 5, i32 6, i32 7>
  %w0 = shufflevector {both} %weights, {both} poison, <{depth} x i32> <{first}>
  %w1 = shufflevector {both} %weights, {both} poison, <{depth} x i32> <{second}>
  %all = call {{ <4 x i32>, <4 x i32>, <8 x i16>, <8 x i16> }} asm sideeffect "{text}",
      "=&w,=&w,=&w,=&w,w,w,w,0,1"(
      {data} %data, {data} %w0, {data} %w1, <4 x i32> %s0, <4 x i32> %s1)
  %r0 = extractvalue {{ <4 x i32>, <4 x i32>, <8 x i16>, <8 x i16> }} %all, 0
  %r1 = extractvalue {{ <4 x i32>, <4 x i32>, <8 x i16>, <8 x i16> }} %all, 1
  %result = shufflevector <4 x i32> %r0, <4 x i32> %r1,
      <8 x i32> <i32 0, i32 1, i32 2, i32 3, i32 4, i32 5, i32 6, i32 7>
  ret <8 x i32> %result
}}
"""


_TEXTS = {f"{_PREFIX}_{name}": _function(name, steps) for name, steps in _STEPS.items()}


def import_assembly() -> Any:
    """The pass that brings in the functions that a kernel names."""
    import tvm_ffi
    from tvm import ir, tirx

    @tirx.transform.prim_func_pass(opt_level=0, name="import assembly")  # type: ignore[untyped-decorator]
    def run(function: Any, _module: Any, _context: Any) -> Any:
        named: set[str] = set()

        def look(call: Any) -> None:
            if getattr(call.op, "name", "") == "tirx.call_pure_extern":
                named.add(str(call.args[0].value))

        tvm_ffi.structural_walk(function.body, (ir.Call, look), order="pre")
        body = function.body
        for name in sorted(named & _TEXTS.keys()):
            text = ir.StringImm(_TEXTS[name])
            body = tirx.AttrStmt(tirx.const(0, "int32"), "pragma_import_llvm", text, body)
        return function.with_body(body)

    return run
