"""Turns of an experiment on a board that goes away, beside peers of which a setting dies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgetvm.base.errors import BoardError, BoardGoneError, ModelError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.farm.inventory import LOCAL
from edgetvm.measure import Store
from edgetvm.measure.experiment.file import load_experiment
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.reading import Slot, row_of
from edgetvm.measure.peers.case import Case, Task
from edgetvm.measure.peers.crew import WorkerLost
from edgetvm.workflow.experimenting import turns
from edgetvm.workflow.experimenting.building import Work, each
from edgetvm.workflow.experimenting.rivals import Crowd
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


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A run of an experiment of two variants and three rounds."""
    path = tmp_path / "lost.yaml"
    path.write_text(FILE)
    store = Store(f"sqlite:///{tmp_path}/results.sqlite")
    return Work(load_experiment(str(path)), Ledger(store), "session")


@pytest.fixture
def slots(work: Work) -> tuple[Slot, Slot]:
    """Of both variants, the first of which lacks one turn only."""
    first, second = work.experiment.variants[:2]
    nearly, new = Slot(first, "nearly", "board"), Slot(second, "new", "board")
    for part in ("built", "measured"):
        work.ledger.note(nearly.key, part, "before", {})
    for turn in range(2):
        work.ledger.note(nearly.key, "round", "before", {"samples_ns": [1]}, turn)
    return nearly, new


def sides(work: Work, slots: Sequence[Slot], good: int) -> list[Side]:
    """Of which so many turns succeed, and then no more."""
    taken = 0

    def take() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        if taken > good:
            raise BoardGoneError("it is gone", where="board")
        return {"samples_ns": [1]}

    return [Side(one, take, lacking_turns(work, one)) for one in slots]


def entries(work: Work, slot: Slot) -> list[str]:
    return [one.part for one in work.ledger.entries(slot.key)]


def test_a_board_that_is_gone_is_asked_once_and_told_of_what_waits(
    work: Work, slots: tuple[Slot, Slot]
) -> None:
    """What has all its turns did not fail with it. The inventory's board has no server."""
    with pytest.raises(BoardGoneError) as gone:
        take_turns(work, LOCAL, sides(work, slots, 2))
    warnings: list[StepEvent] = []
    with listening(warnings.append):
        work.left(slots, gone.value)
    (warning,) = warnings
    assert warning.detail == (
        "board: it is gone; left for the next run of the experiment: 1 variant"
    )
    assert [entries(work, one).count("failed") for one in slots] == [0, 1]
    assert [lacking_turns(work, one) for one in slots] == [0, 2]


def test_a_board_that_answers_loses_one_variant_only(
    work: Work, slots: tuple[Slot, Slot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was too slow for the deadline, say, or took the board down, which is back."""
    monkeypatch.setattr(turns, "answers", lambda _board: True)
    nearly, new = slots
    bad = sides(work, [new], 0)
    good = sides(work, [nearly], 9)
    take_turns(work, LOCAL, [*bad, *good])
    assert entries(work, new) == ["failed"]
    assert lacking_turns(work, nearly) == 0


def test_what_is_complete_does_not_fail_later(work: Work, slots: tuple[Slot, Slot]) -> None:
    """Its package cannot be built again, say: what was measured stays true."""
    take_turns(work, LOCAL, sides(work, slots[:1], 1))

    def build(_slot: object) -> None:
        raise ModelError("the model is gone")

    warnings: list[StepEvent] = []
    with listening(warnings.append):
        each("build", work, [Side(one, dict, 0) for one in slots], build)
    told = [one.detail for one in warnings if one.state == "warning"]
    assert "all of it is measured; what failed now is more than that" in told[0]
    assert [entries(work, one).count("failed") for one in slots] == [0, 1]


class Scripted:
    """A worker of which each turn is known."""

    def __init__(self, setting: str, answers: Sequence[int]) -> None:
        case = Case("x", "fp32", Path("model.tflite"), None, Path("data.npz"), (), ())
        self.task = Task("litert", setting, case, 1)
        self._answers = list(answers)

    def turn(self, _warm_s: float, _seconds: float, _least: int) -> list[int]:
        if not self._answers:
            raise WorkerLost("the process died: signal SIGSEGV")
        return [self._answers.pop(0)]


def test_a_setting_that_dies_is_told_and_the_others_go_on(work: Work) -> None:
    slot = Slot(work.experiment.baseline, "peer", "local", peer="litert 2")
    workers: Any = [Scripted("fast", [10]), Scripted("slow", [20, 21])]
    crowd = Crowd(work, slot, workers)
    assert crowd.turn() == {"samples_ns": [10], "setting": "fast"}
    assert crowd.turn() == {"samples_ns": [21], "setting": "slow"}
    why = "the process died: signal SIGSEGV"
    assert row_of(work.ledger, slot).lost == {"litert (fast)": why}
    assert not row_of(work.ledger, slot).failed
    with pytest.raises(BoardError, match=r"none of its settings is left .*fast.*slow.*SIGSEGV"):
        crowd.turn()
