"""The parts of Relay text that are no expressions: numbers, attributes, metadata, types."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.relay.ast import OtherType, TensorType, TupleType, Type
from edgetvm.models.relay.lexer import Lexer
from edgetvm.models.relay.objects import ObjectGraph

_DEEPEST = 96
_DTYPE = re.compile(r"(?:u?int|float|bfloat)\d+(?:x\d+)?|bool")
_NUMBER = re.compile(r"(-?(?:inf|nan|[\d.]+(?:[eE][+-]?\d+)?))(\w*)")
_SUFFIXES = {"f": "float32", "h": "float16", "f16": "float16", "f32": "float32", "f64": "float64"}
_CONSTANTS = {"True": True, "False": False, "None": None, "nullptr": None}


class ValueParser:
    """What the parser of expressions is built on. Nesting beyond `_DEEPEST` is refused."""

    def __init__(self, text: str, metadata: str | None) -> None:
        self._lexer = Lexer(text)
        self._metadata = metadata
        self._graph: ObjectGraph | None = None
        self._depth = 0

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._lexer.error(f"nested more than {_DEEPEST} deep")

    def _number(self) -> NDArray[np.generic]:
        lexer = self._lexer
        match = _NUMBER.fullmatch(lexer.value)
        if match is None or len(lexer.value) > 64:
            raise lexer.error(f"{lexer.value[:40]!r} is no number")
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
        except (ValueError, OverflowError) as error:
            raise lexer.error(f"{lexer.value[:40]} does not fit {dtype}") from error
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
        value: Any = None
        if lexer.kind == "number":
            value = self._number().item()
        elif lexer.kind == "text":
            value = lexer.value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            lexer.advance()
        elif lexer.kind == "word":
            value = self._attribute_word()
        elif lexer.at("[", "("):
            value = self._attribute_list()
        elif lexer.at("{"):
            lexer.skip_group()
            value = OtherType("a dictionary")
        else:
            lexer.expect("?")
        return value

    def _attribute_list(self) -> list[Any]:
        lexer = self._lexer
        closing = "]" if lexer.value == "[" else ")"
        lexer.advance()
        items = []
        while not lexer.at(closing):
            items.append(self._attribute())
            if not lexer.take(","):
                break
        lexer.expect(closing)
        return items

    def _attribute_word(self) -> Any:
        lexer = self._lexer
        word = lexer.value
        if word == "meta":
            return self._meta()
        lexer.advance()
        if lexer.at("("):
            lexer.skip_group()
            return OtherType(word)
        return _CONSTANTS.get(word, word)

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
                raise lexer.error(
                    f"meta[{kind:.40}] refers to metadata, and the file has none: "
                    "save it with mod.astext(show_meta_data=True)",
                    position,
                )
            self._graph = ObjectGraph(self._metadata)
        values = self._graph.metadata().get(kind)
        index = int(number) if re.fullmatch("[0-9]{1,9}", number) else -1
        if not isinstance(values, list) or not 0 <= index < len(values):
            raise lexer.error(f"the metadata have no {kind:.40} {number:.40}", position)
        return values[index]

    def _type(self) -> Type | None:
        self._deeper()
        try:
            return self._type_here()
        finally:
            self._depth -= 1

    def _type_here(self) -> Type | None:
        lexer = self._lexer
        word = lexer.value
        if lexer.at("("):
            return self._tuple_type()
        if lexer.kind != "word" and not lexer.at("?", "_"):
            raise lexer.refusal("a type")
        if word == "meta":
            self._meta()
            return OtherType("meta")
        lexer.advance()
        if word == "Tensor":
            return self._tensor_type()
        if _DTYPE.fullmatch(word):
            return TensorType((), word)
        while lexer.at("[", "("):
            lexer.skip_group()
        if word == "fn" and lexer.take("->"):
            self._type()
        return None if word in ("_", "?") else OtherType(word)

    def _tuple_type(self) -> Type:
        lexer = self._lexer
        lexer.expect("(")
        fields: list[Type] = []
        while not lexer.at(")"):
            fields.append(self._type() or OtherType("_"))
            if not lexer.take(","):
                break
        lexer.expect(")")
        return TupleType(tuple(fields))

    def _tensor_type(self) -> Type:
        lexer = self._lexer
        lexer.expect("[")
        lexer.expect("(")
        shape: list[int | None] = []
        while not lexer.at(")"):
            if lexer.kind == "number":
                size = self._number().item()
                if not isinstance(size, int) or size < 0:
                    raise lexer.error(f"{size} is no size")
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
