"""Daily prices: moving averages and volatility as features, and the next day's close to forecast.

Quotes come from a Python package or from a CSV file as yfinance and others write it.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import read_errors
from edgetvm.recipes import (
    DATA,
    METRICS,
    POSTPROCESS,
    PREPROCESS,
    ModelFile,
    Prediction,
    Recipe,
    Sample,
    fetch,
)

Array = NDArray[np.float64]

_ARCH = "arch==8.0.0"
_STOCKS = ModelFile(
    package="bokeh-sampledata==2026.1",
    file="bokeh_sampledata/_data/stocks.csv.gz",
    sha256="5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd",
)
SOURCES = {
    "sp500": ModelFile(
        package=_ARCH,
        file="arch/data/sp500/sp500.csv.gz",
        sha256="1e028cbb9c400cc018c816ccc439b33c919387e726c3ed5ca2c05c82746059de",
    ),
    "nasdaq": ModelFile(
        package=_ARCH,
        file="arch/data/nasdaq/nasdaq.csv.gz",
        sha256="b2009535343ebb14e0aa11ed086788d2997a416ffe4f9450eed9a561ae30ac59",
    ),
    "AAPL": _STOCKS,
    "IBM": _STOCKS,
    "MSFT": _STOCKS,
}
Symbol = Literal["sp500", "nasdaq", "AAPL", "IBM", "MSFT"]

WINDOW = 30
FEATURES = ("return", "from MA5", "from MA20", "volatility", "range", "volume")
_LONGEST = 20  # days of the longest average: the features of so many first days say nothing
_CLIP = 8.0


@dataclass(frozen=True, eq=False)
class Quotes:
    """Days in order: adjusted close, high and low, and volume."""

    days: tuple[date, ...]
    close: Array
    high: Array
    low: Array
    volume: Array

    def last(self, end: int) -> Quotes:
        """As many days up to the one before number `end` as the features of that one take."""
        some = slice(max(0, end - FIRST - 1), end)
        return Quotes(
            self.days[some], self.close[some], self.high[some], self.low[some], self.volume[some]
        )


# --- Reading --------------------------------------------------------------------------------------


def read_quotes(lines: Sequence[str], where: str, ticker: str = "") -> Quotes:
    """Quotes of a CSV table: a head with `Close`, `High`, `Low`, `Volume`, and a day in each row.

    A head of several rows, which yfinance writes for its levels, is understood. `Adj Close` scales
    the other prices.

    Args:
        ticker: the rows with that `Ticker`, where the table has such a column.

    Raises:
        ConfigurationError: a column is missing, a row is no day, or too few days are there.
    """
    rows = list(csv.reader(lines))
    head = [name.strip() for name in rows[0]] if rows else []
    columns = {name: index for index, name in enumerate(head)}
    missing = [name for name in ("Close", "High", "Low", "Volume") if name not in columns]
    if missing:
        raise ConfigurationError(
            f"no column {missing[0]}", where=where, mend="it should be as yfinance writes it"
        )
    days, table = _days_of(rows, columns, where, ticker)
    if len(days) <= _LONGEST + WINDOW:
        raise ConfigurationError(
            f"{len(days)} days, and a forecast needs {_LONGEST + WINDOW + 1}",
            where=where,
            mend="get more of them",
        )
    close, adjusted, high, low, volume = table.T
    scale = adjusted / close
    order = np.argsort([day.toordinal() for day in days])
    return Quotes(
        tuple(days[at] for at in order),
        adjusted[order],
        (high * scale)[order],
        (low * scale)[order],
        volume[order],
    )


def _days_of(
    rows: list[list[str]], columns: Mapping[str, int], where: str, ticker: str
) -> tuple[list[date], Array]:
    day_at = columns.get("Date", 0)
    adjusted = "Adj Close" if "Adj Close" in columns else "Close"
    wanted = [columns[name] for name in ("Close", adjusted, "High", "Low", "Volume")]
    days, table = [], []
    for number, row in enumerate(rows[1:], start=2):
        if not row or ("Ticker" in columns and row[columns["Ticker"]] != ticker):
            continue
        day = _day(row[day_at])
        if day is None and not days:  # yfinance's second and third head
            continue
        try:
            numbers = [float(row[at]) for at in wanted]
        except (ValueError, IndexError):
            numbers = []
        if day is None or not numbers or not np.isfinite(numbers).all() or min(numbers[:4]) <= 0:
            raise ConfigurationError(
                f"no day and its prices: {','.join(row)[:60]!r}",
                where=f"{where}:{number}",
                mend="leave the row out",
            )
        days.append(day)
        table.append(numbers)
    return days, np.array(table, np.float64).reshape(-1, 5)


def _day(text: str) -> date | None:
    """`2018-12-31`, with or without a time after it, or `12/31/2018`."""
    try:
        if "/" in text:
            month, day, year = (int(part) for part in text.split("/"))
            return date(year, month, day)
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def packaged_quotes(symbol: str) -> Quotes:
    """Quotes of one of `SOURCES`."""
    path = fetch(SOURCES[symbol])
    with read_errors(path), gzip.open(path, "rt") as file:
        lines = file.read().splitlines()
    return read_quotes(lines, str(path), symbol)


def quotes_in(folder: Path) -> Quotes:
    """Quotes of the one CSV file in a folder."""
    files = sorted(folder.glob("*.csv"))
    if len(files) != 1:
        raise ConfigurationError(
            f"{len(files)} CSV files", where=str(folder), mend="put one there, of one symbol"
        )
    with read_errors(files[0]):
        lines = files[0].read_text(encoding="utf-8", errors="replace").splitlines()
    return read_quotes(lines, str(files[0]))


# --- Features -------------------------------------------------------------------------------------


def features(quotes: Quotes) -> Array:
    """What is known at the close of each day, [days, `FEATURES`]; each of about unit size.

    The first `_LONGEST` rows are not meant to be used. No row knows of a later day.
    """
    close = quotes.close
    returns = np.diff(np.log(close), prepend=np.log(close[0]))
    volume = np.maximum(quotes.volume, 1.0)
    columns = [
        100 * returns,
        50 * (close / _mean(close, 5) - 1),
        25 * (close / _mean(close, _LONGEST) - 1),
        100 * _deviation(returns, _LONGEST) - 1,
        100 * np.log(quotes.high / quotes.low) - 1,
        2 * np.log(volume / _mean(volume, _LONGEST)),
    ]
    return np.clip(np.stack(columns, axis=1), -_CLIP, _CLIP)


def _trailing(values: Array, days: int) -> Array:
    """The last so many values up to each day, the first one standing for those before it."""
    return sliding_window_view(np.pad(values, (days - 1, 0), mode="edge"), days)


def _mean(values: Array, days: int) -> Array:
    return np.asarray(_trailing(values, days).mean(axis=1))


def _deviation(values: Array, days: int) -> Array:
    return np.asarray(_trailing(values, days).std(axis=1))


def windows(rows: Array) -> NDArray[np.float32]:
    """The last `WINDOW` rows up to each day from the first that has so many on."""
    usable = rows[_LONGEST:]
    found = sliding_window_view(usable, WINDOW, axis=0).transpose(0, 2, 1)
    return np.ascontiguousarray(found, np.float32)


FIRST = _LONGEST + WINDOW - 1
"""The day, counted from 0, that the first of `windows` ends on."""


# --- For recipes ----------------------------------------------------------------------------------

Folder = Annotated[
    str | None, Field(description="With one CSV file as yfinance writes it, instead of a symbol.")
]
Days = Annotated[int, Field(ge=2, description="The last so many days.")]


def _chosen(symbol: str, folder: str | None) -> Quotes:
    return packaged_quotes(symbol) if folder is None else quotes_in(Path(folder))


def _forecasts(quotes: Quotes, days: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The last days that have a day after them, each with its window."""
    found = windows(features(quotes))[:-1]
    first = max(0, len(found) - days)
    yield from enumerate(found[first:], start=FIRST + first)


