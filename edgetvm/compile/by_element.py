"""32-bit NEON's multiply-add by one element of a vector.

LLVM never chooses `vmla.f32 q, q, d[0]` where it may fuse multiply-adds: the fused instruction has
no such form, so every element is first copied to all lanes, which costs an instruction and one of
only 16 registers. Here it is named, as assembly in a function that LLVM inlines. Products are
rounded before they are added, as in every library for these cores.
"""

from __future__ import annotations

from typing import Any

_NAME = "edgetvm_multiply_add_by_element"
# The element's register is named as half of a double: `t` keeps it among those that have halves.
_ASSEMBLY = f"""
define <4 x float> @{_NAME}(<4 x float> %sums, <4 x float> %vector, float %element) {{
  %result = call <4 x float> asm sideeffect "vmla.f32 ${{0:q}}, ${{2:q}}, ${{3:y}}", "=w,0,w,t"(
      <4 x float> %sums, <4 x float> %vector, float %element)
  ret <4 x float> %result
}}
"""


def multiply_by_element() -> Any:
    """The pass that names the instruction, in functions for 32-bit ARM."""
    import tvm_ffi
    from tvm import ir, tirx

    def replace(total: Any) -> Any:
        for sums, product in ((total.a, total.b), (total.b, total.a)):
            if not isinstance(product, tirx.Mul) or str(product.ty.dtype) != "float32x4":
                continue
            for element, vector in ((product.a, product.b), (product.b, product.a)):
                if isinstance(element, tirx.Broadcast):
                    return tirx.call_pure_extern("float32x4", _NAME, sums, vector, element.value)
        return total

    @tirx.transform.prim_func_pass(opt_level=0, name="multiply by element")  # type: ignore[untyped-decorator]
    def run(function: Any, _module: Any, _context: Any) -> Any:
        known = "target" in function.attrs
        target = function.attrs["target"] if known else None
        if target is None or not str(target.attrs.get("mtriple", "")).startswith("arm"):
            return function
        body = tvm_ffi.structural_map(function.body, (tirx.Add, replace), order="post")
        if body.same_as(function.body):
            return function
        text = ir.StringImm(_ASSEMBLY)
        return function.with_body(
            tirx.AttrStmt(tirx.const(0, "int32"), "pragma_import_llvm", text, body)
        )

    return run
