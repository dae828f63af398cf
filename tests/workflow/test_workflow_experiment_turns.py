"""Turns of an experiment on a board that goes away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgetvm.base.errors import BoardGoneError
from edgetvm.measure import Store
from edgetvm.measure.experiment.file import load_experiment
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.reading import Slot, row_of
from edgetvm.workflow.experimenting.building import Work
from edgetvm.workflow.experimenting.turns import Side, lacking_turns, take_turns

FILE = """\
name: lost
description: two variants
models: {float: {subject: model.onnx}}
targets: {here: {profile: local}}
baseline: {model: float, target: here}
cross: [{opt_level: [0, 3]}]
measure: {rounds: 3}
"""


def test_what_has_all_its_turns_does_not_fail_with_the_board(tmp_path: Path) -> None:
    path = tmp_path / "lost.yaml"
    path.write_text(FILE)
    experiment = load_experiment(str(path))
    work = Work(experiment, Ledger(Store(f"sqlite:///{tmp_path}/results.sqlite")), "session")
    first, second = experiment.variants[:2]
    nearly, new = Slot(first, "nearly", "board"), Slot(second, "new", "board")
    for turn in range(2):
        work.ledger.note(nearly.key, "round", "before", {"samples_ns": [1]}, turn)
    taken = 0

    def take() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        if taken > 2:
            raise BoardGoneError("it is gone", where="board")
        return {"samples_ns": [1]}

    take_turns(work, [Side(one, take, lacking_turns(work, one)) for one in (nearly, new)])
    assert [row_of(work.ledger, one).failed for one in (nearly, new)] == [False, True]
    assert [lacking_turns(work, one) for one in (nearly, new)] == [0, 2]
