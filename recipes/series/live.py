"""Forecasts the next close as quotes come in, on this machine or on a board.

    edgetvm package series/sp500-lstm -o forecast.edgetvm
    python recipes/series/live.py forecast.edgetvm --replay quotes.csv --per-second 4
    python recipes/series/live.py forecast.edgetvm --replay sp500 --days 500 --device my-rpi4
    my-feed | python recipes/series/live.py forecast.edgetvm --replay -
    python recipes/series/live.py forecast.edgetvm --yfinance ^GSPC --every 60

A CSV file has a day in each row, as yfinance writes them; `-` reads it from the standard input,
line by line as they come. Once there are 50 days, each quote is answered with the forecast, and
with how long the run took.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.base.errors import EdgetvmError, MissingToolError
from edgetvm.farm import connected, find_board
from edgetvm.package import read_package
from edgetvm.recipes import run_module

prices: Any = run_module(Path(__file__).resolve().parent / "prices.py")
NEEDED = prices.FIRST + 1
SYMBOLS = tuple(prices.SOURCES)
_LONGEST_HEAD = 3  # lines, in a file of yfinance's


def replayed(source: str, days: int, per_second: float) -> Iterator[Any]:
    """Quotes up to each day: of a file, of a packaged symbol, or of lines that come in."""
    if source == "-":
        yield from arriving()
        return
    if source in SYMBOLS:
        quotes = prices.packaged_quotes(source)
    else:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
        quotes = prices.read_quotes(lines, source)
    count = len(quotes.days)
    for end in range(max(NEEDED, count - days + 1), count + 1):
        yield quotes.last(end)
        time.sleep(1 / per_second)


def arriving() -> Iterator[Any]:
    """Quotes after each line of the standard input that adds a day."""
    lines: list[str] = []
    for line in sys.stdin:
        lines.append(line.rstrip("\n"))
        if len(lines) > NEEDED + _LONGEST_HEAD:
            yield prices.read_quotes(lines, "standard input")


def polled(symbol: str, every_s: float) -> Iterator[Any]:
    """Quotes of Yahoo Finance, whenever its last one has changed."""
    try:
        import yfinance
    except ImportError as error:
        raise MissingToolError(
            "yfinance is missing, which fetches quotes", mend="run: pip install 'edgetvm[data]'"
        ) from error
    seen: tuple[date, float] | None = None
    while True:
        table = yfinance.download(symbol, period="6mo", auto_adjust=True, progress=False)
        quotes = prices.read_quotes(table.to_csv().splitlines(), symbol)
        now = quotes.days[-1], float(quotes.close[-1])
        if now != seen:
            seen = now
            yield quotes
        time.sleep(every_s)


def forecast(session: Any, quotes: Any) -> tuple[float, float]:
    """The close to come, and the milliseconds that the run took."""
    window = prices.windows(prices.features(quotes.last(len(quotes.days))))[-1:]
    duration_ns, outputs = session.run({"window": window})
    (return_pct,) = (float(array.reshape(-1)[0]) for array in outputs.values())
    return float(quotes.close[-1] * np.exp(return_pct / 100)), duration_ns / 1e6


def tell(feed: Iterator[Any], session: Any) -> None:
    """A line for each quote; at the end the errors, beside those of the naive forecast."""
    sys.stdout.write(f"{'day':10} {'close':>10} {'forecast':>10} {'ms':>8}\n")
    errors: list[tuple[float, float]] = []
    before: tuple[float, float] | None = None
    for quotes in feed:
        close = float(quotes.close[-1])
        if before is not None:
            errors.append((abs(before[0] - close), abs(before[1] - close)))
        said, took_ms = forecast(session, quotes)
        before = said, close
        sys.stdout.write(f"{quotes.days[-1]} {close:10.2f} {said:10.2f} {took_ms:8.3f}\n")
        sys.stdout.flush()
    if errors:
        ours, naive = np.mean(errors, axis=0)
        sys.stdout.write(f"mean absolute error {ours:.3f}, naive {naive:.3f}\n")


def main(arguments: list[str] | None = None) -> int:
    """Forecast until the quotes end."""
    parser = argparse.ArgumentParser(description="Forecast the next close as quotes come in.")
    parser.add_argument("package", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--replay", metavar=f"FILE.csv|-|{'|'.join(SYMBOLS)}")
    source.add_argument("--yfinance", metavar="SYMBOL")
    parser.add_argument("--per-second", type=float, default=4.0, help="quotes replayed")
    parser.add_argument("--days", type=int, default=250, help="the last so many are replayed")
    parser.add_argument("--every", type=float, default=60.0, help="seconds from poll to poll")
    parser.add_argument("--device", default="local")
    chosen = parser.parse_args(arguments)
    if chosen.replay is None:
        feed = polled(chosen.yfinance, chosen.every)
    else:
        feed = replayed(chosen.replay, chosen.days, chosen.per_second)
    try:
        package = read_package(chosen.package)
        with connected(find_board(chosen.device), "live forecasts") as session:
            session.open(package.data, threads=1)
            tell(feed, session)
    except EdgetvmError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
