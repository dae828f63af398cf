"""Instructions that multiply small integers and add the products of several to one 32-bit sum."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


@dataclass(frozen=True)
class Dot:
    """One way to add `depth` products to each of `lanes` sums.

    Attributes:
        name: of the tensor intrinsic.
        features: that LLVM must know the core to have.
        lanes: sums of one instruction, 32 bits each.
        depth: neighbouring elements whose products one sum takes.
        data, weights: the types that are multiplied.
        added: from (sums, data, weights) as vectors to the new sums.
    """

    name: str
    features: tuple[str, ...]
    lanes: int
    depth: int
    data: str
    weights: str
    added: Callable[[Any, Any, Any], Any]

    def shift(self, given: str) -> int:
        """What is added to data of int8 or uint8 to make them of the type that is multiplied.

        The sums then carry its product with the weights, which is known at compile time.
        """
        if self.data == "uint8":
            return 128 if given == "int8" else 0
        return -128 if (given, self.data) == ("uint8", "int8") else 0


def _call(name: str, dtype: str, *operands: Any) -> Any:
    from tvm import tirx

    return tirx.call_llvm_pure_intrin(dtype, name, *operands)


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
        return _call(name, f"int32x{lanes}", sums, every, weights)

    return added


def _pmaddwd(name: str, lanes: int) -> Callable[[Any, Any, Any], Any]:
    def added(sums: Any, data: Any, weights: Any) -> Any:
        every = _broadcast(data, lanes, f"int16x{2 * lanes}")
        return sums + _call(name, f"int32x{lanes}", every, weights)

    return added


def _sdot(sums: Any, data: Any, weights: Any) -> Any:
    every = _broadcast(data, 4, "int8x16")
    name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    return _call(name, "int32x4", sums, weights, every)


# The best first. AVX2 without VNNI multiplies 16 bits: its instruction for bytes saturates.
DOTS = (
    Dot("vnni_512", ("avx512vnni",), 16, 4, "uint8", "int8", _vpdpbusd(512)),
    Dot("vnni_256", ("avx512vnni", "avx512vl"), 8, 4, "uint8", "int8", _vpdpbusd(256)),
    Dot(
        "pmaddwd_512",
        ("avx512bw",),
        16,
        2,
        "int16",
        "int16",
        _pmaddwd("llvm.x86.avx512.pmaddw.d.512", 16),
    ),
    Dot("pmaddwd_256", ("avx2",), 8, 2, "int16", "int16", _pmaddwd("llvm.x86.avx2.pmadd.wd", 8)),
    Dot("sdot", ("dotprod",), 4, 4, "int8", "int8", _sdot),
)


@functools.lru_cache(maxsize=64)
def dot_for(profile: BoardProfile) -> Dot | None:
    """The best instruction that a board has; None where sums are better left to LLVM."""
    from tvm.target import codegen

    from edgetvm.compile.target import target_for

    known = set(codegen.llvm_get_cpu_features(target_for(profile)))
    for dot in DOTS:
        if dot.lanes <= profile.vector_lanes and known.issuperset(dot.features):
            return dot
    return None


def dot_named(name: str) -> Dot:
    """The instruction of that name."""
    return next(one for one in DOTS if one.name == name)


@functools.cache
def intrinsic(name: str) -> str:
    """The name under which TVM knows the tensor intrinsic of a `Dot`; declares it at first use."""
    from tvm.s_tir import TensorIntrin

    dot = dot_named(name)
    title = f"edgetvm.{name}"
    TensorIntrin.register(title, _described(dot), _implemented(dot))
    return title


def _described(dot: Dot) -> PrimFunc:
    from tvm.script import tirx as T

    lanes, depth, data, weights = dot.lanes, dot.depth, dot.data, dot.weights

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

    return described


def _implemented(dot: Dot) -> PrimFunc:
    from tvm.script import tirx as T

    lanes, depth, data, weights = dot.lanes, dot.depth, dot.data, dot.weights
    wide, whole, added = f"{data}x{depth}", f"{weights}x{lanes * depth}", dot.added

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

    return implemented
