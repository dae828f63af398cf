"""What a kernel computes, in words: read from the operators before they become loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.origins import bindings_of, graphs_of
from edgetvm.models.counting import multiply_adds_of

if TYPE_CHECKING:
    from tvm.ir import IRModule

_WINDOWED = ("conv", "pool")


@dataclass(frozen=True)
class Operation:
    """One operator of a graph, with the shapes that it has there.

    Attributes:
        kind: name of the operator.
        workload: its operands and result, and how a window walks over them.
        layout: of the images that it reads, `NHWC>NCHW16c` where it makes another; empty where
            it has none.
        multiply_adds: products that are summed, in the direct form.
    """

    kind: str
    workload: str
    layout: str
    multiply_adds: int


def operations_of(module: IRModule) -> Mapping[str, Operation]:
    """The operation that each variable of the module is bound to, by the variable's name."""
    found: dict[str, Operation] = {}
    for _, function in graphs_of(module):
        for binding in bindings_of(function):
            operation = _operation(module, binding.value)
            if operation is not None:
                found[binding.var.name] = operation
    return found


def told(operations: Iterable[Operation]) -> str:
    """`conv2d 1x32x32x3, 3x3x3x16 -> 1x32x32x16, then add, relu`: the one with most work first."""
    parts = list(operations)
    if not parts:
        return ""
    most = max(range(len(parts)), key=lambda at: (parts[at].multiply_adds, -at))
    before, after = parts[:most], parts[most + 1 :]
    text = parts[most].workload
    if before:
        text += f", after {', '.join(one.kind for one in before)}"
    if after:
        text += f", then {', '.join(one.kind for one in after)}"
    return text


def _operation(module: IRModule, call: Any) -> Operation | None:
    import tvm
    from tvm import relax

    if not isinstance(call, relax.Call) or not isinstance(call.op, tvm.ir.Op):
        return None
    kind = str(call.op.name).removeprefix("relax.").removeprefix("nn.")
    if call.op.name == "relax.call_tir":
        kind = str(call.args[0].name_hint)
    attrs = call.attrs
    layout = str(getattr(attrs, "data_layout", "") or getattr(attrs, "layout", "") or "")
    made = str(getattr(attrs, "out_layout", "")) or layout
    layout = layout if made == layout else f"{layout}>{made}"
    operands = ", ".join(_shape(one) for one in tensors_among(call.args))
    workload = f"{kind} {operands} -> {_shape(call)}{_window(kind, attrs)}"
    return Operation(kind, workload, layout, sum(multiply_adds_of(module, call).values()))


def tensors_among(arguments: Iterable[Any]) -> list[Any]:
    """All tensors among arguments and their tuples."""
    from tvm import relax

    found = []
    for one in arguments:
        if isinstance(one, relax.Tuple):
            found += tensors_among(one.fields)
        elif isinstance(getattr(one, "ty", None), relax.TensorType):
            found.append(one)
    return found


def _shape(value: Any) -> str:
    kind = value.ty
    shape = getattr(kind, "shape", None)
    if shape is None:
        return "several" if hasattr(kind, "fields") else "?"
    sizes = "x".join(str(getattr(size, "value", size)) for size in shape) or "scalar"
    return sizes if str(kind.dtype) == "float32" else f"{sizes} {kind.dtype}"


# How a window walks: TVM's attribute, our word, and what need not be told.
_WALK = (("strides", "stride"), ("dilation", "dilation"), ("groups", "groups"))


def _window(kind: str, attrs: Any) -> str:
    if not any(word in kind for word in _WINDOWED):
        return ""
    told = []
    for name, word in _WALK:
        value: Any = getattr(attrs, name, 1)
        values = {int(one) for one in value} if hasattr(value, "__len__") else {int(value)}
        if values != {1}:
            told.append(f"{word} {'x'.join(map(str, sorted(values)))}")
    return f" ({', '.join(told)})" if told else ""
