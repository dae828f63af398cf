"""Reports for programs: the published format, older versions, google-benchmark's own reader."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_measurements import MS, make
from test_report_extras import PEERS, in_real_time

from edgetvm.base.errors import ConfigurationError, StorageError
from edgetvm.compile.artifact import MemoryUse
from edgetvm.measure import KernelTime, KernelTimes, Measurement
from edgetvm.measure.measurement import LayerAgreement
from edgetvm.recipes import Confusion
from edgetvm.report import (
    Background,
    merged,
    read_report,
    render_google_benchmark,
    render_html,
    render_json,
)
from edgetvm.report.background import BoardHealth, Past, TuningCurve
from edgetvm.report.results import results

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).parent / "stored"
COMPARE = Path("/usr/share/benchmark/compare.py")

BACKGROUND = Background(
    (Past("id", "2026-03-01T12:00:00Z", "m", "rpi4", "single-stream", 4, "-O3", 2.0, 3.0, True),),
    (BoardHealth("rpi4", "good", "", 12.5, 51.0, ("released",)),),
    (TuningCurve("m", "rpi4", "3", 2.0, 1.0, 7, ((0.0, 2.0), (1.5, 1.0))),),
)


def full() -> list[Measurement]:
    """Everything that a measurement may have, and figures that JSON has no numbers for."""
    times = KernelTimes((KernelTime("fused_conv2d_add_relu_0", 1, 12.5),), 20.0, 4)
    return [
        make(
            kernel_times=times,
            peak_gflops=48.0,
            memory=MemoryUse(1024, 512),
            confusion=Confusion(("cat", "dog"), ((7, 1), (0, 9))),
            layers=(LayerAgreement("conv1", "Conv", 0.5),),
            beside=PEERS,
        ),
        in_real_time(),
        make("odd", relative_error=float("nan")),
    ]


def published(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "docs" / "schemas" / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_report_is_as_its_published_schema_says(measurements: list[Measurement]) -> None:
    validator = published("report-2.json")
    document = json.loads(render_json([*measurements, *full()], BACKGROUND))
    validator.validate(document)
    for path in ("schema_version", "measurements.0.summary.p50_ms", "background.history.0.valid"):
        broken = json.loads(json.dumps(document))
        *way, last = (int(one) if one.isdigit() else one for one in path.split("."))
        place = broken
        for one in way:
            place = place[one]
        place[last] = "text"
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(broken)


def test_a_report_opens_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(render_json(full(), BACKGROUND))
    read, background = read_report(file)
    assert [one.id for one in read] == [one.id for one in full()]
    assert read[:2] == full()[:2]
    assert background == BACKGROUND
    assert render_json(read, background) == file.read_text()
    assert render_html(read, background) == render_html(full(), BACKGROUND)


def test_a_report_of_version_1_opens_with_the_figures_that_it_had() -> None:
    """The file was written by edgetvm 0.1.0 when version 1 was its own."""
    file = STORED / "report-1.json"
    written = json.loads(file.read_text())
    assert written["schema_version"] == 1
    read, background = read_report(file)
    assert background == Background()
    (result,), (entry,) = results(read), written["measurements"]
    for name in ("count", "p50_ms", "p90_ms", "p99_ms", "mean_ms", "cold_start_ms"):
        assert getattr(result.summary, name) == entry["summary"][name]
    assert result.model in render_html(read)
    published("report-2.json").validate(json.loads(render_json(read)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"schema_version": 3, "measurements": [{}]}', "report of schema version 3"),
        ('{"schema_version": 2, "measurements": [{}]}', "not a report of edgetvm"),
        ('{"schema_version": 2, "measurements": [{"measurement": {}}]}', "not a measurement"),
        ('{"schema_version": 2, "measurements": []}', "not a report of edgetvm"),
        ('{"schema_version": 2, "measu', "not a report of edgetvm"),
        ("[]", "not a report of edgetvm"),
        ("[" * 100_000, "not a report of edgetvm"),
    ],
)
def test_what_is_no_report_is_told_as_that(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_report(tmp_path / "report.json")
    assert caught.value.mend


def test_a_damaged_background_and_a_missing_file_are_told(tmp_path: Path) -> None:
    document = json.loads(render_json([make()], BACKGROUND))
    document["background"]["history"] = [{"id": 1}]
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match="damaged"):
        read_report(tmp_path / "report.json")
    with pytest.raises(StorageError):
        read_report(tmp_path / "none.json")


@given(st.binary(max_size=300))
def test_any_bytes_open_or_are_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        file.write_bytes(data)
        with pytest.raises(ConfigurationError):
            read_report(file)


def test_backgrounds_of_several_reports_stand_once() -> None:
    assert merged([BACKGROUND, BACKGROUND, Background()]) == BACKGROUND


def processes(offset_ms: int, model: str = "net") -> list[Measurement]:
    """Ten processes whose medians lie 0.1 ms from each other."""
    return [
        make(
            model,
            id=f"2026{index:02}",
            samples_ns=(MS * (10 + offset_ms) + index * MS // 10,) * 50,
        )
        for index in range(10)
    ]


def compared(folder: Path, first: Sequence[Measurement], second: Sequence[Measurement]) -> str:
    """What google-benchmark's own tool says of two of our files."""
    if not COMPARE.exists():
        pytest.fail("google-benchmark's tools are not installed: run scripts/setup test")
    for name, one in (("a", first), ("b", second)):
        (folder / f"{name}.gbench.json").write_text(render_google_benchmark(one))
    done = subprocess.run(
        [sys.executable, COMPARE, "--no-color", "benchmarks", "a.gbench.json", "b.gbench.json"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def test_google_benchmarks_own_tool_reads_and_compares_our_files(tmp_path: Path) -> None:
    told = compared(tmp_path, processes(0), processes(5))
    name = "net/rpi4/single-stream/4 threads, 2 of 3 kernels tuned"
    assert f"{name}_median" in told
    # Medians 10.45 and 15.45 ms.
    row = next(line for line in told.splitlines() if line.startswith(f"{name}_median"))
    assert re.search(r"\+0\.47\d+ ", row)
    utest = next(line for line in told.splitlines() if line.startswith(f"{name}_pvalue"))
    p = re.search(r"_pvalue +([0-9.]+)", utest)
    assert p and float(p[1]) < 0.001 and "Repetitions: 10 vs 10" in utest


def test_google_benchmarks_json_tells_what_speaks_against_figures() -> None:
    wrong, shaky = make("a", relative_error=0.5), make("b", samples_ns=(MS,) * 98 + (9 * MS,) * 2)
    document = json.loads(render_google_benchmark([wrong, shaky, make("c", emulated=True)]))
    first, second, third = document["benchmarks"]
    assert first["error_occurred"] is True and "wrong answers" in first["error_message"]
    assert "unsteady" in second["label"] and "error_occurred" not in second
    assert third["name"].endswith("/emulated")
    assert (second["real_time"], second["time_unit"], second["iterations"]) == (1.0, "ms", 100)
    slow_clock = replace(make().environment, governor="ondemand")
    context = json.loads(render_google_benchmark([make(environment=slow_clock)]))["context"]
    assert context["cpu_scaling_enabled"] is True and context["num_cpus"] == 4
