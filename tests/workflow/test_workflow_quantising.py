"""Quantising end to end: what is lost, who is kept in float, what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_models import write_layers, write_leaky, write_tiny
from onnx import numpy_helper
from PIL import Image
from real_board import onnx_runtime

from edgetvm.base.errors import AccuracyError, InputError, UsageError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.farm import Board
from edgetvm.measure import Plan
from edgetvm.models import ImportOptions
from edgetvm.models.model import Signature, TensorSpec
from edgetvm.models.quantising import Layer
from edgetvm.recipes import ModelFile, Processing, Recipe, Sample, load_recipe
from edgetvm.recipes.recipe import InputSpec
from edgetvm.workflow import Subject, compare, find_subject, quantize
from edgetvm.workflow.quantising import Case, Judge, gathered, loss_pct
from edgetvm.workflow.quantising.judging import relative_error
from edgetvm.workflow.quantising.searching import fewest_in_float

IMAGE = Signature((TensorSpec("x", (1, 4), "float32"),), (TensorSpec("y", (1, 3), "float32"),))


def inputs_file(path: Path, shape: tuple[int, ...], name: str, seed: int = 0) -> Path:
    drawn = np.random.default_rng(seed).uniform(-1, 1, shape)
    np.savez(path, **{name: drawn.astype(np.float32)})
    return path


def constants_of(path: Path) -> dict[str, np.ndarray]:
    return {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}


def rms(found: np.ndarray, expected: np.ndarray) -> float:
    """Percent."""
    return 100 * float(np.sqrt(((found - expected) ** 2).mean() / (expected**2).mean()))


def test_the_layer_that_quantises_badly_is_the_one_in_float(tmp_path: Path) -> None:
    source = write_layers(tmp_path / "m.onnx")
    data = inputs_file(tmp_path / "in.npz", (400, 16), "x")
    made = quantize(
        find_subject(str(source)), tmp_path / "q.onnx", data=data, max_loss_pct=3, method="minmax"
    )
    assert made.in_float == ("wide",)
    assert made.layers[0].layer.name == "wide"
    costs = [one.error_pct or 0.0 for one in made.layers]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 10 * costs[1]
    assert loss_pct(made.before) > 10
    assert (made.calibration_samples, made.judged_samples, made.held_out) == (200, 200, True)
    held_out = np.load(data)["x"][1::2]
    found, expected = (
        np.stack([onnx_runtime(path, {"x": one[np.newaxis]})["y"] for one in held_out])
        for path in (made.path, source)
    )
    # ONNX Runtime's fused kernels round a little otherwise.
    assert rms(found, expected) == pytest.approx(made.loss_pct, abs=0.3)
    assert made.loss_pct <= 3


def test_without_a_bound_all_is_quantised_and_said_so(tmp_path: Path) -> None:
    source = write_tiny(tmp_path / "m.onnx")
    data = inputs_file(tmp_path / "in.npz", (8, 3, 8, 8), "image")
    made = quantize(find_subject(str(source)), tmp_path / "q.onnx", data=data)
    model = onnx.load(made.path)
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 2
    assert {one.data_type for one in model.graph.initializer if one.name == "kernel_quantized"} == {
        onnx.TensorProto.INT8
    }
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["edgetvm.layers_in_float"] == ""
    assert told["edgetvm.calibration"] == f"{made.method}, 4 samples"
    assert made.in_float == ()
    assert made.before == made.after


def test_a_bound_that_cannot_be_kept_is_an_error_and_no_file(tmp_path: Path) -> None:
    source = write_tiny(tmp_path / "m.onnx")
    data = inputs_file(tmp_path / "in.npz", (8, 3, 8, 8), "image")
    with pytest.raises(AccuracyError, match=r"loses more than 0 % with any of its layers") as error:
        quantize(find_subject(str(source)), tmp_path / "q.onnx", data=data, max_loss_pct=0)
    assert error.value.exit_code == 6
    assert not (tmp_path / "q.onnx").exists()


def test_nothing_to_calibrate_on_is_refused(tmp_path: Path, tiny_onnx: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing to calibrate on.*--data FOLDER"):
        quantize(find_subject(str(tiny_onnx)), tmp_path / "q.onnx")
    events: list[StepEvent] = []
    with listening(events.append):
        quantize(find_subject(str(tiny_onnx)), tmp_path / "q.onnx", made_up_data=True)
    warned = [event.detail for event in events if event.state == "warning"]
    assert any("random numbers" in one for one in warned)


def test_a_stream_is_calibrated_on_the_states_that_it_reaches(tmp_path: Path) -> None:
    source = write_leaky(tmp_path / "m.onnx")
    data = inputs_file(tmp_path / "in.npz", (60, 1, 8), "chunk")
    subject = Subject("leaky", source, ImportOptions(states={"state": "next"}), None)
    made = quantize(subject, tmp_path / "q.onnx", data=data, method="minmax")
    w = numpy_helper.to_array(
        next(one for one in onnx.load(source).graph.initializer if one.name == "w")
    )
    state, states = np.zeros((1, 8), np.float32), []
    for chunk in np.load(data)["chunk"]:
        state = np.float32(0.9) * state + chunk @ w
        states.append(state)
    reached = np.stack(states)
    assert float(constants_of(made.path)["next_scale"]) * 255 == pytest.approx(
        float(reached.max() - reached.min()), rel=1e-3
    )
    assert 0 < made.loss_pct < 10


@pytest.mark.board
def test_both_are_compiled_run_and_judged_on_a_board(board: Board, tmp_path: Path) -> None:
    source = write_tiny(tmp_path / "m.onnx")
    data = inputs_file(tmp_path / "in.npz", (16, 3, 8, 8), "image")
    subject = find_subject(str(source))
    made = quantize(subject, tmp_path / "q.onnx", data=data, method="minmax")
    found = compare(subject, made, board, Plan(runs=5, warmup=1, max_s=2))
    assert found.speedup is not None
    assert found.original.measurement is not None
    assert found.original.measurement.model == "m"
    assert loss_pct(found.figures) == pytest.approx(made.loss_pct, abs=1)
    assert found.within(made.loss_pct + 1)
    assert not found.within(0)
    other = compare(subject, made, load_profile("rpi4"))
    assert (other.device, other.speedup, other.figures) == ("rpi4", None, ())
    assert other.quantised.package_bytes > 0


def picture_recipe(model: Path) -> Recipe:
    return Recipe(
        "test",
        "image-classification",
        "made",
        "none",
        ModelFile(path=model),
        inputs={"image": InputSpec(shape=(1, 3, 8, 8))},
        data=Processing("rendered-page", {"lines": ["a"], "label": "text"}),
        preprocess=Processing("image"),
        postprocess=Processing("top-k", {"labels": tuple("abcde")}),
        metrics=("top1",),
    )


def test_a_recipe_goes_on_with_the_new_file(tmp_path: Path) -> None:
    """Pictures in folders are labelled by them; the drop of top1 is the loss."""
    source = write_tiny(tmp_path / "m.onnx")
    random = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(4):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{index}.png")
    recipe = picture_recipe(source)
    subject = Subject("test", source, ImportOptions(), recipe)
    made = quantize(subject, tmp_path / "q.onnx", data=tmp_path / "data")
    assert (made.calibration_samples, made.judged_samples) == (5, 4)
    names = {one.name: one for one in made.after}
    assert names["top1"].loss_pct == pytest.approx(
        100 * ((names["top1"].original or 0.0) - names["top1"].value)
    )
    assert names["output_error_pct"].loss_pct is None
    assert made.recipe_path == tmp_path / "q.yaml"
    beside = load_recipe(str(made.recipe_path))
    (tmp_path / "mine.yaml").write_text("name: mine")
    for mine, what in (("mine.onnx", "did not write it"), ("m.onnx", "the model itself")):
        with pytest.raises(UsageError, match=what):
            quantize(subject, tmp_path / mine, data=tmp_path / "data")
    assert beside.metrics == recipe.metrics
    assert find_subject(str(made.recipe_path)).path == tmp_path / "q.onnx"


def test_arrays_are_one_sample_or_several(tmp_path: Path) -> None:
    path = tmp_path / "in.npz"
    for shape, count in (((1, 4), 1), ((7, 4), 7), ((7, 1, 4), 7)):
        inputs_file(path, shape, "x")
        data = gathered(IMAGE, None, path, made_up=False)
        assert len({*data.calibration, *data.judged}) == count
        assert {case.inputs["x"].shape for case in data.calibration} == {(1, 4)}
    for shape, name, what in (
        ((2, 5), "x", r"float32\[2, 5\]"),
        ((1, 4), "z", "'x' is missing|'z' is no"),
    ):
        inputs_file(path, shape, name)
        with pytest.raises(InputError, match=what):
            gathered(IMAGE, None, path, made_up=False)


def test_pictures_need_a_recipe_that_says_how(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"nothing says how.*recipes new"):
        gathered(IMAGE, None, tmp_path, made_up=False)
    with pytest.raises(UsageError, match="no such folder"):
        gathered(IMAGE, None, tmp_path / "missing", made_up=False)


def test_probability_that_moved_is_reckoned() -> None:
    """From (0.7, 0.2, 0.1) to (0.6, 0.2, 0.2), a tenth lies on another class."""
    cases = [Case(str(index), {"x": np.zeros((1, 4), np.float32)}) for index in range(2)]
    original = np.array([[0.7, 0.2, 0.1]], np.float32)
    judge = Judge(None, cases, lambda _: {"y": original})
    figures = judge.figures(lambda _: {"y": np.array([[0.6, 0.2, 0.2]], np.float32)})
    names = {one.name: one for one in figures}
    assert loss_pct(figures) == names["probability_moved_pct"].value == pytest.approx(10, abs=1e-4)
    assert names["top1_agreement_pct"].value == 100
    expected = 100 * np.sqrt(0.02 / 0.54)
    assert names["output_error_pct"].value == pytest.approx(expected, rel=1e-5)


def test_unlabelled_samples_are_judged_by_decisions() -> None:
    recipe = picture_recipe(Path("m.onnx"))
    cases = [Case(str(i), {"x": np.array([i])}, Sample(str(i), np.zeros(1))) for i in range(4)]
    judge = Judge(recipe, cases, lambda _: {"y": np.array([[0.0, 5, 1, 1, 1]])})
    figures = judge.figures(lambda one: {"y": np.array([[one["x"][0] * 3.0, 5, 1, 1, 1]])})
    (decided,) = [one for one in figures if one.loss_pct is not None]
    # 0, 3, 6 and 9 beside 5: two of four decisions change.
    assert (decided.name, decided.loss_pct) == ("decision_agreement_pct", 50)


def test_errors_of_nothing_and_of_no_number() -> None:
    zeros = np.zeros(3)
    assert relative_error(zeros, zeros) == 0
    assert relative_error(zeros + 1, zeros) == np.inf
    assert relative_error(np.array([np.nan, 1, 1]), zeros + 1) == np.inf


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(0, 60))
def test_as_few_stay_in_float_as_a_bound_needs(costs: list[int], bound: int) -> None:
    """Where costs add up, taking the worst first is best, and nothing can be spared."""
    order = [Layer(str(index), "Conv") for index in range(len(costs))]
    cost = dict(zip(order, sorted(costs, reverse=True), strict=True))

    def loss(layers: object) -> float:
        return float(sum(cost[layer] for layer in layers))  # type: ignore[attr-defined]

    fewest = next(k for k in range(len(costs) + 1) if loss(order[k:]) <= bound)
    kept = fewest_in_float(order, loss, bound)
    if fewest == len(costs):
        assert kept is None
    else:
        assert kept is not None
        assert len(kept) == fewest
        assert loss([layer for layer in order if layer not in kept]) <= bound
