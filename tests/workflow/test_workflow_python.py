"""The way from a model to a report in Python, step by step and verb by verb."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_models import value, write
from onnx import helper
from real_board import Answers, onnx_runtime

from edgetvm.base.errors import (
    ConfigurationError,
    InputError,
    ModelUnreadableError,
    NotFoundError,
    StorageError,
    UsageError,
)
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions, compile_model
from edgetvm.farm import Board
from edgetvm.measure import Plan, latest, load
from edgetvm.models import IMPORTERS, ImportOptions, import_model
from edgetvm.package import Package, read_package, write_package
from edgetvm.package.gate import check
from edgetvm.recipes import load_recipe
from edgetvm.report import write_report
from edgetvm.tune import Budget, TuningDatabase, conditions_of
from edgetvm.workflow import (
    bench,
    build,
    check_model,
    find_profile,
    find_subject,
    new_recipe,
    read_inputs,
    run,
    tune,
    tuned_schedules,
    write_outputs,
)
from edgetvm.workflow.layouts import choose_layout

QUICK = Plan(runs=12, warmup=2, max_s=5.0)


def close(found: Answers, expected: Answers) -> bool:
    """The same outputs, and values as close as float32 sums in another order are."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4)
    return True


@pytest.mark.board
def test_every_step_by_itself(board: Board, tiny_onnx: Path, tmp_path: Path) -> None:
    subject = find_subject(str(tiny_onnx))
    assert (subject.name, subject.path, subject.recipe) == ("tiny", tiny_onnx, None)
    model = subject.load()
    assert model.provenance.importer in {importer.name for importer in IMPORTERS}
    profile = load_profile("local")
    artifact = compile_model(model, profile)
    assert artifact.library.startswith(b"\x7fELF")
    checked = check(artifact, model)
    assert checked.correctness.passed
    path = tmp_path / "tiny.edgetvm"
    write_package(
        path, artifact, checked.correctness, checked.sample_inputs, checked.sample_outputs
    )
    package = read_package(path)
    image = np.random.default_rng(4).standard_normal((1, 3, 8, 8), np.float32)
    outcome = run(package, {"image": image}, board)
    assert outcome.duration_ns > 0
    assert close(outcome.outputs, onnx_runtime(tiny_onnx, {"image": image}))
    measurement = bench(subject, board, QUICK)
    assert load(measurement.id) == measurement
    assert latest() == [measurement]
    for name in ("r.html", "r.md", "r.csv", "r.json"):
        write_report([measurement], tmp_path / name)
        assert "tiny" in (tmp_path / name).read_text()


@pytest.mark.board
def test_outputs_and_inputs_go_through_files(board: Board, tiny_onnx: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(6).standard_normal((1, 3, 8, 8), np.float32)
    np.savez(tmp_path / "in.npz", image=image)
    inputs = read_inputs(tmp_path / "in.npz")
    np.testing.assert_array_equal(inputs["image"], image)
    package = build(find_subject(str(tiny_onnx)), load_profile("local")).package
    write_outputs(tmp_path / "out.npz", run(package, inputs, board, threads=1).outputs)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as archive:
        assert close(dict(archive), onnx_runtime(tiny_onnx, {"image": image}))


def test_odd_output_names_survive_an_npz(tmp_path: Path) -> None:
    outputs = {"a/b:0": np.ones((2, 3)), "../c": np.zeros(2, np.int8), "file": np.array(5)}
    write_outputs(tmp_path / "o.npz", outputs)
    found = read_inputs(tmp_path / "o.npz")
    assert set(found) == set(outputs)
    for name, array in outputs.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"hello", "array", "objects"])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "in.npz"
    if content == "array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif content == "objects":
        np.savez(path, x=np.array([{"a": 1}], dtype=object))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
        read_inputs(path)


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no\.npz"):
        read_inputs(tmp_path / "no.npz")


def events_of(subject_path: Path, board: Board) -> list[StepEvent]:
    """What a bench tells."""
    events: list[StepEvent] = []
    with listening(events.append):
        bench(find_subject(str(subject_path)), board, QUICK)
    return events


