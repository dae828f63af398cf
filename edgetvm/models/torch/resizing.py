"""Resizing: PyTorch itself says which elements are taken, or with which weights."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from edgetvm.models.onnx.emitter import rank_of, shape_of
from edgetvm.models.torch.call import Call, Converter


def _weights(call: Call, axis: int, dims: int) -> NDArray[Any]:
    """What each old element of a spatial axis gives to each new one: `[old, new]`."""
    import torch

    value = _data(call)
    size = shape_of(value)[axis + 2]
    _, name, overload = call.operator.split(".")
    operator = getattr(getattr(torch.ops.aten, name), overload)
    # As the last axis of an image that is 1 elsewhere.
    single = torch.eye(size, dtype=torch.float64).reshape(size, *[1] * dims, size)
    options: dict[str, Any] = {
        "output_size": [*[1] * (dims - 1), call.shape[axis + 2]],
        **{key: call[key] for key in ("align_corners",) if key in call.arguments},
    }
    if overload == "vec":
        factors = call["scale_factors"]
        if call["output_size"] is None:
            options["output_size"] = None
            factors = [*[1.0] * (dims - 1), factors[axis]]
        options["scale_factors"] = factors
    else:
        names = [key for key in call.arguments if key.startswith("scales")]
        options[names[-1]] = call[names[axis]]
    result = operator(single, **options)
    array: NDArray[Any] = result.reshape(size, -1).numpy()
    return array


def _data(call: Call) -> Any:
    return call["input" if call.operator.endswith(".vec") else "self"]


def _nearest(call: Call) -> Any:
    dims = rank_of(_data(call)) - 2
    value = _data(call)
    if call.operator.endswith("2d.vec") and "exact" not in call.operator and _is_multiple(call):
        return None
    for axis in range(dims):
        if call.shape[axis + 2] != shape_of(value)[axis + 2]:
            picked = _weights(call, axis, dims).argmax(0)
            value = call.emit.take(value, picked, axis + 2)
    return value


def _is_multiple(call: Call) -> bool:
    old, new = shape_of(_data(call))[2:], call.shape[2:]
    return all(b % a == 0 for a, b in zip(old, new, strict=True))


def _linear(call: Call) -> Any:
    """One product with a matrix of weights for each axis."""
    emit, value = call.emit, _data(call)
    rank = rank_of(value)
    if call.operator == "aten.upsample_bilinear2d.vec" and _is_plain(call):
        return None
    for axis in range(rank - 2):
        weights = _weights(call, axis, rank - 2)
        if weights.shape[0] == weights.shape[1] and (weights.diagonal() == 1).all():
            continue
        order = [one for one in range(rank) if one != axis + 2] + [axis + 2]
        turned = emit.matmul(emit.transpose(value, order), emit.const(weights, call.dtype))
        value = emit.transpose(turned, [order.index(one) for one in range(rank)])
    return value


def _is_plain(call: Call) -> bool:
    """Whether the ratio of the sizes is what decides: then Relax's operator does the same."""
    factors = call.arguments.get("scale_factors")
    old, new = shape_of(_data(call))[2:], call.shape[2:]
    return (
        factors is None
        or bool(call["align_corners"])
        or all(a * factor == b for a, factor, b in zip(old, factors, new, strict=True))
    )


_NEAREST = [
    f"{kind}{dims}d"
    for kind in ("upsample_nearest", "_upsample_nearest_exact")
    for dims in (1, 2, 3)
]
_LINEAR = [
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_trilinear3d",
    "upsample_bicubic2d",
    "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa",
]

RESIZING: dict[str, Converter] = {
    f"aten.{name}.{overload}": convert
    for names, convert in ((_NEAREST, _nearest), (_LINEAR, _linear))
    for name in names
    for overload in ("vec", "default")
}
