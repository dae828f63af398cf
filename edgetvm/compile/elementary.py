"""exp, log, tanh, erf and their kin as vectorisable expressions of float32.

TVM leaves them to libm, which is called once for each element: 2 to 10 ns where a vector of these
takes 0.2 to 0.5 ns an element. None has a branch, a table or a call, so that they become vector
code wherever LLVM has float32 vectors. They are built after loops were vectorised, see
`kernel_pipeline`.

Method: Cody and Waite, "Software Manual for the Elementary Functions" (1980): the argument is
reduced exactly in two parts of ln 2, a polynomial runs over what is left, and the power of two is
put together from bits. Coefficients of the logarithm are those of Cephes (Moshier, logf.c), all
others minimax fits of our own (Lawson's algorithm, rounded to float32 from the lowest degree on).

Largest errors over all float32, with or without fused multiply-add, in units in the last place, and
of the approximate grade, relative, where LLVM may reassociate besides:

    exp            1.2      7e-6
    sigmoid        2.5      7e-6
    tanh           2.5      4e-7
    erf            2.5      4e-7
    log            0.9      3e-7
    log2           1.9      3e-7
    log10          2.0      3e-7
    log1p          1.5      3e-7
    x / constant   1.5

NaN gives NaN, infinities give limits. What exp gives below 1.7e-38 is 0: denormal numbers would
cost hundreds of cycles in a softmax.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

_LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
# Added to a float32 below 2^22, it leaves the nearest integer in the lowest bits.
_ROUND = 12582912.0
_MANTISSA_BITS = 23
_SIGN = -(1 << 31)
_MOST_PRODUCTS = 4
# Normal float32 numbers.
_SMALLEST, _LARGEST = 2.0**-126, 2.0**127
_INFINITY, _NAN = float("inf"), float("nan")

# e^r from degree 0, and (e^r - 1 - r) / r^2, for |r| <= ln 2 / 2.
_EXP = (1.0, 1.0, 0.49999994, 0.16666521, 0.041668266, 0.0083686775, 0.0013820734)
_EXP_ROUGH = (1.0, 0.9999668, 0.5000302, 0.16787565, 0.041513436)
_EXPM1 = (0.5, 0.16666545, 0.041666403, 0.008366406, 0.0013940663)
# -log(1 - erf x) / x for 0 <= x <= 3.93, the first coefficient in two parts.
_ERF_FIRST = 1.1283792257308960
_ERF = (-5.8635383e-08, 0.6366195, 0.10277688, -0.019149985, -0.00016546785, 0.0016716,
        -0.0006351059, 0.00011821912, -9.314893e-06)  # fmt: skip
# (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f < sqrt(2).
_LOG = (0.33333331174, -0.24999993993, 0.20000714765, -0.16668057665, 0.14249322787,
        -0.12420140846, 0.11676998740, -0.11514610310, 0.070376836292)  # fmt: skip
# tanh x / x and erf x / x: polynomials of x^2 above and below.
_TANH_ROUGH = (9.0, (1.0, 0.1337972, 0.003494037, 2.0583518e-05, 1.3319119e-08),
               (1.0, 0.46713036, 0.025871082, 0.00032830967, 7.762039e-07))  # fmt: skip
_ERF_ROUGH = (3.92, (1.1283791, 0.19078338, 0.052790232, 0.0037795913, 0.0002848084, 2.041977e-06),
              (1.0, 0.5024101, 0.11425734, 0.014997401, 0.00116520876, 3.8004127e-05))  # fmt: skip


class Terms:
    """Builds one expression of a float32 vector; what is used twice is named once."""

    def __init__(self, lanes: int, rough: bool) -> None:
        """Start.

        Args:
            lanes: of the vector.
            rough: build the approximate grade.
        """
        self.rough = rough
        self._suffix = "" if lanes == 1 else f"x{lanes}"
        self._named: list[tuple[Any, Any]] = []

    def real(self, value: float) -> Any:
        """A float32 constant in all lanes."""
        from tvm import tirx

        return tirx.const(value, "float32" + self._suffix)

    def integer(self, value: int) -> Any:
        """An int32 constant in all lanes."""
        from tvm import tirx

        return tirx.const(value, "int32" + self._suffix)

    def name(self, value: Any) -> Any:
        """A variable that has this value."""
        from tvm import tirx

        variable = tirx.Var(f"term{len(self._named)}", value.ty.dtype)
        self._named.append((variable, value))
        return variable

    def all_of(self, result: Any) -> Any:
        """The expression with its names."""
        from tvm import tirx

        for variable, value in reversed(self._named):
            result = tirx.Let(variable, value, result)
        return result

    def bits(self, value: Any) -> Any:
        """Bits of a float32 as int32."""
        from tvm import tirx

        return tirx.reinterpret("int32" + self._suffix, value)

    def from_bits(self, value: Any) -> Any:
        """The float32 of these bits."""
        from tvm import tirx

        return tirx.reinterpret("float32" + self._suffix, value)

    def from_integer(self, value: Any) -> Any:
        """The float32 of that value."""
        return value.astype("float32" + self._suffix)

    def magnitude(self, value: Any) -> Any:
        """|value|."""
        return self.from_bits(self.bits(value) & self.integer(~_SIGN))

    def with_sign(self, magnitude: Any, value: Any) -> Any:
        """A number that is not negative, with the sign of another."""
        return self.from_bits(self.bits(magnitude) | (self.bits(value) & self.integer(_SIGN)))

    def at_least(self, bound: float, value: Any) -> Any:
        """The value or the bound; NaN stays, which is why the value is the second operand."""
        from tvm import tirx

        return tirx.Max(self.real(bound), value)

    def at_most(self, bound: float, value: Any) -> Any:
        """As `at_least`."""
        from tvm import tirx

        return tirx.Min(self.real(bound), value)

    def polynomial(self, x: Any, coefficients: Sequence[float]) -> Any:
        """The sum of coefficients[k] x^k."""
        total = self.real(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            total = total * x + self.real(coefficient)
        return total

    def reduced(self, x: Any, bias: int) -> tuple[Any, Any]:
        """(r, s): e^x = e^r 2^(n), and s = 2^(n + bias), where that is a normal number.

        The exponent is read from the lowest bits of a sum; 0 comes out below 2^-126.
        """
        shift = self.real(_ROUND + bias + 127)
        sum_ = self.name(x * self.real(_LOG2_E) + shift)
        # Where LLVM may reassociate, it would see x * log2 e in the difference of floats.
        whole = self.bits(sum_) - self.integer(_bits_of(_ROUND + bias + 127))
        n = self.name(self.from_integer(whole) if self.rough else sum_ - shift)
        if self.rough:
            r = x - n * self.real(_LN2_HIGH + _LN2_LOW)
        else:
            r = (x - n * self.real(_LN2_HIGH)) - n * self.real(_LN2_LOW)
        scale = self.from_bits(self.bits(sum_) << self.integer(_MANTISSA_BITS))
        return self.name(r), self.name(scale)


def _bits_of(value: float) -> int:
    """The float32's bits as an integer."""
    return int.from_bytes(struct.pack("<f", value), "little")