@pytest.mark.board
def test_the_second_build_and_bench_come_from_the_cache(board: Board, tiny_onnx: Path) -> None:
    def imports(events: list[StepEvent]) -> list[str]:
        return [event.title for event in events if event.title.startswith("import")]

    def notes(events: list[StepEvent]) -> list[str]:
        return [event.detail for event in events if event.state == "note"]

    first = events_of(tiny_onnx, board)
    assert imports(first)
    assert notes(first) == []
    second = events_of(tiny_onnx, board)
    assert imports(second) == []
    assert notes(second) == ["tiny for local is taken from the cache"]
    assert len({entry.package_sha256 for entry in latest(2)}) == 1
    assert {record.title for record in latest(1)[0].steps} & set(imports(first)) == set()


def test_a_package_is_built_anew_when_what_it_depends_on_changes(tiny_onnx: Path) -> None:
    local = load_profile("local")

    def is_cached(path: Path, profile: object = local, **options: object) -> bool:
        events: list[StepEvent] = []
        with listening(events.append):
            build(find_subject(str(path)), profile, **options)
        return any("cache" in event.detail for event in events if event.state == "note")

    assert not is_cached(tiny_onnx)
    assert is_cached(tiny_onnx)
    assert not is_cached(tiny_onnx, replace(local, cores=1))
    assert not is_cached(tiny_onnx, allow_mismatch=True)
    copy = tiny_onnx.with_name("copy.onnx")
    copy.write_bytes(tiny_onnx.read_bytes())
    assert not is_cached(copy)  # the name is in the package
    assert is_cached(tiny_onnx)


def test_a_subject_that_is_neither_file_nor_recipe(tmp_path: Path) -> None:
    with pytest.raises(
        NotFoundError, match=r"'vision/ppocr-dett'.*did you mean 'vision/ppocr-det'"
    ):
        find_subject("vision/ppocr-dett")
    with pytest.raises(NotFoundError, match="neither a model file nor a recipe"):
        find_subject(str(tmp_path / "gone"))
    with pytest.raises(ModelUnreadableError, match="no such file"):
        find_subject(str(tmp_path / "gone.onnx"))
    with pytest.raises(ConfigurationError, match=r"gone\.yaml"):
        find_subject(str(tmp_path / "gone.yaml"))
    (tmp_path / "broken.yaml").write_text("name: [")
    with pytest.raises(ConfigurationError, match=r"broken\.yaml:1"):
        find_subject(str(tmp_path / "broken.yaml"))


def test_a_subject_that_cannot_be_read(tmp_path: Path, tiny_onnx: Path) -> None:
    for name, data in (("a.onnx", b""), ("b.onnx", b"\x00\x01nonsense"), ("c.txt", b"text")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelUnreadableError):
            find_subject(str(tmp_path / name)).load()
    with pytest.raises(ModelUnreadableError):
        find_subject(str(tmp_path)).load()
    with pytest.raises(InputError, match=r"no input 'picture'.*image"):
        find_subject(str(tiny_onnx), shapes={"picture": (1, 2)}).load()


