"""Peers beside edgetvm: the turns, the answers, and why one is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_board import imported

from edgetvm.base.errors import UsageError
from edgetvm.farm import Board, connect
from edgetvm.farm.inventory import LOCAL
from edgetvm.measure import Beside, PeerRun, check_peers, measure_beside, times_as_long
from edgetvm.measure.peers import PEERS, peer_called, settings
from edgetvm.measure.peers.preparing import prepared
from edgetvm.models.reference import Source
from edgetvm.package.archive import Package


def test_ratios_are_of_the_medians_of_each_round() -> None:
    peer = PeerRun("p", rounds_ns=((200, 220, 900), (300,), (100,)))
    # Medians 220, 300 and 100 beside 100, 100 and 200.
    beside = Beside(1, ((100,), (90, 100, 110), (200,)), (peer,))
    assert times_as_long(beside, peer) == (2.2, 0.5, 3.0)


def test_unknown_peers_and_boards_without_a_login_are_refused() -> None:
    check_peers(["onnxruntime", "ncnn"], LOCAL)
    with pytest.raises(UsageError, match="no peer is called 'tensorrt'; there are onnxruntime"):
        check_peers(["tensorrt"], LOCAL)
    with pytest.raises(UsageError, match="nothing says how to log in to this one"):
        check_peers(["onnxruntime"], replace(LOCAL, name="my-rpi4"))


def test_a_file_is_made_ready_once(
    tiny_onnx: Path, stateful_onnx: Path, dense_tflite: Path, session_cache: Path
) -> None:
    source = Source.of(imported(tiny_onnx))
    inputs = {"image": np.ones((1, 3, 8, 8), np.float32)}
    case = prepared(source, inputs)
    assert (case.kind, case.format, case.inputs, case.outputs) == (
        "fp32",
        "onnx",
        ("image",),
        ("scores",),
    )
    assert prepared(source, inputs).data == case.data
    assert prepared(source, {"image": inputs["image"] * 2}).data != case.data
    np.testing.assert_array_equal(case.input_arrays()[0], inputs["image"])
    light = Source.of(imported(dense_tflite))
    given = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in light.signature.inputs}
    assert prepared(light, given).format == "tflite"
    stateful = Source.of(imported(stateful_onnx, {"sum": "total"}))
    arrays = {spec.name: np.ones(spec.shape, spec.dtype) for spec in stateful.signature.inputs}
    assert set(prepared(stateful, arrays).inputs) == {"chunk", "sum"}


@pytest.mark.board
def test_a_peer_is_timed_in_turns_and_answers_the_same(
    board: Board, tiny_package: Package, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetvm.measure.beside._TURN_S", 0.02)
    source = Source.of(imported(tiny_onnx))
    with connect(board) as session:
        session.open(tiny_package.data, 1)
        found = measure_beside(
            session, source, tiny_package.sample_inputs, ["onnxruntime", "litert"], 1
        )
    first, second = found.peers
    assert len(found.rounds_ns) == len(first.rounds_ns) == 5
    assert all(sample > 0 for one in first.rounds_ns for sample in one)
    assert first.error is not None
    assert first.error < 1e-5
    assert first.version
    assert (second.rounds_ns, second.why) == ((), "litert reads no .onnx file")


@pytest.mark.board
def test_a_peer_that_is_missing_or_wrong_says_so(
    board: Board, tiny_package: Package, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetvm.measure.beside._TURN_S", 0.01)
    source = Source.of(imported(tiny_onnx))

    def beside() -> PeerRun:
        with connect(board) as session:
            session.open(tiny_package.data, 1)
            sample = tiny_package.sample_inputs
            return measure_beside(session, source, sample, ["onnxruntime"], 1).peers[0]

    with monkeypatch.context() as patch:
        patch.setattr("edgetvm.measure.peer_crews.answer_error", lambda *_: 0.5)
        assert beside().why == "its answers are wrong, by 0.5 of their spread"
    monkeypatch.setattr("edgetvm.measure.beside.installed_version", lambda _: None)
    assert beside().why == "onnxruntime is not installed: pip install 'edgetvm[bench]'"


def test_every_peer_can_be_asked_for_its_settings(tiny_onnx: Path, session_cache: Path) -> None:
    source = Source.of(imported(tiny_onnx))
    case = prepared(source, {"image": np.ones((1, 3, 8, 8), np.float32)})
    counts = {peer.name: len(settings(peer_called(peer.name), case, 1)) for peer in PEERS}
    assert counts == {"onnxruntime": 2, "litert": 0, "openvino": 2, "ncnn": 2, "mnn": 2}
