"""`tvm.ir.save_json(mod)` into a `Program`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.relay.ast import (
    Block,
    Call,
    Constant,
    Expr,
    Function,
    GlobalVar,
    If,
    OtherType,
    Place,
    Program,
    Projection,
    TensorType,
    Tuple,
    TupleType,
    Type,
    Unsupported,
    Var,
    malformed,
    unwind,
)
from edgetvm.models.relay.objects import ObjectGraph, plain, represented

_DEEPEST_TYPE = 64


class _Module(ObjectGraph):
    """A document whose root is a module or a function."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._types: dict[int, Type | None] = {}
        self._expressions: dict[int, Expr] = {}
        self._begun: set[int] = set()
        # Names of the variables that a `let` binds to a call, by the call's node.
        self._bound: dict[int, str] = {}

    def program(self) -> Program:
        """The module, or the one function, that the document holds."""
        kind = self._kind(self._root)
        if kind != "IRModule":
            function = self._expression(self._root)
            if not isinstance(function, Function):
                raise malformed(f"not a Relay module: its root is {kind or 'nothing'!s:.40}")
            return Program({"main": function})
        items = self._items(self._field(self._root, "functions"))
        functions: dict[str, Function] = {}
        for key, item in zip(items[::2], items[1::2], strict=False):
            name, made = self._expression(key), self._expression(item)
            if isinstance(name, GlobalVar) and isinstance(made, Function):
                functions[name.name] = made
        return Program(functions)

    # Types.

    def _type(self, number: object, depth: int = 0) -> Type | None:
        """A node as a type; None where the program does not say it."""
        index = self._index(number)
        if index not in self._types:
            if depth > _DEEPEST_TYPE:
                raise malformed("damaged: types are nested too deep, or in a circle")
            self._types[index] = self._type_of(index, depth)
        return self._types[index]

    def _type_of(self, number: int, depth: int) -> Type | None:
        kind = self._kind(number)
        if kind in ("", "IncompleteType"):
            return None
        if kind == "relay.TensorType":
            sizes = [self.value(item) for item in self._items(self._field(number, "shape"))]
            shape = tuple(size if isinstance(size, int) else None for size in sizes)
            if any(size is not None and size < 0 for size in shape):
                raise malformed(f"damaged: a tensor of shape {list(shape)!s:.60}")
            return TensorType(shape, str(self._field(number, "dtype")))
        if kind == "TupleType":
            items = self._items(self._field(number, "fields"))
            fields = [self._type(item, depth + 1) for item in items]
            return TupleType(tuple(field or OtherType("") for field in fields))
        return OtherType(kind)

    # Expressions.

    def _expression(self, number: object) -> Expr:
        made: Expr = unwind(self._node_made(number))
        return made

    def _node_made(self, number: object) -> Generator[Any, Any, Expr]:
        index = self._index(number)
        if index in self._expressions:
            return self._expressions[index]
        if index in self._begun:
            raise malformed("damaged: an expression contains itself")
        self._begun.add(index)
        made: Expr = yield self._made(index)
        self._expressions[index] = made
        return made

    def _many(self, number: object) -> Generator[Any, Any, tuple[Expr, ...]]:
        made = []
        for item in self._items(number):
            made.append((yield self._node_made(item)))
        return tuple(made)

    def _parts(self, number: int, *names: str) -> Generator[Any, Any, list[Expr]]:
        made = []
        for name in names:
            made.append((yield self._node_made(self._field(number, name))))
        return made

    def _made(self, number: int) -> Generator[Any, Any, Expr]:
        made: Expr
        match kind := self._kind(number):
            case "relay.Var":
                made = self._variable(number)
            case "GlobalVar":
                made = GlobalVar(self._text(self._field(number, "name_hint")))
            case "relay.Constant":
                made = Constant(self._array(self._field(number, "data")))
            case "relay.Tuple":
                made = Tuple((yield self._many(self._field(number, "fields"))))
            case "relay.TupleGetItem":
                (value,) = yield self._parts(number, "tuple_value")
                made = Projection(value, _integer(self._field(number, "index")))
            case "relay.Call":
                made = yield self._call(number)
            case "relay.Let":
                made = yield self._let(number)
            case "relay.If":
                made = If(*(yield self._parts(number, "cond", "true_branch", "false_branch")))
            case "relay.Function":
                made = yield self._function(number)
            case _:
                what = kind.removeprefix("relay.") or "a missing expression"
                made = Unsupported(what, (), self._place(number))
        return made

    def _variable(self, number: int) -> Var:
        fields = self._fields(number)
        holder = self._fields(fields["vid"]) if "vid" in fields else fields
        annotation = fields.get("type_annotation", "0")
        return Var(self._text(holder.get("name_hint", "")), self._type(annotation))

    def _let(self, number: int) -> Generator[Any, Any, Expr]:
        (variable,) = yield self._parts(number, "var")
        if not isinstance(variable, Var):
            raise malformed("damaged: a let of something that is no variable")
        self._bound.setdefault(self._index(self._field(number, "value")), variable.name)
        value, body = yield self._parts(number, "value", "body")
        return Block(((variable, value),), body)

    def _function(self, number: int) -> Generator[Any, Any, Expr]:
        parameters = yield self._many(self._field(number, "params"))
        (body,) = yield self._parts(number, "body")
        if not all(isinstance(parameter, Var) for parameter in parameters):
            raise malformed("damaged: a function's parameter is no variable")
        return Function(parameters, body, self._given(number))

    def _call(self, number: int) -> Generator[Any, Any, Expr]:
        callee = self._field(number, "op")
        arguments = yield self._many(self._field(number, "args"))
        attributes, place = self._given(number), self._place(number)
        if self._kind(callee) == "Op":
            return Call(represented(self._node(callee)), arguments, attributes, place)
        function = yield self._node_made(callee)
        return Call(function, arguments, attributes, place)

    def _given(self, number: int) -> Mapping[str, Any]:
        given = self.value(self._fields(number).get("attrs", "0"))
        return given if isinstance(given, dict) else {}

    def _place(self, number: int) -> Place:
        """Where a call is. Its span names the layer that TVM's importer made it from."""
        name = self._bound.get(number, "")
        span = self._fields(number).get("span", "0")
        if self._kind(span) == "Span":
            fields = self._fields(span)
            if [str(fields.get(key, "")) for key in ("line", "column")] == ["0", "0"]:
                name = represented(self._node(fields.get("source_name", 0))) or name
        return Place(f"node {number}", name)


def _integer(text: Any) -> int:
    value = plain(text)
    if not isinstance(value, int):
        raise malformed(f"damaged: {text!s:.40} where an integer should be")
    return value


def program_from(text: str) -> Program:
    """The program of a file of `tvm.ir.save_json`.

    Raises:
        ModelUnreadableError: not such a file, cut off or damaged.
    """
    try:
        return _Module(text).program()
    except RecursionError as error:
        raise ModelUnreadableError("nested too deep", mend="save the model again") from error
