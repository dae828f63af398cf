"""Trains the CNN that reads digits, on scikit-learn's copy of the UCI digits.

Every fifth picture takes no part: the recipes are scored on those. Others are turned, scaled and
moved a little each time they are seen.

    python recipes/training/digits.py [--epochs 30]
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
from exporting import RECIPES, batches, export, module_of, settled
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

digits = module_of("vision/digits")


def network() -> nn.Sequential:
    """Three convolutions and two dense layers: 28 x 28 to 10 scores."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 9, 64),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(64, 10),
    )


def moved(pictures: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Each turned by up to 15 degrees, sheared, scaled by up to a sixth, moved by 2 pixels."""
    count = len(pictures)
    angle = torch.from_numpy(generator.uniform(-15, 15, count) * math.pi / 180)
    scale = torch.from_numpy(generator.uniform(0.86, 1.17, (2, count)))
    shear = torch.from_numpy(generator.uniform(-0.25, 0.25, count))
    shift = torch.from_numpy(generator.uniform(-2, 2, (2, count)) * 2 / digits.SIZE)
    rows = [
        torch.stack([angle.cos() * scale[0], -angle.sin() * scale[0] + shear, shift[0]], dim=1),
        torch.stack([angle.sin() * scale[1], angle.cos() * scale[1], shift[1]], dim=1),
    ]
    grid = functional.affine_grid(
        torch.stack(rows, dim=1).float(), list(pictures.shape), align_corners=False
    )
    found = functional.grid_sample(pictures, grid, align_corners=False)
    # Thinner and thicker strokes: MNIST's pens are not UCI's.
    power = torch.from_numpy(generator.uniform(0.5, 2.0, (count, 1, 1, 1))).float()
    return found.clamp(0, 1) ** power


def trained(x: torch.Tensor, y: torch.Tensor, epochs: int) -> nn.Sequential:
    """The network after so many epochs."""
    settled(0)
    generator = np.random.default_rng(0)
    model = network()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        model.train()
        for lot in batches(len(x), 64, generator):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(moved(x[lot], generator)), y[lot]).backward()
            optimiser.step()
        schedule.step()
    return model.eval()


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description="Train the network that reads digits.")
    parser.add_argument("--epochs", type=int, default=30)
    epochs = parser.parse_args().epochs
    pictures, labels = load_digits(return_X_y=True)
    pictures = pictures.reshape(-1, 8, 8).astype(np.uint8)
    held = np.arange(len(labels)) % 5 == 4
    whole = torch.from_numpy(digits.drawn(pictures)[:, np.newaxis].astype(np.float32) / 255)
    model = trained(whole[~held], torch.from_numpy(labels[~held]), epochs)
    with torch.no_grad():
        logits = model(whole[held]).numpy()
    right = float((logits.argmax(axis=1) == labels[held]).mean())
    np.savez_compressed(
        RECIPES / "vision" / "digits.npz",
        pictures=pictures[held],
        labels=labels[held].astype(np.uint8),
        logits=logits,
    )
    # What `edgetvm quantize` takes its ranges from.
    some = whole[~held][::14].numpy()
    np.savez_compressed(RECIPES / "vision" / "digits-calibration.npz", picture=some)
    told = {
        "trained on": "UCI digits of scikit-learn 1.9.1, four of five",
        "script": "recipes/training/digits.py",
        "accuracy": f"{right:.4f} of {held.sum()} held out",
    }
    path = RECIPES / "vision" / "digits.onnx"
    export(model, [whole[:1]], path, (["picture"], ["scores"]), told)


if __name__ == "__main__":
    main()
