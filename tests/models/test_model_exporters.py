"""Models of other frameworks, written by their own exporters when the test runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetvm.models import import_model
from edgetvm.models.reference import Source, reference_for


def _run(module: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    import tvm
    from tvm import relax

    with tvm.transform.PassContext(opt_level=0):
        machine = relax.VirtualMachine(relax.build(module, "llvm"), tvm.cpu())
    results = machine["main"](*(tvm.runtime.tensor(array) for array in inputs))
    results = [results] if hasattr(results, "numpy") else results
    return [result.numpy() for result in results]


def _regressor() -> Any:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(hidden_layer_sizes=(16,), max_iter=20, random_state=0)


def _clusters() -> Any:
    from sklearn.cluster import KMeans

    return KMeans(5, n_init=1, random_state=0)


def _components() -> Any:
    from sklearn.decomposition import PCA

    return PCA(8, random_state=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "answer"),
    [(_regressor, "predict"), (_clusters, "predict"), (_components, "transform")],
)
def test_scikit_learn(tmp_path: Path, make: Callable[[], Any], answer: str) -> None:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits

    samples, digits = load_digits(return_X_y=True)
    samples = samples.astype(np.float32)
    estimator = make().fit(samples, digits)
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(estimator, samples[:1]).SerializeToString())
    model = import_model(path)
    (spec,) = model.signature.inputs
    assert spec.shape == (1, 64)
    reference = reference_for(Source.of(model))
    for index in range(0, len(samples), 400):
        sample = samples[index : index + 1]
        found = _run(model.module, [sample])
        expected = getattr(estimator, answer)(sample)
        np.testing.assert_allclose(found[0].ravel(), expected.ravel(), rtol=1e-4, atol=1e-4)
        for mine, theirs in zip(found, reference.run({spec.name: sample}).values(), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
