"""The process in which onnxsim, onnxslim and the version converter work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from made_models import value, write, write_dynamic
from onnx import helper

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import import_model
from edgetvm.models.onnx import apart, prepare
from edgetvm.models.onnx.apart import Worker
from edgetvm.models.onnx.folding import evaluate
from edgetvm.models.onnx.jobs import done
from edgetvm.models.onnx.order import sort

SHAPES = {"a": (1, 6), "b": (1, 3)}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.stop()


@pytest.fixture
def model(tmp_path: Path) -> onnx.ModelProto:
    return onnx.load(write_dynamic(tmp_path / "m.onnx"))


def pid_of(worker: Worker) -> int:
    process = worker._process
    assert process is not None
    return process.pid


@pytest.mark.parametrize("tool", ["onnxsim", "onnxslim"])
def test_a_tool_gives_a_graph_with_the_same_outputs(
    tool: str, worker: Worker, model: onnx.ModelProto
) -> None:
    simple = worker.run(tool, model, SHAPES)
    assert simple is not None
    assert [one.name for one in simple.graph.output] == [one.name for one in model.graph.output]


def test_one_process_serves_many_jobs(worker: Worker, model: onnx.ModelProto) -> None:
    worker.start()
    first = pid_of(worker)
    for _ in range(3):
        assert worker.run("onnxsim", model, SHAPES) is not None
    assert pid_of(worker) == first


def test_a_tool_that_fails_gives_nothing_and_goes_on(
    worker: Worker, model: onnx.ModelProto
) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(model)
    del broken.graph.node[0].input[:]
    assert worker.run("onnxsim", broken, SHAPES) is None
    assert worker.run("onnxsim", model, SHAPES) is not None


def test_a_crash_in_mid_job_costs_that_job_alone(worker: Worker, model: onnx.ModelProto) -> None:
    worker.start()
    os.kill(pid_of(worker), signal.SIGSTOP)  # as if busy
    threading.Timer(0.3, os.kill, (pid_of(worker), signal.SIGKILL)).start()
    assert worker.run("onnxsim", model, SHAPES) is None
    assert worker.run("onnxsim", model, SHAPES) is not None


def test_a_job_that_never_ends_is_ended(
    worker: Worker, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.start()
    os.kill(pid_of(worker), signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(apart, "_LIMIT_S", 0.3)
        assert worker.run("onnxsim", model, SHAPES) is None
    assert worker.run("onnxsim", model, SHAPES) is not None


def test_a_fork_waits_for_no_job_of_its_parent(worker: Worker, model: onnx.ModelProto) -> None:
    worker.start()
    with worker._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            done = worker.run("onnxsim", model, SHAPES) is not None
            worker.stop()
            os._exit(0 if done else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert worker.run("onnxsim", model, SHAPES) is not None


def test_without_a_process_a_model_is_imported_all_the_same(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart.WORKER.stop()
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert import_model(tiny_onnx).provenance.changes == (prepare.AS_IT_IS,)


def test_an_answer_that_was_not_waited_for_is_not_the_next_jobs(
    worker: Worker, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(stream: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(apart, "_answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.run("onnxslim", model, SHAPES)
    assert worker.run("no such job", model, SHAPES) is None
    assert worker.run("onnxsim", model, SHAPES) is not None


def test_a_graph_that_is_too_large_stays_as_it_is(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "MOST_BYTES", 100)
    assert import_model(tiny_onnx).provenance.changes == (prepare.AS_IT_IS,)


def test_a_simplified_graph_that_cannot_be_read_gives_way_to_the_file(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: onnx.ModelProto, shapes: object) -> tuple[onnx.ModelProto, str]:
        del shapes
        made = onnx.ModelProto()
        made.CopyFrom(model)
        made.graph.node[0].input[1] = "nothing"
        return made, "simplified by a broken tool"

    monkeypatch.setattr("edgetvm.models.onnx.importer.simplified", broken)
    assert import_model(tiny_onnx).provenance.changes == (prepare.AS_IT_IS,)


def test_an_answer_that_is_no_graph_of_the_same_outputs_is_dropped(model: onnx.ModelProto) -> None:
    data = model.SerializeToString()
    assert done("onnxsim", data, {name: list(shape) for name, shape in SHAPES.items()})
    assert done("onnxsim", data[:-9], {}) == b""
    assert done("no such job", data, {}) == b""


def test_an_old_opset_is_upgraded(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    path = write(tmp_path / "m.onnx", [node], [value("x", [2])], [value("y", [2])])
    model = onnx.load(path)
    model.opset_import[0].version = 6
    model.ir_version = 3
    path.write_bytes(model.SerializeToString())
    assert "opset 6 upgraded to 13" in import_model(path).provenance.changes


def test_sorting_keeps_a_sorted_order_and_graphs_in_nodes(tmp_path: Path) -> None:
    inner = [
        helper.make_node("Neg", ["t"], ["u"], "second"),
        helper.make_node("Relu", ["x"], ["t"], "first"),
    ]
    branch = helper.make_graph(inner, "branch", [], [value("u", [2])])
    nodes = [
        helper.make_node("If", ["c"], ["y"], "if", then_branch=branch, else_branch=branch),
        helper.make_node("Abs", ["z"], ["x"], "makes what the branch takes"),
    ]
    graph = helper.make_graph(
        nodes, "g", [value("c", [], "BOOL"), value("z", [2])], [value("y", [2])]
    )
    sort(graph)
    assert [node.name for node in graph.node] == ["makes what the branch takes", "if"]
    branches = [attribute.g for attribute in graph.node[1].attribute]
    assert all([node.name for node in one.node] == ["first", "second"] for one in branches)
    before = graph.SerializeToString()
    sort(graph)
    assert graph.SerializeToString() == before


@pytest.mark.parametrize(
    ("entries", "size", "said"),
    [
        ({}, 100, r"'kernel' take 432 bytes; the file says 100 from byte 0 of kernel.bin"),
        ({}, None, "'kernel' lie in kernel.bin, which is no file here"),
        ({"offset": "16"}, 432, r"416 from byte 16 of kernel.bin, which has 432"),
        ({"length": str(1 << 62)}, 432, r"4611686018427387904 from byte 0"),
        ({"length": "432", "offset": "-8"}, 432, "432 from byte -8"),
        ({"offset": "x"}, 432, "'kernel' have no readable place in kernel.bin"),
    ],
)
def test_weights_in_another_file_are_all_there(
    tmp_path: Path, tiny_onnx: Path, entries: dict[str, str], size: int | None, said: str
) -> None:
    model = onnx.load(tiny_onnx)
    tensor = model.graph.initializer[0]
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, text in {"location": "kernel.bin", **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text
    if size is not None:
        (tmp_path / "kernel.bin").write_bytes(raw[:size])
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelUnreadableError, match=said):
        import_model(path)


def test_a_tensor_larger_than_any_board_is_refused() -> None:
    node = helper.make_node("Range", ["from", "to", "step"], ["r"])
    with pytest.raises(ModelUnreadableError, match=r"Range making 'r': a tensor of 1.0e\+10"):
        evaluate(node, 17, [np.asarray(number) for number in (0, 10**10, 1)])


@pytest.mark.parametrize(
    ("operator", "shapes"),
    [
        ("Add", [(40000, 1), (1, 40000)]),
        ("Where", [(1, 1), (40000, 1), (1, 40000)]),
        ("MatMul", [(40000, 1), (1, 40000)]),
        ("Gather", [(1, 40000), (40000,)]),
    ],
)
def test_much_out_of_little_is_refused_before_it_is_made(
    operator: str, shapes: list[tuple[int, ...]]
) -> None:
    node = helper.make_node(operator, [f"i{k}" for k in range(len(shapes))], ["y"])
    with pytest.raises(ModelUnreadableError, match=rf"{operator} making 'y': .* 1.6e\+09"):
        evaluate(node, 17, [np.broadcast_to(np.int64(0), shape) for shape in shapes])
