"""The table of converters of our own, and the forms that they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_agreement import agree, by_evaluator, make

from edgetvm.base.errors import ModelUnreadableError, UnsupportedOperatorsError
from edgetvm.models import import_model

RANDOM = np.random.default_rng(3)
X = RANDOM.standard_normal((2, 3, 4)).astype(np.float32)


def text_of(path: Path) -> str:
    return str(import_model(path).module)


@pytest.mark.parametrize("opset", [6, 17])
def test_clip_is_an_operator_that_passes_know(tmp_path: Path, opset: int) -> None:
    if opset == 6:
        node, constants = helper.make_node("Clip", ["x"], ["y"], min=-0.5, max=0.5), {}
    else:
        node = helper.make_node("Clip", ["x", "low", "high"], ["y"])
        constants = {"low": np.array(-0.5, np.float32), "high": np.array(0.5, np.float32)}
    path = make(tmp_path / "m.onnx", [node], {"x": X}, ["y"], constants, opset)
    assert "call_tir" not in text_of(path)
    agree(path, {"x": X})


def test_a_nan_bound_is_no_bound(tmp_path: Path) -> None:
    node = helper.make_node("Clip", ["x", "low", "high"], ["y"])
    constants = {"low": np.array(np.nan, np.float32), "high": np.array(0.5, np.float32)}
    path = make(tmp_path / "m.onnx", [node], {"x": X}, ["y"], constants)
    agree(path, {"x": X}, lambda _, inputs: [np.minimum(inputs["x"], np.float32(0.5))])


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint8"])
def test_a_cast_to_integers_is_one_operator_or_two(tmp_path: Path, dtype: str) -> None:
    """Fused into the sums of a convolution, ten took minutes to compile."""
    to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    node = helper.make_node("Cast", ["x"], ["y"], to=to)
    x = np.array([0.0, 1.99, 0.5, 126.7] + [-1.2, -99.9] * (dtype != "uint8"), np.float32)
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"])
    assert "where" not in text_of(path)
    agree(path, {"x": x})


@pytest.mark.parametrize("operator", ["Sum", "Max", "Min", "Mean"])
def test_variadic_operators_are_chains(tmp_path: Path, operator: str) -> None:
    inputs = {"x": X, "b": X[:1], "c": RANDOM.standard_normal(4).astype(np.float32)}
    path = make(
        tmp_path / "m.onnx", [helper.make_node(operator, ["x", "b", "c"], ["y"])], inputs, ["y"]
    )
    assert "stack" not in text_of(path)
    agree(path, inputs)


def test_dropout_is_nothing(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Dropout", ["x"], ["d", "mask"]),
        helper.make_node("Neg", ["d"], ["y"]),
    ]
    path = make(tmp_path / "m.onnx", nodes, {"x": X}, ["y", "mask"])
    assert "dropout" not in text_of(path)
    agree(path, {"x": X})


@pytest.mark.parametrize(
    ("opset", "begins", "ends", "axes", "steps"),
    [
        (9, [1], [3], [2], None),
        (13, [1], [3], [2], [1]),
        (13, [-1], [-9], [2], [-1]),
        (13, [0, 3], [9, 0], [0, 2], [1, -2]),
    ],
)
def test_slices(
    tmp_path: Path,
    opset: int,
    begins: list[int],
    ends: list[int],
    axes: list[int],
    steps: list[int] | None,
) -> None:
    bounds = {"starts": begins, "ends": ends, "axes": axes}
    if steps is None:
        node, constants = helper.make_node("Slice", ["x"], ["y"], **bounds), {}
    else:
        bounds["steps"] = steps
        node = helper.make_node("Slice", ["x", *bounds], ["y"])
        constants = {name: np.array(value, np.int64) for name, value in bounds.items()}
    path = make(tmp_path / "m.onnx", [node], {"x": X}, ["y"], constants, opset)
    agree(path, {"x": X})


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "transform", ["half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
)
def test_resize(tmp_path: Path, mode: str, transform: str) -> None:
    x = RANDOM.standard_normal((1, 2, 5, 6)).astype(np.float32)
    node = helper.make_node(
        "Resize", ["x", "", "scales"], ["y"], mode=mode, coordinate_transformation_mode=transform
    )
    constants = {"scales": np.array([1, 1, 1.6, 0.5], np.float32)}
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], constants, opset=19)
    agree(path, {"x": x}, by_evaluator, 1e-4)


def test_resize_to_a_size_that_a_float_scale_misses(tmp_path: Path) -> None:
    """7 / 20 as float32 times 20 is less than 7."""
    x = RANDOM.standard_normal((1, 2, 20, 3)).astype(np.float32)
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear")
    constants = {"sizes": np.array([1, 2, 7, 3])}
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], constants, opset=19)
    agree(path, {"x": x}, tolerance=1e-5)


@pytest.mark.parametrize("transform", ["asymmetric", "align_corners"])
def test_resize_to_a_size_whose_places_are_whole(tmp_path: Path, transform: str) -> None:
    """11 / 33 as float32 is more than a third: 3, 6, 9 would be rounded down to 2, 5, 8."""
    x = np.arange(33, dtype=np.float32).reshape(1, 1, 33, 1)
    node = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        coordinate_transformation_mode=transform,
        nearest_mode="floor",
    )
    constants = {"sizes": np.array([1, 1, 11, 1])}
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], constants, opset=19)
    agree(path, {"x": x}, tolerance=0)


def test_the_largest_of_infinities(tmp_path: Path) -> None:
    x = np.array([[-np.inf, -np.inf], [1, -np.inf]], np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["a"], axes=[1], keepdims=0),
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("ReduceMin", ["n"], ["b"], axes=[1], keepdims=0),
    ]
    path = make(tmp_path / "m.onnx", nodes, {"x": x}, ["a", "b"])
    agree(path, {"x": x})


def test_the_lowest_finite_number_is_no_infinity(tmp_path: Path) -> None:
    lowest = np.finfo(np.float32).min
    x = np.array([[lowest, -np.inf], [lowest, lowest]], np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["a"], axes=[1]),
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("ReduceMin", ["n"], ["b"], axes=[1]),
    ]
    agree(make(tmp_path / "m.onnx", nodes, {"x": x}, ["a", "b"]), {"x": x})


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_a_mean_of_integers_is_one(tmp_path: Path, dtype: str) -> None:
    x = np.array([[-7, 4, 0], [5, 5, 6]], dtype)
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[-1], keepdims=0)
    agree(make(tmp_path / "m.onnx", [node], {"x": x}, ["y"]), {"x": x})


def test_no_window_begins_behind_the_input(tmp_path: Path) -> None:
    x = RANDOM.standard_normal((1, 2, 7, 7)).astype(np.float32)
    node = helper.make_node(
        *("MaxPool", ["x"], ["y", "places"]),
        kernel_shape=[2, 2],
        strides=[3, 3],
        pads=[1, 1, 1, 1],
        ceil_mode=1,
    )
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y", "places"], types={"places": "int64"})
    agree(path, {"x": x})


@pytest.mark.parametrize("transform", ["half_pixel", "output_half_pixel"])
def test_regions_in_another_scale(tmp_path: Path, transform: str) -> None:
    x = RANDOM.standard_normal((1, 2, 9, 9)).astype(np.float32)
    inputs = {"x": x, "regions": np.array([[0, 0, 5, 5], [3, 4, 16, 17]], np.float32)}
    node = helper.make_node(
        *("RoiAlign", ["x", "regions", "batches"], ["y"]),
        output_height=3,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=0.5,
        coordinate_transformation_mode=transform,
    )
    constants = {"batches": np.array([0, 0], np.int64)}
    agree(make(tmp_path / "m.onnx", [node], inputs, ["y"], constants), inputs)


def test_shapes_that_do_not_broadcast_are_refused(tmp_path: Path) -> None:
    inputs = {"x": X[0, 0], "b": X[0, 0, :3]}
    node = helper.make_node("Mod", ["x", "b"], ["y"], "rest", fmod=1)
    with pytest.raises(ModelUnreadableError, match=r"Mod 'rest'.*broadcast"):
        import_model(make(tmp_path / "m.onnx", [node], inputs, ["y"]))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"nodes_truenodeids": [9]}, "out of bounds"),
        ({"nodes_falseleafs": [1], "nodes_falsenodeids": [-3]}, "leads to none"),
        ({"tree_roots": [5]}, "leads to none"),
        ({"nodes_featureids": [-1]}, "before the first"),
    ],
)
def test_trees_that_lead_out_of_their_tables_are_refused(
    tmp_path: Path, changed: dict[str, list[int]], what: str
) -> None:
    given: dict[str, Any] = {
        "tree_roots": [0],
        "nodes_modes": numpy_helper.from_array(np.array([0], np.uint8)),
        "nodes_featureids": [0],
        "nodes_splits": numpy_helper.from_array(np.array([0.5], np.float32)),
        "nodes_truenodeids": [0],
        "nodes_trueleafs": [1],
        "nodes_falsenodeids": [1],
        "nodes_falseleafs": [1],
        "leaf_targetids": [0, 0],
        "leaf_weights": numpy_helper.from_array(np.array([1, 2], np.float32)),
    }
    x = X[0, :, :2]
    node = helper.make_node(
        *("TreeEnsemble", ["x"], ["y"], "forest"), domain="ai.onnx.ml", **(given | changed)
    )
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"])
    model = onnx.load(path)
    next(one for one in model.opset_import if one.domain).version = 5
    onnx.save(model, path)
    with pytest.raises(ModelUnreadableError, match=f"'forest'.*{what}"):
        import_model(path)


def test_an_operator_is_opened_into_its_function(tmp_path: Path) -> None:
    # CenterCropPad and Swish have no converter; ONNX defines them by simpler operators.
    nodes = [
        helper.make_node("CenterCropPad", ["x", "shape"], ["c"], axes=[1, 2]),
        helper.make_node("Swish", ["c"], ["y"], alpha=0.5),
    ]
    constants = {"shape": np.array([5, 2], np.int64)}
    path = make(tmp_path / "m.onnx", nodes, {"x": X}, ["y"], constants, opset=24)
    agree(path, {"x": X}, by_evaluator)


def test_functions_of_the_model_itself(tmp_path: Path) -> None:
    path = make(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], {"x": X}, ["y"])
    model = onnx.load(path)
    model.functions.append(
        helper.make_function(
            "mine",
            "Leak",
            ["a"],
            ["b"],
            [
                _with_reference(helper.make_node("LeakyRelu", ["a"], ["t"]), "alpha", "slope"),
                helper.make_node("Neg", ["t"], ["b"]),
            ],
            [helper.make_opsetid("", 17)],
            ["slope"],
        )
    )
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Leak", ["x"], ["y"], domain="mine", slope=0.3))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    path.write_bytes(model.SerializeToString())
    agree(path, {"x": X})


def _with_reference(node: Any, name: str, reference: str) -> Any:
    node.attribute.append(
        onnx.AttributeProto(name=name, ref_attr_name=reference, type=onnx.AttributeProto.FLOAT)
    )
    return node


def test_constants_that_follow_from_shapes_are_folded(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"zero": np.array([0], np.int64), "minus": np.array([-1], np.int64)}
    path = make(tmp_path / "m.onnx", nodes, {"x": X}, ["y"], constants)
    assert agree(path, {"x": X}).signature.outputs[0].shape == (2, 12)


def test_an_operator_without_any_converter_is_named(tmp_path: Path) -> None:
    node = helper.make_node("ImageDecoder", ["x"], ["y"], "decoder")
    path = make(tmp_path / "m.onnx", [node], {"x": np.zeros(4, np.uint8)}, ["y"], opset=20)
    with pytest.raises(UnsupportedOperatorsError, match=r"ImageDecoder \(1x: decoder\)"):
        import_model(path)


def test_an_output_that_is_constant(tmp_path: Path) -> None:
    nodes = [helper.make_node("Shape", ["x"], ["y"])]
    agree(make(tmp_path / "m.onnx", nodes, {"x": X}, ["y"]), {"x": X})


def test_every_binding_knows_its_node(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mish", ["x"], ["a"], "block/1/mish"),
        helper.make_node("HardSwish", ["a"], ["bb"]),  # TVM's, of calls within calls
        helper.make_node("HardSigmoid", ["bb"], ["c"], "9th"),
        helper.make_node("GroupNormalization", ["c", "s", "s"], ["y"], "norm", num_groups=3),
    ]
    constants = {"s": np.ones(3, np.float32)}
    model = import_model(make(tmp_path / "m.onnx", nodes, {"x": X}, ["y"], constants, 21))
    (block,) = model.module["main"].body.blocks
    found = {model.nodes.get(one.var.name) for one in block.bindings}
    assert found == {"block/1/mish", "bb", "9th", "norm"}
