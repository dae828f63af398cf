"""Batch normalisation, folded into the convolution before it where that is the only reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import array_of, rank_of
from edgetvm.models.torch.call import Call, Converter

_NORM = "aten._native_batch_norm_legit_no_training.default"


@dataclass(frozen=True)
class FoldedNorm:
    """A convolution that normalises as well.

    Attributes:
        convolution: its node, whose own result nobody reads.
        weight, bias: torch tensors.
    """

    convolution: Any
    weight: Any
    bias: Any


def folded_norm(node: Any, known: Mapping[Any, Any]) -> FoldedNorm | None:
    """What a normalisation node becomes together with the convolution before it, if it can.

    Args:
        node: any node of a program.
        known: the constants, by node.
    """
    if str(node.target) != _NORM or str(node.args[0].target) != "aten.convolution.default":
        return None
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    convolution = node.args[0]
    weight, bias, *_, transposed, _, groups = convolution.args[1:9]
    parameters = [one for one in (weight, bias, *node.args[1:5]) if one is not None]
    alone = len(convolution.users) == 1 and not (transposed and groups != 1)
    if not alone or any(one not in known for one in parameters):
        return None
    scale, shift, mean, variance = (known.get(one) for one in node.args[1:5])
    fused = fuse_conv_bn_weights(
        *(known[weight], known.get(bias), mean, variance, node.args[6], scale, shift),
        transpose=bool(transposed),
    )
    return FoldedNorm(convolution, *(one.detach() for one in fused))


def _batch_norm(call: Call) -> Any:
    """One product and one sum, whose constants are computed here."""
    parameters = [call[name] for name in ("weight", "bias", "running_mean", "running_var")]
    arrays = [None if one is None else array_of(one) for one in parameters]
    if any(
        one is not None and array is None for one, array in zip(parameters, arrays, strict=True)
    ):
        return None
    weight, bias, mean, variance = (
        None if array is None else array.astype(np.float64) for array in arrays
    )
    if mean is None or variance is None:
        return None
    scale = (1 if weight is None else weight) / np.sqrt(variance + call["eps"])
    shift = (0 if bias is None else bias) - mean * scale
    emit, value = call.emit, call["input"]
    shape = (1, -1, *[1] * (rank_of(value) - 2))
    scaled = emit.multiply(value, emit.const(scale.reshape(shape), call.dtype))
    return [emit.add(scaled, emit.const(shift.reshape(shape), call.dtype)), None, None]


def _group_norm(call: Call) -> Any:
    from tvm import relax

    emit, value = call.emit, call["input"]
    channels = call["C"]
    weight, bias = (
        emit.const(np.full(channels, otherwise), call.dtype) if call[name] is None else call[name]
        for name, otherwise in (("weight", 1), ("bias", 0))
    )
    axes = list(range(2, rank_of(value)))
    normed = relax.op.nn.group_norm(
        value, weight, bias, call["group"], channel_axis=1, axes=axes, epsilon=call["eps"]
    )
    return [normed, None, None]


NORMALISATION: dict[str, Converter] = {
    _NORM: _batch_norm,
    "aten.native_group_norm.default": _group_norm,
}
