"""Sizes that an exported program leaves open: their expressions, and what each becomes.

PyTorch would `eval` these texts; here they are parsed, and only arithmetic is known.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Number = int | float | bool

_LONGEST_TEXT = 4096
_LARGEST = 1 << 62


def _power(base: Number, exponent: Number) -> Number:
    if abs(exponent) > 64 or abs(base) > _LARGEST:
        raise ValueError("a size is too large a power")
    return base**exponent


def _product(*factors: Number) -> Number:
    return math.prod(factors)


def _total(*terms: Number) -> Number:
    return sum(terms)


_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "Integer": int,
    "Float": lambda text, *_: float(text),
    "Rational": operator.truediv,
    "Add": _total,
    "Mul": _product,
    "Pow": _power,
    "PowByNatural": _power,
    "FloorDiv": operator.floordiv,
    "CleanDiv": operator.floordiv,
    "CeilDiv": lambda a, b: -(-a // b),
    "IntTrueDiv": operator.truediv,
    "FloatTrueDiv": operator.truediv,
    "Mod": operator.mod,
    "PythonMod": operator.mod,
    "ModularIndexing": lambda a, b, c: a // b % c,
    "Max": max,
    "Min": min,
    "Abs": abs,
    "Identity": operator.pos,
    "ToFloat": float,
    "floor": math.floor,
    "ceiling": math.ceil,
    "FloorToInt": math.floor,
    "CeilToInt": math.ceil,
    "TruncToInt": math.trunc,
    "RoundToInt": round,
    "Where": lambda condition, a, b: a if condition else b,
    "Equality": operator.eq,
    "Unequality": operator.ne,
    "StrictLessThan": operator.lt,
    "LessThan": operator.le,
    "StrictGreaterThan": operator.gt,
    "GreaterThan": operator.ge,
    "And": lambda *terms: all(terms),
    "Or": lambda *terms: any(terms),
    "Not": operator.not_,
}

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}


class UnknownSizeError(ValueError):
    """A size that no input decides."""


def evaluate(text: str, symbols: Mapping[str, int]) -> Number:
    """The value of an expression, once all of its symbols have one.

    Raises:
        UnknownSizeError: a symbol has no value.
        ValueError: no expression, or not of this kind.
    """
    if len(text) > _LONGEST_TEXT:
        raise ValueError("the expression of a size is too long")
    try:
        value = _value(ast.parse(text, mode="eval").body, symbols)
    except (SyntaxError, ArithmeticError, MemoryError, TypeError) as error:
        raise ValueError(f"a size is {text!r:.80}") from error
    if not abs(value) < _LARGEST:
        raise ValueError(f"a size is {value!r:.80}")
    return value


def _value(node: ast.expr, symbols: Mapping[str, int]) -> Number:
    value: Number
    match node:
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))]):
            value = _symbol(name, symbols)
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str(number)), *_]):
            value = float(number)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            value = _FUNCTIONS[name](*(_value(one, symbols) for one in arguments))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            value = _OPERATORS[type(sign)](_value(left, symbols), _value(right, symbols))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = -_value(operand, symbols)
        case ast.Constant(value=int() | float() as number):
            value = number
        case ast.Name(id="true" | "false" as truth):
            value = truth == "true"
        case ast.Name(id=name):
            value = _symbol(name, symbols)
        case _:
            raise ValueError(f"a size is {ast.unparse(node)!r:.80}")
    return value


def _symbol(name: str, symbols: Mapping[str, int]) -> int:
    if name not in symbols:
        raise UnknownSizeError(name)
    return symbols[name]


def symbols_in(text: str) -> set[str]:
    """The names of the symbols in an expression, which is not evaluated."""
    found: dict[str, int] = {}
    while True:
        try:
            evaluate(text, found)
        except UnknownSizeError as error:
            found[str(error)] = 1
            continue
        except ValueError:  # a division by what is 0 for symbols of 1
            return set(found)
        return set(found)


def solve(text: str, symbol: str, size: int) -> int | None:
    """What the only symbol of an expression must be for it to have a size, if it is linear."""
    start, step = (evaluate(text, {symbol: value}) for value in (0, 1))
    slope = step - start
    if not slope or (size - start) % slope:
        return None
    value = int((size - start) // slope)
    return value if evaluate(text, {symbol: value}) == size else None


def plain_symbol(text: str) -> str | None:
    """The name, where an expression is a symbol and nothing else."""
    names: Sequence[str] = sorted(symbols_in(text))
    if len(names) == 1 and all(evaluate(text, {names[0]: size}) == size for size in (2, 3, 5)):
        return names[0]
    return None
