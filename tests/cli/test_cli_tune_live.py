"""The table of a search that goes on, the line that takes its place elsewhere, and the result."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards.roofline import Roofline
from edgetvm.cli.records import _view
from edgetvm.cli.terminal import Terminal
from edgetvm.cli.tune_live import LiveTuning, ProgressTable, complaints, sentence_of
from edgetvm.cli.tune_views import tuned_document, tuned_view
from edgetvm.tune.progress import BoardState, Progress, TaskProgress
from edgetvm.tune.records import Conditions
from edgetvm.tune.summary import TaskSummary
from edgetvm.tune.verdicts import Fate, Tuned, TunedKernel
from edgetvm.workflow.tuned_models import Outcome

_HOSTILE = "conv\x1b[31m2d\u202e"
# 4 calls of 5 ms, of which 2.5 are left: 2 x 25e6 / 2.5 ms = 20 GFLOP/s, of 100.
_ROOFLINE = Roofline(100.0, 40.0, 1 << 20, is_measured=True)
_BOUND = _ROOFLINE.bound(25_000_000, 1000)
_CONV = TaskProgress("fused_conv", "conv2d", 4, 0.8, 31, 5.0, 2.5, 20.0, _BOUND, 100)
_POOL = TaskProgress("pool", "max_pool2d", 1, 0.2, 1, 5.0, 5.0, 0.0, None, 0)
_NEW = TaskProgress(_HOSTILE, "conv2d", 1, 0.0, 0, 0.0, 0.0, 0.0, None, 9)
_BOARDS: Mapping[str, BoardState] = {"a#0": "busy", "b#1": "lost", "c#2": "busy", "d#3": "idle"}
_PROGRESS = Progress(
    (_CONV, _POOL, _NEW), 32, {"ok": 29, "timeout": 1, "crash": 2}, _BOARDS, 16.0, 64.0, _ROOFLINE
)
_SENTENCE = (
    "32 trials, 2.0 a second (2 crash, 29 ok, 1 timeout); boards: 2 busy, 1 idle, 1 lost; "
    "kernels 25.0 ms -> 15.0 ms (1.67 times as fast, 2 of 3 measured, to be compared at the end); "
    "64 s of search left"
)


def rendered(progress: Progress, height: int = 40, width: int = 200) -> tuple[str, str]:
    """What a terminal shows: with its codes, and as text."""
    console = Console(
        file=io.StringIO(), force_terminal=True, record=True, width=width, height=height,
        color_system="standard", _environ={},
    )  # fmt: skip
    console.print(ProgressTable(progress))
    return console.export_text(styles=True, clear=False), console.export_text()


def test_the_table_tells_share_trials_latency_gain_and_gflops() -> None:
    _, text = rendered(_PROGRESS)
    head, conv, pool, new, sentence = text.splitlines()
    assert head.split() == "kernel share trials best gain GFLOP/s roofline".split()
    assert conv.split() == [
        "fused_conv",
        "80.0%",
        "31",
        "2.50",
        "ms",
        "2.00",
        "20.0",
        "20%",
        "cores",
    ]
    assert pool.split() == ["pool", "20.0%", "1", "5.00", "ms", "1.00"]
    assert new.split()[-1] == "0" and "\x1b" not in new and "\u202e" not in new
    assert sentence == _SENTENCE
    # Each figure ends below the end of its column's name.
    for name, cell in (
        ("share", "80.0%"),
        ("trials", "31"),
        ("gain", "2.00"),
        ("roofline", "20% cores"),
    ):
        assert head.index(name) + len(name) == conv.index(cell) + len(cell), name


def test_on_a_terminal_it_is_in_bold_and_what_a_file_says_is_not_obeyed() -> None:
    codes, _ = rendered(_PROGRESS)
    assert "\x1b[1m" in codes
    assert "\x1b[31m" not in codes and "\u202e" not in codes


@pytest.mark.parametrize(("height", "rows"), [(40, 20), (24, 12), (10, 3)])
def test_as_many_kernels_as_the_terminal_has_room_for(height: int, rows: int) -> None:
    many = replace(_PROGRESS, tasks=tuple(replace(_CONV, name=f"conv{at}") for at in range(20)))
    _, text = rendered(many, height)
    shown = re.findall(r"^conv(\d+) ", text, re.M)
    assert [*map(int, shown)] == [*range(rows)]
    assert (f"… {20 - rows} smaller kernels" in text) == (rows < 20)


def test_a_narrow_terminal_and_a_long_name_break_no_line() -> None:
    long = replace(_PROGRESS, tasks=(replace(_CONV, name="fused_" * 30),))
    _, text = rendered(long, width=100)
    row = text.splitlines()[1]
    assert len(row) <= 100
    assert row.startswith("fused_fused_") and "…" in row and "2.00" in row


def test_before_anything_is_measured_nothing_is_claimed() -> None:
    _, text = rendered(Progress((_NEW,), 0, {}, {}, 0.0, None, Roofline(0.0)))
    assert text.splitlines()[-1] == (
        "0 trials, 0.0 a second; boards: none yet; no kernel is measured yet"
    )


def test_without_a_terminal_it_is_one_plain_line_now_and_then(
    capfd: pytest.CaptureFixture[str],
) -> None:
    live = LiveTuning(Terminal())
    for _ in range(50):
        live(_PROGRESS)
    out, said = capfd.readouterr()
    assert out == ""
    assert said == f"… {sentence_of(_PROGRESS)}\n" == f"… {_SENTENCE}\n"


def test_a_board_whose_times_are_doubtful_is_named_once() -> None:
    slow = {"governor": "powersave", "throttled": True, "slowed": 1.3, "cores": 4}
    steady = {"governor": "performance", "cores": 2}
    told: list[StepEvent] = []
    live = LiveTuning(Terminal())
    doubtful = replace(_PROGRESS, cores=4, environments={"a#0": slow, "b#1": steady})
    with listening(told.append):
        for _ in range(3):
            live(doubtful)
    warnings = [one.detail for one in told if one.state == "warning"]
    assert warnings == complaints({"a#0": slow, "a#7": slow, "b#1": steady}, 4)
    words = (
        "a: .*'powersave'",
        "a: .*and throttles",
        "a: .*longer",
        "b: .*may use 2 cores, and its profile has 4",
    )
    assert [*map(bool, map(re.match, words, warnings))] == [True] * 4


def test_stopped_it_tells_what_is_kept() -> None:
    live = LiveTuning(Terminal())
    assert "nothing was measured yet" in live.stopped(Path("x.sqlite"), "edgetvm bench m")
    live(_PROGRESS)
    told = live.stopped(Path("x.sqlite"), "edgetvm bench m --tuned")
    assert "32 trials of this run are kept in x.sqlite" in told
    assert "25.0 ms -> 15.0 ms" in told and told.endswith("edgetvm bench m --tuned")


_SLOWER: Fate = "slower than the default in turns with it"
_KERNELS = (
    TunedKernel("k1", "small", "relu", 1, 0, 1.0, 1.0, 2),
    TunedKernel(
        "k2", _HOSTILE, "conv2d", 4, 25_000_000, 5.0, 2.5, 30, ("taken", _SLOWER, _SLOWER), _BOUND
    ),
)
_OUTCOME = Outcome(Tuned(32, _KERNELS, _PROGRESS), 21.0, 12.0)


def test_the_result_tells_the_largest_kernels_first_and_both_comparisons() -> None:
    console = Console(file=io.StringIO(), record=True, width=160)
    console.print(tuned_view(_OUTCOME, Path("x.sqlite"), "edgetvm bench m --tuned"))
    lines = console.export_text().splitlines()
    assert lines[2].split()[-5:] == "95.2% 5.00 ms 2.00 20.0".split()
    assert lines[3].split() == "4 2.50 ms 30 20% cores".split()
    assert lines[4].split() == "small 4.8% 1.00 ms".split()
    assert lines[5].split() == "1 as default 2".split()
    text = " ".join(" ".join(lines).split())
    assert "\x1b" not in text and "\u202e" not in text
    for fact in (
        "kernels 21.0 ms -> 11.0 ms (1.91 times as fast)",
        "whole model 21.0 ms -> 12.0 ms (1.75 times as fast)",
        "looked faster 3 candidates: 1 taken; 2 slower than the default in turns with it",
        "trials 32 in 16 s, 2.0 a second",
        "roofline 100 GFLOP/s in float32 by the profile; 40.0 GB/s from memory, measured",
        "kept in x.sqlite",
        "next edgetvm bench m --tuned",
    ):
        assert fact in text, fact


def test_kernels_of_microseconds_are_told_whole_in_80_columns() -> None:
    name = "fused_depthwise_conv6_add16_maximum10_minimum10"
    kernel = replace(_KERNELS[1], name=name, default_ms=0.0000877, best_ms=0.0000123, calls=144)
    outcome = Outcome(Tuned(32, (kernel,), _PROGRESS), 21.0, 12.0)
    console = Console(file=io.StringIO(), record=True, width=80)
    console.print(tuned_view(outcome, Path("x.sqlite"), "edgetvm bench m --tuned"))
    text = console.export_text()
    for whole in ("0.0000877 ms", "0.0000123 ms", "100.0%", "144", "7.13", "roofline"):
        assert whole in text
    assert "…" not in text
    names = [line[: line.index("  ")] for line in text.splitlines()[2:4]]
    assert "".join(names) == name


def test_where_nothing_was_gained_it_says_why_and_what_to_do_is_nothing() -> None:
    back: Fate = "taken back: the whole model was no faster with it"
    lost = replace(_KERNELS[1], best_ms=5.0, fates=(back, _SLOWER))
    outcome = Outcome(Tuned(32, (_KERNELS[0], lost), _PROGRESS), 21.0, 21.0)
    console = Console(file=io.StringIO(), record=True, width=200)
    console.print(tuned_view(outcome, Path("x.sqlite"), "edgetvm bench m --tuned"))
    text = " ".join(console.export_text().split())
    assert "as fast" not in text and "bench" not in text
    assert f"2 candidates: 1 {back}; 1 {_SLOWER}" in text
    assert "whole model 21.0 ms, with the default schedules: nothing is faster" in text
    assert tuned_document(outcome, Path("x"))["looked_faster"] == {back: 1, _SLOWER: 1}


def test_why_the_kernels_take_longer_than_the_model_is_told_where_they_do() -> None:
    for default_ms, told in ((21.0, False), (10.0, True)):
        console = Console(file=io.StringIO(), record=True, width=200)
        outcome = replace(_OUTCOME, default_ms=default_ms)
        console.print(tuned_view(outcome, Path("x.sqlite"), ""))
        assert ("mean of many runs in a row" in console.export_text()) == told


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_of_records_cuts_no_figure(width: int) -> None:
    told = TaskSummary(
        Conditions("rpi4-64bit", "aarch64", 3, 2), "ab" * 20, "conv2d 1x3x224x224 " * 4, 120, 3,
        0.000123, 0.0000877, "register tile",
    )  # fmt: skip
    console = Console(file=io.StringIO(), record=True, width=width)
    guessed = replace(told, conditions=replace(told.conditions, estimated=True), best_ms=0.00005)
    console.print(_view([guessed, told]))
    text = console.export_text()
    for whole in ("0.000123 ms", "0.0000877 ms", "profile", "rpi4-64bit", "1.40"):
        assert whole in text
    assert "…" not in text
    measured, estimated = text.split("no board has measured these")
    assert "0.0000877 ms" in measured and "0.00005" not in measured
    assert "0.00005" in estimated and "0.0000877 ms" not in estimated


def test_with_json_stdout_is_one_document_whatever_is_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal(as_json=True)
    LiveTuning(terminal)(_PROGRESS)
    terminal.result(
        tuned_document(_OUTCOME, Path("x.sqlite")), tuned_view(_OUTCOME, Path("x.sqlite"), "")
    )
    out, said = capfd.readouterr()
    told = json.loads(out)
    assert said.startswith("… 32 trials")
    assert told["trials"] == 32 and told["outcomes"] == {"ok": 29, "timeout": 1, "crash": 2}
    assert [one["name"] for one in told["kernels"]] == [_HOSTILE, "small"]
    assert [one["gain"] for one in told["kernels"]] == [2.0, 1.0]
    assert told["kernels"][0]["gflops"] == pytest.approx(20)
    assert told["kernels"][0]["bound"] == {"ms": 0.5, "by": "cores"}
    assert told["kernels"][0]["of_bound"] == pytest.approx(0.2)
    assert told["roofline"]["memory_gbs"] == 40.0
    assert told["kernels"][0]["share"] == pytest.approx(20 / 21)
    assert (told["default_ms"], told["tuned_ms"]) == (21.0, 12.0)
    assert (told["kernels_default_ms"], told["kernels_tuned_ms"]) == (21.0, 11.0)
