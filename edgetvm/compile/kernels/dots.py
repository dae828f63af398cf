"""Instructions that multiply small integers and add the products of several to one 32-bit sum.

Where no instruction adds up all of them (Arm before its dot products), a sum stays in parts, lanes
of a register of its own, and a tile's parts are added up once, after the last step.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.assembly import PAIRS_OF_SUMS
from edgetvm.compile.kernels.point_pairs import of_pairs
from edgetvm.compile.vectors import halves, instruction

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


@dataclass(frozen=True)
class Dot:
    """One way to add `depth` products to each of `lanes` sums.

    Attributes:
        name: of the tensor intrinsic.
        features: that LLVM must know the core to have.
        lanes: sums of 32 bits in one register, once they are whole.
        depth: neighbouring elements whose products one sum takes.
        data, weights: the types that are multiplied.
        instructions: that add to one register.
        added: from (sums, data, weights) as vectors to the new sums.
        parts: lanes that each sum is spread over; `added` is then given those of two sums.
        joined: from the `lanes` registers of a sum each to the register of whole sums.
        lowest: weight with which no intermediate result overflows.
        together: steps whose data come by one load, each taken from there by its place.
        points: that it takes at once, neighbours; `added` is then given the sums of two features at
            the first, then those at the second.
    """

    name: str
    features: tuple[str, ...]
    lanes: int
    depth: int
    data: str
    weights: str
    instructions: int
    added: Callable[[Any, Any, Any], Any]
    parts: int = 1
    joined: Callable[[list[Any]], Any] = lambda sums: sums[0]
    lowest: int = -128
    together: int = 1
    points: int = 1

    @property
    def registers(self) -> int:
        """What `lanes` sums take, and their weights."""
        return self.lanes if self.parts > 1 else 1

    @property
    def within(self) -> tuple[int, ...]:
        """Extents of the axes of one step's products, its parts first.

        A part takes two neighbours of every `2 x parts` elements: that is how words are paired.
        """
        if self.parts == 1:
            return (self.depth,)
        groups = self.depth // (2 * self.parts)
        return (self.parts, 2) if groups == 1 else (self.parts, groups, 2)

    def shift(self, given: str) -> int:
        """What is added to data of int8 or uint8 to make them of the type that is multiplied.

        The sums then carry its product with the weights, which is known at compile time.
        """
        if self.data == "uint8":
            return 128 if given == "int8" else 0
        return -128 if (given, self.data) == ("uint8", "int8") else 0


def _broadcast(data: Any, lanes: int, dtype: str) -> Any:
    """Four bytes of data, in every lane, seen as a vector of their own type."""
    from tvm import tirx

    whole = tirx.Broadcast(tirx.reinterpret("int32", data), lanes)
    return tirx.reinterpret(dtype, whole)


def _vpdpbusd(bits: int) -> Callable[[Any, Any, Any], Any]:
    lanes = bits // 32

    def added(sums: Any, data: Any, weights: Any) -> Any:
        # LLVM 22 takes the operands as vectors of bytes; TVM's own intrinsic gives it words.
        every = _broadcast(data, lanes, f"uint8x{4 * lanes}")
        name = f"llvm.x86.avx512.vpdpbusd.{bits}"
        return instruction(name, f"int32x{lanes}", sums, every, weights)

    return added


def _pmaddwd(name: str, lanes: int) -> Callable[[Any, Any, Any], Any]:
    def added(sums: Any, data: Any, weights: Any) -> Any:
        every = _broadcast(data, lanes, f"int16x{2 * lanes}")
        return sums + instruction(name, f"int32x{lanes}", every, weights)

    return added


def _sdot(sums: Any, data: Any, weights: Any) -> Any:
    every = _broadcast(data, 4, "int8x16")
    name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    return instruction(name, "int32x4", sums, weights, every)


def _usdot(sums: Any, data: Any, weights: Any) -> Any:
    every = _broadcast(data, 4, "uint8x16")
    return instruction("llvm.aarch64.neon.usdot.v4i32.v16i8", "int32x4", sums, every, weights)


def _mmla(name: str) -> Callable[[Any, Any, Any], Any]:
    def added(sums: Any, data: Any, weights: Any) -> Any:
        whole = f"llvm.aarch64.neon.{name}.v4i32.v16i8"
        return instruction(whole, "int32x4", sums, data, weights)

    return added


def _smull(data: Any, weights: Any) -> Any:
    return instruction("llvm.aarch64.neon.smull.v8i16", "int16x8", data, weights)


def _sadalp(sums: Any, products: Any) -> Any:
    return sums + instruction("llvm.aarch64.neon.saddlp.v4i32.v8i16", "int32x4", products)


def _eight(sums: Any, data: Any, weights: Any) -> Any:
    return _sadalp(sums, _smull(data, weights))


def _sixteen(sums: Any, data: Any, weights: Any) -> Any:
    for one, other in zip(halves(data), halves(weights), strict=True):
        sums = _eight(sums, one, other)
    return sums


def _two_eights(sums: Any, data: Any, weights: Any) -> Any:
    """Two products are added in 16 bits, which only (-128)^2 twice does not fit."""
    pairs = zip(halves(data), halves(weights), strict=True)
    low, high = (_smull(one, other) for one, other in pairs)
    return _sadalp(sums, low + high)


def _both(added: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Two sums of the same data."""

    def both(sums: Any, data: Any, weights: Any) -> Any:
        from tvm import tirx

        pairs = zip(halves(sums), halves(weights), strict=True)
        first, second = (added(one, data, other) for one, other in pairs)
        return tirx.vectorcombine("int32x8", first, second)

    return both


