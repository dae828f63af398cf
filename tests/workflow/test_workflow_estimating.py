"""Estimates for Python callers: packages, and searches before there is a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgetvm.boards import load_profile
from edgetvm.compile.tuned import UNTUNED
from edgetvm.tune import Budget, TuningDatabase, conditions_of
from edgetvm.workflow import build, estimate, estimate_package, find_subject, tune_estimated

pytestmark = pytest.mark.usefixtures("session_cache")

_RPI4 = load_profile("rpi4")


def test_a_package_is_estimated_as_the_model_that_it_holds(tiny_onnx: Path) -> None:
    subject = find_subject(str(tiny_onnx))
    (of_model,) = estimate(subject, [_RPI4])
    (of_package,) = estimate_package(build(subject, _RPI4).package)
    names = [one.name for one in of_model.kernels]
    assert names == [one.name for one in of_package.kernels]
    assert of_package.whole.cost.instructions == of_model.whole.cost.instructions
    assert of_package.size_bytes > of_model.size_bytes


def test_estimates_are_the_same_each_time(tiny_onnx: Path) -> None:
    subject = find_subject(str(tiny_onnx))
    first, second = (estimate(subject, [_RPI4])[0] for _ in range(2))
    assert first.whole.cost.instructions == second.whole.cost.instructions
    assert first.whole.ms == pytest.approx(second.whole.ms, rel=0.01)


def test_a_search_by_estimates_is_kept_apart_from_measured_ones(
    tiny_onnx: Path, tmp_path: Path
) -> None:
    path = tmp_path / "trials.sqlite"
    found = tune_estimated(find_subject(str(tiny_onnx)), _RPI4, Budget(trials=8), path)
    assert found.estimated
    assert 0 < found.tuned_ms < 1.05 * found.default_ms
    measured = conditions_of(_RPI4)
    with TuningDatabase(path, must_exist=True) as database:
        trials = database.trials(replace(measured, estimated=True))
        assert len(trials) >= 8
        assert all(one.environment["estimated"] for one in trials if one.outcome == "ok")
        assert database.trials(measured) == []
        assert database.schedules(measured) == UNTUNED
