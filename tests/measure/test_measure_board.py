"""Measuring on a real board: what is recorded, and that wrong answers are noticed."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from real_board import imported, onnx_runtime, session_process

import edgetvm
from edgetvm.base.errors import NumericError, UsageError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.farm import Board, LocalBoard, connect
from edgetvm.farm.session import BoardSession
from edgetvm.measure import Measurement, Plan, highest_rate, measure, summarise
from edgetvm.measure.measurement import from_json, to_json
from edgetvm.measure.rpc_module import RpcModule
from edgetvm.measure.rules import Rule, Scenario
from edgetvm.measure.samples import Samples
from edgetvm.measure.scenarios import Load, play
from edgetvm.measure.thread_turns import threads_in_turns
from edgetvm.models.correctness import worst_error
from edgetvm.models.reference import Source, reference_for, run_stream
from edgetvm.package.archive import Package, verify_package
from edgetvm.package.assembly import build_package

pytestmark = pytest.mark.board


def measured(board: Board, package: Package, source: Path, **plan: Any) -> Measurement:
    """The package, measured without a recipe."""
    with connect(board) as session:
        return measure(
            session,
            package,
            load_profile("local"),
            source=Source.of(imported(source)),
            plan=Plan(**plan),
        )


def test_the_state_is_carried_on_the_board_as_in_the_reference(
    board: Board, stateful_package: Package, stateful_onnx: Path
) -> None:
    chunks = np.random.default_rng(7).standard_normal((50, 1, 4)).astype(np.float32)
    with connect(board) as session:
        session.open(stateful_package.data, None)
        service_ns, found = session.stream({"chunk": chunks})
        _, again = session.stream({"chunk": chunks})
        _, singles = session.stream({"chunk": chunks[:1]})
    assert service_ns.shape == (50,)
    assert (service_ns > 0).all()
    # By hand: the running sum, doubled. No output that is a state is sent back.
    by_hand = 2 * np.cumsum(chunks.astype(np.float64), axis=0)
    assert list(found) == ["doubled"]
    np.testing.assert_allclose(found["doubled"], by_hand, rtol=1e-4, atol=1e-4)
    # Each stream begins with zeros.
    np.testing.assert_array_equal(again["doubled"], found["doubled"])
    np.testing.assert_array_equal(singles["doubled"], found["doubled"][:1])
    model = imported(stateful_onnx, {"sum": "total"})
    expected = run_stream(reference_for(Source.of(model)), model.signature, {"chunk": chunks})
    assert worst_error(found, expected).max_relative_error < 1e-6
    # The comparison can fail: ONNX Runtime with the state reset at every chunk is far away.
    zeros = np.zeros((1, 4), np.float32)
    reset = np.stack(
        [onnx_runtime(stateful_onnx, {"chunk": one, "sum": zeros})["doubled"] for one in chunks]
    )
    assert worst_error(found, {"doubled": reset}).max_relative_error > 0.5


def test_a_measurement_records_all_that_it_was_taken_in(
    board: Board, tiny_package: Package, tiny_onnx: Path
) -> None:
    events: list[StepEvent] = []
    with listening(events.append):
        found = measured(board, tiny_package, tiny_onnx, runs=23, warmup=4)
    assert sum(one.count for one in found.windows) == len(found.samples_ns) >= 23
    assert (found.warmup, found.scenario) == (4, "single-stream")
    assert min(found.samples_ns) > 0
    assert min(found.open_ns, found.first_run_ns) > 0
    assert 0 < found.peak_memory_bytes < 1 << 30
    assert found.package_sha256 == tiny_package.sha256
    assert found.package_size_bytes == len(tiny_package.data)
    assert found.library_size_bytes == len(tiny_package.members["local/model.so"])
    assert found.kernels == tiny_package.manifest.targets[0].kernels
    assert re.fullmatch(r"\d{8}T\d{12}-[0-9a-f]{8}", found.id)
    assert found.correctness.passed
    assert found.correctness.reference.startswith("onnxruntime ")
    assert found.correctness.checked_on == "board local"
    environment = found.environment
    assert (environment.device, environment.profile, environment.emulated) == (
        "local",
        "local",
        False,
    )
    assert environment.threads == environment.cores == load_profile("local").cores
    assert environment.versions["edgetvm"] == edgetvm.__version__
    assert environment.versions["apache-tvm"] == "0.27.0.post1"
    assert {"onnx", "edgetvm", "apache-tvm"} <= set(environment.versions)
    titles = [event.title for event in events if event.state == "finished"]
    assert titles[-5:] == [
        "deploy and self-test",
        f"time {tiny_package.manifest.name}, single-stream",
        "compare with one thread on local",
        "time the kernels on local",
        "time the memory of local",
    ]
    progress = [event for event in events if event.state == "advanced"]
    assert progress[-1].total == 23
    assert found.thread_turns is not None
    assert len(found.thread_turns.one_ns) >= 3


def test_on_one_thread_there_is_nothing_to_compare(
    board: Board, tiny_package: Package, tiny_onnx: Path
) -> None:
    assert measured(board, tiny_package, tiny_onnx, runs=5, threads=1).thread_turns is None


def test_what_takes_long_is_not_run_again() -> None:
    """Runs of one second: nothing is asked of the board, so there need be none."""
    assert threads_in_turns(cast(BoardSession, None), 2, Samples.of([10**9] * 10)) is None


def test_the_warm_up_is_found_where_it_is_not_given(
    board: Board, tiny_package: Package, tiny_onnx: Path
) -> None:
    found = measured(board, tiny_package, tiny_onnx, runs=5, max_s=9.0)
    assert found.warmup >= 1 + 2 * 3


@pytest.mark.parametrize("scenario", ["multi-stream", "offline", "server", "cold-start"])
def test_every_scenario_runs_on_a_board(
    scenario: Scenario, board: Board, tiny_package: Package, tiny_onnx: Path
) -> None:
    found = measured(
        board, tiny_package, tiny_onnx, runs=6, scenario=scenario, target_qps=200.0, bound_ms=50.0
    )
    assert found.scenario == scenario
    # A machine that is busy all the time is given up after five windows or more.
    assert len(found.samples_ns) >= 5
    assert found.runs_per_query == (8 if scenario == "multi-stream" else 1)
    assert found.deadline_ms == 50.0
    assert summarise(found).p50_ms > 0


def test_the_highest_rate_is_found_on_a_board(
    board: Board, tiny_package: Package, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(highest_rate, "_TRIAL_S", 0.02)
    monkeypatch.setattr(highest_rate, "_ALONE", Rule(64, 0.0, 1.0))
    found = measured(
        board, tiny_package, tiny_onnx, runs=50, scenario="server", target_qps="most", bound_ms=50.0
    )
    assert found.rate_search is not None
    assert found.rate_search.bound_ms == 50.0
    assert found.target_qps is not None
    assert 0 < found.target_qps <= max(one.qps for one in found.rate_search.trials if one.holds)
    assert len(found.samples_ns) >= 1307
    assert from_json(to_json(found), "here") == found


def test_a_measurement_stops_at_its_time_limit(
    board: Board, tiny_package: Package, tiny_onnx: Path
) -> None:
    found = measured(board, tiny_package, tiny_onnx, runs=10**8, warmup=0, max_s=0.1)
    assert 1 <= len(found.samples_ns) < 10**8
    assert summarise(found).invalid
    assert found.warmup == 0


def test_a_package_whose_answers_are_wrong_is_refused_on_the_board(
    board: Board, tiny_package: Package, tiny_onnx: Path
) -> None:
    package = with_answers(
        tiny_package, {"scores": tiny_package.sample_outputs["scores"] + np.float32(0.5)}
    )
    with pytest.raises(NumericError, match=r"'scores' differs.*--allow-mismatch") as caught:
        measured(board, package, tiny_onnx, runs=5)
    assert "0.5" in str(caught.value)
    found = measured(board, package, tiny_onnx, runs=5, allow_mismatch=True)
    assert not found.correctness.passed
    assert found.correctness.max_abs_error == pytest.approx(0.5, abs=1e-4)


def with_answers(package: Package, outputs: Mapping[str, NDArray[Any]]) -> Package:
    """The same package, which expects other answers."""
    from edgetvm.compile.artifact import Artifact

    manifest = package.manifest
    artifact = Artifact(
        name=manifest.name,
        library=package.members["local/model.so"],
        profile=load_profile("local"),
        signature=manifest.signature,
        provenance=manifest.provenance,
        kernels=manifest.targets[0].kernels,
    )
    data = build_package(artifact, manifest.targets[0].correctness, package.sample_inputs, outputs)
    return verify_package(data, "made")


def test_one_thread_is_one_thread(
    local_board: LocalBoard, tiny_package: Package, tmp_path: Path
) -> None:
    package = parallel_package(tiny_package)

    def most_threads(threads: int) -> int:
        with connect(local_board.board) as session:
            session.open(package.data, threads)
            process = session_process(local_board)
            seen: list[int] = []
            over = threading.Event()

            def watch() -> None:
                while not over.is_set():
                    seen.append(busy_threads(process))
                    over.wait(0.02)

            watcher = threading.Thread(target=watch)
            watcher.start()
            session.time_runs(10**7, 1.0)
            over.set()
            watcher.join()
        return max(seen)

    one, three = most_threads(1), most_threads(3)
    # TVM's pool has one thread less than it may use: the caller works too.
    assert three - one == 2


def busy_threads(process: psutil.Process) -> int:
    """Threads of a process, as /proc shows them."""
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def parallel_package(like: Package) -> Package:
    """A package whose one kernel has a parallel loop, whatever the default schedules do."""
    import tempfile

    import tvm
    from tvm import relax, te

    from edgetvm.compile.artifact import Artifact
    from edgetvm.compile.linker import link_shared
    from edgetvm.compile.target import target_for
    from edgetvm.models.model import Signature, TensorSpec

    shape = (4096, 64)
    profile = load_profile("local")
    builder = relax.BlockBuilder()
    given = relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [given]):
        result = builder.emit_te(
            lambda x: te.compute(shape, lambda i, j: x[i, j] * 2, "twice"), given
        )
        builder.emit_func_output(result)
    module = builder.get()
    (name,) = [one.name_hint for one in module.get_global_vars() if one.name_hint != "main"]
    schedule = tvm.s_tir.Schedule(module[name])
    schedule.parallel(schedule.get_loops(schedule.get_sblock("twice"))[0])
    module[name] = schedule.mod["main"].with_attr("global_symbol", name)
    executable = relax.build(module, target=target_for(profile))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.so")
        executable.export_library(str(path), fcompile=link_shared, workspace_dir=folder)
        library = path.read_bytes()
    spec = TensorSpec("x", shape, "float32")
    artifact = Artifact(
        name="parallel",
        library=library,
        profile=profile,
        signature=Signature((spec,), (replace(spec, name="y"),)),
        provenance=like.manifest.provenance,
        kernels=(),
        executor="relax-vm",
    )
    x = np.ones(shape, np.float32)
    return verify_package(build_package(artifact, None, {"x": x}, {"y": x * 2}), "parallel")


def test_a_function_behind_stock_rpc_is_measured_the_same_way(local_board: LocalBoard) -> None:
    import tvm
    from program_board import kernels

    def arguments(device: Any) -> list[Any]:
        numbers = np.zeros(1024, np.float32)
        return [tvm.runtime.tensor(numbers, device) for _ in range(2)]

    tracker = tvm.rpc.connect_tracker(local_board.tracker.host, local_board.tracker.port)
    remote = tracker.request(local_board.board.key, session_timeout=60)
    system = RpcModule(remote, kernels("x86_64"), "wave", arguments)
    assert system.open().first_run_ns > 0
    found = play(system, "single-stream", Rule(50, 0.0, 30.0), Load())
    assert sum(one.count for one in found.windows) == len(found.samples_ns) >= 50
    assert min(found.samples_ns) > 0
    with pytest.raises(UsageError, match="package the model"):
        play(system, "server", Rule(5, 0.0, 30.0), Load(1, 100.0))
    with pytest.raises(UsageError, match="how long it takes to load"):
        play(system, "cold-start", Rule(5, 0.0, 30.0), Load())