def _assembled(name: str) -> Callable[[Any, Any, Any], Any]:
    def added(sums: Any, data: Any, weights: Any) -> Any:
        from tvm import tirx

        return tirx.call_pure_extern("int32x8", name, sums, data, weights)

    return added


def _joined_64(parts: list[Any]) -> Any:
    name = "llvm.aarch64.neon.addp.v4i32"
    pairs = [instruction(name, "int32x4", *parts[at : at + 2]) for at in (0, 2)]
    return instruction(name, "int32x4", *pairs)


def _joined_32(parts: list[Any]) -> Any:
    from tvm import tirx

    name, half = "llvm.arm.neon.vpadd.v2i32", "int32x2"
    sums = [tirx.vectorlow(half, one) + tirx.vectorhigh(half, one) for one in parts]
    pairs = [instruction(name, half, *sums[at : at + 2]) for at in (0, 2)]
    return tirx.vectorcombine("int32x4", *pairs)


def _pairwise(bits: int, feature: str, joined: Callable[..., Any], *added: Any) -> list[Dot]:
    """The ways of an Arm core that has no dot products."""
    ways = (("two_eights", 16, 3, -127), ("sixteen", 16, 4, -128), ("eight", 8, 2, -128))
    return [
        Dot(
            f"{name}_{bits}",
            ("neon", feature),
            4,
            depth,
            "int8",
            "int8",
            count,
            one,
            4,
            joined,
            low,
        )
        for (name, depth, count, low), one in zip(ways, added, strict=True)
    ]


_I8MM = ("neon", "i8mm")
# Of those that cost alike, one that takes the data as they are counts, then the first. AVX2 without
# VNNI multiplies 16 bits: its instruction for bytes saturates.
DOTS = (
    Dot("vnni_512", ("avx512vnni",), 16, 4, "uint8", "int8", 1, _vpdpbusd(512)),
    Dot("vnni_256", ("avx512vnni", "avx512vl"), 8, 4, "uint8", "int8", 1, _vpdpbusd(256)),
    Dot(
        "pmaddwd_512",
        ("avx512bw",),
        16,
        2,
        "int16",
        "int16",
        2,
        _pmaddwd("llvm.x86.avx512.pmaddw.d.512", 16),
    ),
    Dot("pmaddwd_256", ("avx2",), 8, 2, "int16", "int16", 2, _pmaddwd("llvm.x86.avx2.pmadd.wd", 8)),
    Dot("pmaddwd_128", ("sse2",), 4, 2, "int16", "int16", 2, _pmaddwd("llvm.x86.sse2.pmadd.wd", 4)),
    Dot("sdot", ("dotprod",), 4, 4, "int8", "int8", 1, _sdot, together=4),
    Dot("usdot", _I8MM, 4, 4, "uint8", "int8", 1, _usdot, together=4),
    Dot("smmla", _I8MM, 4, 8, "int8", "int8", 2, _mmla("smmla"), together=2, points=2),
    Dot("usmmla", _I8MM, 4, 8, "uint8", "int8", 2, _mmla("usmmla"), together=2, points=2),
    *_pairwise(64, "v8a", _joined_64, _both(_two_eights), _both(_sixteen), _both(_eight)),
    *_pairwise(32, "v7", _joined_32, *map(_assembled, PAIRS_OF_SUMS)),
)


