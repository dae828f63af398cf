"""ONNX Runtime's own float operators (com.microsoft), as its optimiser and model builders write."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node
from edgetvm.models.onnx.normalisation import layer_norm


def _activated(node: Node, value: Any) -> Any:
    """The value through the activation that was fused into the node."""
    name = node.attributes.get("activation", "")
    if not name:
        return value
    given = [float(one) for one in node.attributes.get("activation_params") or ()]
    names = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}
    if name == "Clip":
        return node.emit.clip(value, *(given or (-np.inf, np.inf)))
    if name not in ("Relu", "Tanh", "Sigmoid", *names):
        raise node.refusal(f"it has the activation {name!r}")
    return node.apply(name, value, **dict(zip(names.get(name, ()), given, strict=False)))


def _fused_conv(node: Node) -> Any:
    """A convolution, the sum with another tensor, an activation."""
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    given = {name: node.attributes.get(name) for name in names}
    value = node.apply("Conv", *node.inputs[:3], **given)
    if node.has(3):
        value = node.emit.add(value, node.inputs[3])
    return _activated(node, value)


def _fused_gemm(node: Node) -> Any:
    names = ("alpha", "beta", "transA", "transB")
    value = node.apply("Gemm", *node.inputs, **{name: node.attributes.get(name) for name in names})
    name = node.attributes.get("activation", "")
    given = {k: node.attributes.get(f"activation_{k}") for k in ("alpha", "beta")}
    return node.apply(name, value, **given) if name else value


def _fused_matmul(node: Node) -> Any:
    """alpha * a @ b, either one transposed before."""
    emit = node.emit
    operands = []
    for value, side in zip(node.inputs[:2], "AB", strict=True):
        rank = rank_of(value)
        axes = list(range(rank))
        if node.attributes.get(f"transBatch{side}", 0):
            # The batch lies between the last two axes.
            axes = [*axes[1:-1], 0, axes[-1]]
        if node.attributes.get(f"trans{side}", 0) and rank > 1:
            axes[-2:] = axes[:-3:-1]
        operands.append(emit.transpose(value, axes))
    product = node.apply("MatMul", *operands)
    alpha = float(node.attributes.get("alpha", 1.0))
    return product if alpha == 1 else emit.multiply(product, emit.like(alpha, product))


def _gelu(node: Node, value: Any, tanh: bool = False) -> Any:
    return node.emit.unary("nn.gelu_tanh" if tanh else "nn.gelu", value)


def _biased(node: Node, value: Any, index: int) -> Any:
    return node.emit.add(value, node.inputs[index]) if node.has(index) else value


def _quick_gelu(node: Node) -> Any:
    """x * sigmoid(alpha * x)."""
    emit, value = node.emit, node.inputs[0]
    alpha = emit.like(float(node.attributes.get("alpha", 1.702)), value)
    return emit.multiply(value, emit.unary("sigmoid", emit.multiply(alpha, value)))


def _rms_norm(node: Node, value: Any, scale: Any) -> Any:
    """Divided by the root of the mean square over the last axes, and scaled."""
    emit = node.emit
    dtype = dtype_of(value)
    first = int(node.attributes.get("axis", -1)) % rank_of(value)
    wide = emit.cast(value, "float32") if dtype == "float16" else value
    axes = list(range(first, rank_of(value)))
    mean = emit.emit(emit.operator("mean")(emit.multiply(wide, wide), axes, keepdims=True))
    epsilon = emit.like(float(node.attributes.get("epsilon", 1e-5)), mean)
    root = emit.unary("rsqrt", emit.add(mean, epsilon))
    return emit.multiply(emit.cast(emit.multiply(wide, root), dtype), scale)


def _simplified_layer_normalization(node: Node) -> Any:
    return _rms_norm(node, node.inputs[0], node.inputs[1])


def _skip_sum(node: Node, bias: int) -> Any:
    """Input and skip connection, which may broadcast, and a bias."""
    return _biased(node, node.emit.add(node.inputs[0], node.inputs[1]), bias)


def _with_sum(node: Node, result: Any, total: Any) -> list[Any]:
    """The outputs: mean and deviation, which only training uses, are not given."""
    if node.wants(1) or node.wants(2):
        raise node.refusal("its mean and deviation are used")
    return [result, None, None, total] if node.wants(3) else [result]


def _skip_layer_normalization(node: Node) -> list[Any]:
    total = _skip_sum(node, 4)
    return _with_sum(node, layer_norm(node, total, node.inputs[2], node.input(3), 1e-12), total)


def _skip_simplified_layer_normalization(node: Node) -> list[Any]:
    total = _skip_sum(node, 3)
    return _with_sum(node, _rms_norm(node, total, node.inputs[2]), total)


def _embed_layer_normalization(node: Node) -> list[Any]:
    """Sum of word, position and segment embeddings, normalised; and how long each sequence is."""
    emit = node.emit
    words = node.inputs[0]
    batch, length = shape_of(words)
    total = node.apply("Gather", node.inputs[2], words, axis=0)
    if node.has(8):
        places = node.apply("Gather", node.inputs[3], node.inputs[8], axis=0)
    else:
        places = emit.slice(node.inputs[3], 0, 0, length)
    total = emit.add(total, places)
    if node.has(1) and node.has(4):
        total = emit.add(total, node.apply("Gather", node.inputs[4], node.inputs[1], axis=0))
    result = layer_norm(node, total, node.inputs[5], node.inputs[6], 1e-12)
    lengths = emit.const(np.zeros(batch, np.int32))
    if node.has(7):
        lengths = emit.emit(emit.operator("sum")(emit.cast(node.inputs[7], "int32"), [1]))
    return [result, lengths, total]


def _matmul_n_bits(node: Node) -> Any:
    """A product with constant weights of 2, 4 or 8 bits in blocks, which are widened at import."""
    emit, value = node.emit, node.inputs[0]
    bits, size = int(node.attributes.get("bits", 4)), int(node.attributes["block_size"])
    rows, columns = int(node.attributes["K"]), int(node.attributes["N"])
    if bits not in (2, 4, 8) or node.has(4):
        raise node.refusal("it has another number of bits than 2, 4 or 8, or its groups are mixed")
    scales = node.require(2, "scale").astype(np.float32).reshape(columns, -1)
    blocks = -(-rows // size)
    weights = _unpacked(node.require(1, "weight"), bits).reshape(columns, blocks * size)
    zeros: Any = np.float32(1 << (bits - 1))
    if node.has(3):
        zeros = node.require(3, "zero point")
        if zeros.dtype == np.uint8:
            zeros = _unpacked(zeros.reshape(columns, -1), bits)
        zeros = np.repeat(zeros.reshape(columns, -1)[:, :blocks].astype(np.float32), size, 1)
    table = (weights.astype(np.float32) - zeros) * np.repeat(scales, size, 1)
    product = emit.matmul(value, emit.const(table[:, :rows].T, dtype_of(value)))
    return _biased(node, product, 5)


def _unpacked(array: Any, bits: int) -> Any:
    """Numbers of a few bits out of bytes, the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (array[..., None] >> shifts) & ((1 << bits) - 1)
    return parts.reshape(*array.shape[:-1], -1)


RUNTIME_FUSED: dict[str, Converter] = {
    # ONNX Runtime puts this one into ONNX's own domain.
    "SimplifiedLayerNormalization": _simplified_layer_normalization,
    **{
        f"com.microsoft.{name}": converter
        for name, converter in {
            "FusedConv": _fused_conv,
            "FusedGemm": _fused_gemm,
            "FusedMatMul": _fused_matmul,
            "TransposeMatMul": _fused_matmul,
            "Gelu": lambda node: _gelu(node, node.inputs[0]),
            "BiasGelu": lambda node: _gelu(node, _biased(node, node.inputs[0], 1)),
            "FastGelu": lambda node: _gelu(node, _biased(node, node.inputs[0], 1), tanh=True),
            "QuickGelu": _quick_gelu,
            "SimplifiedLayerNormalization": _simplified_layer_normalization,
            "SkipLayerNormalization": _skip_layer_normalization,
            "SkipSimplifiedLayerNormalization": _skip_simplified_layer_normalization,
            "EmbedLayerNormalization": _embed_layer_normalization,
            "MatMulNBits": _matmul_n_bits,
        }.items()
    },
}