def _exp_within(terms: Terms, x: Any) -> Any:
    """e^x for -86.98 <= x <= 89; infinite where it is too large for float32."""
    # Twice e^r by half a power of two: the power is then one of float32 up to the largest e^x.
    r, scale = terms.reduced(x, -1)
    series = _EXP_ROUGH if terms.rough else _EXP
    return terms.polynomial(r, [2 * coefficient for coefficient in series]) * scale


def _exp(terms: Terms, x: Any) -> Any:
    from tvm import tirx

    bounded = terms.name(terms.at_most(89.0, x))
    return tirx.Select(x < terms.real(-86.98), terms.real(0.0), _exp_within(terms, bounded))


def _sigmoid(terms: Terms, x: Any) -> Any:
    negative = terms.at_most(89.0, terms.at_least(-80.0, terms.real(0.0) - x))
    one = terms.real(1.0)
    return one / (one + _exp_within(terms, terms.name(negative)))


def _expm1_below_zero(terms: Terms, x: Any) -> Any:
    """e^x - 1 for -80 <= x <= 0."""
    r, scale = terms.reduced(x, 0)
    part = terms.name(terms.polynomial(r, _EXPM1) * r * r + r)
    return part * scale + (scale - terms.real(1.0))


def _quotient(terms: Terms, x: Any, of: tuple[float, Sequence[float], Sequence[float]]) -> Any:
    bound, above, below = of
    x = terms.name(terms.at_most(bound, terms.at_least(-bound, x)))
    square = terms.name(x * x)
    result = x * terms.polynomial(square, above) / terms.polynomial(square, below)
    return terms.at_most(1.0, terms.at_least(-1.0, terms.name(result)))


