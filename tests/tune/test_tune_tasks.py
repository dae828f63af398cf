"""Other forms of a model's kernels: each comes with the decisions that are its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_models import value, write
from onnx import helper
from real_board import imported

from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions
from edgetvm.tune.tasks import tasks_of, variants


def test_a_form_has_the_decisions_of_its_own_operators_alone(tmp_path: Path) -> None:
    names = {"first": (96, 32, 3, 3), "second": (48, 96, 1, 1)}
    weights = {
        f"w_{one}": np.random.default_rng(0).standard_normal(shape, np.float32)
        for one, shape in names.items()
    }
    nodes = [
        helper.make_node("Conv", ["x", "w_first"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w_second"], ["y"], name="second"),
    ]
    inputs, outputs = [value("x", [1, 32, 14, 14])], [value("y", [1, 48, 14, 14])]
    model = imported(write(tmp_path / "two.onnx", nodes, inputs, outputs, weights))
    profile, options = load_profile("local"), CompileOptions()
    tasks = tasks_of(model, profile, options)
    forms = [one for lot in variants(model, profile, options, tasks) for one in lot.items()]
    owners = {one.key: "second" in one.nodes for one in tasks.tasks}
    assert {owners[key] for key, _ in forms} == {True, False}
    for key, form in forms:
        (operator,) = form.operators
        assert ("(1, 1, 96, 48)" in operator) == owners[key], operator
