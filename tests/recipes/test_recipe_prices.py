"""Prices: tables as others write them, features that know nothing of the future, and scores."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.paths import shipped_folder
from edgetvm.recipes import interpret, load_recipe, run_module, score

prices = run_module(shipped_folder("recipes") / "series" / "prices.py")

DAYS = 80
_generator = np.random.default_rng(0)
CLOSE = 100 * np.exp(np.cumsum(_generator.normal(0, 0.01, DAYS)))
DATES = [date(2024, 1, 1) + timedelta(days=at) for at in range(DAYS)]


def rows(form: str) -> list[str]:
    """Close, High, Low, Open, Volume of each day; its date as `form` says."""
    return [
        f"{format(day, form)},{close},{close * 1.01},{close * 0.98},{close},{1000 + at}"
        for at, (day, close) in enumerate(zip(DATES, CLOSE, strict=True))
    ]


NEW = ["Price,Close,High,Low,Open,Volume", "Ticker,^GSPC,^GSPC,^GSPC,^GSPC,^GSPC", "Date,,,,,"]
OLD = ["Date,Close,High,Low,Open,Volume"]


@pytest.mark.parametrize(
    ("head", "form"), [(NEW, "%Y-%m-%d"), (OLD, "%Y-%m-%d 00:00:00-05:00"), (OLD, "%m/%d/%Y")]
)
def test_tables_as_yfinance_and_others_write_them(head: list[str], form: str) -> None:
    found = prices.read_quotes([*head, *reversed(rows(form))], "a.csv")
    assert found.days == tuple(DATES)
    np.testing.assert_allclose(found.close, CLOSE)
    np.testing.assert_allclose(found.low / found.close, 0.98)


def test_a_split_is_adjusted() -> None:
    table = ["Ticker,Date,Open,High,Low,Close,Volume,Adj Close"]
    table += [f"A,{day},9,20,5,10,7,2.5" for day in DATES] + ["B,2024-01-01,1,1,1,1,1,1"]
    found = prices.read_quotes(table, "a.csv", "A")
    assert (found.close[0], found.high[0], found.low[0]) == (2.5, 5.0, 1.25)
    assert len(found.days) == DAYS


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], r"a\.csv: no column Close"),
        (["Date,Close,High,Low"], "no column Volume"),
        (OLD + rows("%Y-%m-%d")[:40], "40 days, and a forecast needs 51"),
        (OLD + rows("%Y-%m-%d")[:5] + ["2024-02-30,1,1,1,1,1"], r"a\.csv:7: no day"),
        (OLD + ["2024-02-01,1,1,1,1"], r"a\.csv:2: no day"),
        (OLD + ["2024-02-01,1,-1,1,1,1"], r"a\.csv:2: no day"),
        (OLD + ["2024-02-01,1,nan,1,1,1"], r"a\.csv:2: no day"),
    ],
)
def test_what_is_no_table_of_quotes(lines: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        prices.read_quotes(lines, "a.csv")


def test_no_feature_knows_of_a_later_day() -> None:
    whole = prices.features(prices.read_quotes(OLD + rows("%Y-%m-%d"), "a.csv"))
    shorter = prices.features(prices.read_quotes(OLD + rows("%Y-%m-%d")[:60], "a.csv"))
    np.testing.assert_allclose(whole[:60], shorter)
    np.testing.assert_allclose(whole[40, 0], 100 * np.log(CLOSE[40] / CLOSE[39]))
    np.testing.assert_allclose(whole[40, 2], 25 * (CLOSE[40] / CLOSE[21:41].mean() - 1))
    returns = np.diff(np.log(CLOSE))
    np.testing.assert_allclose(whole[40, 3], 100 * returns[20:40].std() - 1)


def test_a_folder_of_quotes_and_their_scores(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join(OLD + rows("%Y-%m-%d")))
    found = prices.price_windows(days=20, folder=str(tmp_path))
    assert [one.name for one in found] == [day.isoformat() for day in DATES[-21:-1]]
    assert [one.label for one in found] == pytest.approx(list(CLOSE[-20:]))
    window = found[-1].value["window"]  # type: ignore[call-overload]
    assert window.shape == (1, prices.WINDOW, len(prices.FEATURES))
    assert window[0, -1, 0] == pytest.approx(100 * np.log(CLOSE[-2] / CLOSE[-3]), rel=1e-4)
    recipe = load_recipe("series/sp500-lstm")
    right = [np.log(one.label / one.attributes["close"][0]) * 100 for one in found]
    perfect, naive = (
        [
            interpret(recipe, {"y": np.array([[value]])}, one)
            for value, one in zip(said, found, strict=True)
        ]
        for said in (right, [0.0] * 20)
    )
    assert score(recipe, perfect, found)["mae_over_naive"] == pytest.approx(0, abs=1e-9)
    scores = score(recipe, naive, found)
    assert scores["mae_over_naive"] == pytest.approx(1)
    moves = np.diff(CLOSE)[-20:]
    assert scores["naive_mae"] == pytest.approx(np.abs(moves).mean())
    assert scores["root_mean_square_error"] == pytest.approx(np.sqrt((moves**2).mean()))
    # The feed is the same days in one sample.
    (feed,) = prices.price_feed(days=20, folder=str(tmp_path))
    np.testing.assert_array_equal(feed.value["window"][-1], window)
    whole = interpret(recipe, {"y": np.array(right)}, feed)
    assert score(recipe, [whole], [feed])["direction_pct"] == pytest.approx(100)
    # A part of it, and more than it, as real time may run.
    part = interpret(recipe, {"y": np.array(right[:7])}, feed)["values"]
    more = interpret(recipe, {"y": np.array(right * 2)}, feed)["values"]
    assert part == whole["values"][:7]
    assert more == whole["values"] * 2
