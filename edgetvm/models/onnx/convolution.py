"""Convolutions of one to three axes, floats and integers."""

from __future__ import annotations

from typing import Any

from edgetvm.models.onnx.emitter import dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node

_LAYOUTS = {
    1: ("nn.conv1d", "NCW", "OIW"),
    2: ("nn.conv2d", "NCHW", "OIHW"),
    3: ("nn.conv3d", "NCDHW", "OIDHW"),
}


def window(
    node: Node, sizes: tuple[int, ...], kernel: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations and padding (all beginnings, then all ends) of a sliding window."""
    axes = len(kernel)
    strides = list(node.attributes.get("strides") or [1] * axes)
    dilations = list(node.attributes.get("dilations") or [1] * axes)
    mode = node.attributes.get("auto_pad", "NOTSET") or "NOTSET"
    if mode == "NOTSET":
        return strides, dilations, list(node.attributes.get("pads") or [0] * (2 * axes))
    if mode == "VALID":
        return strides, dilations, [0] * (2 * axes)
    begins, ends = [], []
    for size, extent, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (extent - 1) * dilation + 1
        total = max(0, (-(-size // stride) - 1) * stride + reach - size)
        small, large = total // 2, total - total // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return strides, dilations, begins + ends


def convolve(node: Node, data: Any, weights: Any, out_dtype: str, bordered: bool = False) -> Any:
    """A convolution with the node's attributes, without bias; its data may have their border."""
    emit = node.emit
    axes = rank_of(weights) - 2
    if axes not in _LAYOUTS:
        raise node.refusal(f"a convolution of {axes} axes")
    strides, dilations, padding = window(node, shape_of(data)[2:], list(shape_of(weights)[2:]))
    name, layout, kernel_layout = _LAYOUTS[axes]
    return emit.emit(
        emit.operator(name)(
            data,
            weights,
            strides=strides,
            padding=[0] * (2 * axes) if bordered else padding,
            dilation=dilations,
            groups=int(node.attributes.get("group", 1)),
            data_layout=layout,
            kernel_layout=kernel_layout,
            out_dtype=out_dtype if out_dtype != dtype_of(data) else None,
        )
    )


def conv(node: Node) -> Any:
    """Convolution with or without bias."""
    emit = node.emit
    weights = node.inputs[1]
    result = convolve(node, node.inputs[0], weights, dtype_of(node.inputs[0]))
    if node.has(2):
        column = [1, shape_of(weights)[0], *[1] * (rank_of(weights) - 2)]
        result = emit.add(result, emit.reshape(node.inputs[2], column))
    return result


def conv_transpose(node: Node) -> Any:
    """With an output shape in place of padding; all else is TVM's."""
    shape = node.attributes.get("output_shape")
    if not shape:
        return None
    sizes, kernel = shape_of(node.inputs[0])[2:], shape_of(node.inputs[1])[2:]
    axes = len(kernel)
    strides = list(node.attributes.get("strides") or [1] * axes)
    dilations = list(node.attributes.get("dilations") or [1] * axes)
    extra = list(node.attributes.get("output_padding") or [0] * axes)
    begins, ends = [], []
    for axis, wanted in enumerate(shape[-axes:]):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        total = strides[axis] * (sizes[axis] - 1) + extra[axis] + reach - wanted
        # What is missing is added at the end.
        extra[axis] += max(0, -total)
        small, large = max(0, total) // 2, (max(0, total) + 1) // 2
        upper = node.attributes.get("auto_pad", "NOTSET") == "SAME_UPPER"
        begins.append(small if upper else large)
        ends.append(large if upper else small)
    return node.apply(
        "ConvTranspose",
        *node.inputs,
        strides=strides,
        dilations=dilations,
        output_padding=extra,
        pads=begins + ends,
        group=node.attributes.get("group"),
    )


CONVOLUTION: dict[str, Converter] = {"Conv": conv, "ConvTranspose": conv_transpose}
