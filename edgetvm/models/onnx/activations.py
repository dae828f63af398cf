"""The activations of recurrent operators, as expressions of one element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Each takes the element, alpha, beta, and the dtype.
Function = Callable[[Any, float, float, str], Any]


def _constant(value: float, dtype: str) -> Any:
    from tvm import tirx

    return tirx.const(value, dtype)


def _polynomial(x: Any, coefficients: tuple[float, ...], dtype: str) -> Any:
    total = _constant(coefficients[0], dtype)
    for coefficient in coefficients[1:]:
        total = total * x + _constant(coefficient, dtype)
    return total


def exponential(x: Any, dtype: str) -> Any:
    """e^x. Of float32 a polynomial (Cephes' expf, 2 units in the last place), which LLVM can
    vectorise; libm's function would be called once for each element.
    """
    from tvm import tirx

    if dtype != "float32":
        return tirx.exp(x)
    # Beyond these bounds the result is 0 or infinite in float32.
    x = tirx.max(tirx.min(x, _constant(88.37, dtype)), _constant(-87.33, dtype))
    power = tirx.floor(x * _constant(1.44269504088896341, dtype) + _constant(0.5, dtype))
    # ln 2 in two parts, the first exact in few bits, so that nothing is lost in the difference.
    rest = x - power * _constant(0.693359375, dtype) - power * _constant(-2.12194440e-4, dtype)
    series = _polynomial(
        rest,
        (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5),
        dtype,
    )
    mantissa = series * rest * rest + rest + _constant(1.0, dtype)
    bits = tirx.shift_left(power.astype("int32") + 127, tirx.const(23, "int32"))
    return mantissa * tirx.reinterpret(dtype, bits)


def sigmoid(x: Any, dtype: str) -> Any:
    """1 / (1 + e^-x)."""
    one = _constant(1.0, dtype)
    return one / (one + exponential(-x, dtype))


def tanh(x: Any, dtype: str) -> Any:
    """Hyperbolic tangent. Of float32 a quotient of polynomials (Eigen's), which LLVM vectorises."""
    from tvm import tirx

    if dtype != "float32":
        return tirx.tanh(x)
    x = tirx.max(tirx.min(x, _constant(9.0, dtype)), _constant(-9.0, dtype))
    square = x * x
    above = _polynomial(
        square,
        (
            -2.76076847742355e-16,
            2.00018790482477e-13,
            -8.60467152213735e-11,
            5.12229709037114e-08,
            1.48572235717979e-05,
            6.37261928875436e-04,
            4.89352455891786e-03,
        ),
        dtype,
    )
    below = _polynomial(
        square,
        (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03),
        dtype,
    )
    return x * above / below


def _scaled_tanh(x: Any, alpha: float, beta: float, dtype: str) -> Any:
    return _constant(alpha, dtype) * tanh(x * _constant(beta, dtype), dtype)


def _affine(x: Any, alpha: float, beta: float, dtype: str) -> Any:
    return x * _constant(alpha, dtype) + _constant(beta, dtype)


def _hard_sigmoid(x: Any, alpha: float, beta: float, dtype: str) -> Any:
    return clipped(_affine(x, alpha, beta, dtype), 0.0, 1.0, dtype)


def clipped(x: Any, low: float, high: float, dtype: str) -> Any:
    """The value, or the bound that it exceeds."""
    from tvm import tirx

    return tirx.max(tirx.min(x, _constant(high, dtype)), _constant(low, dtype))


def _below_zero(x: Any, below: Any, dtype: str) -> Any:
    """The value where it is positive, else another."""
    from tvm import tirx

    return tirx.Select(x >= _constant(0.0, dtype), x, below)


def _thresholded(x: Any, alpha: float, _: float, dtype: str) -> Any:
    from tvm import tirx

    return tirx.Select(x > _constant(alpha, dtype), x, _constant(0.0, dtype))


def _softsign(x: Any, _alpha: float, _beta: float, dtype: str) -> Any:
    from tvm import tirx

    return x / (_constant(1.0, dtype) + tirx.abs(x))


def _softplus(x: Any, _alpha: float, _beta: float, dtype: str) -> Any:
    from tvm import tirx

    # log(1 + e^x) without overflow, and exact where it is tiny.
    small = exponential(-tirx.abs(x), dtype)
    name = "log1p" if dtype == "float64" else "log1pf"
    return tirx.max(x, _constant(0.0, dtype)) + tirx.call_pure_extern(dtype, name, small)


def _elu(x: Any, alpha: float, _: float, dtype: str) -> Any:
    below = _constant(alpha, dtype) * (exponential(x, dtype) - _constant(1.0, dtype))
    return _below_zero(x, below, dtype)


# Name in lower case, as ONNX compares them, to (alpha, beta, function); None for a parameter that
# the function does not take.
ACTIVATIONS: dict[str, tuple[float | None, float | None, Function]] = {
    "relu": (None, None, lambda x, _a, _b, dtype: _below_zero(x, _constant(0.0, dtype), dtype)),
    "tanh": (None, None, lambda x, _a, _b, dtype: tanh(x, dtype)),
    "sigmoid": (None, None, lambda x, _a, _b, dtype: sigmoid(x, dtype)),
    "affine": (1.0, 0.0, _affine),
    "leakyrelu": (
        0.01,
        None,
        lambda x, a, _b, dtype: _below_zero(x, x * _constant(a, dtype), dtype),
    ),
    "thresholdedrelu": (1.0, None, _thresholded),
    "scaledtanh": (1.0, 1.0, _scaled_tanh),
    "hardsigmoid": (0.2, 0.5, _hard_sigmoid),
    "elu": (1.0, None, _elu),
    "softsign": (None, None, _softsign),
    "softplus": (None, None, _softplus),
}
