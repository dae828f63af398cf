"""Searches on several boards: some are started anew meanwhile, some die, and some disagree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_kernels import HandBuilder, Pace, paced_library
from made_models import write_product
from real_board import imported
from real_farm import PROFILE, Farm, write_profile

from edgetvm.base.errors import BoardGoneError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions
from edgetvm.compile.tuned import KernelChoice
from edgetvm.farm import Board, find_boards
from edgetvm.models import Model
from edgetvm.tune import (
    Budget,
    TuningDatabase,
    board_threads,
    conditions_of,
    running,
    search,
    tune_model,
)
from edgetvm.tune.building import BuildJob
from edgetvm.tune.progress import Progress
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.space import candidate_of
from edgetvm.tune.tasks import tasks_of
from edgetvm.workflow import find_subject, tune

pytestmark = pytest.mark.board

_DEFAULT_MS = 4.0
_GOOD = {"cores": "2"}


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Three boards, all up when a test begins."""
    with Farm("a", "b", "c") as made:
        yield made


@pytest.fixture
def boards(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Board]:
    """The boards as the user's inventory has them."""
    write_profile(tmp_path)
    farm.write_inventory(tmp_path / "boards.yaml")
    monkeypatch.setenv("EDGETVM_DEVICES", str(tmp_path))
    monkeypatch.setenv("EDGETVM_INVENTORY", str(tmp_path / "boards.yaml"))
    monkeypatch.setattr(board_threads, "_RETRY_S", 0.1)
    farm.mend()
    return find_boards(PROFILE)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for what is gone for good."""
    monkeypatch.setattr(running, "_WAIT_FOR_BOARD_S", 1.5)
    monkeypatch.setattr(search, "_ALL_LOST_S", 1.0)


@pytest.fixture
def here(boards: list[Board]) -> Conditions:
    """The boards' own conditions."""
    return conditions_of(load_profile(boards[0].profile))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model of one kernel."""
    return write_product(tmp_path_factory.mktemp("model") / "product.onnx")


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    """The same, imported."""
    return imported(path)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[TuningDatabase]:
    """An empty one."""
    with TuningDatabase(tmp_path / "tuning.sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a kernel that sleeps."""
    return paced_library(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def hand(library: bytes) -> HandBuilder:
    """Makes candidates of which some are twice as fast."""
    return HandBuilder(library, pace)


def pace(job: BuildJob) -> Pace:
    """What some decide is twice as fast as the default, everything else a little slower."""
    if not job.choice.decisions:
        return _DEFAULT_MS, _DEFAULT_MS
    good = job.choice.decisions.items() >= _GOOD.items()
    return (_DEFAULT_MS / 2,) * 2 if good else (_DEFAULT_MS * 1.1,) * 2


def is_good(trial: Trial) -> bool:
    """Whether a trial is of a fast candidate."""
    return trial.choice.decisions.items() >= _GOOD.items()


def test_a_server_that_is_killed_and_started_anew_is_no_fault_of_a_candidate(
    farm: Farm, boards: list[Board], here: Conditions, model: Model, library: bytes,
    database: TuningDatabase, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lost_before = list[int]()

    def lost() -> list[Trial]:
        return [one for one in database.trials(here) if one.outcome == "board lost"]

    def told(progress: Progress) -> None:
        if progress.trials < (3, 6, 99)[len(lost_before)]:
            return
        if lost_before:
            # What ran at the first time was run once more; from now on it is told.
            monkeypatch.setattr(search, "_ATTEMPTS", 1)
        lost_before.append(len(lost()))
        farm.kill("a")
        farm.start("a")

    tuned = tune_model(
        model, load_profile(PROFILE), boards[:1], database, Budget(10),
        builder=lambda: HandBuilder(library, lambda _: (40.0, 40.0)), told=told,
    )  # fmt: skip
    trials = database.trials(here)
    assert lost_before == [0, 0]
    assert tuned.trials == len(trials) == 10
    assert {one.outcome for one in trials} == {"ok", "board lost"}, trials
    assert all(one.error and not one.times_ms for one in lost())
    assert len({candidate_of(one) for one in trials}) == len(trials)


def test_a_board_that_dies_for_good_leaves_the_search_to_the_others(
    farm: Farm, boards: list[Board], here: Conditions, path: Path, hand: HandBuilder,
    database: TuningDatabase, impatient: None,
) -> None:  # fmt: skip
    killed_at, verdicts = list[int](), list[tuple[int | None, float, int]]()

    def told(progress: Progress) -> None:
        if not killed_at and len({one.board for one in database.trials(here)}) == 3:
            killed_at.append(progress.trials)
            farm.kill("a")

    def heard(event: StepEvent) -> None:
        if (event.state, event.title) == ("started", "compare the whole model"):
            verdicts.extend(database.verdicts(here).values())

    with listening(heard):
        outcome = tune(
            find_subject(str(path)), boards, Budget(150, until_flat=False), database.path,
            builder=lambda: hand, told=told,
        )  # fmt: skip
    trials = database.trials(here)
    assert killed_at and killed_at[0] < 130
    assert outcome.tuned.trials == len(trials) == 150
    assert {one.outcome for one in trials} == {"ok"}
    # Some trials of the dead board may have been on their way.
    later = {one.board.partition("#")[0] for one in trials[killed_at[0] + 6 :]}
    assert later == {"b", "c"}
    assert outcome.tuned.progress.boards["a#0"] == "lost"
    # Kernels and the whole model were compared all the same, on boards that are there.
    assert [one.name for one in outcome.tuned.boards] == ["b", "c"]
    ((winner, gain, through),) = verdicts
    assert is_good(dict(database.numbered(here))[winner or 0])
    assert gain > 1.2 and through == 150
    assert outcome.default_ms > 0


def test_a_board_that_is_not_there_to_begin_with_holds_nothing_up(
    farm: Farm, boards: list[Board], here: Conditions, tiny_onnx: Path, hand: HandBuilder,
    database: TuningDatabase, impatient: None,
) -> None:  # fmt: skip
    farm.kill("a")
    heard: list[StepEvent] = []
    with listening(heard.append):
        outcome = tune(
            find_subject(str(tiny_onnx)), boards[:2], Budget(6), database.path, builder=lambda: hand
        )
    warnings = [one.detail for one in heard if one.state == "warning"]
    assert warnings[0] == "a: its server is not registered with its tracker: begins without it"
    assert all(one.startswith("a is lost, and is asked again") for one in warnings[1:])
    assert outcome.tuned.trials == 6
    assert {one.board for one in database.trials(here)} == {"b#1"}
    # Layouts, kernels and the whole model were compared, all on the other one.
    assert len(database.layouts(here)) == 1
    assert [one.name for one in outcome.tuned.boards] == ["b"]
    connected = {one.title for one in heard if one.title.startswith("connect to")}
    assert connected == {"connect to b"}


def test_a_search_whose_boards_all_die_keeps_what_was_measured(
    farm: Farm, boards: list[Board], here: Conditions, model: Model, hand: HandBuilder,
    database: TuningDatabase, impatient: None,
) -> None:  # fmt: skip
    killed_at: list[int] = []

    def told(progress: Progress) -> None:
        if progress.trials >= 4 and not killed_at:
            killed_at.append(progress.trials)
            farm.kill("a")
            farm.kill("b")

    with pytest.raises(BoardGoneError, match="all boards of this search are gone") as caught:
        tune_model(
            model, load_profile(PROFILE), boards[:2], database, Budget(99),
            builder=lambda: hand, told=told,
        )  # fmt: skip
    assert "a, b" in str(caught.value) and "is kept" in str(caught.value)
    kept = database.trials(here)
    assert killed_at[0] <= len(kept) < 99
    assert database.trials_in(1) == len(kept)
    assert {one.outcome for one in kept} == {"ok"}
    # Nothing is decided on boards that are gone.
    assert database.verdicts(here) == {}


@pytest.mark.parametrize(
    ("count", "doubtful"),
    [
        # Four times as fast on the first board, slower on the second: the least gain counts.
        (2, (0.5, 4.0)),
        # The same, and the third board is as the second.
        (3, (0.5, 4.0)),
        # Slower on the first board alone: the third one outvotes it.
        (3, (4.0, 0.5)),
    ],
)
def test_where_two_boards_disagree_a_third_decides(
    boards: list[Board], here: Conditions, model: Model, library: bytes,
    database: TuningDatabase, count: int, doubtful: Pace,
) -> None:  # fmt: skip
    (task,) = tasks_of(model, load_profile(PROFILE), CompileOptions()).tasks
    tiles = [one for one in task.form.candidates["tile"] if one != task.form.defaults["tile"]]
    paces: dict[str, Pace] = {tiles[0]: doubtful, tiles[1]: (1.0, 1.2)}
    choices = {tile: KernelChoice(task.form.rule, {"tile": tile}) for tile in paces}
    numbers = {}
    for tile, ratio in ((tiles[0], 0.25), (tiles[1], 0.5)):
        trial = Trial(task.key, task.key, choices[tile], {}, "ok", (2 * ratio,), 2.0)
        numbers[tile] = database.append(None, here, trial)

    def pace(job: BuildJob) -> Pace:
        return paces.get(job.choice.decisions.get("tile", ""), (2.0, 2.0))

    heard: list[StepEvent] = []
    with listening(heard.append):
        tuned = tune_model(
            model,
            load_profile(PROFILE),
            boards[:count],
            database,
            Budget(1),
            builder=lambda: HandBuilder(library, pace),
        )
    outvoted = count == 3 and doubtful[0] > doubtful[1]
    best = tiles[0] if outvoted else tiles[1]
    winner, gain, _ = database.verdicts(here)[task.key]
    assert winner == numbers[best]
    assert database.schedules(here).kernels == {task.key: choices[best]}
    assert tuned.kernels[0].gain == pytest.approx(gain)
    assert (gain > 3) == outvoted
    assert any("boards disagree on a schedule" in one.detail for one in heard)
