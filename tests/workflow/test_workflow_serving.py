"""`edgetvm serve`: asked by NVIDIA's client and by hand, hurried, filled up, and ended."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from real_board import onnx_runtime, within
from real_command import edgetvm, refused
from served import Server, application_serving, command_serving
from tritonclient.utils import InferenceServerException

from edgetvm.base.errors import NumericError, UsageError
from edgetvm.models.fills import fill
from edgetvm.models.model import Arrays, Signature, TensorSpec
from edgetvm.package import Package
from edgetvm.workflow.serving.app import make_app
from edgetvm.workflow.serving.asking import Limits
from edgetvm.workflow.serving.executors import Executors, shares
from edgetvm.workflow.serving.metrics import ModelMetrics
from edgetvm.workflow.serving.protocol import LONG_BYTES, read_request, written
from edgetvm.workflow.serving.served import Models, Offer, ServedModel, Share, open_models
from edgetvm.workflow.web import hosts_at, listener_at

TINY, STATEFUL = "/v2/models/tiny", "/v2/models/stateful"


@pytest.fixture(scope="module")
def server(
    tiny_package: Package,
    stateful_package: Package,
    shared_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """Two models with two executors each, behind the command."""
    folder = tmp_path_factory.mktemp("served")
    paths = []
    for package in (tiny_package, stateful_package):
        paths.append(folder / f"{package.manifest.name}.edgetvm")
        paths[-1].write_bytes(package.data)
    with command_serving(shared_cache, *paths, "--executors", "2", "--max-body", "1") as up:
        yield up


def asked(signature: Signature, inputs: Arrays, binary: bool) -> list[triton.InferInput]:
    found = []
    for spec in signature.inputs:
        one = triton.InferInput(spec.name, list(spec.shape), "FP32")
        one.set_data_from_numpy(inputs[spec.name], binary_data=binary)
        found.append(one)
    return found


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_gets_what_onnx_runtime_answers(
    server: Server, tiny_package: Package, tiny_onnx: Path, binary: bool
) -> None:
    signature = tiny_package.manifest.signature
    client = triton.InferenceServerClient(server.address)
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("tiny")
        assert not client.is_model_ready("huge")
        for seed in range(3):
            inputs = fill(signature, "random", seed)
            wanted = [triton.InferRequestedOutput("scores", binary_data=binary)]
            answer = client.infer("tiny", asked(signature, inputs, binary), outputs=wanted)
            np.testing.assert_allclose(
                answer.as_numpy("scores"), onnx_runtime(tiny_onnx, inputs)["scores"], rtol=1e-5
            )
        with pytest.raises(InferenceServerException, match=r"should be FP32\[1, 3, 8, 8\]"):
            client.infer(
                "tiny",
                [
                    triton.InferInput("image", [1], "FP32").set_data_from_numpy(
                        np.zeros(1, np.float32)
                    )
                ],
            )
    finally:
        client.close()


def test_it_tells_of_itself_and_its_models(server: Server, tiny_package: Package) -> None:
    status, told = server.document("/v2")
    assert (status, told["name"], told["extensions"]) == (200, "edgetvm", ["binary_tensor_data"])
    status, told = server.document(TINY)
    version = tiny_package.sha256[:12]
    assert told == {
        "name": "tiny",
        "versions": [version],
        "platform": "edgetvm",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 8, 8]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 5]}],
    }
    assert server.document(f"{TINY}/versions/{version}") == (200, told)
    assert server.document(f"{TINY}/versions/{version}/ready")[0] == 200


def test_a_stream_is_carried_by_its_client(server: Server) -> None:
    """The server keeps nothing: a state that is not sent is as at the stream's begin."""
    chunk = {"name": "chunk", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    given: list[dict[str, Any]] = [chunk]
    for turn in (1, 2, 3):
        status, answer = server.document(f"{STATEFUL}/infer", {"id": "a", "inputs": given})
        assert status == 200, answer
        assert answer["id"] == "a"
        found = {one["name"]: one for one in answer["outputs"]}
        assert found["total"]["data"] == [turn * one for one in (1, 2, 3, 4)]
        given = [chunk, {**found["total"], "name": "sum"}]
    status, answer = server.document(f"{STATEFUL}/infer", {"inputs": [chunk]})
    assert answer["outputs"][1]["data"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v2/models/huge", None, {}, 404),
        (f"{TINY}/versions/9", None, {}, 404),
        ("/v3", None, {}, 404),
        (f"{TINY}/infer", None, {}, 405),
        (f"{TINY}/infer", b"{", {}, 400),
        (f"{TINY}/infer", b"[]", {}, 400),
        (
            f"{TINY}/infer",
            b'{"inputs": [{"name": "\\ud800", "shape": [], "datatype": ""}]}',
            {},
            400,
        ),
        (f"{TINY}/infer", b"{}", {"Content-Encoding": "gzip"}, 415),
        (f"{TINY}/infer", bytes(1 << 21), {}, 413),
        (f"{TINY}/infer", b"{}", {"Content-Length": "99999999"}, 413),
    ],
)
def test_every_refusal_is_a_sentence(
    server: Server, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    found, text, _ = server.ask(path, body, headers)
    assert found == status
    document = json.loads(text)
    assert list(document) == ["error"]
    assert document["error"] != HTTPStatus(status).phrase
    assert "instance of" not in document["error"]


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "a:b:c"])
def test_other_sites_names_are_refused_as_all_else_is(server: Server, name: str) -> None:
    status, text, headers = server.ask("/v2", headers={"Host": name})
    assert (status, headers["Content-Type"]) == (400, "application/json")
    assert "127.0.0.1" in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("host", "strangers"),
    [("127.0.0.1", 400), ("127.0.0.2", 400), ("0.0.0.0", 200)],  # noqa: S104
)
def test_on_any_address_of_loopback_only_its_names_are_answered(host: str, strangers: int) -> None:
    with listener_at(0, host) as listener:
        application = make_app(Models(()), Limits(), hosts_at(listener))
    with application_serving(application) as up:
        for name in (host, "localhost", "LocalHost"):
            assert up.ask("/v2", headers={"Host": f"{name}:8080"})[0] == 200
        assert up.ask("/v2", headers={"Host": "evil.example"})[0] == strangers


