"""What PyTorch's quantisation of exported programs adds, as plain arithmetic on integers."""

from __future__ import annotations

from typing import Any

from edgetvm.models.model import QuantisedTensors, counted
from edgetvm.models.onnx.emitter import rank_of, shape_of
from edgetvm.models.torch.arithmetic import is_tensor, operand
from edgetvm.models.torch.call import Call, Converter


def _parameters(call: Call, dtype: str) -> tuple[Any, Any]:
    """Scale and zero point, in shapes that broadcast with the data."""
    value = call["input"]
    scale = call.arguments.get("scale", call.arguments.get("scales"))
    zero = call.arguments.get("zero_point", call.arguments.get("zero_points"))
    shape: tuple[int, ...] = ()
    if "per_channel" in call.operator:
        axis = call["axis"] % rank_of(value)
        shape = tuple(size if one == axis else 1 for one, size in enumerate(shape_of(value)))

    def placed(parameter: Any) -> Any:
        made = operand(call, parameter, dtype)
        return call.emit.reshape(made, shape) if is_tensor(parameter) else made

    return placed(scale), placed(0 if zero is None else zero)


def _quantise(call: Call) -> Any:
    """clamp(round(x / scale) + zero_point)."""
    emit = call.emit
    value = emit.cast(call["input"], "float32")
    scale, zero = _parameters(call, "float32")
    # PyTorch multiplies by the reciprocal: where that rounds differently, so does the result.
    one = emit.like(1, scale)
    rounded = emit.add(emit.unary("round", emit.multiply(value, emit.divide(one, scale))), zero)
    clipped = emit.clip(rounded, float(call["quant_min"]), float(call["quant_max"]))
    return emit.cast(clipped, call.dtype)


def _dequantise(call: Call) -> Any:
    """(q - zero_point) * scale."""
    emit = call.emit
    scale, zero = _parameters(call, "float32")
    value = emit.subtract(emit.cast(call["input"], "float32"), zero)
    return emit.cast(emit.multiply(value, scale), call.dtype)


QUANTISED: dict[str, Converter] = {
    f"quantized_decomposed.{verb}_{kind}": convert
    for verb, convert in (("quantize", _quantise), ("dequantize", _dequantise))
    for kind in ("per_tensor.default", "per_tensor.tensor", "per_channel.default")
}


def quantised_tensors(exported: Any) -> tuple[QuantisedTensors, ...]:
    """What an exported program quantises, or holds quantised."""
    found: dict[str, tuple[str, str, bool]] = {}
    for node in exported.graph.nodes:
        kind = str(node.target).removeprefix("quantized_decomposed.").split(".")[0]
        if node.op != "call_function" or kind.split("_per_")[0] not in ("quantize", "dequantize"):
            continue
        held = kind.startswith("dequantize")
        tensor = node.args[0] if held else node
        dtype = next((str(one) for one in node.args[::-1] if str(one).startswith("torch.")), "")
        role = "weights" if tensor.op in ("placeholder", "get_attr") else "activations"
        if "int32" not in dtype:  # biases follow from the two others
            found[tensor.name] = (role, dtype.removeprefix("torch."), "per_channel" in kind)
    return counted(found.values())