def dot_for(
    profile: BoardProfile, given: str, length: int, lowest: int, columns: int
) -> Dot | None:
    """The instruction that a board has and that costs least; None: sums are better left to LLVM.

    Args:
        profile: of the board.
        given: type of the data: int8 or uint8.
        length: neighbouring elements that one sum takes in a row.
        lowest: of the weights.
        columns: neighbouring points that are summed.
    """
    fitting = [dot for dot in _dots_of(profile) if dot.lowest <= lowest and dot.points <= columns]
    return min(
        fitting,
        key=lambda dot: (_cost(dot, length, columns), dot.shift(given) != 0),
        default=None,
    )


def _cost(dot: Dot, length: int, columns: int) -> float:
    """Instructions for all products of the sums of one feature."""
    steps = math.ceil(columns / dot.points) * math.ceil(length / dot.depth)
    return dot.instructions * dot.registers / dot.lanes * steps


@functools.lru_cache(maxsize=64)
def _dots_of(profile: BoardProfile) -> tuple[Dot, ...]:
    from tvm.target import codegen

    from edgetvm.compile.target import target_for

    known = set(codegen.llvm_get_cpu_features(target_for(profile)))
    return tuple(
        dot for dot in DOTS if dot.lanes <= profile.vector_lanes and known.issuperset(dot.features)
    )


def dot_named(name: str) -> Dot:
    """The instruction of that name."""
    return next(one for one in DOTS if one.name == name)


@functools.cache
def intrinsic(name: str, together: int = 1, between: int = 0) -> str:
    """The name under which TVM knows the tensor intrinsic of a `Dot`; declares it at first use.

    Args:
        name: of the `Dot`.
        together: steps at once.
        between: elements from the data of a point to its neighbour's, where several are taken.
    """
    from tvm.s_tir import TensorIntrin

    dot = dot_named(name)
    title = f"edgetvm.{name}.{together}.{between}"
    if dot.points > 1:
        declared = of_pairs(dot, together, between)
    elif dot.parts > 1:
        declared = _in_parts(dot)
    else:
        declared = _whole(dot) if together == 1 else _steps(dot, together)
    TensorIntrin.register(title, *declared)
    return title


@functools.cache
def joining(name: str) -> str:
    """The same for the one that adds up the parts of a `Dot`'s sums."""
    from tvm.s_tir import TensorIntrin

    title = f"edgetvm.{name}.joined"
    TensorIntrin.register(title, *_joins(dot_named(name)))
    return title


def _whole(dot: Dot) -> tuple[PrimFunc, PrimFunc]:
    """`lanes` sums, each of `depth` products."""
    from tvm.script import tirx as T

    lanes, depth, data, weights = dot.lanes, dot.depth, dot.data, dot.weights
    wide, whole, added = f"{data}x{depth}", f"{weights}x{lanes * depth}", dot.added

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def described(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), dtype=data, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), dtype=weights, offset_factor=1)
        C = T.match_buffer(c, (lanes,), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:depth], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            for i in T.serial(0, lanes):
                for k in T.serial(0, depth):
                    with T.sblock("update"):
                        vi, vk = T.axis.remap("SR", [i, k])
                        C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def implemented(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), dtype=data, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), dtype=weights, offset_factor=1)
        C = T.match_buffer(c, (lanes,), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:depth], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = added(
                C.vload([0], f"int32x{lanes}"), A.vload([0], wide), B.vload([0, 0], whole)
            )

    return described, implemented


