"""A schedule rule of somebody else's package, of which one candidate is fast and wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from brought_rules import MODULE, bring, forgotten  # noqa: F401 - a fixture
from made_models import write_product
from real_board import imported, onnx_runtime

from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.farm import Board
from edgetvm.package.executor import Executor
from edgetvm.tune import Budget, TuningDatabase, conditions_of, tune_model
from edgetvm.tune.building import LocalBuilder
from edgetvm.tune.choosing import MARGIN

pytestmark = pytest.mark.board

# Plain loops untuned; right and much faster in another order; and an eighth of the work.
_RULE = """
from tvm import s_tir
from tvm.script import from_source

ALL = "T.grid(T.int64(64), T.int64(64), T.int64(64))"
EIGHTH = "T.grid(T.int64(64), T.int64(64), T.int64(8))"

def product(function, profile, decisions):
    text = function.script()
    if ALL not in text:
        return None
    order = decisions.choose("order", ("plain", "turned", "shortened"), "plain")
    if order == "shortened":
        function = from_source(text.replace(ALL, EIGHTH))
    schedule = s_tir.Schedule(function)
    if order != "plain":
        block = schedule.get_sblock("contraction")
        row, column, channel = schedule.get_loops(block)
        schedule.reorder(row, channel, column)
        schedule.decompose_reduction(block, channel)
    return schedule
"""


@pytest.mark.usefixtures("forgotten")
def test_a_candidate_that_is_fast_and_wrong_is_found_out_and_never_taken(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, monkeypatch, "my product", f"{MODULE}:product", _RULE)
    path, profile = write_product(tmp_path / "product.onnx"), load_profile("local")
    model, here = imported(path), conditions_of(profile)
    with TuningDatabase(tmp_path / "tuning.sqlite") as database:
        tuned = tune_model(
            model, profile, [board], database, Budget(3), builder=lambda: LocalBuilder(1)
        )
        trials = database.numbered(here)
        (kernel,) = tuned.kernels
        (verdict,) = database.verdicts(here).values()
        schedules = database.schedules(here)
    assert {one.choice.rule for _, one in trials} == {"my product"}
    by_order = {one.choice.decisions.get("order"): (at, one) for at, one in trials[:3]}
    assert [one.outcome for _, one in by_order.values()] == ["ok"] * 3
    wrong, right = by_order["shortened"][1], by_order["turned"][1]
    # By its time alone it would be taken.
    assert wrong.ratio < right.ratio < MARGIN
    ((_, found_out),) = trials[3:]
    assert (found_out.outcome, found_out.choice) == ("wrong result", wrong.choice)
    assert "off by" in found_out.error and not found_out.times_ms
    assert verdict[0] == by_order["turned"][0]
    assert kernel.gain == pytest.approx(verdict[1])
    assert sorted(kernel.fates) == ["taken", "wrong or failed when it was compared"]
    assert list(schedules.kernels.values()) == [right.choice]
    artifact = compile_model(model, profile, schedules)
    assert [(one.rule, dict(one.decisions)) for one in artifact.kernels] == [
        ("my product", {"order": "turned"})
    ]
    x = np.random.default_rng(2).standard_normal((64, 64), np.float32)
    found = Executor(artifact.library, artifact.signature).run({"x": x})["y"]
    np.testing.assert_allclose(found, onnx_runtime(path, {"x": x})["y"], rtol=1e-3, atol=1e-4)
