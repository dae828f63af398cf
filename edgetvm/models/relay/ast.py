"""Relay programs as plain values: what both readers make, and lowering takes.

Nodes are compared by identity, for one expression may be used in many places (a graph, not a
tree) and be nested as deep as a network. Whatever walks them does so with `unwind`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError


def malformed(what: str) -> ModelUnreadableError:
    """The one error for files that are not what they should be; `read` adds which file."""
    return ModelUnreadableError(what, mend="save or copy it again")


@dataclass(frozen=True, eq=False, slots=True)
class TensorType:
    """Sizes are None where the program leaves them open."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False, slots=True)
class TupleType:
    """Of tensors and tuples."""

    fields: tuple[Type, ...]


@dataclass(frozen=True, eq=False, slots=True)
class OtherType:
    """A function, a reference or an algebraic data type: nothing that a tensor program needs."""

    name: str


Type = TensorType | TupleType | OtherType


@dataclass(frozen=True, eq=False, slots=True)
class Var:
    """A parameter or a `let`'s name. Two of one name are two variables."""

    name: str
    type: Type | None = None


@dataclass(frozen=True, eq=False, slots=True)
class GlobalVar:
    """A function of the program, by name."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A tensor."""

    array: NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call stands in the file, and what it is called there.

    Attributes:
        where: `line 12` of a text, `node 34` of a JSON file.
        name: of the layer in the model that was imported into Relay; else of the Relay variable.
    """

    where: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} at {self.where}" if self.name else self.where


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """An operator (by name) or a function (an expression) on arguments."""

    callee: str | Expr
    arguments: tuple[Expr, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    place: Place = Place("the file")


@dataclass(frozen=True, eq=False, slots=True)
class Tuple:
    """Values side by side."""

    fields: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Projection:
    """One value of a tuple."""

    value: Expr
    index: int


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """`let`s in order, and what they are for."""

    lets: tuple[tuple[Var, Expr], ...]
    body: Expr


@dataclass(frozen=True, eq=False, slots=True)
class If:
    """One branch or the other, by a scalar of bool."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Function:
    """Of the program, or local: then it may use what lies around it."""

    parameters: tuple[Var, ...]
    body: Expr
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class Unsupported:
    """Well-formed Relay that no tensor program needs: `match`, references, constructors."""

    what: str
    parts: tuple[Expr, ...] = ()
    place: Place = Place("the file")


Expr = Var | GlobalVar | Constant | Call | Tuple | Projection | Block | If | Function | Unsupported


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """Functions by name."""

    functions: Mapping[str, Function]

    @property
    def main(self) -> Function:
        """Where it begins.

        Raises:
            ModelUnreadableError: there is no such function.
        """
        if "main" not in self.functions:
            raise malformed("it has no function @main")
        return self.functions["main"]


def children(node: Expr) -> tuple[Expr, ...]:
    """The expressions that a node is made of."""
    parts: tuple[Expr, ...] = ()
    match node:
        case Call(callee, arguments):
            parts = arguments if isinstance(callee, str) else (callee, *arguments)
        case Tuple(fields):
            parts = fields
        case Projection(value):
            parts = (value,)
        case Block(lets, body):
            parts = (*(value for _, value in lets), body)
        case If(condition, then, otherwise):
            parts = (condition, then, otherwise)
        case Function(_, body):
            parts = (body,)
        case Unsupported(_, unsupported):
            parts = unsupported
    return parts


def reachable(program: Program) -> Iterator[Expr]:
    """Every node that `main` leads to, once."""
    seen: set[int] = set()
    waiting: list[Expr] = [program.main]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, GlobalVar):
            if node.name in program.functions:
                waiting.append(program.functions[node.name])
        else:
            waiting.extend(reversed(children(node)))


def unwind(start: Generator[Any, Any, Any]) -> Any:
    """Run a generator that yields the generators whose results it needs.

    It is recursion without Python's stack: depth costs memory only.
    """
    stack = [start]
    result: Any = None
    while stack:
        try:
            below = stack[-1].send(result)
        except StopIteration as stop:
            stack.pop()
            result = stop.value
        else:
            stack.append(below)
            result = None
    return result
