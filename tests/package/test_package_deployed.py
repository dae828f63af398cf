"""A package in the C runtime, beside the same library in TVM's."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
from made_packages import to_bytes

from edgetvm.base.errors import InputError, PackageError
from edgetvm.models.fills import fill
from edgetvm.package import Executor, Package
from edgetvm.package.crossbuild import build_runtime
from edgetvm.package.deployed import DeployedModel, runs_in_c


@pytest.fixture
def deployed(tiny_package: Package, tmp_path: Path) -> DeployedModel:
    return _deployed(tiny_package, tmp_path)


def _deployed(package: Package, folder: Path, threads: int = 2) -> DeployedModel:
    path = folder / "m.edgetvm"
    path.write_bytes(package.data)
    (target,) = package.manifest.targets
    assert runs_in_c(target)
    runtime = build_runtime(platform.machine(), "glibc")
    return DeployedModel(path, package, target, runtime, threads)


def test_it_answers_as_tvms_runtime_does(deployed: DeployedModel, tiny_package: Package) -> None:
    inputs = dict(fill(deployed.signature, "random"))
    expected = Executor.of(tiny_package).run(inputs)
    for found in (deployed.run(inputs), deployed.run(inputs)):
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert to_bytes(found[name]) == to_bytes(array)
    assert deployed.run_ns() > 0
    assert [one.name for one in deployed.timed_calls()]


def test_fewer_threads_run_on_the_same_inputs(deployed: DeployedModel) -> None:
    inputs = dict(fill(deployed.signature, "random"))
    expected = deployed.run(inputs)
    for threads in (1, 2, 9):
        deployed.share_among(threads)
        deployed.invoke()
        for name, array in expected.items():
            np.testing.assert_array_equal(deployed.outputs()[name], array)


def test_a_state_that_is_given_is_taken(stateful_package: Package, tmp_path: Path) -> None:
    """Chunk after chunk, as a stream's board function carries it."""
    deployed = _deployed(stateful_package, tmp_path)
    executor = Executor.of(stateful_package)
    inputs = dict(fill(deployed.signature, "random"))
    for _ in range(3):
        found, expected = deployed.run(inputs), executor.run(inputs)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
        for state in deployed.signature.states:
            inputs[state.input] = found[state.output]


def test_inputs_that_do_not_fit(deployed: DeployedModel) -> None:
    with pytest.raises(InputError):
        deployed.set_inputs({})


def test_a_damaged_file(tiny_package: Package, tmp_path: Path) -> None:
    """It reads the file itself."""
    path = tmp_path / "m.edgetvm"
    path.write_bytes(tiny_package.data[:-100])
    (target,) = tiny_package.manifest.targets
    runtime = build_runtime(platform.machine(), "glibc")
    with pytest.raises(PackageError, match=r"m\.edgetvm"):
        DeployedModel(path, tiny_package, target, runtime)
