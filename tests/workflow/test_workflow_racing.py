"""Which package of several is fastest, and building some of them ahead."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgetvm.base.errors import NumericError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions
from edgetvm.recipes import DATA
from edgetvm.workflow import build, find_subject
from edgetvm.workflow.building_ahead import _build, _Wanted, building
from edgetvm.workflow.racing import p50_ms, with_hope


class MadeBoard:
    """A session in which a package takes as long as its bytes say; those of `wrong` are wrong."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wrong: str = "none") -> None:
        self.opened: list[str] = []
        self._wrong = wrong
        monkeypatch.setattr("edgetvm.workflow.racing.deploy", lambda it, one: it.deploy(one.data))

    def deploy(self, data: str) -> None:
        if data == self._wrong:
            raise NumericError("it differs")
        self.open(data, None)

    def open(self, data: str, _threads: int | None) -> None:
        self.opened.append(data)

    def time_runs(self, _count: int, _max_s: float) -> Any:
        return np.full(10, float(self.opened[-1].partition("-")[0]) * 1e6)


def package(data: str, library: bytes = b"") -> Any:
    target = SimpleNamespace(library="model.so")
    return SimpleNamespace(
        data=data,
        members={"model.so": library or data.encode()},
        manifest=SimpleNamespace(targets=[target]),
    )


def raced(board: MadeBoard, *packages: Any, needed: float = 1.0) -> tuple[list[float], list[str]]:
    session: Any = board
    return p50_ms(session, packages, needed), board.opened


def test_the_first_runs_once_where_there_are_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert raced(MadeBoard(monkeypatch), package("7")) == ([7.0], ["7"])


def test_the_race_goes_on_as_long_as_another_may_win(monkeypatch: pytest.MonkeyPatch) -> None:
    times_ms, opened = raced(MadeBoard(monkeypatch), package("7"), package("6.9"), package("20"))
    assert times_ms == [7.0, 6.9, 20.0]
    assert opened == ["7", "6.9", "20", *(4 * ["7", "6.9"])]


def test_who_cannot_win_by_enough_gets_no_more_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    others = package("7.05"), package("7.3")
    _, opened = raced(MadeBoard(monkeypatch), package("7"), *others, needed=0.97)
    assert opened == 2 * ["7", "7.05", "7.3"]
    _, opened = raced(MadeBoard(monkeypatch), package("7"), *others)
    assert opened == [*(2 * ["7", "7.05", "7.3"]), *(3 * ["7", "7.05"])]


def test_turns_that_were_disturbed_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Disturbed(MadeBoard):
        def time_runs(self, count: int, max_s: float) -> Any:
            slowed = 5.0 if len(self.opened) in (1, 3, 5) else 1.0
            return slowed * super().time_runs(count, max_s)

    times_ms, _ = raced(Disturbed(monkeypatch), package("7"), package("8"))
    assert times_ms == [7.0, 8.0]


def test_packages_of_one_library_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    same = package("7-a", b"same"), package("5"), package("7-b", b"same")
    times_ms, opened = raced(MadeBoard(monkeypatch), *same)
    assert times_ms == [7.0, 5.0, 7.0]
    assert "7-b" not in opened


def test_who_is_wrong_on_the_board_is_out_and_the_first_must_be_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[StepEvent] = []
    with listening(heard.append):
        times_ms, opened = raced(MadeBoard(monkeypatch, "5"), package("7"), package("5"))
    assert (times_ms, opened) == ([7.0, math.inf], ["7"])
    assert "its answers on the board are wrong: it differs" in heard[-1].detail
    with pytest.raises(NumericError):
        raced(MadeBoard(monkeypatch, "7"), package("7"), package("5"))


def test_a_turn_that_was_disturbed_ends_nothing() -> None:
    assert with_hope([0, 1, 2, 3], [1.0, 2.0, 0.8, 0.9], turn=0) == [0, 2, 3]
    assert with_hope([0, 1], [1.0, 1.1], turn=0) == [0, 1]
    assert with_hope([0, 1], [1.0, 1.1], turn=1) == [0]
    assert with_hope([0, 2, 3], [1.0, 0.1, 0.8, 0.95], turn=1) == [0, 2]


def test_what_was_built_ahead_is_taken_and_failures_do_not_stop_it(tiny_onnx: Path) -> None:
    subject, profile = find_subject(str(tiny_onnx)), load_profile("x86-64")
    wanted = CompileOptions(opt_level=2, layout="NHWC")
    ahead = _Wanted(subject, profile, (CompileOptions(precision="fp16"), wanted))
    _build(pickle.loads(pickle.dumps(ahead)))  # noqa: S301 - our own bytes
    told: list[StepEvent] = []
    with listening(told.append):
        build(subject, profile, options=wanted)
    assert [one.detail for one in told if "from the cache" in one.detail]


def test_who_builds_ahead_knows_the_functions_of_the_recipe(tmp_path: Path) -> None:
    module = tmp_path / "own.py"
    module.write_text(
        "from edgetvm.recipes import DATA\n\n"
        "@DATA.register('built-ahead')\ndef data():\n    return ()\n"
    )
    building(str(module))
    assert "built-ahead" in DATA.names()
