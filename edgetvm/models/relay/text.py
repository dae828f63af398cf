"""Relay text (`mod.astext(show_meta_data=True)`) into a `Program`.

The grammar is that of TVM 0.6 to 0.19. Nesting is what a user can make deep: beyond `_DEEPEST`
it is refused. Chains of bindings, which is how TVM prints a network, are no nesting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    Program,
    Projection,
    TensorType,
    Tuple,
    TupleType,
    Type,
    Unsupported,
    Var,
)
from edgetvm.models.relay.lexer import Lexer
from edgetvm.models.relay.savejson import ObjectGraph

_DEEPEST = 96
_METADATA = re.compile(r"^(?:#\[metadata\]|METADATA:)", re.MULTILINE)
_DTYPE = re.compile(r"(?:u?int|float|bfloat)\d+(?:x\d+)?|bool")
_NUMBER = re.compile(r"(-?(?:inf|nan|[\d.]+(?:[eE][+-]?\d+)?))(\w*)")
_SUFFIXES = {"f": "float32", "h": "float16", "f16": "float16", "f32": "float32", "f64": "float64"}
# A parameter's name may hold anything; what follows it in a list of parameters may not.
_TYPED = re.compile(r"%([^\n]{1,400}?):\s*(?=Tensor\[|\(|fn\b|u?int\d|float\d|bool\b)")
_TYPE_AT_END = re.compile(r":(?=(?:Tensor|u?int\d+|float\d+|bool)$)")
_PRECEDENCE = (("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
_OPERATORS = {
    **{"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "==": "equal"},
    **{"!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"},
}
_FUNCTION_WORDS = ("fn", "if", "let", "match", "def", "else")


class _Parser:
    def __init__(self, text: str, metadata: str | None) -> None:
        self._lexer = Lexer(text)
        self._metadata = metadata
        self._graph: ObjectGraph | None = None
        self._scopes: list[dict[str, Expr]] = [{}]
        self._bound: dict[
            str, Expr
        ] = {}  # `%0 = …`: TVM prints them in scopes, and uses them beyond
        self._odd: list[str] = []  # names that hold a bracket, a comma or a blank
        self._depth = 0

    # Programs and functions.

    def program(self) -> Program:
        lexer = self._lexer
        functions: dict[str, Function] = {}
        free: list[Var] = []
        while lexer.kind != "end":
            if lexer.take("def"):
                name = lexer.value[1:]
                if lexer.kind != "function":
                    lexer.fail("a function's name expected after 'def'")
                if name in functions:
                    lexer.fail(f"@{name:.40} is defined twice")
                lexer.advance()
                functions[name] = self._function()
            elif lexer.at("type", "extern"):
                self._skip_type_definition()
            elif lexer.take("free_var"):
                free.append(self._declaration())
                lexer.take(";")
            elif functions:
                lexer.fail(f"'def' expected, {lexer.value[:40]!r} found")
            else:
                body = self._sequence()
                whole = isinstance(body, Function) and not free
                functions["main"] = body if whole else Function(tuple(free), body)  # type: ignore[assignment]
        return Program(functions)

    def _skip_type_definition(self) -> None:
        lexer = self._lexer
        lexer.take("extern")
        lexer.expect("type")
        lexer.advance()
        while lexer.at("[", "{"):
            lexer.skip_group()

    def _function(self) -> Function:
        """From the list of type parameters or of parameters on."""
        lexer = self._lexer
        if lexer.at("["):
            lexer.skip_group()
        lexer.expect("(")
        self._scopes.append({})
        parameters: list[Var] = []
        attributes: dict[str, Any] = {}
        while not lexer.at(")"):
            if lexer.kind == "variable":
                parameters.append(self._declaration())
            elif lexer.kind in ("word", "text") and lexer.before_equals():
                key = lexer.value.strip('"')
                lexer.advance()
                lexer.expect("=")
                attributes[key] = self._attribute()
            else:
                lexer.fail(f"a parameter expected, {lexer.value[:40]!r} found")
            if not lexer.take(","):
                break
        lexer.expect(")")
        if lexer.take("->"):
            self._type()
        body = self._block()
        self._scopes.pop()
        return Function(tuple(parameters), body, attributes)

    def _declaration(self, visible: bool = True) -> Var:
        """A variable that is named here for the first time, with its type if it has one."""
        lexer = self._lexer
        if lexer.kind != "variable":
            lexer.fail(f"a variable expected, {lexer.value[:40]!r} found")
        name, typed = lexer.value[1:], False
        match = _TYPED.match(lexer.text, lexer.start)
        if match and ", %" not in match[1] and " = " not in match[1] and match[1] != name[:-1]:
            if len(match[1]) >= len(name):
                name, typed = match[1], True
                self._odd.append(name)
                self._odd.sort(key=len, reverse=True)
                lexer.go_past(match.end() - match.start())
        if not typed:
            inside = _TYPE_AT_END.search(name)
            if name.endswith(":"):
                name, typed = name[:-1], True
                lexer.advance()
            elif inside:
                lexer.give_back(inside.end() + 1)
                name, typed = name[: inside.start()], True
                lexer.advance()
            else:
                lexer.advance()
                typed = lexer.take(":")
        variable = Var(name, self._type() if typed else None)
        if visible:
            self._scopes[-1][name] = variable
        return variable

    def _block(self) -> Expr:
        lexer = self._lexer
        lexer.expect("{")
        body = self._sequence()
        lexer.expect("}")
        return body

    def _sequence(self) -> Expr:
        """Bindings, then the expression that they are for."""
        lexer = self._lexer
        self._scopes.append({})
        lets: list[tuple[Var, Expr]] = []
        while True:
            if lexer.take("let"):
                # The value does not see the name, save where a function calls itself.
                scope = self._scopes[-1]
                variable = self._declaration(visible=False)
                lexer.expect("=")
                if lexer.at("fn"):
                    scope[variable.name] = variable
                value = self._expression()
                scope[variable.name] = variable
                lets.append((variable, value))
                lexer.expect(";")
            elif lexer.kind == "variable" and lexer.before_equals():
                name = lexer.value[1:]
                lexer.advance()
                lexer.expect("=")
                self._bound[name] = self._expression()
                lexer.expect(";")
            else:
                break
        body = self._expression()
        self._scopes.pop()
        return Block(tuple(lets), body) if lets else body

    # Expressions.

    def _expression(self, level: int = 0) -> Expr:
        self._deeper()
        left = self._operand() if level + 1 >= len(_PRECEDENCE) else self._infix(level + 1)
        while (sign := self._lexer.operator()) in _PRECEDENCE[level]:
            self._lexer.go_past(len(sign))
            right = self._operand() if level + 1 >= len(_PRECEDENCE) else self._infix(level + 1)
            left = Call(_OPERATORS[sign], (left, right))
        self._depth -= 1
        return left

    def _infix(self, level: int) -> Expr:
        """Operands of the operators that bind closer, without a level of nesting for each."""
        left = self._operand()
        while sign := self._lexer.operator():
            rank = next(i for i, signs in enumerate(_PRECEDENCE) if sign in signs)
            if rank < level:
                break
            self._lexer.go_past(len(sign))
            right = self._operand() if rank + 1 >= len(_PRECEDENCE) else self._infix(rank + 1)
            left = Call(_OPERATORS[sign], (left, right))
        return left

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._lexer.fail(f"nested more than {_DEEPEST} deep")

    def _operand(self) -> Expr:
        made = self._primary()
        lexer = self._lexer
        while True:
            index = lexer.projection()
            if index is not None:
                made = Projection(made, index)
            elif lexer.at("("):
                arguments, attributes = self._arguments()
                made = Call(made, arguments, attributes)
            else:
                return made

    def _primary(self) -> Expr:
        lexer = self._lexer
        match lexer.kind:
            case "variable":
                return self._use()
            case "function":
                name = lexer.value[1:]
                lexer.advance()
                return GlobalVar(name)
            case "number":
                return Constant(self._number())
            case "word":
                return self._word()
        if lexer.at("("):
            return self._parenthesis()
        if lexer.at("{"):
            return self._block()
        found = repr(lexer.value[:40]) if lexer.kind != "end" else "the end of the file"
        lexer.fail(f"an expression expected, {found} found")

    def _use(self) -> Expr:
        lexer = self._lexer
        for name in self._odd:
            if lexer.text.startswith(name, lexer.start + 1) and (made := self._find(name)):
                lexer.go_past(len(name) + 1)
                return made
        whole = lexer.value[1:]
        # `%a.0` is a name or a part of %a; `%a;%b` a name or, written by hand, two statements.
        tries = [whole]
        for _ in range(8):
            head, dot, tail = tries[-1].rpartition(".")
            if not dot or not tail.isdigit():
                break
            tries.append(head)
        tries += [whole.partition(";")[0], whole.rstrip(":")]
        for name in tries:
            if made := self._find(name):
                lexer.go_past(len(name) + 1)
                return made
        lexer.fail(f"%{whole[:60]} is used and defined nowhere")

    def _find(self, name: str) -> Expr | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return self._bound.get(name)

    def _word(self) -> Expr:
        lexer = self._lexer
        word = lexer.value
        if word in ("True", "False"):
            lexer.advance()
            return Constant(np.array(word == "True"))
        if word == "meta":
            value = self._meta()
            if isinstance(value, np.ndarray):
                return Constant(value)
            return Unsupported("a constant that is no tensor")
        if word == "fn":
            lexer.advance()
            return self._function()
        if word == "if":
            return self._if()
        if word == "match":
            return self._match()
        if word in _FUNCTION_WORDS:
            lexer.fail(f"an expression expected, {word!r} found")
        lexer.advance()
        if not lexer.at("("):
            return Unsupported(word)
        arguments, attributes = self._arguments()
        return Call(word, arguments, attributes)

    def _arguments(self) -> tuple[tuple[Expr, ...], Mapping[str, Any]]:
        lexer = self._lexer
        lexer.expect("(")
        arguments: list[Expr] = []
        attributes: dict[str, Any] = {}
        while not lexer.at(")"):
            if lexer.kind == "word" and lexer.before_equals():
                key = lexer.value
                lexer.advance()
                lexer.expect("=")
                attributes[key] = self._attribute()
            elif lexer.kind == "word" and lexer.value == "meta":
                value = self._meta()
                if isinstance(value, dict):
                    attributes.update(value)
                elif isinstance(value, np.ndarray):
                    arguments.append(Constant(value))
                else:
                    arguments.append(Unsupported("a constant that is no tensor"))
            else:
                arguments.append(self._expression())
            if not lexer.take(","):
                break
        lexer.expect(")")
        return tuple(arguments), attributes

    def _parenthesis(self) -> Expr:
        lexer = self._lexer
        lexer.expect("(")
        fields: list[Expr] = []
        comma = lexer.at(")")
        while not lexer.at(")"):
            fields.append(self._expression())
            comma = lexer.take(",")
            if not comma:
                break
        comma = comma or len(fields) > 1
        lexer.expect(")")
        return Tuple(tuple(fields)) if comma else fields[0]

    def _if(self) -> Expr:
        lexer = self._lexer
        lexer.expect("if")
        lexer.expect("(")
        condition = self._expression()
        lexer.expect(")")
        then = self._block()
        lexer.expect("else")
        otherwise = self._expression() if lexer.at("if") else self._block()
        return If(condition, then, otherwise)

    def _match(self) -> Expr:
        lexer = self._lexer
        lexer.expect("match")
        lexer.take("?")
        lexer.expect("(")
        parts = [self._expression()]
        lexer.expect(")")
        lexer.expect("{")
        while not lexer.at("}"):
            scope: dict[str, Expr] = {}
            while not lexer.at("=>"):
                if lexer.kind == "end":
                    lexer.fail("a match is not closed")
                if lexer.kind == "variable":
                    name = lexer.value[1:].rstrip(":")
                    scope[name] = Var(name)
                lexer.advance()
            lexer.expect("=>")
            self._scopes.append(scope)
            parts.append(self._expression())
            self._scopes.pop()
            if not lexer.take(",") and not lexer.take(";"):
                break
        lexer.expect("}")
        return Unsupported("match", tuple(parts))

    # Numbers, attributes, metadata, types.

    def _number(self) -> NDArray[np.generic]:
        lexer = self._lexer
        match = _NUMBER.fullmatch(lexer.value)
        if match is None or len(lexer.value) > 64:
            lexer.fail(f"{lexer.value[:40]!r} is no number")
        digits, suffix = match.groups()
        if digits in ("inf", "-inf", "nan", "-nan"):
            dtype = _SUFFIXES.get(suffix, "float32")
        elif suffix:
            whole = suffix.replace("i", "int").replace("u", "uint")
            dtype = _SUFFIXES.get(suffix, whole)
        else:
            dtype = lexer.commented_type()
            dtype = dtype or ("int32" if digits.lstrip("-").isdigit() else "float32")
        exact = np.dtype(dtype).kind in "iub" and digits.lstrip("-").isdigit()
        try:
            with np.errstate(over="ignore"):
                array = np.array(int(digits) if exact else float(digits), dtype)
        except (ValueError, OverflowError):
            lexer.fail(f"{lexer.value[:40]} does not fit {dtype}")
        lexer.advance()
        return array

    def _attribute(self) -> Any:
        self._deeper()
        try:
            return self._attribute_value()
        finally:
            self._depth -= 1

    def _attribute_value(self) -> Any:
        lexer = self._lexer
        if lexer.kind == "number":
            return self._number().item()
        if lexer.kind == "text":
            value = lexer.value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            lexer.advance()
            return value
        if lexer.at("[", "("):
            closing = "]" if lexer.value == "[" else ")"
            lexer.advance()
            items = []
            while not lexer.at(closing):
                items.append(self._attribute())
                if not lexer.take(","):
                    break
            lexer.expect(closing)
            return items
        if lexer.at("{"):
            lexer.skip_group()
            return OtherType("a dictionary")
        if lexer.kind == "word":
            word = lexer.value
            if word == "meta":
                return self._meta()
            lexer.advance()
            if lexer.at("("):
                lexer.skip_group()
                return OtherType(word)
            return {"True": True, "False": False, "None": None, "nullptr": None}.get(word, word)
        if lexer.take("?"):
            return None
        return self._expression()

    def _meta(self) -> Any:
        lexer = self._lexer
        lexer.expect("meta")
        lexer.expect("[")
        kind = lexer.value
        lexer.advance()
        lexer.expect("]")
        lexer.expect("[")
        number = lexer.value
        position = lexer.start
        lexer.advance()
        lexer.expect("]")
        if self._graph is None:
            if self._metadata is None:
                lexer.fail(
                    f"meta[{kind:.40}] refers to metadata, and the file has none: "
                    "save it with mod.astext(show_meta_data=True)",
                    position,
                )
            self._graph = ObjectGraph(self._metadata)
        values = self._graph.metadata().get(kind)
        if not number.isdigit() or not isinstance(values, list) or int(number[:9]) >= len(values):
            lexer.fail(f"the metadata have no {kind:.40} {number:.40}", position)
        return values[int(number[:9])]

    def _type(self) -> Type | None:
        self._deeper()
        try:
            return self._type_here()
        finally:
            self._depth -= 1

    def _type_here(self) -> Type | None:
        lexer = self._lexer
        if lexer.take("("):
            fields: list[Type] = []
            while not lexer.at(")"):
                fields.append(self._type() or OtherType("_"))
                if not lexer.take(","):
                    break
            lexer.expect(")")
            return TupleType(tuple(fields))
        word = lexer.value
        if lexer.kind != "word" and not lexer.at("?", "_"):
            lexer.fail(f"a type expected, {word[:40]!r} found")
        if word == "meta":
            self._meta()
            return OtherType("meta")
        lexer.advance()
        if word == "Tensor":
            return self._tensor_type()
        if word == "fn":
            while lexer.at("[", "("):
                lexer.skip_group()
            if lexer.take("->"):
                self._type()
            return OtherType("fn")
        if _DTYPE.fullmatch(word):
            return TensorType((), word)
        while lexer.at("[", "("):
            lexer.skip_group()
        return None if word in ("_", "?") else OtherType(word)

    def _tensor_type(self) -> Type:
        lexer = self._lexer
        lexer.expect("[")
        lexer.expect("(")
        shape: list[int | None] = []
        while not lexer.at(")"):
            if lexer.kind == "number":
                size = self._number().item()
                if not isinstance(size, int) or size < 0:
                    lexer.fail(f"{size} is no size")
                shape.append(size)
            elif lexer.at("meta"):
                size = self._meta()
                shape.append(size if isinstance(size, int) and size >= 0 else None)
            else:
                lexer.advance()
                if lexer.at("("):  # Any(), or an expression of symbols
                    lexer.skip_group()
                shape.append(None)
            if not lexer.take(","):
                break
        lexer.expect(")")
        lexer.expect(",")
        dtype = lexer.value
        lexer.advance()
        lexer.expect("]")
        return TensorType(tuple(shape), "bool" if dtype == "uint1" else dtype)


def program_from(text: str) -> Program:
    """The program of a file of Relay text.

    Raises:
        ModelUnreadableError: not Relay text, cut off, or nested too deep.
    """
    begin = _METADATA.search(text)
    code, metadata = (text[: begin.start()], text[begin.end() :]) if begin else (text, None)
    try:
        return _Parser(code, metadata).program()
    except RecursionError as error:
        raise ModelUnreadableError("nested too deep", mend="save the model again") from error
