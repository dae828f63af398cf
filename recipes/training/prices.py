"""Trains the LSTMs that forecast the next day's close, on the S&P 500 and Nasdaq of package arch.

The first days up to the end of 2014 are trained on; 2015 and 2016 choose the epoch; the last 500
days, of 2017 and 2018, take no part: the recipes are scored on them.

    python recipes/training/prices.py [--epochs 12] [--members 5]
"""

from __future__ import annotations

import argparse
from datetime import date

import numpy as np
import torch
from exporting import RECIPES, batches, export, module_of, settled
from torch import nn

prices = module_of("series/prices")
HIDDEN = 24
TRAINED_UNTIL, CHOSEN_UNTIL = date(2014, 12, 31), date(2016, 12, 31)


class Forecaster(nn.Module):
    """30 days of features to the next day's return, in percent."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(len(prices.FEATURES), HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(window)
        return self.head(self.dropout(states[:, -1]))


class Ensemble(nn.Module):
    """The mean of what several forecast."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(window) for member in self.members]).mean(dim=0)


def days_of(symbol: str) -> tuple[np.ndarray, np.ndarray, list[date]]:
    """Windows, the return in percent of the day after each, and the last day of each."""
    quotes = prices.packaged_quotes(symbol)
    found = prices.windows(prices.features(quotes))[:-1]
    at = np.arange(prices.FIRST, prices.FIRST + len(found))
    returns = 100 * np.log(quotes.close[at + 1] / quotes.close[at])
    return found, returns.astype(np.float32)[:, None], [quotes.days[one] for one in at]


def parts() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What is trained on and what chooses, of both symbols."""
    kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"trained": [], "chosen": []}
    for symbol in ("sp500", "nasdaq"):
        x, y, days = days_of(symbol)
        first = sum(day <= TRAINED_UNTIL for day in days)
        second = sum(day <= CHOSEN_UNTIL for day in days)
        # A day's return is of the day after: the last one of each part is left out.
        kept["trained"].append((x[: first - 1], y[: first - 1]))
        kept["chosen"].append((x[first : second - 1], y[first : second - 1]))
    return {
        name: tuple(torch.from_numpy(np.concatenate(side)) for side in zip(*pairs, strict=True))
        for name, pairs in kept.items()
    }


def trained(seed: int, epochs: int) -> Forecaster:
    """One forecaster, as it was after the epoch that does best on the days that choose."""
    settled(seed)
    generator = np.random.default_rng(seed)
    found = parts()
    (x, y), (held_x, held_y) = found["trained"], found["chosen"]
    model = Forecaster()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    loss = nn.HuberLoss(delta=1.0)
    best, kept = float("inf"), {}
    for _ in range(epochs):
        model.train()
        for lot in batches(len(x), 128, generator):
            optimiser.zero_grad()
            loss(model(x[lot]), y[lot]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        model.eval()
        with torch.no_grad():
            now = float((model(held_x) - held_y).abs().mean())
        if now < best:
            best, kept = now, {key: one.clone() for key, one in model.state_dict().items()}
    model.load_state_dict(kept)
    return model.eval()


def told(model: nn.Module) -> dict[str, str]:
    """Mean absolute errors of the last 500 days, beside those of the naive forecast."""
    lines = {
        "trained on": "S&P 500 and Nasdaq of arch 8.0.0, 1999 to 2014; epoch chosen on 2015, 2016",
        "script": "recipes/training/prices.py",
    }
    for symbol in ("sp500", "nasdaq"):
        x, y, _ = days_of(symbol)
        with torch.no_grad():
            found = model(torch.from_numpy(x[-500:])).numpy()
        ours, naive = np.abs(found - y[-500:]).mean(), np.abs(y[-500:]).mean()
        lines[f"{symbol}, error in percent"] = f"{ours:.4f}, naive {naive:.4f}"
    return lines


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description="Train the forecasters of prices.")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--members", type=int, default=5)
    arguments = parser.parse_args()
    members = [trained(seed, arguments.epochs) for seed in range(arguments.members)]
    ensemble = Ensemble(members)
    example = torch.zeros(1, prices.WINDOW, len(prices.FEATURES))
    names = ["window"], ["return_pct"]
    for name, model in (("prices-lstm", members[0]), ("prices-ensemble", ensemble)):
        path = RECIPES / "series" / f"{name}.onnx"
        export(model.eval(), [example], path, names, told(model.eval()))


if __name__ == "__main__":
    main()
