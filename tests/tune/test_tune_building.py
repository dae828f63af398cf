"""Candidates that are built together: each is what it would be by itself, or has its own error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgetvm.base.errors import EdgetvmError
from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions
from edgetvm.compile.tuned import NO_RULE, KernelChoice
from edgetvm.tune.building import BuildJob, Built, build_candidate, build_together

_PLAIN = KernelChoice(NO_RULE)


def job(times: float, choice: KernelChoice = _PLAIN, *, broken: bool = False) -> BuildJob:
    """A kernel that multiplies four numbers; or one for another device."""
    from tvm import ir
    from tvm.script import tirx as T

    if broken:

        @T.prim_func(s_tir=True)
        def kernel(x: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float32")) -> None:
            for i in range(4):
                with T.sblock("multiply"):
                    v = T.axis.spatial(4, i)
                    T.evaluate(T.call_intrin("int32", "tirx.tvm_warp_activemask"))
                    y[v] = x[v] * T.float32(times)

    else:

        @T.prim_func(s_tir=True)
        def kernel(x: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float32")) -> None:
            for i in range(4):
                with T.sblock("multiply"):
                    v = T.axis.spatial(4, i)
                    y[v] = x[v] * T.float32(times)

    return BuildJob(str(ir.save_json(kernel)), choice, load_profile("local"), CompileOptions())


def answer(built: object, folder: Path) -> list[float]:
    from tvm import runtime

    assert isinstance(built, Built), built
    path = folder / f"{len(list(folder.iterdir()))}.so"
    path.write_bytes(built.library)
    x, y = (runtime.tensor(np.arange(1, 5, dtype=np.float32)) for _ in range(2))
    runtime.load_module(str(path))[built.function](x, y)
    return [float(one) for one in y.numpy()]


def test_each_of_a_lot_is_itself_or_has_its_own_error(tmp_path: Path) -> None:
    unknown = KernelChoice("no such rule")
    found = build_together([job(2), job(3, unknown), job(2), job(4, broken=True), job(5)])
    twice, refused, again, broken, five = found
    assert answer(twice, tmp_path) == answer(again, tmp_path) == [2, 4, 6, 8]
    assert answer(five, tmp_path) == [5, 10, 15, 20]
    assert isinstance(refused, EdgetvmError) and "no such rule" in str(refused)
    assert isinstance(broken, Exception) and "unknown intrinsic" in str(broken)
    # Without a guilty one they share a library.
    first, second = build_together([job(2), job(5)])
    assert isinstance(first, Built) and isinstance(second, Built)
    assert first.library is second.library and first.function != second.function
    with pytest.raises(EdgetvmError, match="no such rule"):
        build_candidate(job(3, unknown))
