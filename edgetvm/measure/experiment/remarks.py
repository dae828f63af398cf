"""What the compiler has to say of a model: what fell back, and what was not to be had."""

from __future__ import annotations

from collections.abc import Sequence

from edgetvm.base.words import plural, told_nodes
from edgetvm.compile.artifact import ExecutorKind, Kernel
from edgetvm.compile.fallbacks import schedule_warnings
from edgetvm.compile.options import CompileOptions

_LEAST_LEVEL = 2
_NO_LAYOUTS = f"-O{_LEAST_LEVEL} is the first level that chooses layouts"
_QUANTISED_LAYOUT = "8-bit sums have channels last always"


def remarks(
    kernels: Sequence[Kernel],
    options: CompileOptions,
    executor: ExecutorKind,
) -> tuple[str, ...]:
    """All of it, a sentence each.

    Args:
        kernels: of the compiled model.
        options: that it was compiled with.
        executor: what calls the kernels.
    """
    found = [*_layouts(kernels, options), *_floats(kernels)]
    found += schedule_warnings(kernels, options)
    if executor != "native":
        found.append("TVM's virtual machine calls its kernels: it is more than a list of calls")
    return tuple(found)


def foreseen(options: CompileOptions, is_quantised: bool) -> str:
    """What will be remarked of a layout, as far as it is known before compiling; else empty.

    Args:
        is_quantised: whether the model holds 8-bit tensors.
    """
    if options.layout == "auto":
        return ""
    if options.level.number < _LEAST_LEVEL:
        return f"{options.layout} changes nothing: {_NO_LAYOUTS}"
    if is_quantised and options.layout != "NHWC":
        return f"{options.layout} is for what stays in float32: {_QUANTISED_LAYOUT}"
    return ""


def _layouts(kernels: Sequence[Kernel], options: CompileOptions) -> list[str]:
    """Kernels that lie otherwise than was asked for."""
    images = [one for one in kernels if one.layout]
    others = [one for one in images if options.layout not in ("auto", one.layout)]
    if not others:
        return []
    lying = ", ".join(dict.fromkeys(one.layout for one in others))
    why = _NO_LAYOUTS
    if options.level.number >= _LEAST_LEVEL:
        why = _QUANTISED_LAYOUT
        if not all(map(_is_quantised, others)):
            why = "their channels do not fill blocks, or they have no such form"
    return [
        f"{_calls(others)} of {plural(_calls(images), 'kernel')} on images lie in {lying} "
        f"although {options.layout} was asked for: {why}"
    ]


def _floats(kernels: Sequence[Kernel]) -> list[str]:
    """Sums of a quantised model that are taken in float32."""
    products = [one for one in kernels if one.multiply_adds]
    floats = [one for one in products if not _is_quantised(one)]
    if not floats or not any("int8" in one.workload for one in kernels):
        return []
    return [
        f"{_calls(floats)} of {plural(_calls(products), 'sum')} of products are taken in float32 "
        f"although the model holds 8-bit tensors: {told_nodes(floats[0].nodes)}"
    ]


def _is_quantised(kernel: Kernel) -> bool:
    """Whether its first operator sums in integers: `conv2d 1x8x8x3 int8, … -> 1x8x8x4 int32`."""
    result = kernel.workload.partition("->")[2].partition(",")[0]
    return "int32" in result


def _calls(kernels: Sequence[Kernel]) -> int:
    return sum(one.calls for one in kernels)
