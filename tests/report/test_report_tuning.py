"""The page of a tuning: what it tells is what the database holds, and it loads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import looks
from click.testing import CliRunner
from test_report_html import HOSTILE, checked

from edgetvm.base.errors import UsageError
from edgetvm.boards.roofline import Roofline
from edgetvm.cli.records import command
from edgetvm.compile.tuned import KernelChoice
from edgetvm.report import check_page, render_tuning
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.history import history
from edgetvm.tune.jobs import Tensor
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.tasks import Form
from edgetvm.tune.verdicts import TunedKernel

_ROOFLINE = Roofline(100.0, 40.0, 1 << 20)
_HERE = Conditions("local", "x86_64", 3, 2)
_KERNELS = (
    TunedKernel(
        "conv",
        "fused_conv",
        "conv2d 1x3",
        5,
        1_000_000,
        4.0,
        2.0,
        4,
        (),
        _ROOFLINE.bound(1_000_000, 0),
    ),
    TunedKernel(
        "pool", "max_pool", "max_pool2d", 1, 0, 1.0, 1.0, 1, (), _ROOFLINE.bound(0, 10 << 20)
    ),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[TuningDatabase]:
    """A kernel that gains twice and one that does not, one trial that hangs, one foreign task."""
    with TuningDatabase(tmp_path / "tuning.sqlite") as made:
        for task, told in (("conv", HOSTILE), ("pool", "max_pool2d"), ("other", "softmax")):
            form = Form(task, "{}", (Tensor((1,), "float32"),), "rule", {}, {}, {})
            made.add_workload(form, told)
        default = Trial("conv", "conv", KernelChoice("rule"), {}, "ok", (4.0,), 4.0)
        environment = {"cpu": "Cortex-A72", "governor": "performance"}
        default = replace(default, board="rpi4#0", environment=environment)
        for tile, ms in (("", 4.0), ("2", 3.0), ("4", 0.0), ("8", 2.0), ("16", 9.0)):
            choice = KernelChoice("rule", {"tile": tile} if tile else {})
            outcome = "ok" if ms else "timeout"
            times_ms = (ms,) if ms else ()
            trial = replace(default, choice=choice, outcome=outcome, times_ms=times_ms)
            made.append(None, _HERE, trial)
        small = replace(default, task="pool", workload="pool", times_ms=(1.0,), default_ms=1.0)
        made.append(None, _HERE, small)
        made.append(None, _HERE, replace(small, task="other", workload="other"))
        yield made


def test_the_curve_falls_with_each_gain_and_never_rises(database: TuningDatabase) -> None:
    told = history(database, _HERE, _KERNELS, "model")
    assert told is not None
    assert [one.kernels_ms for one in told.curve] == pytest.approx([21, 16, 11, 11, 11])
    assert told.outcomes == {"ok": 5, "timeout": 1}
    assert (told.default_ms, told.best_ms) == pytest.approx((21, 11))
    assert [one.summary.task for one in told.tasks] == ["conv", "pool"]
    assert [one.share for one in told.tasks] == pytest.approx([20 / 21, 1 / 21])
    assert all(a.elapsed_s <= b.elapsed_s for a, b in zip(told.curve, told.curve[1:], strict=False))


def test_the_curve_ends_where_the_kernels_are_now(database: TuningDatabase) -> None:
    database.decide(_HERE, "conv", None, 1.0)
    told = history(database, _HERE, _KERNELS, "model")
    assert told is not None
    assert [one.kernels_ms for one in told.curve][-2:] == pytest.approx([11, told.best_ms])
    assert told.best_ms == told.default_ms
    assert "from 21.0 ms to 21.0 ms" in render_tuning([told])


def test_without_a_model_each_kernel_counts_once(database: TuningDatabase) -> None:
    told = history(database, _HERE)
    assert told is not None and len(told.tasks) == 3
    assert (told.default_ms, told.best_ms) == pytest.approx((6, 4))
    assert history(database, replace(_HERE, level=1)) is None


def test_pauses_between_searches_are_no_tuning(
    database: TuningDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = {number: float(number) for number in range(1, 8)} | {6: 1e6, 7: 1e6 + 1}
    monkeypatch.setattr(database, "measured_at", lambda _: at)
    told = history(database, _HERE)
    assert told is not None and told.curve[-1].elapsed_s == pytest.approx(5)


def test_the_page_tells_all_of_it_and_obeys_nothing(database: TuningDatabase) -> None:
    told = [
        history(database, _HERE, _KERNELS, f"model {HOSTILE}", _ROOFLINE),
        history(database, _HERE),
    ]
    page = render_tuning([one for one in told if one is not None])
    texts = " ".join(" ".join(checked(page).texts).split())
    assert HOSTILE not in page and "alert(1)" in texts
    assert page.count("<svg") == 6
    for expected in ("21.0 ms", "11.0 ms", "1.91", "95.2 %", "Cortex-A72", "rpi4#0", "timeout"):
        assert expected in texts
    # 2 x 1e6 at 100 GFLOP/s are 0.02 ms, of 2 ms; 10 MiB at 40 GB/s are 0.26 ms, of 1 ms.
    assert "1 % cores" in texts and "26 % memory" in texts
    assert "100 in float32 by the profile, and memory gives 40" in texts


def test_a_browser_lays_it_out_for_a_phone_and_for_a_desk(
    database: TuningDatabase, tmp_path: Path
) -> None:
    told = [
        history(database, _HERE, _KERNELS, f"model {HOSTILE}", _ROOFLINE),
        history(database, _HERE),
    ]
    page = render_tuning([one for one in told if one is not None], "word" * 40)
    for look in looks(page, tmp_path):
        assert look.needed <= look.room
        assert look.scripts == 1
        for expected in (HOSTILE, "21.0 ms", "11.0 ms", "Latency over time", "Cortex-A72"):
            assert expected in look.text
        assert len(look.drawings) == 6
        assert all(width > 200 and height > 20 for width, height in look.drawings)


def test_a_database_without_any_time_makes_a_page_too(tmp_path: Path) -> None:
    failed = Trial("conv", "conv", KernelChoice("rule"), {}, "crash", error="SIGILL")
    with TuningDatabase(tmp_path / "tuning.sqlite") as database:
        database.append(None, _HERE, failed)
        told = history(database, _HERE)
    assert told is not None
    assert checked(render_tuning([told])).texts


def test_the_command_writes_the_page_or_says_why_not(
    database: TuningDatabase, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    ran = CliRunner().invoke(command, ["report", str(page), "--database", str(database.path)])
    assert ran.exit_code == 0, ran.output
    checked(page.read_text())
    for bad in (tmp_path / "page.md", tmp_path / "none" / "page.html"):
        with pytest.raises(UsageError):
            check_page(bad)
    with pytest.raises(UsageError, match="no trials"):
        render_tuning([])
