"""Tokens of Relay text, one at a time, with no look back.

The printer of TVM writes a variable's name as the framework had it, with dots, slashes, colons
and semicolons in it; only the names that are in scope tell where `%a.0` ends. So a variable's
token is as long as it can be, and the parser may give some of it back.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.relay.ast import malformed

_BLANK = re.compile(r"(?:\s+|/\*.*?\*/|//[^\n]*|#\[version[^\]\n]*\])*", re.DOTALL)
_NAME = r"(?:[^\s,(){}\[\]=;]|;(?=[^\s,(){}\[\]=;]))+"
_TOKEN = re.compile(
    rf"""
      (?P<variable>%{_NAME})
    | (?P<function>@[^\s,(){{}}\[\]=;:]+)
    | (?P<arrow>->|=>)
    | (?P<number>-?(?:(?:inf|nan)(?:f16|f32|f64|f)?(?![\w.])
        |(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:f16|f32|f64|f|h|i8|i16|i32|i64|u8|u16|u32|u64)?(?!\w)))
    | (?P<text>"(?:[^"\\\n]|\\.)*")
    | (?P<word>[^\W\d][\w.$]*)
    | (?P<mark>[-+*/<>=!?:;,.(){{}}\[\]_&|^~])
    """,
    re.VERBOSE,
)
_OPERATOR = re.compile(r"[*/+]|-(?!>)|<=|>=|==|!=|<|>")
_PROJECTION = re.compile(r"\.(\d{1,9})")
_SCALAR_TYPE = re.compile(r"\s*/\*\s*ty=(u?int(?:8|16|32|64)|float(?:16|32|64)|bool)\b")
_LONGEST_NAME = 4096


class Lexer:
    """Where the parser is.

    Attributes:
        kind: of the token here: a group's name in the grammar above, or "end".
        value: its text.
        start: where it begins.
        stop: where the next one may begin.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind = "end"
        self.value = ""
        self.start = 0
        self.stop = 0
        self._blank = 0
        self._lines: list[int] | None = None
        self.advance()

    def error(self, what: str, position: int | None = None) -> ModelUnreadableError:
        """The one error, with the line it is on."""
        return malformed(f"line {self.line(self.start if position is None else position)}: {what}")

    def line(self, position: int) -> int:
        """The line that a position is on, counted from 1."""
        if self._lines is None:
            self._lines = [match.start() for match in re.finditer("\n", self.text)]
        return bisect_right(self._lines, position - 1) + 1

    def layer(self) -> str:
        """The layer's name in the `span=NAME:0:0` of the comment before the token here, or "".

        Importers into Relay give spans on line 0; TVM's own parser gives lines of its text.
        """
        span = self.text[self._blank : self.start].partition(" span=")[2]
        name, *numbers = span.partition("*/")[0].strip().rsplit(":", 2)
        return name if numbers == ["0", "0"] else ""

    def _skip(self, position: int) -> int:
        match = _BLANK.match(self.text, position)
        position = match.end() if match else position
        if self.text.startswith("/*", position):
            raise self.error("a comment has no end", position)
        return position

    def advance(self) -> None:
        """Go on to the next token."""
        self._blank = self.stop
        self.start = self._skip(self.stop)
        if self.start == len(self.text):
            self.kind, self.value, self.stop = "end", "", self.start
            return
        match = _TOKEN.match(self.text, self.start)
        if match is None:
            raise self.error(f"{self.text[self.start : self.start + 20]!r} is no Relay")
        self.kind, self.value, self.stop = match.lastgroup or "", match.group(), match.end()
        if self.kind == "variable" and len(self.value) > _LONGEST_NAME:
            raise self.error("a name of more than 4,096 letters")

    def give_back(self, used: int) -> None:
        """Keep only the first letters of the token; the rest is the next one."""
        self.stop = self.start + used
        self.value = self.value[:used]

    def at(self, *values: str) -> bool:
        """Is the token here one of these, and not a text?"""
        return self.value in values and self.kind != "text"

    def take(self, value: str) -> bool:
        """Go past this token, if it is here."""
        if self.at(value):
            self.advance()
            return True
        return False

    def expect(self, value: str) -> None:
        """Go past this token.

        Raises:
            ModelUnreadableError: another is here.
        """
        if not self.take(value):
            raise self.refusal(repr(value))

    def refusal(self, wanted: str) -> ModelUnreadableError:
        """The error for what is here."""
        found = repr(self.value[:40]) if self.kind != "end" else "the end of the file"
        return self.error(f"{wanted} expected, {found} found")

    def before_equals(self) -> bool:
        """Does a single `=` follow the token here?"""
        position = self._skip(self.stop)
        return self.text.startswith("=", position) and self.text[
            position + 1 : position + 2
        ] not in (
            "=",
            ">",
        )

    def operator(self) -> str:
        """The infix operator that begins here; empty without one."""
        match = _OPERATOR.match(self.text, self.start)
        if match is None or self.kind == "text" or self.value in ("->", "=>"):
            return ""
        return match.group()

    def go_past(self, letters: int) -> None:
        """Go on after some letters of the token here, or of more than it."""
        self.stop = self.start + letters
        self.advance()

    def projection(self) -> int | None:
        """The N of `.N`, gone past, if it is here."""
        match = _PROJECTION.match(self.text, self.start)
        if match is None or self.kind == "text":
            return None
        self.stop = match.end()
        self.advance()
        return int(match.group(1))

    def commented_type(self) -> str:
        """The dtype that the comment after a number says; empty without one."""
        match = _SCALAR_TYPE.match(self.text, self.stop)
        return match.group(1) if match else ""

    def skip_group(self) -> None:
        """Go past a bracket and all that it holds."""
        depth = 0
        while True:
            if self.kind == "end":
                raise self.error("a bracket is not closed")
            if self.at("(", "[", "{"):
                depth += 1
            elif self.at(")", "]", "}"):
                depth -= 1
            self.advance()
            if depth <= 0:
                return
