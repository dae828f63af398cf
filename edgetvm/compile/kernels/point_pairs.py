"""The tensor intrinsic of an instruction that takes the data of two points at once.

SMMLA of Arm's I8MM multiplies two points by two features: 2x8 bytes by 8x2. A register holds the
sums of both features at the first point, then at the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.vectors import halves

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from edgetvm.compile.kernels.dots import Dot


def of_pairs(dot: Dot, steps: int, between: int) -> tuple[PrimFunc, PrimFunc]:
    """`lanes` sums of each of two points, with `depth` products of every step.

    Args:
        dot: the instruction.
        steps: one, or two whose data are loaded together.
        between: elements from the data of one point to those of the other.
    """
    from tvm import tirx
    from tvm.script import tirx as T

    lanes, depth, data, weights = dot.lanes, dot.depth, dot.data, dot.weights
    taken, whole, sums = between + steps * depth, f"{weights}x{lanes * depth}", f"int32x{2 * lanes}"
    pairs = lanes // 2

    def all_added(A: Any, B: Any, C: Any) -> Any:
        found = halves(C.vload([0, 0, 0], sums))
        for step, both in _both_points(A, steps, depth, data, between):
            low, high = halves(B.vload([step, 0, 0], whole))
            found = dot.added(found[0], both, low), dot.added(found[1], both, high)
        return tirx.vectorcombine(sums, *found)

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def of_one_step(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (taken,), dtype=data, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), dtype=weights, offset_factor=1)
        C = T.match_buffer(c, (pairs, 2, 2), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:pairs, 0:2, 0:2], A[0:taken], B[0:lanes, 0:depth])
            T.writes(C[0:pairs, 0:2, 0:2])
            for p, i, k in T.grid(2, lanes, depth):
                with T.sblock("update"):
                    vp, vi, vk = T.axis.remap("SSR", [p, i, k])
                    C[vi // 2, vp, vi % 2] = C[vi // 2, vp, vi % 2] + T.cast(
                        A[vp * between + vk], "int32"
                    ) * T.cast(B[vi, vk], "int32")

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def of_steps(a: T.handle, b: T.handle, c: T.handle) -> None:
        apart = T.int64()
        A = T.match_buffer(a, (taken,), dtype=data, offset_factor=1)
        B = T.match_buffer(
            b, (steps, lanes, depth), dtype=weights, offset_factor=1, strides=[apart, depth, 1]
        )
        C = T.match_buffer(c, (pairs, 2, 2), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:pairs, 0:2, 0:2], A[0:taken], B[0:steps, 0:lanes, 0:depth])
            T.writes(C[0:pairs, 0:2, 0:2])
            for p, i, s, k in T.grid(2, lanes, steps, depth):
                with T.sblock("update"):
                    vp, vi, vs, vk = T.axis.remap("SSRR", [p, i, s, k])
                    C[vi // 2, vp, vi % 2] = C[vi // 2, vp, vi % 2] + T.cast(
                        A[vp * between + vs * depth + vk], "int32"
                    ) * T.cast(B[vs, vi, vk], "int32")

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def implemented(a: T.handle, b: T.handle, c: T.handle) -> None:
        apart = T.int64()
        A = T.match_buffer(a, (taken,), dtype=data, offset_factor=1)
        B = T.match_buffer(
            b, (steps, lanes, depth), dtype=weights, offset_factor=1, strides=[apart, depth, 1]
        )
        C = T.match_buffer(c, (pairs, 2, 2), dtype="int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:pairs, 0:2, 0:2], A[0:taken], B[0:steps, 0:lanes, 0:depth])
            T.writes(C[0:pairs, 0:2, 0:2])
            C[0, 0, T.ramp(0, 1, 2 * lanes)] = all_added(A, B, C)

    return of_one_step if steps == 1 else of_steps, implemented


def _both_points(A: Any, steps: int, depth: int, data: str, between: int) -> list[tuple[int, Any]]:
    """The last step first: its number, and the elements of the first point and then of the second.

    As words, and in this order, LLVM takes one instruction for each; else three for two steps.
    """
    from tvm import tirx

    rows = [
        tirx.reinterpret(
            f"int32x{steps * depth // 4}", A.vload([point * between], f"{data}x{steps * depth}")
        )
        for point in range(2)
    ]
    parts = [[row] if steps == 1 else halves(row) for row in rows]
    both = [tirx.vectorcombine("int32x4", *pair) for pair in zip(*parts, strict=True)]
    kind = f"{data}x{2 * depth}"
    return [(step, tirx.reinterpret(kind, both[step])) for step in reversed(range(steps))]
