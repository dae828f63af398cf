"""Forecasts as quotes come in: replayed, and line by line, on the real local board."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from test_recipe_prices import CLOSE, NEW, OLD, prices, rows

from edgetvm.base.errors import MissingToolError
from edgetvm.base.paths import shipped_folder
from edgetvm.boards import load_profile
from edgetvm.recipes import load_recipe, model_file, run_module
from edgetvm.workflow import build, find_subject

live = run_module(shipped_folder("recipes") / "series" / "live.py")


@pytest.fixture(scope="module")
def package(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        built = build(find_subject("series/sp500-lstm"), load_profile("local"))
    path = tmp_path_factory.mktemp("live") / "forecast.edgetvm"
    path.write_bytes(built.package.data)
    return path


def told(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.board
def test_each_quote_is_answered_with_the_forecast_of_the_next(
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = [*OLD, *rows("%Y-%m-%d")]
    file = tmp_path / "quotes.csv"
    file.write_text("\n".join(table))
    assert live.main([str(package), "--replay", str(file), "--per-second", "9999"]) == 0
    head, *lines, last = told(capsys)
    assert head == ["day", "close", "forecast", "ms"]
    assert len(lines) == len(CLOSE) - prices.FIRST
    session = onnxruntime.InferenceSession(model_file(load_recipe("series/sp500-lstm")))
    window = prices.windows(prices.features(prices.read_quotes(table, "")))
    said = [float(session.run(None, {"window": one[None]})[0].item()) for one in window]
    expected = CLOSE[prices.FIRST :] * np.exp(np.array(said) / 100)
    np.testing.assert_allclose([float(line[2]) for line in lines], expected, atol=0.006)
    moved = np.abs(np.diff(CLOSE[prices.FIRST :])).mean()
    assert float(last[-1]) == pytest.approx(moved, abs=6e-4)
    # Line by line it says the same of the last ones.
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(table)))
    assert live.main([str(package), "--replay", "-"]) == 0
    assert [line[:3] for line in told(capsys)[1:-1]] == [line[:3] for line in lines[3:]]


def test_a_table_that_is_none_is_told(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "quotes.csv").write_text("a,b\n1,2\n")
    assert live.main([str(package), "--replay", str(tmp_path / "quotes.csv")]) == 3
    assert "no column Close" in capsys.readouterr().err


def test_quotes_are_asked_for_until_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as yfinance writes them, from a stand-in: the real one needs Yahoo."""
    tables = [rows("%Y-%m-%d")[:-1], rows("%Y-%m-%d")[:-1], rows("%Y-%m-%d")]
    asked = []

    def download(symbol: str, **_: object) -> SimpleNamespace:
        asked.append(symbol)
        return SimpleNamespace(to_csv=lambda: "\n".join([*NEW, *tables[len(asked) - 1]]))

    monkeypatch.setitem(sys.modules, "yfinance", SimpleNamespace(download=download))
    feed = live.polled("^GSPC", 0)
    assert [next(feed).close[-1], next(feed).close[-1]] == pytest.approx(CLOSE[-2:])
    assert asked == ["^GSPC"] * 3
    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(MissingToolError, match=r"edgetvm\[data\]"):
        next(live.polled("^GSPC", 0))