def test_shapes_given_by_hand_come_before_a_recipe_s(dynamic_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "dyn.yaml"
    path.write_text(
        "name: dyn\ntask: t\ndescription: d\nlicence: MIT\n"
        f"model: {{path: {dynamic_onnx}}}\n"
        "inputs: {a: {shape: [2, 6]}, b: {shape: [2, 3]}}\n"
    )
    signature = find_subject(str(path)).load().signature
    assert [spec.shape for spec in signature.inputs] == [(2, 6), (2, 3)]
    given = {"a": (5, 6), "b": (5, 3)}
    signature = find_subject(str(path), shapes=given).load().signature
    assert [spec.shape for spec in signature.inputs] == [(5, 6), (5, 3)]


def test_a_profile_by_its_own_name_or_its_board_s(isolated_home: Path) -> None:
    inventory = isolated_home / ".config/edgetvm/boards.yaml"
    inventory.parent.mkdir(parents=True)
    inventory.write_text("boards: {kitchen: {profile: rpi5, tracker: 'h:1', key: k}}")
    assert find_profile("rpi4").name == "rpi4"
    assert find_profile("kitchen").name == "rpi5"
    with pytest.raises(NotFoundError, match="did you mean 'rpi5'"):
        find_profile("rpi55")


@pytest.mark.board
def test_a_new_recipe_loads_and_benches(
    board: Board, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = new_recipe(find_subject(str(tiny_onnx)))
    assert path == Path("recipes/tiny.yaml")
    recipe = load_recipe("tiny")
    assert recipe.name == "tiny"
    assert recipe.inputs["image"].shape == (1, 3, 8, 8)
    measurement = bench(find_subject("tiny"), board, QUICK)
    assert (measurement.model, measurement.task) == ("tiny", "unknown")
    assert measurement.correctness.passed
    with pytest.raises(UsageError, match="it exists"):
        new_recipe(find_subject(str(tiny_onnx)))
    other = new_recipe(find_subject(str(tiny_onnx)), "mine", tmp_path / "deep" / "mine.yaml")
    assert load_recipe(str(other)).name == "mine"


def test_the_user_s_recipes_come_first(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated_home: Path
) -> None:
    def put(folder: Path, description: str) -> None:
        path = folder / "vision" / "ppocr-cls.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(
            f"name: vision/ppocr-cls\ntask: t\ndescription: {description}\nlicence: MIT\n"
            f"model: {{path: {tiny_onnx}}}\n"
        )

    def description() -> str:
        return load_recipe("vision/ppocr-cls").description

    monkeypatch.chdir(tmp_path)
    assert "PaddleOCR" in description()
    put(isolated_home / ".config/edgetvm/recipes", "configured")
    assert description() == "configured"
    put(tmp_path / "recipes", "here")
    assert description() == "here"
    put(tmp_path / "named", "named")
    monkeypatch.setenv("EDGETVM_RECIPES", f"{tmp_path / 'absent'}:{tmp_path / 'named'}")
    assert description() == "named"
    assert find_subject("vision/ppocr-cls").path == tiny_onnx


@pytest.mark.board
def test_the_picture_recipe_end_to_end(board: Board, session_cache: Path) -> None:
    assert session_cache.is_dir()
    measurement = bench(find_subject("vision/ppocr-cls"), board, QUICK)
    assert measurement.model == "vision/ppocr-cls"
    assert measurement.scenario == "single-stream"
    # Runs of windows in which something else ran are made again.
    assert len(measurement.samples_ns) >= 12
    assert measurement.correctness.passed
    assert measurement.correctness.reference.startswith("onnxruntime")
    assert measurement.metrics["decision_agreement_pct"] == 100
    assert measurement.metrics["top1"] == 1


@pytest.mark.board
@pytest.mark.parametrize("warmup", [0, 3])
def test_the_speech_recipe_end_to_end(board: Board, session_cache: Path, warmup: int) -> None:
    assert session_cache.is_dir()
    measurement = bench(find_subject("speech/silero-vad"), board, replace(QUICK, warmup=warmup))
    assert (measurement.scenario, measurement.warmup) == ("stream", warmup)
    assert measurement.chunk_ms == measurement.deadline_ms == 32
    assert len(measurement.samples_ns) >= 12
    assert measurement.correctness.passed
    assert measurement.correctness.samples > 50
    assert measurement.metrics["decision_agreement_pct"] == 100
    assert measurement.metrics["speech_chunk_accuracy_pct"] > 80


@pytest.mark.board
def test_a_stream_without_data_is_measured_on_its_sample(
    board: Board, stateful_onnx: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sum.yaml"
    path.write_text(
        "name: sum\ntask: t\ndescription: d\nlicence: MIT\n"
        f"model: {{path: {stateful_onnx}}}\n"
        "inputs: {chunk: {shape: [1, 4]}, sum: {shape: [1, 4]}}\n"
        "stream: {sample_rate_hz: 8000, window_samples: 4, hop_samples: 4, input: chunk,"
        " states: {sum: total}}\n"
    )
    measurement = bench(find_subject(str(path)), board, QUICK)
    assert len(measurement.samples_ns) >= 12
    assert measurement.correctness.passed


def test_a_model_is_checked_without_a_board(tiny_onnx: Path) -> None:
    (correctness,) = check_model(find_subject(str(tiny_onnx)).load())
    assert correctness.passed
    assert (correctness.inputs, correctness.samples) == ("random, seed 0", 1)
    assert correctness.checked_on == "this machine"


def test_a_stream_that_takes_only_its_state_is_checked(tmp_path: Path) -> None:
    path = write(
        tmp_path / "counter.onnx",
        [helper.make_node("Add", ["count", "one"], ["next"])],
        [value("count", [1])],
        [value("next", [1])],
        {"one": np.ones(1, np.float32)},
    )
    model = import_model(path, ImportOptions(states={"count": "next"}))
    (correctness,) = check_model(model)
    assert correctness.passed
    assert correctness.samples == 1


def test_a_model_is_checked_on_given_inputs_and_its_recipe(
    stateful_onnx: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sum.yaml"
    path.write_text(
        "name: sum\ntask: t\ndescription: d\nlicence: MIT\n"
        f"model: {{path: {stateful_onnx}}}\n"
        "inputs: {chunk: {shape: [1, 4]}, sum: {shape: [1, 4]}}\n"
        "stream: {sample_rate_hz: 8000, window_samples: 4, hop_samples: 4, input: chunk,"
        " states: {sum: total}}\n"
        f"data: {{name: wav, source: {{path: {_wav(tmp_path / 'tone.wav')}}}}}\n"
        "preprocess: {name: audio-windows}\n"
    )
    subject = find_subject(str(path))
    model = subject.load()
    random, data, given = check_model(
        model, subject.recipe, {"chunk": np.full((1, 4), 3, np.float32)}
    )
    assert (random.inputs, random.samples) == ("random, seeds from 0", 16)
    assert (data.inputs, data.samples) == ("the recipe's data", 3)
    assert (given.inputs, given.samples) == ("given", 1)
    assert all(one.passed for one in (random, data, given))
    with pytest.raises(InputError, match="no input 'chonk'"):
        check_model(model, inputs={"chonk": np.ones(4, np.float32)})


def _wav(path: Path) -> Path:
    """Twelve samples: three chunks of four."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((np.arange(12) * 1000).astype("<i2").tobytes())
    return path


def test_tuned_schedules_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no such tuning database.*edgetvm tune"):
        tuned_schedules(load_profile("local"), database=tmp_path / "gone")


def test_the_layout_that_is_fastest_on_the_board_is_taken_once(
    board: Board, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are made up: which layout wins on this machine, no test can know."""
    compared: list[int] = []

    def made_up(_session: object, packages: Sequence[Package], needed: float) -> list[float]:
        compared.append(len(packages))
        return [
            1.0 if one.manifest.targets[0].options.layout == "NCHW" else 2.0 for one in packages
        ]

    monkeypatch.setattr("edgetvm.workflow.layouts.p50_ms", made_up)
    subject, profile = find_subject(str(tiny_onnx)), load_profile("local")
    with TuningDatabase(tmp_path / "tuning.sqlite") as database:
        for _ in range(2):
            choose_layout(subject, subject.load(), board, database)
        schedules = database.schedules(conditions_of(profile))
    assert compared == [4]
    told: list[StepEvent] = []
    with listening(told.append):
        artifact = compile_model(subject.load(), profile, schedules)
    assert {one.layout for one in artifact.kernels if one.layout} == {"NCHW"}
    assert "the layout NCHW is tuned, and no kernel" in [one.detail for one in told]
    forced = compile_model(subject.load(), profile, schedules, CompileOptions(layout="NHWC"))
    assert "NCHW" not in {one.layout for one in forced.kernels}


def test_tuning_needs_a_model(board: Board, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x00nonsense")
    with pytest.raises(ModelUnreadableError):
        tune(find_subject(str(tmp_path / "bad.onnx")), [board], Budget(1), tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_boards_of_several_profiles_are_not_tuned_at_once(tiny_onnx: Path) -> None:
    boards = [Board("a", "rpi4"), Board("b", "rpi5"), Board("c", "rpi4")]
    with pytest.raises(UsageError, match=r"of several profiles: rpi4, rpi5 .*profile=rpi4"):
        tune(find_subject(tiny_onnx), boards)
