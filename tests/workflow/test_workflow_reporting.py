"""What reports tell beside measurements comes from the store, the farm and the tuning database."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS, make

from benchmarks.farm.racing import offer
from edgetvm.base.steps import StepEvent, listening
from edgetvm.compile.artifact import Kernel
from edgetvm.compile.tuned import KernelChoice
from edgetvm.farm.leases import LeaseStore, Request
from edgetvm.measure import Measurement, Store
from edgetvm.measure.experiment.file import Experiment, ModelVariant, Target
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.reading import Asked, Slot, asked_key, document_of
from edgetvm.measure.experiment.variants import Block, Variant
from edgetvm.report import render_csv, render_html, render_markdown
from edgetvm.tune.database import TuningDatabase, default_database
from edgetvm.tune.jobs import Tensor
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.tasks import Form
from edgetvm.workflow.reporting import background_of, latest_plain


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty one; the user's own files are in a folder of the test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("EDGETVM_FARM", raising=False)
    return Store(f"sqlite:///{tmp_path / 'results.sqlite'}")


def day(number: int, **changes: object) -> Measurement:
    """Of the same model and board, each day a little slower."""
    at = f"2026-03-{number:02}T12:00:00Z"
    samples = (MS * 10 + number * MS // 10,) * 100
    return replace(make(samples_ns=samples, **changes), id=at, taken_at=at)  # type: ignore[arg-type]


def test_the_history_is_of_the_same_board_and_setting(store: Store) -> None:
    for number in range(1, 25):
        store.save(day(number))
    fewer = replace(day(25), environment=replace(make().environment, threads=1))
    for other in (fewer, day(26, device="rpi5"), day(27, model="another")):
        store.save(other)
    last = store.load(day(24).id)
    background = background_of([last], store)
    assert [past.taken_at for past in background.history] == [
        f"2026-03-{number:02}T12:00:00Z" for number in range(5, 25)
    ]
    assert [past.p50_ms for past in background.history][-1] == 12.4
    assert (background.boards, background.tuning) == ((), ())
    assert "p50 of 20 stored measurements" in render_html([last], background)
    assert "<h4>History</h4>" not in render_html([fewer], background)


def test_the_health_of_boards_comes_from_the_farm(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'farm.sqlite'}"
    monkeypatch.setenv("EDGETVM_FARM", url)
    with LeaseStore(url) as leases:
        leases.enlist("daemon", [("rpi4", "rpi4"), ("rpi5", "rpi5")])
        for board in ("rpi4", "rpi5"):
            offer(leases, board)
        lease = leases.ask(Request(("rpi4",)))
        leases.end(lease, "board lost: no answer")  # type: ignore[arg-type]
    (health,) = background_of([make()], store).boards
    assert (health.board, health.endings) == ("rpi4", ("board lost: no answer",))
    assert "last leases: board lost: no answer" in render_html(
        [make()], background_of([make()], store)
    )
    with LeaseStore(url) as leases:
        offer(leases, "rpi4")
    (proven,) = background_of([make()], store).boards
    assert proven.health == "good"
    monkeypatch.setattr("edgetvm.farm.leases.lease.PROOF_AGE_S", -1.0)
    (aged,) = background_of([make()], store).boards
    assert (aged.health, "not proven for long" in aged.detail) == ("unknown", True)


def test_a_farm_that_cannot_be_read_is_a_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "farm.sqlite").write_text("no database at all, whatever its name says")
    monkeypatch.setenv("EDGETVM_FARM", f"sqlite:///{tmp_path / 'farm.sqlite'}")
    assert background_of([make()], store).boards == ()


def test_the_curve_is_of_the_kernels_that_the_measurement_has(store: Store) -> None:
    here = Conditions("rpi4", "aarch64", 3, 4)
    default_database().parent.mkdir(parents=True, exist_ok=True)
    with TuningDatabase(default_database()) as database:
        for task, told in (("conv", "conv2d 1x3"), ("other", "softmax 10")):
            form = Form(task, "{}", (Tensor((1,), "float32"),), "rule", {}, {}, {})
            database.add_workload(form, told)
            for tile, ms in (("", 4.0), ("2", 3.0)):
                choice = KernelChoice("rule", {"tile": tile} if tile else {})
                trial = Trial(task, task, choice, {}, "ok", (ms,), 4.0)
                database.append(None, here, trial)
    kernel = Kernel("conv", 5, "default", "rule", workload="conv2d 1x3", multiply_adds=1000)
    measurement = replace(make(), kernels=(kernel,))
    (curve,) = background_of([measurement, measurement], store).tuning
    assert (curve.model, curve.profile, curve.trials) == ("mobilenet-v2", "rpi4", 2)
    # Five calls of 4 ms, and of 3 ms with the fastest measured.
    assert [ms for _, ms in curve.points][:2] == pytest.approx([20.0, 15.0])
    assert background_of([make()], store).tuning == ()
    assert "2 trials: kernels from 20.0 ms" in render_html(
        [measurement], background_of([measurement], store)
    )


def test_what_an_experiment_measured_is_its_own(store: Store) -> None:
    """A turn at -O0 is newer than the model's result, and does not stand in its place."""
    base, block = Variant("float", "here"), Block(opt_level=(0, 3))
    model = {"float": ModelVariant("m.onnx")}
    experiment = Experiment("lab", "levels", model, {"here": Target("local")}, base, (block,))
    slots = tuple(Slot(one, one.name, "rpi4") for one in experiment.variants)
    ledger, asked = Ledger(store), Asked(experiment, "", None, slots)
    ledger.note(asked_key("lab"), "asked", "s", document_of(asked))
    plain, turn = day(1), day(2)
    for one in (plain, turn):
        store.save(one)
    ledger.note(slots[1].key, "round", "s", {"measurement": turn.id})
    heard: list[StepEvent] = []
    with listening(heard.append):
        assert [one.id for one in latest_plain(store)] == [plain.id]
    assert "1 measurement of experiments (lab) left out" in heard[-1].detail
    assert background_of([plain], store).part_of(plain) == ""
    # One that is asked for by its id says what it is.
    background = background_of([turn], store)
    for render in (render_html, render_markdown, render_csv):
        text = render([turn], background)
        assert "experiment lab" in text
        assert "-O0" in text.replace("\\", "")
    # Its turns are no history of the plain one.
    assert [past.id for past in background_of([plain], store).history] == [plain.id]
    # What two share is of the one that was run last, though it was run before the other, too.
    other = replace(asked, experiment=replace(experiment, name="other"))
    for one in (other, asked):
        ledger.note(asked_key(one.experiment.name), "asked", "t", document_of(one))
    assert background_of([turn], store).part_of(turn).startswith("experiment lab: ")
