"""Types that boards lack: 2- and 4-bit integers, floats of 4 and 8 bits, bfloat16.

They are storage formats here. Integers lie one an element in int8 or uint8, floats as their bits
in unsigned integers; so do inputs and outputs of such a type. They are widened to compute, and
narrowed again by counting the thresholds that a magnitude exceeds, which rounds as ONNX's own cast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.emitter import Emitter, dtype_of

# Name (that of ml_dtypes) to what carries it.
CARRIERS = {
    "bfloat16": "uint16",
    "int2": "int8",
    "int4": "int8",
    "uint2": "uint8",
    "uint4": "uint8",
    "float4_e2m1fn": "uint8",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
    "float8_e8m0fnu": "uint8",
}


def carrier(dtype: str) -> str:
    """The dtype that carries values of an ONNX type: itself, where TVM has it."""
    return CARRIERS.get(dtype, dtype)


def carried(array: NDArray[Any]) -> NDArray[Any]:
    """An array as it is carried."""
    name = array.dtype.name
    if name not in CARRIERS:
        return array
    return array.astype(CARRIERS[name]) if "int" in name else array.view(CARRIERS[name])


def uncarried(array: NDArray[Any], kind: str) -> NDArray[Any]:
    """A carried array in its own type, as numpy with ml_dtypes has it."""
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, kind))
    return array.astype(dtype) if "int" in kind else array.view(dtype)


def _values(kind: str) -> NDArray[np.float32]:
    """The value of each bit pattern."""
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, kind))
    count = 16 if kind.startswith("float4") else 256
    values: NDArray[np.float32] = np.arange(count, dtype=np.uint8).view(dtype).astype(np.float32)
    return values


def widened(emit: Emitter, value: Any, kind: str, dtype: str) -> Any:
    """Values of a narrow type in an ordinary dtype."""
    if "int" in kind:
        return emit.cast(value, dtype)
    from tvm import te, tirx

    if kind == "bfloat16":
        shifted = emit.te(
            lambda codes: te.compute(
                codes.shape,
                lambda *i: tirx.reinterpret(
                    "float32", tirx.shift_left(codes[i].astype("uint32"), tirx.const(16, "uint32"))
                ),
                name="widened",
            ),
            value,
        )
        return emit.cast(shifted, dtype)

    table = emit.const(_values(kind))

    def compute(codes: Any, values: Any) -> Any:
        return te.compute(codes.shape, lambda *i: values[codes[i].astype("int32")], name="widened")

    return emit.cast(emit.te(compute, value, table), dtype)


def narrowed(emit: Emitter, value: Any, kind: str, saturate: bool = True) -> Any:
    """Ordinary values in a narrow type."""
    if "int" in kind:
        return _narrow_integer(emit, value, kind)
    from tvm import te, tirx

    if kind == "bfloat16":
        return emit.te(_rounded_bits, emit.cast(value, "float32"))
    codes, thresholds, special = _thresholds(kind, saturate)
    sign = 0 if kind == "float8_e8m0fnu" else 8 if kind.startswith("float4") else 128
    # The fnuz formats have no negative zero: its bits are their NaN.
    no_negative_zero = kind.endswith("fnuz")
    value = emit.cast(value, "float32")

    def count(data: Any, steps: Any) -> Any:
        k = te.reduce_axis((0, len(thresholds)), name="k")
        return te.compute(
            data.shape,
            lambda *i: te.sum((tirx.abs(data[i]) >= steps[k]).astype("int32"), axis=k),
            name="exceeded",
        )

    def code(data: Any, exceeded: Any, table: Any) -> Any:
        def element(*i: Any) -> Any:
            found = table[exceeded[i]]
            if sign:
                negative = tirx.reinterpret("int32", data[i]) < 0
                if no_negative_zero:
                    negative = tirx.And(negative, found != 0)
                found = tirx.Select(negative, tirx.bitwise_or(found, sign), found)
            nan = tirx.isnan(data[i])
            return tirx.Select(nan, tirx.const(special, "int32"), found).astype("uint8")

        return te.compute(data.shape, element, name="narrowed")

    exceeded = emit.te(count, value, emit.const(thresholds))
    return emit.te(code, value, exceeded, emit.const(codes))


def _rounded_bits(data: Any) -> Any:
    """The upper half of a float32's bits, ties to even."""
    from tvm import te, tirx

    def element(*i: Any) -> Any:
        bits = tirx.reinterpret("uint32", data[i])
        sixteen, one = tirx.const(16, "uint32"), tirx.const(1, "uint32")
        odd = tirx.bitwise_and(tirx.shift_right(bits, sixteen), one)
        rounded = tirx.shift_right(bits + tirx.const(0x7FFF, "uint32") + odd, sixteen)
        nan = tirx.const(0x7FC0, "uint32")
        return tirx.Select(tirx.isnan(data[i]), nan, rounded).astype("uint16")

    return te.compute(data.shape, element, name="narrowed")