def _tanh(terms: Terms, x: Any) -> Any:
    if terms.rough:
        return _quotient(terms, x, _TANH_ROUGH)
    # tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|); 1 from 10 on.
    bounded = terms.at_most(10.0, terms.magnitude(x)) * terms.real(-2.0)
    below = terms.name(_expm1_below_zero(terms, terms.name(bounded)))
    return terms.with_sign((terms.real(0.0) - below) / (below + terms.real(2.0)), x)


def _erf(terms: Terms, x: Any) -> Any:
    if terms.rough:
        return _quotient(terms, x, _ERF_ROUGH)
    # erf |x| = 1 - e^(log(1 - erf |x|)), and that logarithm is nearly a parabola; 1 from 4 on.
    y = terms.name(terms.at_most(4.0, terms.magnitude(x)))
    exponent = terms.polynomial(y, _ERF) * y + y * terms.real(_ERF_FIRST)
    below = _expm1_below_zero(terms, terms.name(terms.real(0.0) - exponent))
    return terms.with_sign(terms.real(0.0) - below, x)


def _logarithm(terms: Terms, x: Any, above_one: Any = None) -> tuple[Any, Any, Any]:
    """(n, f, t): log x = n ln 2 + f + t, where x is positive and finite; t is small beside f.

    `above_one` is x - 1 where that is known better than from x.
    """
    from tvm import tirx

    denormal = x < terms.real(1.17549435e-38)
    normal = tirx.Select(denormal, x * terms.real(2.0**_MANTISSA_BITS), x)
    bits = terms.name(terms.bits(terms.name(normal)))
    half = terms.integer(0x3F3504F3)  # sqrt(1/2)
    exponent = terms.name((bits - half) >> terms.integer(_MANTISSA_BITS))
    one = terms.real(1.0)
    f = terms.name(terms.from_bits(bits - (exponent << terms.integer(_MANTISSA_BITS))) - one)
    if above_one is not None:
        f = terms.name(tirx.Select(tirx.EQ(exponent, terms.integer(0)), above_one, f))
    shift = tirx.Select(denormal, terms.real(float(_MANTISSA_BITS)), terms.real(0.0))
    n = terms.name(terms.from_integer(exponent) - shift)
    square = terms.name(f * f)
    rest = terms.polynomial(f, _LOG) * f * square - terms.real(0.5) * square
    return n, f, rest


def _at_the_ends(terms: Terms, x: Any, logarithm: Any) -> Any:
    """A logarithm of positive finite numbers made one of all."""
    from tvm import tirx

    finite = tirx.Select(x < terms.real(_INFINITY), logarithm, x)
    zero = terms.real(0.0)
    pole = tirx.Select(tirx.EQ(x, zero), terms.real(-_INFINITY), terms.real(_NAN))
    return tirx.Select(x > zero, finite, pole)


