"""The rule for what no other rule covers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgetvm.boards import load_profile
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.loops import loops
from edgetvm.compile.target import target_for


@pytest.mark.parametrize(
    ("index", "extents"),
    [
        (lambda k: k, [3, 32]),
        (lambda k: k % 8, [3, 4, 8]),
        (lambda k: k % 8 + k % 16, [3, 4, 8]),
        (lambda k: (k + 3) % 16, [3, 2, 16]),
        (lambda k: k % 5, [3, 32]),
        (lambda k: k // 8, [3, 32]),
    ],
)
def test_what_repeats_has_a_loop_of_its_own(
    index: Callable[[Any], Any], extents: list[int]
) -> None:
    import tvm
    from tvm import te

    x, w = te.placeholder((3, 32), name="x"), te.placeholder((32,), name="w")
    result = te.compute((3, 32), lambda i, k: x[i, k] * w[index(k)], name="y")
    profile = load_profile("local")
    schedule = loops(te.create_prim_func([x, w, result]), profile, Decisions())
    assert schedule is not None
    around = schedule.get_loops(schedule.get_sblock("y"))
    assert [int(schedule.get(loop).extent) for loop in around] == extents
    module = tvm.IRModule({"main": schedule.mod["main"].with_attr("global_symbol", "main")})
    library = tvm.tirx.build(module, target=target_for(profile))
    random = np.random.default_rng(1)
    x_array, w_array = random.random((3, 32), np.float32), random.random(32, np.float32)
    found = tvm.runtime.tensor(np.zeros_like(x_array))
    library["main"](tvm.runtime.tensor(x_array), tvm.runtime.tensor(w_array), found)
    places = [int(index(place)) for place in range(32)]
    np.testing.assert_allclose(found.numpy(), x_array * w_array[places], rtol=1e-6)
