"""MetaSchedule's space: drawn elsewhere, never held up for, and right where it is replayed."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
from made_trials import made_form
from real_board import imported, onnx_runtime

from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions, compile_model
from edgetvm.compile.tuned import KernelChoice, TunedSchedules, workload_key
from edgetvm.package.executor import Executor
from edgetvm.tune.allocation import TaskState
from edgetvm.tune.building import scheduled_kernel
from edgetvm.tune.cost_model import CostModel, features
from edgetvm.tune.drawing import DrawJob, draw_traces
from edgetvm.tune.generic import LOT, TITLE, GenericSpace, is_uncovered
from edgetvm.tune.records import Trial
from edgetvm.tune.space import key_of
from edgetvm.tune.tasks import Form, Task, tasks_of

_PROFILE = load_profile("local")
_LOOPS = CompileOptions(opt_level=1)
_KNOWS_NOTHING = CostModel()


class _Hand:
    """Draws when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[str, ...], Future[tuple[str, ...]]]] = []

    def __call__(
        self, form: Form, count: int, seed: int, parents: tuple[str, ...]
    ) -> Future[tuple[str, ...]]:
        future: Future[tuple[str, ...]] = Future()
        self.asked.append((seed, parents, future))
        return future

    def answer(self, *traces: str) -> None:
        self.asked[-1][2].set_result(traces)


class _PrefersLong:
    def predict(self, form: Form, choices: list[KernelChoice]) -> list[float]:
        return [-float(len(one.trace or "")) for one in choices]


def test_nothing_is_drawn_before_it_is_wanted_and_nobody_waits_for_it() -> None:
    hand = _Hand()
    space = GenericSpace(made_form({}), hand)
    assert space.left == LOT and not hand.asked
    assert space.propose(8, _KNOWS_NOTHING) == []
    assert space.left == 0 and space.is_drawing
    hand.answer("a", "b", "c")
    assert space.left == 3 and not space.is_drawing


def test_a_lot_without_anything_new_is_the_last() -> None:
    hand = _Hand()
    space = GenericSpace(made_form({}), hand)
    space.leave_out([key_of(space.form.workload, KernelChoice(TITLE, trace="known"))])
    space.propose(8, _KNOWS_NOTHING)
    hand.answer("a", "known")
    assert [one.trace for one in space.propose(8, _KNOWS_NOTHING)] == ["a"]
    hand.answer("a", "known")
    assert space.left == 0 and space.propose(8, _KNOWS_NOTHING) == []
    assert len(hand.asked) == 2


def test_a_kernel_that_cannot_be_drawn_has_no_space() -> None:
    hand = _Hand()
    space = GenericSpace(made_form({}), hand)
    space.propose(8, _KNOWS_NOTHING)
    hand.asked[-1][2].set_exception(RuntimeError("no blocks"))
    assert space.left == 0 and not space.is_drawing


def test_those_ranked_first_are_tried_first_and_are_the_next_ones_parents() -> None:
    hand = _Hand()
    space = GenericSpace(made_form({}), hand)
    space.propose(2, _PrefersLong())
    hand.answer("a", "bbb", "cc")
    assert [one.trace for one in space.propose(2, _PrefersLong())] == ["bbb", "cc"]
    _, parents, _ = hand.asked[-1]
    assert parents == ("bbb", "cc", "a")


def test_a_trace_from_elsewhere_is_tried_once() -> None:
    form, hand = replace(made_form({}), rule="none"), _Hand()
    state = TaskState.of(Task("conv", 1, ("conv",), "conv2d", 0, 0, form), hand)
    choice = KernelChoice(TITLE, trace="[[], []]")
    assert state.take(choice)
    trial = Trial(form.workload, form.workload, choice, {}, "ok", (1.0,), 2.0)
    state.know(trial)
    assert not state.take(choice)
    state.next_space().propose(8, _KNOWS_NOTHING)
    assert state.is_drawing
    hand.answer("[[], []]")
    assert state.left == 0 and not state.is_drawing


def test_models_answer_right_with_drawn_schedules(tiny_onnx: Path) -> None:
    model = imported(tiny_onnx)
    forms = [one.form for one in tasks_of(model, _PROFILE, _LOOPS).tasks if is_uncovered(one.form)]
    kernels, drawn_anew = {}, 0
    for form in forms:
        first = draw_traces(DrawJob(form.kernel, _PROFILE, _LOOPS, 4, seed=1))
        assert first == draw_traces(DrawJob(form.kernel, _PROFILE, _LOOPS, 4, seed=1))
        again = draw_traces(DrawJob(form.kernel, _PROFILE, _LOOPS, 6, 2, first))
        drawn_anew += bool(set(again) - set(first))
        choices = [KernelChoice(TITLE, trace=one) for one in (*first, *again)]
        assert len(features(form, choices)) == len(choices)
        for choice in choices:
            scheduled_kernel(form.kernel, choice, _PROFILE, _LOOPS)
        kernels[form.workload] = choices[-1]
    assert len(forms) >= 2 and drawn_anew
    artifact = compile_model(model, _PROFILE, TunedSchedules(kernels), _LOOPS)
    assert {one.rule for one in artifact.kernels} == {TITLE}
    inputs = {"image": np.random.default_rng(3).standard_normal((1, 3, 8, 8), np.float32)}
    found = Executor(artifact.library, artifact.signature).run(inputs)["scores"]
    np.testing.assert_allclose(
        found, onnx_runtime(tiny_onnx, inputs)["scores"], rtol=1e-4, atol=1e-4
    )


def test_replaying_leaves_the_kernel_as_it_was_and_refuses_others(tiny_onnx: Path) -> None:
    from tvm import ir

    from edgetvm.compile.schedules import scheduled_as

    forms = [one.form for one in tasks_of(imported(tiny_onnx), _PROFILE, _LOOPS).tasks]
    (trace,) = draw_traces(DrawJob(forms[0].kernel, _PROFILE, _LOOPS, 1, seed=5))
    choice = KernelChoice(TITLE, trace=trace)
    function = ir.load_json(forms[0].kernel)
    assert scheduled_as(function, _PROFILE, choice) is not None
    assert workload_key(function) == forms[0].workload
    assert scheduled_as(ir.load_json(forms[-1].kernel), _PROFILE, choice) is None
    assert scheduled_as(function, _PROFILE, KernelChoice(TITLE, trace="[[]]")) is None
