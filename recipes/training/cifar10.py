"""Trains a small ResNet or MobileNet on CIFAR-10, augmented; needs the data set's own files.

    python -c 'import torchvision; torchvision.datasets.CIFAR10("cifar10", download=True)'
    python recipes/training/cifar10.py cifar10 --network mobilenet -o mobilenet.onnx

No recipe comes of it by itself: the data set is not ours to pass on. `edgetvm recipes new
mobilenet.onnx` begins one, and recipes/vision/cifar10-resnet8.yaml shows the rest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from exporting import batches, export, module_of, settled
from torch import nn

cifar10 = module_of("vision/cifar10")
# Of the data set's training pictures, by channel.
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def convolved(
    inputs: int, outputs: int, stride: int = 1, groups: int = 1, size: int = 3
) -> nn.Sequential:
    """A convolution, normalised, with ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two convolutions, and what came in added."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolved(inputs, outputs, stride),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.body(x) + self.short(x))


def resnet() -> nn.Sequential:
    """ResNet-8: three blocks of 16, 32 and 64 channels."""
    blocks = [Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2)]
    return nn.Sequential(convolved(3, 16), *blocks, *_head(64))


def mobilenet() -> nn.Sequential:
    """MobileNet: six pairs of a convolution by channel and one that mixes them."""
    layers = [convolved(3, 32)]
    steps = [(32, 64, 1), (64, 64, 2), (64, 96, 1), (96, 96, 2), (96, 128, 1), (128, 128, 1)]
    for inputs, outputs, stride in steps:
        layers.append(convolved(inputs, inputs, stride, groups=inputs))
        layers.append(convolved(inputs, outputs, size=1))
    return nn.Sequential(*layers, *_head(128))


def _head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(cifar10.CLASSES))]


NETWORKS = {"resnet8": resnet, "mobilenet": mobilenet}


def inputs_of(pictures: np.ndarray) -> torch.Tensor:
    """Pictures as the network takes them, [count, 3, 32, 32]."""
    scaled = (pictures.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(DEVIATION)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def read(folder: Path, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels of all files of that name."""
    paths = [path for path in sorted(folder.rglob(pattern)) if path.suffix in ("", ".bin")]
    if not paths:
        raise SystemExit(f"{folder}: no file {pattern}")
    parts = [cifar10.read_batch(path) for path in paths]
    return tuple(np.concatenate(side) for side in zip(*parts, strict=True))


def trained(
    model: nn.Module, pictures: np.ndarray, labels: np.ndarray, epochs: int, size: int = 128
) -> nn.Module:
    """The network after so many epochs; each picture is augmented anew each time."""
    generator = np.random.default_rng(0)
    steps = epochs * max(1, len(labels) // size)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, total_steps=steps)
    targets = torch.from_numpy(labels.astype(np.int64))
    model.train()
    for _ in range(epochs):
        for lot in batches(len(labels), min(size, len(labels)), generator):
            seen = np.stack([cifar10.augmented(one, generator) for one in pictures[lot.numpy()]])
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs_of(seen)), targets[lot]).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def main(arguments: list[str] | None = None) -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description="Train a network on CIFAR-10.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", choices=NETWORKS, default="resnet8")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    settled(0)
    model = NETWORKS[chosen.network]()
    model = trained(model, *read(chosen.folder, "data_batch*"), chosen.epochs)
    pictures, labels = read(chosen.folder, "test_batch*")
    with torch.no_grad():
        lots = torch.split(inputs_of(pictures), 500)
        found = np.concatenate([model(lot).argmax(dim=1).numpy() for lot in lots])
    told = {
        "trained on": "CIFAR-10, augmented",
        "script": "recipes/training/cifar10.py",
        "accuracy": f"{(found == labels).mean():.4f} of {len(labels)}",
    }
    export(model, [inputs_of(pictures[:1])], chosen.output, (["picture"], ["scores"]), told)


if __name__ == "__main__":
    main()
