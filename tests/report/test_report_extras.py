"""What reports show of runs in real time, of peers, and of classes taken for others."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from made_measurements import MS, make
from rich.console import Console

from edgetvm.measure import Beside, Measurement, PeerRun, RealTime, Word
from edgetvm.recipes import Confusion
from edgetvm.report import (
    peer_lines,
    peer_tables,
    real_time_tables,
    render_csv,
    render_html,
    render_json,
    render_markdown,
    warning_lines,
)
from edgetvm.report.results import results
from edgetvm.report.verdict import verdicts

RUN = RealTime(
    period_ms=20.0,
    deadline_ms=20.0,
    streams=1,
    policy="queue",
    began_ns=tuple(20 * at * MS for at in range(1, 5)),
    ended_ns=(22 * MS, 42 * MS, 62 * MS, 105 * MS),
    words=(Word(10.0, 30.0, 42.0, 62.0),),
    carried=True,
)
LATE = replace(
    RUN,
    began_ns=tuple(one + 5 * MS for one in RUN.began_ns),
    ended_ns=tuple(one + 5 * MS for one in RUN.ended_ns),
)


def in_real_time(run: RealTime = RUN) -> Measurement:
    return make(
        "keyword", scenario="real-time", chunk_ms=20.0, samples_ns=run.service_ns, real_time=run
    )


PEERS = Beside(
    2,
    ((1 * MS, 1 * MS), (2 * MS,)),
    (
        PeerRun("openvino", "2026.4", "pinned", "f32", ((2 * MS,), (5 * MS,)), 1e-6),
        PeerRun("litert", why="litert reads no .onnx file"),
    ),
)


def text_of(tables: list[object]) -> str:
    console = Console(width=120, file=io.StringIO(), record=True)
    for table in tables:
        console.print(table)
    return console.export_text()


def test_a_run_in_real_time_is_told_in_every_report() -> None:
    found = [in_real_time()]
    text = text_of(list(real_time_tables(found)))
    markdown, page = render_markdown(found), render_html(found)
    for told in (text, markdown, page):
        assert "VALID" in told
        assert "INVALID:" not in told and "INVALID in real time" not in told
        # Services 2, 2, 2 and 25 ms of 80 ms of signal.
        assert "0.388 = 0.031 s / 0.08 s" in told
        assert "1 of 4 missed 20.0 ms" in told
        assert "as without a clock" in told
    figures = json.loads(render_json(found))["measurements"][0]["real_time"]
    assert (figures["misses"], figures["answered"], figures["miss_pct"]) == (1, 4, 25.0)
    assert figures["real_time_factor"] == 31 / 80
    assert figures["from_end"]["p50_ms"] == 12.0
    (row,) = csv.DictReader(io.StringIO(render_csv(found)))
    assert (row["scenario"], row["deadline_misses"]) == ("real-time", "1")
    assert results(found)[0].run == "chunk"


def test_an_invalid_run_is_never_told_without_its_reason() -> None:
    found = [in_real_time(LATE)]
    reason = "the clock that feeds it was late: 4 of 4 chunks"
    for told in (text_of(list(real_time_tables(found))), render_markdown(found)):
        assert "INVALID" in told
    assert reason in render_html(found)
    assert any("INVALID in real time" in line and reason in line for line in warning_lines(found))
    assert "INVALID in real time" in render_csv(found)
    (verdict,) = verdicts(results(found))
    assert (verdict.state, "INVALID" in verdict.sentence) == ("attention", True)


def test_peers_stand_beside_edgetvm_in_every_report() -> None:
    found = [make(beside=PEERS)]
    text = text_of(list(peer_tables(found)))
    for told in (text, render_markdown(found), render_html(found)):
        assert "openvino 2026.4 (pinned, f32)" in told
        # Rounds 2 / 1 and 5 / 2.
        assert "2.25 (2.00 to 2.50)" in told
        assert "litert" in told
    assert peer_lines(found) == ["mobilenet-v2: litert: litert reads no .onnx file"]
    assert "litert reads no .onnx file" in render_markdown(found)
    assert peer_tables([make()]) == []
    assert peer_lines([make()]) == []


def test_names_of_peers_and_reasons_are_not_trusted() -> None:
    hostile = "<script>alert(1)</script>"
    beside = replace(PEERS, peers=(PeerRun("litert", hostile, why=hostile),))
    assert hostile not in render_html([make(beside=beside)])


def test_classes_taken_for_others_are_drawn() -> None:
    confusion = Confusion(("cat", "dog"), ((7, 11), (13, 17)))
    page = render_html([make(confusion=confusion)])
    assert "Confusion of 2 classes" in page
    assert all(f">{count}</text>" in page for count in (7, 11, 13, 17))
    assert "Most often: dog taken for cat: 13 of 30; cat taken for dog: 11 of 18." in page
    wide = Confusion(tuple(map(str, range(60))), ((0,) * 60,) * 60)
    assert "Confusion of" not in render_html([make(confusion=wide)])
    assert json.loads(render_json([make(confusion=confusion)]))["measurements"][0]["measurement"][
        "confusion"
    ]["counts"] == [[7, 11], [13, 17]]