def metric(server: Server, name: str) -> float:
    _, text, headers = server.ask("/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", text.decode(), re.MULTILINE)
    return float(found)


def test_prometheus_reads_what_was_asked(server: Server, tiny_package: Package) -> None:
    labels = f'model="tiny",version="{tiny_package.sha256[:12]}"'
    names = [
        f'edgetvm_requests_total{{{labels},code="400"}}',
        f"edgetvm_failures_total{{{labels}}}",
    ]
    server.ask(f"{TINY}/infer", b"{")
    before = [metric(server, name) for name in names]
    server.ask(f"{TINY}/infer", b"{")
    assert [metric(server, name) for name in names] == [one + 1 for one in before]
    count = metric(server, f"edgetvm_request_seconds_count{{{labels}}}")
    assert metric(server, f'edgetvm_request_seconds_bucket{{{labels},le="+Inf"}}') == count
    assert metric(server, f"edgetvm_in_flight{{{labels}}}") == 0


@dataclass
class Gate:
    """A model that answers when it may, and notes what it was asked."""

    may: threading.Event = field(default_factory=threading.Event)
    seen: list[Arrays] = field(default_factory=list)

    def run(self, inputs: Arrays) -> dict[str, Any]:
        self.seen.append(inputs)
        assert self.may.wait(30)
        if inputs["chunk"].flat[0] < 0:
            raise ArithmeticError("it is negative")
        return {"doubled": inputs["chunk"] * 2, "total": inputs["chunk"]}


def gated(signature: Signature, gate: Gate, limits: Limits) -> Any:
    executors = Executors("gated", lambda: gate, [[]])
    metrics = ModelMetrics(lambda: executors.waiting)
    model = ServedModel("gated", "1", signature, None, executors, metrics)
    return make_app(Models((model,)), limits, ("*",))


def chunk(value: float) -> dict[str, Any]:
    one = {"name": "chunk", "shape": [1, 4], "datatype": "FP32", "data": [value] * 4}
    return {"inputs": [one], "outputs": [{"name": "doubled"}]}


INFER = "/v2/models/gated/infer"


def test_more_than_may_wait_are_refused_at_once(stateful_package: Package) -> None:
    gate = Gate()
    application = gated(stateful_package.manifest.signature, gate, Limits(waiting=2))
    with application_serving(application) as up, ThreadPoolExecutor() as pool:
        three = [pool.submit(up.document, INFER, chunk(value)) for value in (1, 2, 3)]
        assert within(
            10,
            lambda: (
                'edgetvm_waiting{model="gated",version="1"} 2' in up.ask("/metrics")[1].decode()
            ),
        )
        assert up.document(INFER, chunk(4))[0] == 503
        assert up.ask("/v2/health/live")[0] == 200
        gate.may.set()
        answers = [one.result() for one in three]
        assert [(status, told["outputs"][0]["data"][0]) for status, told in answers] == [
            (200, 2), (200, 4), (200, 6),
        ]  # fmt: skip
        assert up.document(INFER, chunk(-1)) == (500, {"error": "the run failed: it is negative"})
        assert up.document(INFER, chunk(5))[0] == 200


def test_who_waited_too_long_is_told_and_not_run(stateful_package: Package) -> None:
    gate = Gate()
    application = gated(stateful_package.manifest.signature, gate, Limits(timeout_s=0.5))
    with application_serving(application) as up, ThreadPoolExecutor() as pool:
        both = [pool.submit(up.document, INFER, chunk(value)) for value in (1, 2)]
        assert [one.result()[0] for one in both] == [504, 504]
        gate.may.set()
        assert up.document(INFER, chunk(3))[0] == 200
        assert len(gate.seen) == 2, "of the two the one that waited was never begun"


