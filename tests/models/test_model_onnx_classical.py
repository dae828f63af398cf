"""Operators of ai.onnx.ml agree with ONNX Runtime, or are refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx_agreement import agree, make

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import import_model

RANDOM = np.random.default_rng(13)
X = RANDOM.standard_normal((6, 4)).astype(np.float32)
NAN = float("nan")


def ml(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, outputs, domain="ai.onnx.ml", **attributes)


def numbers(*shape: int) -> list[float]:
    made: list[float] = RANDOM.standard_normal(shape).ravel().tolist()
    return made


STUMPS = {
    # Two trees: a stump, and one of two levels with every kind of test.
    "nodes_treeids": [0, 0, 0, 1, 1, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 0, 1, 2, 3, 4],
    "nodes_featureids": [0, 0, 0, 3, 1, 0, 0, 0],
    "nodes_values": [0.1, 0, 0, -0.2, 0.3, 0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_GT", "BRANCH_LT", "LEAF", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0, 1, 2, 0, 0, 0],
    "nodes_falsenodeids": [2, 0, 0, 4, 3, 0, 0, 0],
    "nodes_missing_value_tracks_true": [1, 0, 0, 0, 1, 0, 0, 0],
}
LEAVES = {"treeids": [0, 0, 1, 1, 1], "nodeids": [1, 2, 2, 3, 4]}


def leaves(kind: str, ids: list[int], weights: list[float]) -> dict[str, Any]:
    return {
        **{f"{kind}_{name}": values for name, values in LEAVES.items()},
        f"{kind}_ids": ids,
        f"{kind}_weights": weights,
    }


SUPPORT = {
    "n_supports": 3,
    "coefficients": [0.5, -0.7, 0.2],
    "support_vectors": numbers(3, 4),
    "rho": [0.3],
}
NODES = [
    ml("Scaler", ["x"], ["y"], offset=[0.1, 0.2, 0.3, 0.4], scale=[1.0, 2.0, 3.0, 4.0]),
    ml("Scaler", ["x"], ["y"], offset=[0.1], scale=[2.0]),
    *(ml("Normalizer", ["x"], ["y"], norm=norm) for norm in ("L1", "L2")),
    ml("Imputer", ["x"], ["y"], imputed_value_floats=[9.0], replaced_value_float=NAN),
    ml("Imputer", ["x"], ["y"], imputed_value_floats=numbers(4), replaced_value_float=0.5),
    ml("Binarizer", ["x"], ["y"], threshold=0.2),
    ml("FeatureVectorizer", ["x", "x"], ["y"], inputdimensions=[4, 3]),
    ml("OneHotEncoder", ["i"], ["y"], cats_int64s=[0, 2, 5]),
    ml("LabelEncoder", ["i"], ["y"], keys_int64s=[0, 1, 5], values_floats=[0.5, 1.5, 2.5]),
    ml(
        "LinearRegressor",
        ["x"],
        ["y"],
        coefficients=numbers(2, 4),
        intercepts=[0.1, 0.2],
        targets=2,
    ),
    *(
        ml("SVMRegressor", ["x"], ["y"], kernel_type=kind, kernel_params=[0.4, 0.1, 3.0], **SUPPORT)
        for kind in ("LINEAR", "RBF", "POLY", "SIGMOID")
    ),
    *(
        ml(
            "TreeEnsembleRegressor",
            ["n"],
            ["y"],
            n_targets=2,
            aggregate_function=aggregate,
            base_values=[0.5, -0.5],
            **STUMPS,
            **leaves("target", [0, 0, 1, 1, 1], [1.0, 2.0, 3.0, 4.0, 5.0]),
        )
        for aggregate in ("SUM", "AVERAGE")
    ),
]


@pytest.mark.parametrize("node", NODES, ids=[f"{n.op_type}{i}" for i, n in enumerate(NODES)])
def test_numbers_to_numbers(tmp_path: Path, node: Any) -> None:
    x = X.copy()
    x[1, 2] = NAN if node.op_type == "Imputer" else 0.5
    with_nan = X.copy()
    with_nan[0, 0] = with_nan[1, 1] = NAN
    arrays = {"x": x, "n": with_nan, "i": np.array([0, 5, 2, 7], np.int64)}
    fed = {name: arrays[name] for name in node.input}
    agree(make(tmp_path / "m.onnx", [node], fed, ["y"]), fed)


CLASSIFIERS = [
    ml(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        coefficients=numbers(3, 4),
        intercepts=[0.1, 0.2, 0.3],
        classlabels_ints=[3, 7, 9],
        post_transform=transform,
    )
    for transform in ("NONE", "SOFTMAX", "LOGISTIC")
] + [
    ml(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "scores"],
        classlabels_int64s=labels,
        post_transform=transform,
        **STUMPS,
        **leaves("class", ids, weights),
    )
    for labels, ids, weights, transform in (
        ([4, 5, 6], [0, 1, 2, 0, 1], [0.2, 0.3, 0.4, 0.5, 0.1], "NONE"),
        ([4, 5, 6], [0, 1, 2, 0, 1], [0.2, 0.3, 0.4, 0.5, 0.1], "SOFTMAX"),
        ([4, 5], [1, 1, 1, 1, 1], [0.2, 0.3, 0.4, 0.1, 0.45], "NONE"),
        ([4, 5], [0, 0, 0, 0, 0], [0.2, 0.3, 0.4, 0.1, 0.45], "NONE"),
        ([4, 5], [0, 0, 0, 0, 0], [0.2, -0.3, 0.4, -0.5, 0.1], "LOGISTIC"),
    )
]


@pytest.mark.parametrize("node", CLASSIFIERS, ids=[str(i) for i in range(len(CLASSIFIERS))])
def test_classifiers(tmp_path: Path, node: Any) -> None:
    path = make(
        tmp_path / "m.onnx", [node], {"x": X}, ["label", "scores"], types={"label": "int64"}
    )
    agree(path, {"x": X})


STRINGS = {"classlabels_strings": ["a", "b"], "coefficients": numbers(2, 4)}


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([ml("LinearClassifier", ["x"], ["y", "s"], **STRINGS)], "train it with numbered classes"),
        ([ml("OneHotEncoder", ["x"], ["y"], cats_strings=["a"])], "its categories are strings"),
        ([ml("ZipMap", ["x"], ["y"], classlabels_int64s=[0, 1, 2, 3])], "'zipmap': False"),
        (
            [
                ml(
                    "TreeEnsembleRegressor",
                    ["x"],
                    ["y"],
                    n_targets=2,
                    **(STUMPS | {"nodes_truenodeids": [1, 0, 0, 1, 0, 0, 0, 0]}),
                    **leaves("target", [0, 1, 0, 1, 0], [1.0] * 5),
                )
            ],
            "its trees have a cycle",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, nodes: list[Any], said: str) -> None:
    outputs = [name for name in nodes[-1].output if name != "s"]
    path = make(tmp_path / "m.onnx", nodes, {"x": X}, outputs)
    with pytest.raises(ModelUnreadableError) as caught:
        import_model(path)
    assert said in str(caught.value)
