"""Figures, ratios, tables and the drawing of the latency benchmark, from samples made by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.latency.case import Timings
from benchmarks.latency.engines import engine_called
from benchmarks.latency.figures import geometric_mean, latency, worst
from benchmarks.latency.machine import Roof
from benchmarks.latency.plot import drawing
from benchmarks.latency.results import Row, as_json, line, row, summary
from benchmarks.latency.rounds import Turns
from benchmarks.latency.tables import failures, heading, roofline, text
from edgetvm.measure.peers.answers import answer_error
from edgetvm.measure.peers.case import Case, Task

MS = 1_000_000


def made_row(
    name: str, samples_ms: dict[str, list[float]], threads: int = 1, kind: str = "fp32"
) -> Row:
    """A row of engines with these samples; no samples: it failed. `engine/setting` names both."""
    case = Case(name, kind, Path("m.onnx"), None, Path("d.npz"), (), ())
    timings = []
    for title, samples in samples_ms.items():
        engine, _, setting = title.partition("/")
        task = Task(engine, setting, case, threads)
        samples_ns = [round(sample * MS) for sample in samples]
        why = "" if samples else "it crashed"
        timings.append(Timings(task, {"multiply_adds": 5_000_000}, samples_ns, why=why))
    return row(case, threads, timings, Turns(), 100.0)


def test_median_p90_and_minimum() -> None:
    found = latency([5 * MS, 1 * MS, 2 * MS, 4 * MS])
    assert (found.count, found.median_ms, found.min_ms) == (4, 3.0, 1.0)
    # The tenth of ten: the value below which nine tenths lie.
    assert latency([MS * value for value in range(10, 0, -1)]).p90_ms == 10


def test_geometric_mean_and_worst() -> None:
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)
    assert geometric_mean([1.0, math.inf]) == math.inf
    assert math.isnan(geometric_mean([]))
    assert (worst([0.5, 3.0, 1.0]), worst([1.0, math.inf])) == (3.0, math.inf)
    assert math.isnan(worst([]))


def test_an_answer_is_off_by_a_share_of_the_spread_of_what_is_expected() -> None:
    expected = [np.array([1.0, 3.0], np.float32)]  # spread 1
    assert answer_error([np.array([1.0, 3.0])], expected) == 0
    assert answer_error([np.array([1.1, 3.0])], expected) == pytest.approx(0.1 / math.sqrt(2))
    # All alike: a share of the size. A permutation of classes is far off whatever their size.
    assert answer_error([np.array([2.2])], [np.array([2.0])]) == pytest.approx(0.1)
    small = np.array([1e-9, 2e-9, 4e-9])
    assert answer_error([small[::-1]], [small]) > 1
    assert answer_error([np.zeros(3)], [small]) > 1


@pytest.mark.parametrize(
    "found",
    [[], [np.array([1.0])], [np.array([np.nan, 3.0])], [np.array([np.inf, 3.0])]],
    ids=["no output", "another size", "not a number", "infinite"],
)
def test_an_answer_that_is_none_is_infinitely_off(found: list[np.ndarray]) -> None:
    assert answer_error(found, [np.array([1.0, 3.0])]) == math.inf


def test_outputs_beyond_the_expected_ones_do_not_count() -> None:
    assert answer_error([np.ones(2), np.zeros(7)], [np.ones(2)]) == 0


def test_the_ratio_is_to_the_fastest_setting_of_the_fastest_peer() -> None:
    found = made_row(
        "m",
        {
            "edgetvm": [4, 6, 5],
            "onnxruntime": [10, 10, 10],
            "onnxruntime/simplified": [8, 8, 100],
            "openvino": [9],
            "tvm": [1],  # a yardstick, no peer
        },
    )
    peer = found.fastest_peer
    assert peer is not None
    assert (peer.engine, peer.setting) == ("onnxruntime", "simplified")
    assert found.ratio("edgetvm") == 5 / 8
    assert found.ratio("onnxruntime") == 1
    assert found.ratio("edgetvm-tuned") is None


def test_where_only_edgetvm_failed_its_ratio_is_infinite() -> None:
    assert made_row("m", {"edgetvm": [], "openvino": [1]}).ratio("edgetvm") == math.inf
    assert made_row("m", {"edgetvm": [1], "openvino": []}).ratio("edgetvm") is None


def test_the_result_line_has_the_means_over_models_and_numbers_of_threads() -> None:
    rows = [
        made_row("a", {"edgetvm": [1], "edgetvm-tuned": [0.5], "litert": [2]}, 1),
        made_row("a", {"edgetvm": [4], "litert": [2]}, 2),
        made_row("b", {"edgetvm": [3], "mnn": [2], "ncnn": [1]}, 1, "int8"),
        made_row("no peer", {"edgetvm": [9]}, 1),
    ]
    # fp32: 0.5 and 2; int8: 3; tuned: 0.25.
    assert line(summary(rows)) == (
        "geomean_untuned_fp32=1.000 worst_untuned_fp32=2.000 geomean_untuned_int8=3.000 "
        "worst_untuned_int8=3.000 geomean_tuned_fp32=0.250"
    )
    only_two = line(summary([one for one in rows if one.threads == 2]))
    assert only_two.startswith("geomean_untuned_fp32=2.000 worst_untuned_fp32=2.000 geomean_unt")
    assert only_two.endswith("=nan")


def test_disturbed_samples_count_only_where_there_are_no_others_and_are_marked() -> None:
    case = Case("m", "fp32", Path("m.onnx"), None, Path("d.npz"), (), ())
    task = Task("litert", "", case, 1)
    both = row(case, 1, [Timings(task, {}, [2 * MS], [50 * MS])], Turns(), 1.0).results[0]
    assert both.latency is not None
    assert (both.latency.median_ms, both.disturbed) == (2, False)
    found = row(case, 1, [Timings(task, {}, [], [50 * MS])], Turns(), 1.0)
    assert found.results[0].disturbed
    assert "50.0~" in text(found, [engine_called("litert")])


def test_the_table_shows_medians_failures_and_the_peer() -> None:
    found = made_row("net", {"edgetvm": [0.5], "openvino/pinned": [1], "ncnn": [], "ncnn/x": []})
    engines = [engine_called(name) for name in ("edgetvm", "litert", "openvino", "ncnn")]
    shown = text(found, engines).split()
    assert shown == [
        "net", "1", "0.500", "-", "1.00", "failed", "0.500", "0.500", "0.50", "openvino", "pinned",
    ]  # fmt: skip
    assert heading(engines).split()[:7] == [
        "median", "ms", "thr", "edgetvm", "litert", "openvino", "ncnn",
    ]  # fmt: skip
    assert failures([found]) == [
        "net: ncnn: it crashed [1 thr]",
        "net: ncnn (x): it crashed [1 thr]",
    ]


def test_the_roofline_counts_two_operations_a_multiply_add() -> None:
    # 10 MFLOP in 0.5 ms: 20 GFLOP/s, a fifth of 100.
    lines = roofline([made_row("net", {"edgetvm": [0.5], "mnn": [1]})], [Roof(1, 100.0, 10.0)])
    assert lines[-1].split() == ["net", "1", "10.0", "20.0", "(20%)", "10.0", "(10%)"]


def test_the_json_has_each_sample_and_the_summaries() -> None:
    made = as_json([made_row("net", {"edgetvm": [3], "mnn": [2]})], {"cpu": "x"}, [Roof(1, 2, 3)])
    assert made["rows"][0]["ratio"] == 1.5
    assert made["rows"][0]["results"][0]["samples_ns"] == [3 * MS]
    assert made["summary"]["threads=1"]["worst_untuned_fp32"] == 1.5
    # Readers other than Python's know no NaN.
    assert made["summary"]["all"]["geomean_tuned_fp32"] == "nan"
    json.dumps(made, allow_nan=False)


def test_the_drawing_has_a_dot_for_each_engine_with_a_time() -> None:
    found = made_row("a <b>", {"edgetvm": [3], "mnn": [2], "ncnn": [], "tvm": [9000]})
    tree = ElementTree.fromstring(drawing([found], "title"))  # noqa: S314 - our own text
    told = [one.text for one in tree.iter() if one.tag.endswith("title")]
    assert sorted(map(str, told)) == ["edgetvm 1.50", "mnn 1.00", "tvm 4500.00"]
