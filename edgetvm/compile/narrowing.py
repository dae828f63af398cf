"""Arm's way from floats to bytes: rounded as they are converted, then narrowed with saturation.

LLVM rounds to a float, clamps floats and narrows what it converts, which takes twice as many
instructions. Halves go to even in both. Cores before ARMv8 convert towards zero only: there the
rounding is that of an addition, and what is too large for it is outside the bytes' range anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgetvm.compile.vectors import halves, instruction

# Floats from here to twice as much have no bits behind the point.
_MAGIC = 1.5 * 2**23
_MAGIC_BITS = 0x4B400000
_LANES = 4


@dataclass(frozen=True)
class _Narrowing:
    """LLVM's names on one architecture; `{}` takes the type of the result.

    Attributes:
        whole: four floats to the nearest integers.
        words, signed, unsigned: halves the bits of each lane; unsigned: from signed.
    """

    whole: Callable[[Any], Any]
    words: str
    signed: str
    unsigned: str


def narrow_to_bytes() -> Any:
    """The pass that names the instructions, in functions for Arm."""
    import tvm_ffi
    from tvm import tirx

    @tirx.transform.prim_func_pass(opt_level=0, name="narrow to bytes")  # type: ignore[untyped-decorator]
    def run(function: Any, _module: Any, _context: Any) -> Any:
        known = "target" in function.attrs
        way = _way(function.attrs["target"]) if known else None
        if way is None:
            return function

        def replace(cast: Any) -> Any:
            rounded = _Rounded.of(cast)
            return cast if rounded is None else rounded.narrowed(way)

        return function.with_body(
            tvm_ffi.structural_map(function.body, (tirx.Cast, replace), order="post")
        )

    return run


def _way(target: Any) -> _Narrowing | None:
    from tvm.target import codegen

    triple = str(target.attrs.get("mtriple", ""))
    if triple.startswith("aarch64"):
        name = "llvm.aarch64.neon."
        whole = _converted(f"{name}fcvtns.v4i32.v4f32")
        return _Narrowing(whole, f"{name}sqxtn.v4i16", f"{name}sqxtn.v8i8", f"{name}sqxtun.v8i8")
    if not triple.startswith("arm"):
        return None
    name = "llvm.arm.neon."
    is_v8 = "fp-armv8" in codegen.llvm_get_cpu_features(target)
    whole = _converted(f"{name}vcvtns.v4i32.v4f32") if is_v8 else _added
    return _Narrowing(whole, f"{name}vqmovns.v4i16", f"{name}vqmovns.v8i8", f"{name}vqmovnsu.v8i8")


def _converted(name: str) -> Callable[[Any], Any]:
    return lambda floats: instruction(name, "int32x4", floats)


def _added(floats: Any) -> Any:
    from tvm import tirx

    magic = tirx.Broadcast(tirx.const(_MAGIC, "float32"), _LANES)
    bits = tirx.Broadcast(tirx.const(_MAGIC_BITS, "int32"), _LANES)
    found = tirx.reinterpret("int32x4", floats + magic)
    return instruction("llvm.ssub.sat.v4i32", "int32x4", found, bits)


@dataclass(frozen=True)
class _Rounded:
    """A vector of floats that is rounded to bytes.

    Attributes:
        floats: before rounding.
        zero_point: added after it.
        low, high: of what comes out.
        dtype: int8 or uint8.
        lanes: of the vector: a power of two, at least four.
    """

    floats: Any
    zero_point: int
    low: int
    high: int
    dtype: str
    lanes: int

    @classmethod
    def of(cls, cast: Any) -> _Rounded | None:
        """What `min(max(round(floats) + zero_point, low), high)` as bytes is made of; or None."""
        from tvm import ir, tirx

        kind = cast.ty.dtype
        name, _, lanes = str(kind).partition("x")
        if name not in ("int8", "uint8") or lanes not in ("4", "8", "16"):
            return None
        upper = cast.value
        lower = upper.a if isinstance(upper, tirx.Min) else None
        if not isinstance(lower, tirx.Max):
            return None
        sums: Any = lower.a
        zero: float | None = 0.0
        if isinstance(sums, tirx.Add):
            sums, zero = sums.a, _number(sums.b)
        low, high = _number(lower.b), _number(upper.b)
        is_rounded = isinstance(sums, ir.Call) and getattr(sums.op, "name", "") in (
            "tirx.nearbyint",
            "tirx.round",
        )
        if not is_rounded or zero is None or low is None or high is None:
            return None
        if str(sums.ty.dtype) != f"float32x{lanes}":
            return None
        return cls(sums.args[0], int(zero), int(low), int(high), name, int(lanes))

    def narrowed(self, way: _Narrowing) -> Any:
        """The bytes, by instructions of the architecture."""
        from tvm import tirx

        words = [
            instruction(way.words, "int16x4", way.whole(part)) for part in _quarters(self.floats)
        ]
        # Bytes are made of eight words; of four, they are made twice.
        pairs = [words[at : at + 2] for at in range(0, len(words), 2)] if words[1:] else [words * 2]
        eights = [self._bytes(tirx.vectorcombine("int16x8", *pair), way) for pair in pairs]
        found = eights[0]
        if eights[1:]:
            found = tirx.vectorcombine(f"{self.dtype}x16", *eights)
        return self._clamped(found)

    def _bytes(self, words: Any, way: _Narrowing) -> Any:
        from tvm import tirx

        if self.zero_point:
            zero = tirx.Broadcast(tirx.const(self.zero_point, "int16"), 8)
            words = instruction("llvm.sadd.sat.v8i16", "int16x8", words, zero)
        name = way.signed if self.dtype == "int8" else way.unsigned
        return instruction(name, f"{self.dtype}x8", words)

    def _clamped(self, found: Any) -> Any:
        from tvm import tirx

        lowest, highest = (-128, 127) if self.dtype == "int8" else (0, 255)
        lanes = found.ty.dtype.lanes
        if self.low > lowest:
            found = tirx.Max(found, tirx.Broadcast(tirx.const(self.low, self.dtype), lanes))
        if self.high < highest:
            found = tirx.Min(found, tirx.Broadcast(tirx.const(self.high, self.dtype), lanes))
        if self.lanes < lanes:
            # As one word: LLVM would take four bytes apart.
            word = tirx.Shuffle([tirx.reinterpret("int32x2", found)], [tirx.const(0, "int32")])
            found = tirx.reinterpret(f"{self.dtype}x4", word)
        return found


def _quarters(vector: Any) -> list[Any]:
    """A vector in parts of four lanes."""
    if vector.ty.dtype.lanes == _LANES:
        return [vector]
    low, high = halves(vector)
    return [*_quarters(low), *_quarters(high)]


def _number(value: Any) -> float | None:
    """A constant, in all lanes or alone."""
    from tvm import tirx

    number = value.value if isinstance(value, tirx.Broadcast) else value
    return float(number.value) if isinstance(number, tirx.FloatImm) else None