def _narrow_integer(emit: Emitter, value: Any, kind: str) -> Any:
    """The lowest bits, as a two's complement or unsigned number."""
    from tvm import te, tirx

    bits = int(kind[-1])
    wide = emit.cast(value, "int32")
    half = 1 << (bits - 1) if kind.startswith("int") else 0

    def compute(data: Any) -> Any:
        def element(*i: Any) -> Any:
            low = tirx.bitwise_and(data[i] + half, (1 << bits) - 1) - half
            return low.astype(CARRIERS[kind])

        return te.compute(data.shape, element, name="narrowed")

    return emit.te(compute, wide)


def _thresholds(kind: str, saturate: bool) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
    """Codes in rising order, the least magnitude that rounds to each but the first, NaN's code.

    Found by asking ONNX's own cast, for every pair of neighbours, where it goes from one to the
    other: bisection over the float32 numbers between them.
    """
    import ml_dtypes
    from onnx import TensorProto
    from onnx.reference.ops.op_cast import cast_to

    dtype = np.dtype(getattr(ml_dtypes, kind))
    to = {
        "float4_e2m1fn": TensorProto.FLOAT4E2M1,
        "float8_e4m3fn": TensorProto.FLOAT8E4M3FN,
        "float8_e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
        "float8_e5m2": TensorProto.FLOAT8E5M2,
        "float8_e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ,
        "float8_e8m0fnu": TensorProto.FLOAT8E8M0,
    }[kind]

    def cast(bits: NDArray[np.uint32]) -> NDArray[np.uint8]:
        with np.errstate(all="ignore"):
            made = np.asarray(cast_to(bits.view(np.float32), to, saturate))
        return made.astype(dtype).view(np.uint8) if made.dtype != dtype else made.view(np.uint8)

    values = _values(kind)
    half = len(values) if kind == "float8_e8m0fnu" else len(values) // 2
    finite = np.flatnonzero(np.isfinite(values[:half]))
    rising = finite[np.argsort(values[finite])].astype(np.int64)
    lows = values[rising].view(np.uint32)
    infinity = np.array([np.inf], np.float32)
    beyond = cast(infinity.view(np.uint32))[0]
    ends = np.append(lows[1:], infinity.view(np.uint32))
    codes = np.append(rising, int(beyond))
    low, high = lows.astype(np.int64), ends.astype(np.int64)
    if int(cast(high[-1:].astype(np.uint32))[0]) == int(codes[-2]):
        low, high, codes = low[:-1], high[:-1], codes[:-1]
    for _ in range(33):
        middle = (low + high) // 2
        here = cast(middle.astype(np.uint32)) == codes[: len(low)].astype(np.uint8)
        low, high = np.where(here, middle, low), np.where(here, high, middle)
        low, high = np.minimum(low, high), np.maximum(low, high)
        if (high - low <= 1).all():
            break
    nan = cast(np.array([np.nan], np.float32).view(np.uint32))[0]
    return codes.astype(np.int32), high.astype(np.uint32).view(np.float32), int(nan)


def convert(emit: Emitter, value: Any, kind: str, target: str, saturate: bool = True) -> Any:
    """From one type to another, either of which may be narrow."""
    if kind in CARRIERS:
        if kind == target:
            return value
        value = widened(emit, value, kind, "float32" if "float" in kind else "int32")
    if target in CARRIERS:
        return narrowed(emit, value, target, saturate)
    return emit.cast(value, target) if dtype_of(value) != target else value