def _steps(dot: Dot, steps: int) -> tuple[PrimFunc, PrimFunc]:
    """`lanes` sums, each of `depth` products of every step, whose data are one vector."""
    from tvm import tirx
    from tvm.script import tirx as T

    lanes, depth, data, weights = dot.lanes, dot.depth, dot.data, dot.weights
    wide, whole, vector = f"{data}x{steps * depth}", f"{weights}x{lanes * depth}", f"int32x{lanes}"

    def all_added(A: Any, B: Any, C: Any) -> Any:
        words = tirx.reinterpret(f"int32x{steps}", A.vload([0], wide))
        sums = C.vload([0], vector)
        for step in range(steps):
            word = tirx.Shuffle([words], [tirx.const(step, "int32")])
            part = tirx.reinterpret(f"{data}x{depth}", word)
            sums = dot.added(sums, part, B.vload([step, 0, 0], whole))
        return sums

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def described(a: T.handle, b: T.handle, c: T.handle) -> None:
        between = T.int64()
        A = T.match_buffer(a, (steps * depth,), dtype=data, offset_factor=1)
        B = T.match_buffer(
            b,
            (steps, lanes, depth),
            dtype=weights,
            offset_factor=1,
            strides=[between, depth, 1],
        )
        C = T.match_buffer(c, (lanes,), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0 : steps * depth], B[0:steps, 0:lanes, 0:depth])
            T.writes(C[0:lanes])
            for i, s, k in T.grid(lanes, steps, depth):
                with T.sblock("update"):
                    vi, vs, vk = T.axis.remap("SRR", [i, s, k])
                    C[vi] = C[vi] + T.cast(A[vs * depth + vk], "int32") * T.cast(
                        B[vs, vi, vk], "int32"
                    )

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def implemented(a: T.handle, b: T.handle, c: T.handle) -> None:
        between = T.int64()
        A = T.match_buffer(a, (steps * depth,), dtype=data, offset_factor=1)
        B = T.match_buffer(
            b,
            (steps, lanes, depth),
            dtype=weights,
            offset_factor=1,
            strides=[between, depth, 1],
        )
        C = T.match_buffer(c, (lanes,), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0 : steps * depth], B[0:steps, 0:lanes, 0:depth])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = all_added(A, B, C)

    return described, implemented


def _in_parts(dot: Dot) -> tuple[PrimFunc, PrimFunc]:
    """Two sums in parts, each of which takes `depth` / parts products."""
    from tvm.script import tirx as T

    depth, parts, added = dot.depth, dot.parts, dot.added
    data, weights = dot.data, dot.weights
    wide, whole = f"{data}x{depth}", f"{weights}x{2 * depth}"
    groups = depth // (2 * parts)

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def of_one_group(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), dtype=data, offset_factor=1)
        B = T.match_buffer(b, (2, depth), dtype=weights, offset_factor=1)
        C = T.match_buffer(c, (2, parts), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:2, 0:parts], A[0:depth], B[0:2, 0:depth])
            T.writes(C[0:2, 0:parts])
            for i, p, s in T.grid(2, parts, 2):
                with T.sblock("update"):
                    vp, vi, vs = T.axis.remap("SSR", [p, i, s])
                    C[vi, vp] = C[vi, vp] + T.cast(A[vp * 2 + vs], "int32") * T.cast(
                        B[vi, vp * 2 + vs], "int32"
                    )

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def of_groups(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), dtype=data, offset_factor=1)
        B = T.match_buffer(b, (2, depth), dtype=weights, offset_factor=1)
        C = T.match_buffer(c, (2, parts), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:2, 0:parts], A[0:depth], B[0:2, 0:depth])
            T.writes(C[0:2, 0:parts])
            for i, p, g, s in T.grid(2, parts, groups, 2):
                with T.sblock("update"):
                    vp, vi, vg, vs = T.axis.remap("SSRR", [p, i, g, s])
                    C[vi, vp] = C[vi, vp] + T.cast(
                        A[vg * (2 * parts) + vp * 2 + vs], "int32"
                    ) * T.cast(B[vi, vg * (2 * parts) + vp * 2 + vs], "int32")

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def implemented(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), dtype=data, offset_factor=1)
        B = T.match_buffer(b, (2, depth), dtype=weights, offset_factor=1)
        C = T.match_buffer(c, (2, parts), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:2, 0:parts], A[0:depth], B[0:2, 0:depth])
            T.writes(C[0:2, 0:parts])
            C[0, T.ramp(0, 1, 2 * parts)] = added(
                C.vload([0, 0], f"int32x{2 * parts}"), A.vload([0], wide), B.vload([0, 0], whole)
            )

    return of_one_group if groups == 1 else of_groups, implemented


def _joins(dot: Dot) -> tuple[PrimFunc, PrimFunc]:
    """`lanes` sums, whole, of as many in parts."""
    from tvm.script import tirx as T

    lanes, parts, joined = dot.lanes, dot.parts, dot.joined

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def described(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (lanes, parts), dtype="int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (lanes,), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes, 0:parts])
            T.writes(C[0:lanes])
            for i, p in T.grid(lanes, parts):
                with T.sblock("update"):
                    # The order that TVM gives them when it takes the parts out of the sum.
                    vp, vi = T.axis.remap("RS", [p, i])
                    C[vi] = C[vi] + A[vi, vp]

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def implemented(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (lanes, parts), dtype="int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (lanes,), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes, 0:parts])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = C.vload([0], f"int32x{lanes}") + joined(
                [A.vload([lane, 0], f"int32x{parts}") for lane in range(lanes)]
            )

    return described, implemented