@DATA.register("price-windows")
def price_windows(
    *, symbol: Symbol = "sp500", days: Days = 500, folder: Folder = None
) -> tuple[Sample, ...]:
    """30 days of features up to each of the last days, and the close of the day after."""
    quotes = _chosen(symbol, folder)
    return tuple(
        Sample(
            quotes.days[day].isoformat(),
            {"window": window[np.newaxis]},
            float(quotes.close[day + 1]),
            {"close": [float(quotes.close[day])]},
        )
        for day, window in _forecasts(quotes, days)
    )


@DATA.register("price-feed")
def price_feed(
    *, symbol: Symbol = "sp500", days: Days = 500, folder: Folder = None
) -> tuple[Sample, ...]:
    """The same days one after the other, for a stream: a window and a forecast for each quote."""
    quotes = _chosen(symbol, folder)
    found = list(_forecasts(quotes, days))
    at = np.array([day for day, _ in found])
    label = [float(close) for close in quotes.close[at + 1]]
    feed = np.stack([window for _, window in found])[:, np.newaxis]
    attributes = {"close": [float(close) for close in quotes.close[at]]}
    return (Sample(f"{symbol} as it comes", {"window": feed}, label, attributes),)


@PREPROCESS.register("quotes", needs_stream=True)
def quotes_as_they_come(recipe: Recipe, sample: Sample) -> Mapping[str, NDArray[Any]]:
    """The windows of a feed, one for each quote."""
    assert isinstance(sample.value, dict)  # noqa: S101 (the feed gives these)
    return sample.value


