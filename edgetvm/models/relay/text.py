"""Relay text (`mod.astext(show_meta_data=True)`) into a `Program`.

The grammar is that of TVM 0.6 to 0.19. Chains of bindings, which is how TVM prints a network, may
be long; nesting may not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.relay.ast import (
    Block,
    Call,
    Constant,
    Expr,
    Function,
    GlobalVar,
    If,
    Place,
    Program,
    Projection,
    Tuple,
    Unsupported,
    Var,
)
from edgetvm.models.relay.values import ValueParser

_METADATA = re.compile(r"^(?:#\[metadata\]|METADATA:)", re.MULTILINE)
# A parameter's name may hold anything; what follows it in a list of parameters may not.
_TYPED = re.compile(r"%([^\n{]{1,400}?):\s*(?=Tensor\[|\(|fn\b|u?int\d|float\d|bool\b)")
_TYPE_AT_END = re.compile(r":(?=(?:Tensor|u?int\d+|float\d+|bool)$)")
_MOST_ALIKE = 100
_PRECEDENCE = (("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
_OPERATORS = {
    **{"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "==": "equal"},
    **{"!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"},
}
_KEYWORDS = ("fn", "if", "let", "match", "def", "else")


class _Parser(ValueParser):
    def __init__(self, text: str, metadata: str | None) -> None:
        super().__init__(text, metadata)
        self._scopes: list[dict[str, Expr]] = [{}]
        # What `%0 = …` binds: TVM prints that in a scope, and uses it beyond.
        self._bound: dict[str, Expr] = {}
        # Names that hold a bracket, a comma or a blank, by the token that they begin with.
        self._odd: dict[str, list[str]] = {}

    # Programs and functions.

    def program(self) -> Program:
        lexer = self._lexer
        functions: dict[str, Function] = {}
        free: list[Var] = []
        while lexer.kind != "end":
            if lexer.take("def"):
                name = lexer.value[1:]
                if lexer.kind != "function":
                    raise lexer.error("a function's name expected after 'def'")
                if name in functions:
                    raise lexer.error(f"@{name:.40} is defined twice")
                lexer.advance()
                functions[name] = self._function()
            elif lexer.at("type", "extern"):
                self._skip_type_definition()
            elif lexer.take("free_var"):
                free.append(self._declaration())
                lexer.take(";")
            elif functions:
                raise lexer.refusal("'def'")
            else:
                body = self._sequence()
                if free or not isinstance(body, Function):
                    body = Function(tuple(free), body)
                functions["main"] = body
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
                raise lexer.refusal("a parameter")
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
            raise lexer.refusal("a variable")
        name, typed = lexer.value[1:], True
        odd = self._odd_name(name)
        inside = _TYPE_AT_END.search(name)
        if odd:
            lexer.go_past(odd[1])
            name = odd[0]
        elif name.endswith(":"):
            name = name[:-1]
            lexer.advance()
        elif inside:
            lexer.give_back(inside.end() + 1)
            name = name[: inside.start()]
            lexer.advance()
        else:
            lexer.advance()
            if lexer.at("{"):  # the device that it is planned for
                lexer.skip_group()
            typed = lexer.take(":")
        variable = Var(name, self._type() if typed else None)
        if visible:
            self._scopes[-1][name] = variable
        return variable

    def _odd_name(self, token: str) -> tuple[str, int] | None:
        """A name that goes beyond its token, and how many letters there are before its type."""
        lexer = self._lexer
        match = _TYPED.match(lexer.text, lexer.start)
        if match is None or ", %" in match[1] or " = " in match[1]:
            return None
        name = match[1]
        if name == token[:-1] or len(name) < len(token):
            return None
        alike = self._odd.setdefault(token, [])
        if name not in alike:
            alike.append(name)
            alike.sort(key=len, reverse=True)
        if len(alike) > _MOST_ALIKE:
            raise lexer.error(
                f"more than {_MOST_ALIKE} variables whose names begin with {token[:40]!r}"
            )
        return name, match.end() - match.start()

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
                value = self._named(variable.name)
                scope[variable.name] = variable
                lets.append((variable, value))
                lexer.expect(";")
            elif lexer.kind == "variable" and lexer.before_equals():
                name = lexer.value[1:]
                lexer.advance()
                lexer.expect("=")
                self._bound[name] = self._named(name)
                lexer.expect(";")
            else:
                break
        body = self._expression()
        self._scopes.pop()
        return Block(tuple(lets), body) if lets else body

    # Expressions.

    def _named(self, name: str) -> Expr:
        """What a variable is bound to. A call takes its name, unless it has a layer's."""
        value = self._expression()
        if not isinstance(value, Call) or value.place.name or not isinstance(value.callee, str):
            return value
        if name.isdecimal():
            name = f"{value.callee.rpartition('.')[2]}_{name}"
        return replace(value, place=replace(value.place, name=name))

    def _expression(self) -> Expr:
        self._deeper()
        made = self._sequence() if self._lexer.at("let") else self._infix(0)
        self._depth -= 1
        return made

    def _infix(self, level: int) -> Expr:
        """Operands, and the operators between them that bind as close as `level` or closer."""
        left = self._operand()
        while sign := self._lexer.operator():
            rank = next(i for i, signs in enumerate(_PRECEDENCE) if sign in signs)
            if rank < level:
                break
            position = self._lexer.start
            self._lexer.go_past(len(sign))
            right = self._infix(rank + 1) if rank + 1 < len(_PRECEDENCE) else self._operand()
            left = Call(_OPERATORS[sign], (left, right), {}, self._place(position))
        return left

    def _place(self, position: int, name: str = "") -> Place:
        return Place(f"line {self._lexer.line(position)}", name)

    def _operand(self) -> Expr:
        lexer = self._lexer
        position = lexer.start
        made = self._primary()
        while True:
            index = lexer.projection()
            if index is not None:
                made = Projection(made, index)
            elif lexer.at("("):
                arguments, attributes = self._arguments()
                made = Call(made, arguments, attributes, self._place(position))
            else:
                return made

    def _primary(self) -> Expr:
        lexer = self._lexer
        match lexer.kind, lexer.value:
            case "variable", _:
                made = self._use()
            case "function", name:
                lexer.advance()
                made = GlobalVar(name[1:])
            case "number", _:
                made = Constant(self._number())
            case "word", _:
                made = self._word()
            case _, "(":
                made = self._parenthesis()
            case _, "{":
                made = self._block()
            case _:
                raise lexer.refusal("an expression")
        return made

    def _use(self) -> Expr:
        lexer = self._lexer
        for name in self._odd.get(lexer.value[1:], ()):
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
        raise lexer.error(f"%{whole[:60]} is used and defined nowhere")

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
            return self._constant(self._meta())
        if word == "fn":
            lexer.advance()
            return self._function()
        if word in ("if", "match"):
            return self._if() if word == "if" else self._match()
        if word in _KEYWORDS:
            raise lexer.refusal("an expression")
        position = lexer.start
        lexer.advance()
        if not lexer.at("("):
            return Unsupported(word, (), self._place(position))
        arguments, attributes = self._arguments()
        return Call(word, arguments, attributes, self._place(position, lexer.layer()))

    def _constant(self, value: Any) -> Expr:
        if isinstance(value, np.ndarray):
            return Constant(value)
        place = self._place(self._lexer.start)
        return Unsupported("a constant that is no tensor", (), place)

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
                else:
                    arguments.append(self._constant(value))
            else:
                arguments.append(self._expression())
            if not lexer.take(","):
                break
        lexer.expect(")")
        return tuple(arguments), attributes

    def _parenthesis(self) -> Expr:
        lexer = self._lexer
        lexer.expect("(")
        if lexer.at("let") or (lexer.kind == "variable" and lexer.before_equals()):
            body = self._sequence()  # TVM wraps a `let` that is used twice
            lexer.expect(")")
            return body
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
        place = self._place(lexer.start)
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
                    raise lexer.error("a match is not closed")
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
        return Unsupported("match", tuple(parts), place)


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
