"""How much a model computes and holds."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.ir import IRModule


def parameter_counts(module: IRModule) -> dict[str, int]:
    """Elements of all constant tensors in the module's Relax functions, by dtype."""
    from tvm import relax
    from tvm.ir.expr import GenericConst

    counted: set[int] = set()
    totals: Counter[str] = Counter()

    def visit(node: object) -> None:
        if isinstance(node, GenericConst) and hash(node) not in counted:
            counted.add(hash(node))
            totals[str(node.value.dtype)] += math.prod(int(size) for size in node.value.shape)

    for function in module.functions.values():
        if isinstance(function, relax.Function):
            relax.analysis.post_order_visit(function, visit)
    return dict(totals)


def multiply_adds(module: IRModule) -> dict[str, int]:
    """Multiply-adds of one run, by dtype of what is multiplied.

    They are those of convolutions, products of matrices, and kernels that sum up products.

    All that a graph holds is counted: both branches of a condition, a loop's body as often as it
    was unrolled, a function as often as it is called. Counted as in MLPerf Tiny and most papers:
    one for each product that is summed; biases, activations and element-wise operators count
    nothing.
    """
    from tvm import relax
    from tvm.ir import GlobalVar

    totals: Counter[str] = Counter()

    def visit(node: Any) -> None:
        if not isinstance(node, relax.Call):
            return
        if isinstance(node.op, GlobalVar):
            relax.analysis.post_order_visit(module[node.op], visit)
        totals.update(multiply_adds_of(module, node))

    relax.analysis.post_order_visit(module["main"], visit)
    return {dtype: count for dtype, count in totals.most_common() if count}


def multiply_adds_of(module: IRModule, call: Any) -> dict[str, int]:
    """Those of one call of an operator or kernel, counted as in `multiply_adds`."""
    from tvm import relax
    from tvm.ir import GlobalVar, Op

    if not isinstance(call.op, Op):
        return {}
    if call.op.name in _COUNTS:
        operand = call.args[0]
        operand = operand.fields[0] if isinstance(operand, relax.Tuple) else operand
        return {str(operand.ty.dtype): _COUNTS[call.op.name](call)}
    if call.op.name == "relax.call_tir" and isinstance(call.args[0], GlobalVar):
        return dict(_kernel(module[call.args[0]]))
    return {}


def _sizes(value: Any) -> list[int]:
    return [int(size) for size in value.ty.shape]


def _convolution(call: Any) -> int:
    weight = _sizes(call.args[1])
    channels = weight[call.attrs.kernel_layout.index("O")]
    products: int = math.prod(_sizes(call)) * math.prod(weight) // max(channels, 1)
    return products


def _transposed_convolution(call: Any) -> int:
    weight = _sizes(call.args[1])
    channels = weight[call.attrs.kernel_layout.index("I")]
    products: int = math.prod(_sizes(call.args[0])) * math.prod(weight) // max(channels, 1)
    return products


def _product(call: Any) -> int:
    return math.prod(_sizes(call)) * _sizes(call.args[0])[-1]


def _attention(call: Any) -> int:
    batch, queries, heads, size = _sizes(call.args[0])
    keys, values = _sizes(call.args[1])[1], _sizes(call.args[2])[-1]
    return batch * heads * queries * keys * (size + values)


def _einsum(call: Any) -> int:
    """The naive count: every combination of all letters."""
    operands = [_sizes(one) for one in call.args[0].fields]
    terms = re.sub(r"\s", "", str(call.attrs.subscripts)).partition("->")[0].split(",")
    if len(operands) < 2 or "..." in "".join(terms):
        return 0
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=False):
        sizes.update(zip(term, operand, strict=False))
    return math.prod(sizes.values()) * (len(operands) - 1)


_COUNTS: dict[str, Callable[[Any], int]] = {
    **{f"relax.nn.conv{rank}d": _convolution for rank in (1, 2, 3)},
    **{f"relax.nn.conv{rank}d_transpose": _transposed_convolution for rank in (1, 2, 3)},
    "relax.matmul": _product,
    "relax.nn.attention": _attention,
    "relax.einsum": _einsum,
}


def _kernel(function: Any) -> Counter[str]:
    """Of a kernel: how often it adds a product to an element that it stores again."""
    from tvm import tirx

    waiting = [(function.body, 1)]
    totals: Counter[str] = Counter()
    while waiting:
        statement, times = waiting.pop()
        if isinstance(statement, tirx.BufferStore):
            product = _added_product(statement)
            if product is not None:
                totals[str(_uncast(product.a).ty)] += times
        if isinstance(statement, tirx.For):
            times *= int(statement.extent) if isinstance(statement.extent, tirx.IntImm) else 0
        parts = [getattr(statement, name, None) for name in _PARTS]
        waiting += [(part, times) for part in (*parts, *getattr(statement, "seq", ())) if part]
    return totals


# Where statements keep those within them.
_PARTS = ("body", "block", "then_case", "else_case")


def _added_product(store: Any) -> Any:
    """The product that a store adds to the element which it stores; None where it does not."""
    from tvm import tirx
    from tvm.ir.expr import TensorLoad

    if not isinstance(store.value, tirx.Add):
        return None
    for sum_so_far, product in ((store.value.a, store.value.b), (store.value.b, store.value.a)):
        if (
            isinstance(sum_so_far, TensorLoad)
            and sum_so_far.source.same_as(store.buffer)
            and isinstance(_uncast(product), tirx.Mul)
        ):
            return _uncast(product)
    return None


def _uncast(node: Any) -> Any:
    from tvm import tirx

    while isinstance(node, tirx.Cast):
        node = node.value
    return node
