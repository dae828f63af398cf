"""Table, Markdown, CSV and JSON: the numbers, and what hostile names do to them."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_measurements import make
from rich.console import Console

from edgetvm.base.errors import UsageError
from edgetvm.base.words import printable
from edgetvm.measure.measurement import Measurement, from_json
from edgetvm.report import (
    RENDERERS,
    render_csv,
    render_html,
    render_json,
    render_markdown,
    summary_table,
    warning_lines,
    write_report,
)
from edgetvm.report.results import results
from edgetvm.report.verdict import verdicts
from edgetvm.report.words import shown

HOSTILE = "<script>alert(1)</script>"


def printed(measurements: list[Measurement], width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(summary_table(measurements))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_table_fits_and_shows_the_figures(measurements: list[Measurement], width: int) -> None:
    text = printed(measurements, width)
    assert all(len(line) <= width for line in text.splitlines())
    (row,) = [line for line in text.splitlines() if line.strip().startswith("keyword")]
    assert row.split()[1:] == ["51.0", "91.0", "100", "300", "64.0", "MB", "✓", "1.2e-06"]
    assert "0.5 " in text and "1.5 MB" in text and "onnxruntime 1.20.1" in text
    assert "✗ 1.2e-01" in text and "deadline 99.5 ms ✓" in text
    assert "0.715" in text


def test_emulated_devices_come_last_and_unranked(measurements: list[Measurement]) -> None:
    found = results(measurements)
    assert [(r.model, r.device) for r in found] == [
        ("mobilenet-v2", "rpi5"),
        ("mobilenet-v2", "rpi4"),
        ("keyword", "rpi4"),
        ("broken", "rpi4"),
        ("mobilenet-v2", "qemu-armv7 (emulated)"),
    ]
    text = printed(measurements, 120)
    assert text.index("Emulated, unranked") > text.index("broken")
    assert text.index("(emulated)") > text.index("Emulated, unranked")


def test_an_emulated_device_is_neither_fastest_nor_late() -> None:
    slow = make(device="qemu", emulated=True, deadline_ms=1.0)
    assert not results([slow])[0].late
    (verdict,) = verdicts(results([slow]))
    assert "no speed is known: it ran on 1 emulated device only" in verdict.sentence
    fast = replace(slow, samples_ns=(1,) * 100)
    (verdict,) = verdicts(results([fast, make(device="rpi4")]))
    assert "on rpi4, no deadline" in verdict.sentence and "fastest" not in verdict.sentence


def test_verdicts(measurements: list[Measurement]) -> None:
    mobilenet, keyword, broken = verdicts(results(measurements))
    assert mobilenet.state == "attention"
    assert mobilenet.sentence == (
        "5.10 ms per run at p50 and 10.0 ms at p99 on rpi5, the fastest of 2 measurements, "
        "within its 99.5 ms deadline in all 100 runs, too late on rpi4; "
        "answers agree with onnxruntime 1.20.1 to 1.2e-06; package 1.5 MB."
    )
    assert keyword.state == "good" and "keeps up with the signal (real-time factor 0.5)" in (
        keyword.sentence
    )
    assert broken.state == "wrong" and broken.sentence.startswith("no time counts until")
    assert "answers are wrong for rpi4 (off by 1.2e-01, 1.0e-04 allowed)" in broken.sentence


def test_times_that_jump_about_are_not_good() -> None:
    jumps = make(samples_ns=(1_000_000,) * 98 + (20_000_000,) * 2)
    (verdict,) = verdicts(results([jumps]))
    assert verdict.state == "attention" and ", unsteady, " in verdict.sentence
    assert any("p99 is 20.0 ms where p50 is 1.00 ms" in line for line in warning_lines([jumps]))


def test_a_wrong_answer_is_never_the_fastest() -> None:
    wrong = make(device="rpi5", samples_ns=(1,) * 100, relative_error=float("nan"))
    (verdict,) = verdicts(results([wrong, make(device="rpi4")]))
    assert verdict.state == "wrong" and "at p99 on rpi4" in verdict.sentence
    assert "answers are wrong for rpi5 (off by not a number" in verdict.sentence


def test_warnings_stand_once_with_all_they_are_about() -> None:
    def loud(model: str) -> Measurement:
        return make(model, environment=replace(make().environment, governor="ondemand"))

    sentence = "the clock governor is ondemand: set it to performance for steady times"
    lines = warning_lines([loud("a"), loud("b"), loud("a")])
    at = " at 2026-03-01T12:00:00Z"
    assert f"a on rpi4{at}, b on rpi4: {sentence}" in lines
    assert sum(sentence in line for line in lines) == 1


def test_too_slow_a_stream_is_a_warning() -> None:
    stream = make(scenario="stream", chunk_ms=25.0)
    assert any("real-time factor 2.02" in line for line in warning_lines([stream]))
    assert results([stream])[0].late


def test_csv_has_units_and_full_precision(measurements: list[Measurement]) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(measurements))))
    rpi5, rpi4, keyword, broken, qemu = rows
    assert (rpi4["p50_ms"], rpi4["p90_ms"], rpi4["p99_ms"]) == ("51.0", "91.0", "100.0")
    assert (rpi4["min_ms"], rpi4["max_ms"], rpi4["mean_ms"]) == ("1.0", "100.0", "50.5")
    assert (rpi4["open_ms"], rpi4["first_run_ms"], rpi4["cold_start_ms"]) == (
        "250.0",
        "50.0",
        "300.0",
    )
    assert (rpi4["deadline_ms"], rpi4["deadline_misses"]) == ("99.5", "1")
    assert (keyword["chunk_ms"], keyword["real_time_factor"]) == ("101.0", "0.5")
    assert rpi4["real_time_factor"] == "" and rpi4["metric_top-1 accuracy"] == ""
    assert rpi5["metric_top-1 accuracy"] == "0.715" and rpi5["p50_ms"] == "5.1"
    assert broken["correct"] == "false" and broken["max_relative_error"] == "0.12"
    assert qemu["emulated"] == "true" and rpi4["emulated"] == "false"
    assert rpi4["peak_memory_bytes"] == str(64 << 20)


def test_a_quantised_model_shows_its_root_mean_square_everywhere() -> None:
    plain = make(relative_error=0.17)
    told = "3.2e-02 rms, worst 1.7e-01"
    quantised = replace(plain, correctness=replace(plain.correctness, rms_relative_error=0.032))
    for render in (render_markdown, render_html):
        assert told in re.sub(r"\\|</?span[^>]*>", "", render([quantised]))
        assert "rms," not in render([plain])
    (row,) = csv.DictReader(io.StringIO(render_csv([quantised])))
    assert (row["rms_relative_error"], row["max_relative_error"]) == ("0.032", "0.17")
    (row,) = csv.DictReader(io.StringIO(render_csv([plain])))
    assert row["rms_relative_error"] == ""


def test_csv_defuses_formulas() -> None:
    (row,) = csv.DictReader(io.StringIO(render_csv([make('=cmd|"x"!A1')])))
    assert row["model"] == '\'=cmd|"x"!A1'


def test_json_holds_figures_and_raw_data(measurements: list[Measurement]) -> None:
    report = json.loads(render_json(measurements))
    assert report["schema_version"] == 2
    by_id = {m.id + m.model: m for m in measurements}
    order = [entry["measurement"] for entry in report["measurements"]]
    assert [(one["model"], one["id"]) for one in order] == [(m.model, m.id) for m in measurements]
    for entry in report["measurements"]:
        back = from_json(json.dumps(entry["measurement"]).encode(), "report")
        assert back == by_id[back.id + back.model]
    rpi4 = report["measurements"][1]["summary"]
    assert (rpi4["p50_ms"], rpi4["mean_ms"], rpi4["deadline_misses"]) == (51.0, 50.5, 1)
    assert rpi4["correct"] is True and report["measurements"][4]["summary"]["correct"] is False


def test_json_is_strict_about_numbers() -> None:
    text = render_json([make(relative_error=float("nan"), metrics={"x": float("inf")})])
    assert "NaN" not in text and "Infinity" not in text and '"correct": false' in text


def test_markdown(measurements: list[Measurement]) -> None:
    text = render_markdown(measurements)
    row = (
        "| mobilenet-v2 | rpi4, 4 threads, 2 of 3 kernels tuned "
        "| 51.0 | 91.0 | 100 | 300 | 64.0 MB | 1.5 MB | — | ✓"
    )
    assert row in text
    assert text.index("## Emulated devices") > text.index(row)
    assert text.index("qemu-armv7 (emulated), 4 threads") > text.index("## Emulated devices")
    assert "- ✗ wrong: **broken**: no time counts" in text


def test_markdown_escapes_names() -> None:
    text = render_markdown([make(HOSTILE + "|*a*_b_\n# c_d")])
    assert "<script" not in text and "\n# c" not in text
    assert r"&lt;/script&gt;\|\*a\*\_b\_ \# c_d" in text


def test_control_letters_never_reach_a_terminal() -> None:
    assert printable("a\x1b[2J\u202eb\nc\x00") == "a\ufffd[2J\ufffdb c\ufffd"
    assert shown("x" * 500) == "x" * 31 + "…" + "x" * 32
    assert "\x1b" not in printed([make("\x1b[2Jm", "\x1b]0;x\x07")], 100)
    assert "[red]m" in printed([make("[red]m")], 100)


@pytest.mark.parametrize("name", [*RENDERERS, "table", "warnings"])
def test_nothing_to_report_names_the_mend(name: str) -> None:
    render: Callable[[list[Measurement]], object] = {
        **RENDERERS,
        "table": summary_table,
        "warnings": warning_lines,
    }[name]  # type: ignore[assignment]
    with pytest.raises(UsageError) as caught:
        render([])
    assert (caught.value.mend or "").startswith("run: edgetvm bench")


@pytest.mark.parametrize("name", list(RENDERERS))
def test_write_report_by_suffix_or_by_name(
    measurements: list[Measurement], tmp_path: Path, name: str
) -> None:
    write_report(measurements, tmp_path / f"r.{name.upper()}")
    write_report(measurements, tmp_path / "r", format=name)
    written = (tmp_path / "r").read_text()
    assert written == (tmp_path / f"r.{name.upper()}").read_text()
    assert written == RENDERERS[name](measurements)


@pytest.mark.parametrize(("name", "format"), [("r.pdf", None), ("r", None), ("r.csv", "xlsx")])
def test_write_report_names_the_known_formats(
    measurements: list[Measurement], tmp_path: Path, name: str, format: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        write_report(measurements, tmp_path / name, format)
    assert "html, md, csv, json" in (caught.value.mend or "")
    assert not list(tmp_path.iterdir())


def test_importing_the_room_is_cheap() -> None:
    code = "import sys, edgetvm.report; print(*{'rich', 'jinja2', 'tvm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=5000).map(tuple),
    st.text(max_size=300),
    st.text(max_size=300),
    st.floats(allow_nan=True, allow_infinity=True),
    st.none() | st.floats(min_value=0, allow_infinity=True),
)
def test_anything_can_be_rendered(
    samples: tuple[int, ...], model: str, device: str, error: float, deadline_ms: float | None
) -> None:
    measurement = make(
        model,
        device,
        samples_ns=samples,
        relative_error=error,
        deadline_ms=deadline_ms,
        chunk_ms=deadline_ms,
        metrics={model: error},
    )
    (row,) = csv.DictReader(io.StringIO(render_csv([measurement])))
    assert row["model"].removeprefix("'") == printable(model).removeprefix("'")
    json.loads(render_json([measurement]))
    render_markdown([measurement])
    printed([measurement], 80)
    warning_lines([measurement])
