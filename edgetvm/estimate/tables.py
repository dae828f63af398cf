"""Core cycles by edgetvm's own tables, for cores that LLVM has no usable one of.

A table (`cores/NAME.yaml`) says which units an instruction takes and for how many cycles, and when
its result is there. Units are taken in whole: `vector: 2` of two units is one instruction a cycle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgetvm.estimate.core_table import Kind, load_table
from edgetvm.estimate.pipelines import Decoded, cycles_of_window


def table_cycles_of(windows: Sequence[Sequence[str]], name: str) -> list[int]:
    """The cycles of each window.

    Args:
        windows: instructions of AArch64 as LLVM writes them.
        name: of the core's table.
    """
    table = load_table(name)
    patterns = [(re.compile(one.match), one) for one in table.kinds]
    known: dict[str, Decoded] = {}

    def decoded(text: str) -> Decoded:
        if text not in known:
            kind = next(one for pattern, one in patterns if pattern.match(text))
            known[text] = Decoded(kind, *_operands(text, kind))
        return known[text]

    return [cycles_of_window(table, [decoded(text) for text in window]) for window in windows]


_REGISTER = re.compile(r"\b(?:v(\d+)|[qdshb](\d+)|([xw])(\d+)|(sp)|([xw]zr))\b")
_FLAG_WRITERS = re.compile(r"^(?:cm[pn]|tst|ccm[pn]|fcmpe?|fccmp|(?:add|sub|and|bic|adc|sbc)s)\b")
_FLAG_READERS = re.compile(
    r"^(?:b\.\w+|ccm[pn]|cset|csetm|cs(?:el|inc|inv|neg)|cinc|fcsel|fccmp)\b"
)
_WRITES_NONE = re.compile(r"^(?:st|cmp|cmn|tst|ccm|fcmp|fccmp|b\b|b\.|bl|br|ret|cb|tb|prf|nop)")
_KEEPS = re.compile(r"^(?:ins|mov\s+v\d+\.\w\[|movk|bsl|bit|bif|ld[1-4]\s+\{[^}]*\}\[|\w+n2\s)")
_FLAGS = "flags"


def _operands(text: str, kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...], str, str]:
    """Registers that are read and written, the one that is added to, and an address's that moves
    on."""
    name, _, rest = text.partition("\t")
    before, _, inside = rest.partition("[x") if name[:2] in ("ld", "st") else (rest, "", "")
    parts = [_named(match) for match in _REGISTER.finditer(before)]
    results = 0 if _WRITES_NONE.match(text) else _results(name, before)
    writes, reads = parts[:results], parts[results:]
    address = [_named(match) for match in _REGISTER.finditer("x" + inside)] if inside else []
    moves = address[0] if "]!" in inside or "]," in inside else ""
    accumulates = _accumulated(name, reads, writes) if kind.accumulate and writes else ""
    kept = writes[:1] if not accumulates and _KEEPS.match(text) else []
    reads = [*reads, *address, *kept, *([_FLAGS] if _FLAG_READERS.match(text) else [])]
    writes = [*writes, *([_FLAGS] if _FLAG_WRITERS.match(text) else [])]
    return tuple(reads), tuple(writes), accumulates, moves


def _accumulated(name: str, reads: list[str], writes: list[str]) -> str:
    """The register that is added to; of scalars it is the last one that is read, and taken away."""
    return reads.pop() if name.startswith(("fmadd", "fmsub", "fnm")) else writes[0]


def _results(name: str, before: str) -> int:
    """How many of the registers that come first are written."""
    if name in ("ldp", "ldnp", "ldpsw"):
        return 2
    if name.startswith(("ld1", "ld2", "ld3", "ld4")):
        return len(_REGISTER.findall(before))
    return 1


def _named(match: re.Match[str]) -> str:
    vector = match[1] or match[2]
    if vector:
        return f"v{vector}"
    return f"x{match[4]}" if match[4] else match[0]
