"""The activations of recurrent operators, as expressions of one element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Each takes the element, alpha, beta, and the dtype.
Function = Callable[[Any, float, float, str], Any]


def _constant(value: float, dtype: str) -> Any:
    from tvm import tirx

    return tirx.const(value, dtype)


def _sigmoid(x: Any, _alpha: float, _beta: float, _dtype: str) -> Any:
    from tvm import tirx

    return tirx.sigmoid(x)


def _tanh(x: Any, _alpha: float, _beta: float, _dtype: str) -> Any:
    from tvm import tirx

    return tirx.tanh(x)


def _scaled_tanh(x: Any, alpha: float, beta: float, dtype: str) -> Any:
    from tvm import tirx

    return _constant(alpha, dtype) * tirx.tanh(x * _constant(beta, dtype))


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
    return tirx.max(x, _constant(0.0, dtype)) + tirx.log1p(tirx.exp(-tirx.abs(x)))


def _elu(x: Any, alpha: float, _: float, dtype: str) -> Any:
    from tvm import tirx

    below = _constant(alpha, dtype) * (tirx.exp(x) - _constant(1.0, dtype))
    return _below_zero(x, below, dtype)


# Name in lower case, as ONNX compares them, to (alpha, beta, function); None for a parameter that
# the function does not take.
ACTIVATIONS: dict[str, tuple[float | None, float | None, Function]] = {
    "relu": (None, None, lambda x, _a, _b, dtype: _below_zero(x, _constant(0.0, dtype), dtype)),
    "tanh": (None, None, _tanh),
    "sigmoid": (None, None, _sigmoid),
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
