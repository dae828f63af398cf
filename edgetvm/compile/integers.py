"""Quantised models computed in integers, though their graphs tell it in floats.

A graph of QuantizeLinear and DequantizeLinear has float convolutions and products of tensors that
were 8-bit integers just before. Their sums are exact, and several times faster, in integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.layout.stored import constant, is_constant, shape_of

if TYPE_CHECKING:
    from tvm.ir import IRModule

_CONVOLUTIONS = ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d")
# Beyond this a sum of products of 8 bits may not fit in 32.
_MOST_PRODUCTS = 1 << 15
# float32 products of scales and integers are off by less than this, in steps.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Dequantised:
    """A float tensor that is (integers - zero point) * scale.

    Attributes:
        integers: the int8 or uint8 tensor.
        zero_point, scale: of the whole tensor.
    """

    integers: Any
    zero_point: int
    scale: float


def integer_weights(
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.int16], NDArray[np.float32]] | None:
    """Float weights as integers times scales, where they are just that.

    The step between neighbouring values is the scale: of the whole tensor or of each feature.

    Args:
        weights: [..., features].

    Returns:
        integers of at most 8 bits (as int16: without zero point they take 9) and [features]
        scales, or None where the weights are no multiples of so coarse a step.
    """
    flat = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
    scale = _step(flat)
    scales = np.full(flat.shape[-1], scale) if scale else np.array([_step(c) for c in flat.T])
    if not scales.all():
        return None
    steps = flat / scales
    integers = np.round(steps)
    if np.abs(steps - integers).max() > _TOLERANCE or np.ptp(integers) > 255:
        return None
    return integers.astype(np.int16).reshape(weights.shape), scales.astype(np.float32)


def _step(values: NDArray[np.float64]) -> float:
    """The step of which all values are multiples; 0 where there is none of a 255th of them."""
    largest = float(np.abs(values).max())
    if largest == 0:
        return 1.0
    distinct = np.unique(np.append(np.abs(values), 0.0))
    gaps = np.diff(distinct)
    gaps = gaps[gaps > largest / 600]
    count = round(largest / float(gaps.min())) if gaps.size else 0
    if not 1 <= count <= 255:
        return 0.0
    step = largest / count
    ratios = values / step
    return step if np.abs(ratios - np.round(ratios)).max() <= _TOLERANCE else 0.0


def keep_integers(module: IRModule) -> IRModule:
    """Convolutions and products of dequantised tensors are summed in 32-bit integers."""
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Keeper(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            name = getattr(call.op, "name", "")
            if name not in (*_CONVOLUTIONS, "relax.matmul") or not is_constant(call.args[1]):
                return call
            array = call.args[1].value.numpy()
            if array.dtype != np.float32 or array.ndim < 2:
                return call
            data = self._dequantised(call.args[0])
            if data is None or math.prod(array.shape[:-1]) > _MOST_PRODUCTS:
                return call
            if name != "relax.matmul" and not _channels_last(call):
                return call
            found = integer_weights(array)
            if found is None:
                return call
            integers, scales = found
            if name == "relax.matmul":
                sums = self._product(data, integers)
            else:
                sums = self._convolution(call, data, integers)
            factor = (scales * np.float32(data.scale)).astype(np.float32)
            return relax.op.multiply(
                self.builder_.emit(relax.op.astype(self.builder_.emit(sums), "float32")),
                constant(factor),
            )

        def _product(self, data: Dequantised, weights: NDArray[np.int16]) -> Any:
            sums = relax.op.matmul(data.integers, constant(_narrow(weights)), out_dtype="int32")
            return self._centred(sums, data, weights)

        def _convolution(self, call: Any, data: Dequantised, weights: NDArray[np.int16]) -> Any:
            attrs = call.attrs
            padding = [int(one) for one in attrs.padding]
            integers = data.integers
            if any(padding):
                rank = len(padding) // 2
                pairs = list(zip(padding[:rank], padding[rank:], strict=True))
                widths = [0, 0, *(one for pair in pairs for one in pair), 0, 0]
                integers = self.builder_.emit(
                    relax.op.nn.pad(integers, widths, "constant", float(data.zero_point))
                )
            make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
            sums = make(
                integers,
                constant(_narrow(weights)),
                strides=attrs.strides,
                padding=0,
                dilation=attrs.dilation,
                groups=int(attrs.groups),
                data_layout=str(attrs.data_layout),
                kernel_layout=str(attrs.kernel_layout),
                out_dtype="int32",
            )
            return self._centred(sums, data, weights)

        def _centred(self, sums: Any, data: Dequantised, weights: NDArray[np.int16]) -> Any:
            if not data.zero_point:
                return sums
            axes = tuple(range(weights.ndim - 1))
            moved = -data.zero_point * weights.astype(np.int64).sum(axis=axes)
            return relax.op.add(self.builder_.emit(sums), constant(moved.astype(np.int32)))

        def _dequantised(self, data: Any) -> Dequantised | None:
            scaled = self._made_by(data, "relax.multiply")
            if scaled is None or not _single(scaled.args[1]):
                return None
            scale = float(scaled.args[1].value.numpy().reshape(-1)[0])
            value = self._made_by(scaled.args[0], "relax.astype")
            if value is None or str(value.args[0].ty.dtype) not in ("int32", "int8", "uint8"):
                return None
            zero, source = 0, value.args[0]
            centred = self._made_by(source, "relax.subtract")
            if centred is not None:
                if not _single(centred.args[1]):
                    return None
                zero, source = int(centred.args[1].value.numpy().reshape(-1)[0]), centred.args[0]
            while str(source.ty.dtype) == "int32":
                cast = self._made_by(source, "relax.astype")
                if cast is None:
                    return None
                source = cast.args[0]
            if str(source.ty.dtype) not in ("int8", "uint8") or shape_of(source) is None:
                return None
            return Dequantised(source, zero, scale)

        def _made_by(self, value: Any, name: str) -> Any:
            made = self.lookup_binding(value) if isinstance(value, relax.Var) else None
            found = isinstance(made, relax.Call) and getattr(made.op, "name", "") == name
            return made if found else None

    keeper = Keeper(module)
    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            keeper.builder_.update_func(variable, keeper.visit_expr(function))
    result: IRModule = keeper.builder_.get()
    return result


def _narrow(weights: NDArray[np.int16]) -> NDArray[Any]:
    """As int8 where they fit."""
    fits = weights.min() >= -128 and weights.max() <= 127
    return weights.astype(np.int8) if fits else weights


def _single(value: Any) -> bool:
    return is_constant(value) and value.value.numpy().size == 1


def _channels_last(call: Any) -> bool:
    layout, kernel = str(call.attrs.data_layout), str(call.attrs.kernel_layout)
    return layout.endswith("C") and kernel.endswith("IO")