def test_what_nobody_waits_for_any_more_still_takes_a_place(stateful_package: Package) -> None:
    gate = Gate()
    limits = Limits(waiting=1, timeout_s=0.2)
    with application_serving(gated(stateful_package.manifest.signature, gate, limits)) as up:
        found = [up.document(INFER, chunk(value))[0] for value in range(5)]
        assert found == [504, 504, 504, 503, 503], "one runs, and two are in the queue"
        gate.may.set()
        assert within(20, lambda: up.document(INFER, chunk(5))[0] == 200)


def test_what_is_under_way_at_the_end_is_answered(stateful_package: Package) -> None:
    gate = Gate()
    application = gated(stateful_package.manifest.signature, gate, Limits())
    with ThreadPoolExecutor() as pool, application_serving(application) as up:
        last = pool.submit(up.document, INFER, chunk(7))
        assert within(10, lambda: gate.seen)
        threading.Timer(0.3, gate.may.set).start()  # after the server was told to end
    assert last.result()[0] == 200


def test_others_are_answered_while_long_json_is_read_and_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, may = (dict.fromkeys(("read_request", "written")) for _ in range(2))
    for name, work in (("read_request", read_request), ("written", written)):
        begun[name], may[name] = threading.Event(), threading.Event()

        def held_up(*arguments: Any, name: str = name, work: Any = work) -> Any:
            begun[name].set()
            assert may[name].wait(20)
            return work(*arguments)

        monkeypatch.setattr(f"edgetvm.workflow.serving.app.{name}", held_up)
    count = LONG_BYTES // 4
    signature = Signature(
        (TensorSpec("chunk", (count,), "float32"),),
        tuple(TensorSpec(name, (count,), "float32") for name in ("doubled", "total")),
    )
    gate = Gate()
    gate.may.set()
    one = {"name": "chunk", "shape": [count], "datatype": "FP32", "data": [0.25] * count}
    with application_serving(gated(signature, gate, Limits())) as up, ThreadPoolExecutor() as pool:
        large = pool.submit(up.document, INFER, {"inputs": [one]})
        for name in begun:
            assert begun[name].wait(20)
            assert up.ask("/v2/health/live")[0] == 200
            may[name].set()
        status, told = large.result()
    assert status == 200, told
    assert told["outputs"][0]["data"] == [0.5] * count


def test_a_run_that_does_not_end_is_left_behind() -> None:
    gate = Gate()
    executors = Executors("gated", lambda: gate, [[]])
    metrics = ModelMetrics(lambda: executors.waiting)
    models = Models((ServedModel("gated", "1", Signature((), ()), None, executors, metrics),))
    running = executors.submit({"chunk": np.ones((1, 4), np.float32)})
    assert within(10, lambda: gate.seen)
    assert models.close(0.05) == ["gated"]
    gate.may.set()
    assert running.result(10).outputs["doubled"][0, 0] == 2
    assert models.close() == []


def test_a_taken_port_is_told(server: Server, tiny_package: Package, tmp_path: Path) -> None:
    path = tmp_path / "one.edgetvm"
    path.write_bytes(tiny_package.data)
    assert refused(edgetvm("serve", path, "--port", str(server.port)), 2, "in use", "--port")


def test_a_package_that_is_wrong_or_named_twice_is_not_served(
    tiny_package: Package, session_cache: Path
) -> None:
    with pytest.raises(UsageError, match="named twice"):
        open_models([Offer(tiny_package), Offer(tiny_package)], Share())
    lying = dict(tiny_package.members)
    (name,) = [one for one in lying if one.startswith("sample/output")]
    lying[name] = np.full(5, 9, np.float32).tobytes()
    wrong = Package(tiny_package.manifest, lying, tiny_package.data, 0, b"", None)
    with pytest.raises(NumericError):
        open_models([Offer(wrong)], Share())
    without = {one: data for one, data in lying.items() if not one.startswith("sample/")}
    broken = Package(tiny_package.manifest, without, tiny_package.data, 0, b"", None)
    with pytest.raises(KeyError):
        open_models([Offer(broken)], Share())
    assert not [one for one in threading.enumerate() if one.name == "tiny-0"]


def test_a_name_is_an_address(tiny_package: Package) -> None:
    manifest = replace(tiny_package.manifest, name="vision/tiny, int8")
    models = open_models([Offer(replace(tiny_package, manifest=manifest))], Share())
    assert models.close() == []
    assert [one.name for one in models.all] == ["vision-tiny-int8"]


def test_no_answer_waits_for_an_acknowledgement() -> None:
    """TCP_NODELAY is set where asyncio knows that a listener speaks TCP."""
    undelayed = asyncio.Queue[int]()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        undelayed.put_nowait(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def asked() -> int:
        listener = listener_at(0)
        async with await asyncio.start_server(accept, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            return await undelayed.get()

    assert asyncio.run(asked()) == 1


def test_executors_share_the_cores_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert shares(2, 2) == [[0, 1], [2, 3]]
    assert shares(1, 4) == [[]]
    assert shares(3, 2) == [[], [], []]
    assert (Share(2).threads_each, Share(8).threads_each, Share(2, 1).threads_each) == (2, 1, 1)
