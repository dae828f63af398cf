"""-Os on every architecture: LiteRT's answers to the last bit, from less code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_runtime import Builds
from litert import by_litert
from made_operators import Op, Sub, T, const, write_graphs
from made_packages import contents, packed
from numpy.typing import NDArray

from benchmarks.footprint.sizes import size_of
from edgetvm.boards import load_profile
from edgetvm.compile import Artifact, CompileOptions, compile_model
from edgetvm.models import import_model
from edgetvm.package import check

PROFILES = {"x86_64": "local", "aarch64": "qemu-aarch64", "armv7l": "qemu-armv7"}
_SAME = {"padding": 0, "fusedActivationFunction": 1}


class _Net:
    """Operators of an 8-bit network, each on what the last one made."""

    def __init__(self, *shape: int) -> None:
        self._draw = np.random.default_rng(8)
        self.tensors = [T(shape, "int8", scale=0.04, zero=-3)]
        self.operators: list[Op] = []

    def _add(self, tensor: T) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _sums(self, kind: str, weights: NDArray[Any], axis: int, stride: int, **more: int) -> None:
        last = len(self.tensors) - 1
        batch, height, width, _ = self.tensors[last].shape
        features = weights.shape[axis]
        scales = self._draw.uniform(0.002, 0.01, features)
        weight_scale = {"scale": list(scales), "zero": [0] * features}
        inputs = [
            last,
            self._add(const(weights, "int8", axis=axis, **weight_scale)),
            self._add(
                const(
                    self._draw.integers(-900, 900, features),
                    scale=list(scales * self.tensors[last].scale),
                    zero=[0] * features,
                )
            ),
        ]
        shape = (batch, -(-height // stride), -(-width // stride), features)
        made = self._add(T(shape, "int8", scale=0.05, zero=-128))
        options = {**_SAME, "strideW": stride, "strideH": stride, **more}
        options |= {"dilationWFactor": 1, "dilationHFactor": 1}
        name = "Conv2DOptions" if axis == 0 else "DepthwiseConv2DOptions"
        self.operators.append(Op(kind, inputs, [made], (name, options), version=3))

    def conv(self, features: int, size: int, stride: int = 1) -> None:
        channels = self.tensors[-1].shape[-1]
        weights = self._draw.integers(-127, 128, (features, size, size, channels))
        self._sums("CONV_2D", weights, 0, stride)

    def depthwise(self, stride: int = 1) -> None:
        weights = self._draw.integers(-127, 128, (1, 3, 3, self.tensors[-1].shape[-1]))
        self._sums("DEPTHWISE_CONV_2D", weights, 3, stride, depthMultiplier=1)

    def write(self, path: Path) -> Path:
        write_graphs(path, Sub(self.tensors, self.operators, [0], [len(self.tensors) - 1]))
        return path


@dataclass(frozen=True)
class Small:
    """A network at -Os, and the same at -O3, by architecture."""

    file: Path
    data: bytes
    small: dict[str, Artifact]
    usual: dict[str, Artifact]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Layers of one kind in several sizes, as MobileNet has them; some more than once."""
    made = _Net(1, 20, 20, 3)
    made.conv(8, 3, stride=2)
    for features, stride in ((16, 1), (32, 2), (32, 1), (32, 1), (64, 2)):
        made.depthwise(stride)
        made.conv(features, 1)
    file = made.write(tmp_path_factory.mktemp("small") / "net.tflite")
    model = import_model(file)
    small, usual = (
        {
            architecture: compile_model(model, load_profile(profile), options=options)
            for architecture, profile in PROFILES.items()
        }
        for options in (CompileOptions("s"), CompileOptions())
    )
    checked = check(small["x86_64"], model)
    data = packed(*contents(list(small.values()), checked))
    return Small(file, data, small, usual)


@pytest.mark.parametrize("architecture", PROFILES)
def test_small_code_answers_as_litert(
    architecture: str, builds: Builds, net: Small, tmp_path: Path
) -> None:
    path, given = tmp_path / "m.edgetvm", tmp_path / "x.npy"
    path.write_bytes(net.data)
    data = np.random.default_rng(3).integers(-128, 128, (1, 20, 20, 3)).astype(np.int8)
    np.save(given, data)
    builds.static(architecture)(path, "--input", given, "--output", tmp_path)
    (expected,) = by_litert(net.file, [data])
    found = np.load(tmp_path / "output-0.npy")
    np.testing.assert_array_equal(found, expected)
    assert np.unique(found).size > 20


@pytest.mark.parametrize("architecture", PROFILES)
def test_small_code_is_small(architecture: str, net: Small) -> None:
    small, usual = (size_of("model", made[architecture].library) for made in (net.small, net.usual))
    assert small.code_bytes < 0.6 * usual.code_bytes
    assert small.loaded_bytes < usual.loaded_bytes


def test_kernels_keep_their_names(builds: Builds, net: Small, tmp_path: Path) -> None:
    """Several share a function, and each call is told as what it computes."""
    path = tmp_path / "m.edgetvm"
    path.write_bytes(net.data)
    told = builds.native()(path, "--profile").stdout
    for kernel in net.small["x86_64"].kernels:
        assert kernel.name in told