def _log(terms: Terms, x: Any, above_one: Any = None) -> Any:
    n, f, rest = _logarithm(terms, x, above_one)
    # From small to large.
    result = n * terms.real(_LN2_HIGH) + (f + (n * terms.real(_LN2_LOW) + rest))
    return _at_the_ends(terms, x, result)


def _log2(terms: Terms, x: Any) -> Any:
    n, f, rest = _logarithm(terms, x)
    # log2 e is 1 and a part with few lost bits: a power of two has an exact logarithm.
    part = terms.name(f + rest)
    return _at_the_ends(terms, x, n + (part + part * terms.real(_LOG2_E - 1.0)))


def _log10(terms: Terms, x: Any) -> Any:
    return _log(terms, x) * terms.real(0.4342944819032518)


def _log1p(terms: Terms, x: Any) -> Any:
    from tvm import tirx

    # What 1 + x rounds away is put back to first order.
    one, zero = terms.real(1.0), terms.real(0.0)
    whole = terms.name(one + x)
    if terms.rough:
        return _log(terms, whole, x)  # reassociated, what was rounded away would be nothing
    lost = (x - (whole - one)) / whole
    within = tirx.Select(x < terms.real(_INFINITY), lost, zero)
    return _log(terms, whole) + tirx.Select(x > terms.real(-1.0), within, zero)


# From TVM's operator to the expression of a named float32 argument.
FUNCTIONS: dict[str, Callable[[Terms, Any], Any]] = {
    "tirx.exp": _exp,
    "tirx.sigmoid": _sigmoid,
    "tirx.tanh": _tanh,
    "tirx.erf": _erf,
    "tirx.log": _log,
    "prim.log2": _log2,
    "tirx.log10": _log10,
    "tirx.log1p": _log1p,
}


def power(base: Any, exponent: float) -> Any | None:
    """base^exponent by products, roots and a quotient, or None where that takes many.

    Exact but for one rounding each; libm's `pow` takes as long as 30 products.
    """
    from tvm import tirx

    whole, part = divmod(abs(exponent), 1.0)
    if whole > _MOST_PRODUCTS or part not in (0.0, 0.5) or exponent in (0.0, 0.5):
        return None  # LLVM knows 0.5, with what it gives for minus infinity
    one = tirx.const(1.0, base.ty.dtype)
    variable = tirx.Var("base", base.ty.dtype)
    factors = [variable] * int(whole) + ([tirx.sqrt(variable)] if part else [])
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return tirx.Let(variable, base, product if exponent > 0 else one / product)


def quotient(dividend: Any, divisor: float) -> Any | None:
    """dividend / divisor as a product with the inverse, or None where that is no float32.

    Off by at most 1.5 units in the last place; a division takes as long as 5 to 20 products.
    """
    from tvm import tirx

    inverse = 1.0 / divisor if divisor else _INFINITY
    if not _SMALLEST <= abs(inverse) <= _LARGEST:
        return None
    return dividend * tirx.const(inverse, dividend.ty.dtype)


def expand(name: str, argument: Any, rough: bool) -> Any | None:
    """The expression of a function of `FUNCTIONS`, or None where it stays with libm.

    Args:
        name: TVM's operator.
        argument: a number or vector; float16 is computed in float32.
        rough: the approximate grade.
    """
    if name not in FUNCTIONS:
        return None
    dtype = argument.ty.dtype
    kind, _, lanes = str(dtype).partition("x")
    if kind not in ("float32", "float16"):
        return None
    terms = Terms(int(lanes or 1), rough)
    wide = argument if kind == "float32" else argument.astype(str(dtype).replace("16", "32", 1))
    result = terms.all_of(FUNCTIONS[name](terms, terms.name(wide)))
    return result if kind == "float32" else result.astype(dtype)