@POSTPROCESS.register("next-close", like="values")
def next_close(recipe: Recipe, outputs: Mapping[str, NDArray[Any]], sample: Sample) -> Prediction:
    """The forecast return, in percent, added to the last close."""
    (returns_pct,) = outputs.values()
    returns = returns_pct.reshape(-1).astype(np.float64) / 100
    # In real time a part of the feed is run, or it begins anew where it ends.
    closes = np.resize(np.array(sample.attributes["close"]), len(returns))
    forecast = closes * np.exp(returns)
    return {"values": [float(value) for value in forecast]}


def _naive(samples: Sequence[Sample]) -> tuple[Array, Array]:
    """What comes of saying that tomorrow is as today: the closes, and those of the day after."""
    today = np.concatenate([np.ravel(one.attributes["close"]) for one in samples])
    return today, np.concatenate([np.ravel(one.label) for one in samples])


@METRICS.register("naive_mae", reads="values", whole=True)
def naive_mae(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """Mean absolute error of the naive forecast, which says that tomorrow's close is today's."""
    today, after = _naive(samples)
    return float(np.abs(after - today).mean())


@METRICS.register("naive_rmse", reads="values", whole=True)
def naive_rmse(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """Root mean square error of the naive forecast."""
    today, after = _naive(samples)
    return float(np.sqrt(np.square(after - today).mean()))


@METRICS.register("mae_over_naive", reads="values", best=0.0, whole=True)
def mae_over_naive(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """Mean absolute error over the naive forecast's: below 1 the model knows more than nothing."""
    _, after = _naive(samples)
    found = np.concatenate([np.array(one["values"]) for one in predictions])
    return float(np.abs(after - found).mean()) / naive_mae(predictions, samples)


@METRICS.register("direction_pct", reads="values", best=100.0, whole=True)
def direction_pct(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """Percent of days that the close rises or falls on as forecast."""
    today, after = _naive(samples)
    found = np.concatenate([np.array(one["values"]) for one in predictions])
    return 100 * float(((found > today) == (after > today)).mean())
