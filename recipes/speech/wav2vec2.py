"""wav2vec 2.0 with a CTC head, out of a checkpoint as Hugging Face keeps it.

A folder with `config.json`, `vocab.json` and `model.safetensors` becomes an ONNX file and a recipe:

    python wav2vec2.py wav2vec2-base-960h --seconds 10 --output recipes/speech/wav2vec2-base-960h

Source: Baevski et al., wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations, 2020; names and order of operators are those of Wav2Vec2ForCTC.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ConfigurationError, ModelUnreadableError
from edgetvm.recipes import MODELS, run_module

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, NDArray[Any]]

Net = run_module(Path(__file__).with_name("networks.py")).Net

RATE_HZ = 16000
_MOST_HEADER = 100 << 20
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}
_BODY = "wav2vec2"


@dataclass(frozen=True)
class Shape:
    """What `config.json` says of a network; those of wav2vec 2.0 base without more.

    Attributes:
        conv_dim, conv_kernel, conv_stride: of the convolutions on the sound.
        width: of what a step holds.
        inner: of the feed-forward layers.
        place_kernel, place_groups: of the convolution that tells places apart.
        letters: of the head.
    """

    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    width: int = 768
    inner: int = 3072
    layers: int = 12
    heads: int = 12
    place_kernel: int = 128
    place_groups: int = 16
    letters: int = 32
    epsilon: float = 1e-5

    @classmethod
    def of(cls, config: Mapping[str, Any], where: str) -> Shape:
        """From the content of `config.json`.

        Raises:
            ConfigurationError: it is of another kind of network.
        """
        wanted = {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False}
        for key, value in wanted.items():
            if config.get(key, value) != value:
                raise ConfigurationError(
                    f"{key} is {config[key]!r}, and {value!r} is known here",
                    where=where,
                    mend="take a checkpoint of wav2vec 2.0 base",
                )
        try:
            return cls(
                *(tuple(config[f"conv_{key}"]) for key in ("dim", "kernel", "stride")),
                config["hidden_size"],
                config["intermediate_size"],
                config["num_hidden_layers"],
                config["num_attention_heads"],
                config["num_conv_pos_embeddings"],
                config["num_conv_pos_embedding_groups"],
                config["vocab_size"],
                config.get("layer_norm_eps", 1e-5),
            )
        except KeyError as error:
            raise ConfigurationError(
                f"no {error} in it", where=where, mend="is it a wav2vec 2.0?"
            ) from error


@MODELS.register("wav2vec2-base-untrained.onnx")
def wav2vec2_base_untrained(target: Path) -> None:
    """One second of sound, weights by chance: as quick as the trained one, and hears nothing."""
    import onnx

    shape = Shape()
    onnx.save(network(by_chance(shape), shape, RATE_HZ), target)


def by_chance(shape: Shape, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights of that shape, under their names, small enough that nothing overflows."""
    random = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {}

    def tensor(name: str, *sizes: int) -> None:
        share = float(np.prod(sizes[1:] or (100,))) ** -0.5
        weights[name] = random.standard_normal(sizes, np.float32) * np.float32(share)

    def linear(name: str, outputs: int, inputs: int) -> None:
        tensor(f"{name}.weight", outputs, inputs)
        tensor(f"{name}.bias", outputs)

    def norm(name: str, size: int) -> None:
        weights[f"{name}.weight"] = np.ones(size, np.float32)
        tensor(f"{name}.bias", size)

    inputs = 1
    for number, (outputs, kernel) in enumerate(zip(shape.conv_dim, shape.conv_kernel, strict=True)):
        place = f"{_BODY}.feature_extractor.conv_layers.{number}"
        tensor(f"{place}.conv.weight", outputs, inputs, kernel)
        if number == 0:
            norm(f"{place}.layer_norm", outputs)
        inputs = outputs
    norm(f"{_BODY}.feature_projection.layer_norm", inputs)
    linear(f"{_BODY}.feature_projection.projection", shape.width, inputs)
    conv = f"{_BODY}.encoder.pos_conv_embed.conv"
    tensor(f"{conv}.weight_v", shape.width, shape.width // shape.place_groups, shape.place_kernel)
    tensor(f"{conv}.weight_g", 1, 1, shape.place_kernel)
    tensor(f"{conv}.bias", shape.width)
    norm(f"{_BODY}.encoder.layer_norm", shape.width)
    for number in range(shape.layers):
        layer = f"{_BODY}.encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.attention.{part}", shape.width, shape.width)
        linear(f"{layer}.feed_forward.intermediate_dense", shape.inner, shape.width)
        linear(f"{layer}.feed_forward.output_dense", shape.width, shape.inner)
        norm(f"{layer}.layer_norm", shape.width)
        norm(f"{layer}.final_layer_norm", shape.width)
    linear("lm_head", shape.letters, shape.width)
    return weights


def network(weights: Weights, shape: Shape, samples: int) -> onnx.ModelProto:
    """`sound` [1, samples] to `letters` [1, steps, letters], one step for each 20 ms.

    The sound may be of any level: that its mean is 0 and its variance 1 is part of the network.
    """
    net = Net(weights, shape.width, shape.heads, shape.epsilon)
    x = net.op("Unsqueeze", _levelled(net, "sound"), net.constant(np.array([1], np.int64)))
    steps = samples
    for number, (kernel, stride) in enumerate(
        zip(shape.conv_kernel, shape.conv_stride, strict=True)
    ):
        place = f"{_BODY}.feature_extractor.conv_layers.{number}"
        x = net.conv(x, net.weight(f"{place}.conv.weight"), strides=[stride])
        steps = (steps - kernel) // stride + 1
        if number == 0:  # a group norm of as many groups as channels
            norm = (net.weight(f"{place}.layer_norm.{part}") for part in ("weight", "bias"))
            x = net.op("InstanceNormalization", x, *norm, epsilon=1e-5)
        x = net.gelu(x)
    x = _normed(
        net, net.op("Transpose", x, perm=[0, 2, 1]), f"{_BODY}.feature_projection.layer_norm"
    )
    x = net.linear(x, f"{_BODY}.feature_projection.projection.")
    x = _normed(net, _placed(net, weights, shape, x, steps), f"{_BODY}.encoder.layer_norm")
    for number in range(shape.layers):
        layer = f"{_BODY}.encoder.layers.{number}"
        parts = (net.linear(x, f"{layer}.attention.{part}_proj.") for part in "qkv")
        found = net.merged(net.attended(*(net.heads(part) for part in parts)))
        found = net.linear(found, f"{layer}.attention.out_proj.")
        x = _normed(net, net.op("Add", x, found), f"{layer}.layer_norm")
        inner = net.gelu(net.linear(x, f"{layer}.feed_forward.intermediate_dense."))
        found = net.linear(inner, f"{layer}.feed_forward.output_dense.")
        x = _normed(net, net.op("Add", x, found), f"{layer}.final_layer_norm")
    net.op("Identity", net.linear(x, "lm_head."), named="letters")
    return net.model(
        "wav2vec2",
        {"sound": ("float32", [1, samples])},
        {"letters": ("float32", [1, steps, shape.letters])},
    )


def _levelled(net: Any, sound: str) -> str:
    """Mean 0 and variance 1."""
    axes = net.constant(np.array([1], np.int64))
    centred = net.op("Sub", sound, net.op("ReduceMean", sound, axes))
    variance = net.op("ReduceMean", net.op("Mul", centred, centred), axes)
    tiny = net.constant(np.array(1e-7, np.float32))
    levelled: str = net.op("Div", centred, net.op("Sqrt", net.op("Add", variance, tiny)))
    return levelled


def _normed(net: Any, x: str, name: str) -> str:
    normed: str = net.norm(x, f"{name}.weight", f"{name}.bias")
    return normed


def _placed(net: Any, weights: Weights, shape: Shape, x: str, steps: int) -> str:
    """With what a wide convolution tells of each step's neighbours, whose weights have a norm."""
    name = f"{_BODY}.encoder.pos_conv_embed.conv"
    old = f"{name}.weight_v" in weights
    direction = weights[f"{name}.weight_v" if old else f"{name}.parametrizations.weight.original1"]
    length = weights[f"{name}.weight_g" if old else f"{name}.parametrizations.weight.original0"]
    norms = np.sqrt(np.square(direction.astype(np.float64)).sum(axis=(0, 1), keepdims=True))
    weight = net.constant((length * direction / norms).astype(np.float32), f"{name}.weight")
    half = shape.place_kernel // 2
    found = net.conv(
        net.op("Transpose", x, perm=[0, 2, 1]),
        weight,
        net.weight(f"{name}.bias"),
        group=shape.place_groups,
        pads=[half, half],
    )
    if shape.place_kernel % 2 == 0:  # one step too many comes out
        ends = (net.constant(np.array([value], np.int64)) for value in (0, steps, 2))
        found = net.op("Slice", found, *ends)
    turned = net.op("Transpose", net.gelu(found), perm=[0, 2, 1])
    placed: str = net.op("Add", x, turned)
    return placed


def read_safetensors(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file by name.

    Raises:
        ModelUnreadableError: it is damaged, or holds numbers of a sort that is not known here.
    """
    try:
        (size,) = struct.unpack_from("<Q", data)
        if size > min(_MOST_HEADER, len(data) - 8):
            raise ValueError("its header is longer than the file")
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        return {
            name: _tensor(memoryview(data)[8 + size :], told)
            for name, told in header.items()
            if name != "__metadata__"
        }
    except (
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise ModelUnreadableError(
            f"not a safetensors file: {error}", where=where, mend="fetch it again"
        ) from error


def _tensor(data: memoryview, told: Mapping[str, Any]) -> NDArray[Any]:
    begin, end = (int(one) for one in told["data_offsets"])
    if not 0 <= begin <= end <= len(data):
        raise ValueError("a tensor lies outside of it")
    numbers = np.frombuffer(data[begin:end], np.dtype(_TYPES[told["dtype"]]))
    return numbers.reshape([int(one) for one in told["shape"]])


_RECIPE = """\
name: {name}
task: speech-recognition
description: wav2vec 2.0 with a CTC head, from {folder}
licence: unknown  # see the checkpoint
model:
  path: {file}
inputs:
  sound: {{shape: [1, {samples}]}}
stream:
  sample_rate_hz: 16000
  window_samples: {samples}
  hop_samples: {samples}
  input: sound
data:
  name: recordings-with-texts
  folder: /usr/share/pocketsphinx/test/data/librivox
  debian_package: pocketsphinx-testdata
preprocess:
  name: audio-windows
postprocess:
  name: ctc-letters
  letters: {letters}
metrics: [word_error_rate_pct]
"""


def letters_of(vocabulary: Mapping[str, int]) -> list[str]:
    """What each class stands for: `<pad>` is the blank, `|` a space; others are made small."""
    names = sorted(vocabulary, key=lambda name: vocabulary[name])
    known = {"<pad>": "", "|": " ", "<s>": " ", "</s>": " ", "<unk>": " "}
    return [known.get(name, name.lower()) for name in names]


def main() -> None:
    """Make an ONNX file and a recipe of a checkpoint."""
    import onnx

    parser = argparse.ArgumentParser(prog="wav2vec2.py")
    parser.add_argument("folder", type=Path, help="of the checkpoint")
    parser.add_argument("--seconds", type=int, default=10, help="of sound that it hears at once")
    parser.add_argument("--output", type=Path, required=True, help="without .onnx and .yaml")
    arguments = parser.parse_args()
    folder, output = arguments.folder, arguments.output
    config = json.loads((folder / "config.json").read_text())
    shape = Shape.of(config, str(folder / "config.json"))
    path = folder / "model.safetensors"
    weights = read_safetensors(path.read_bytes(), str(path))
    samples = arguments.seconds * RATE_HZ
    onnx.save(network(weights, shape, samples), output.with_suffix(".onnx"))
    letters = letters_of(json.loads((folder / "vocab.json").read_text()))
    parts = output.absolute().with_suffix("").parts
    after = parts.index("recipes") + 1 if "recipes" in parts else len(parts) - 1
    text = _RECIPE.format(
        name="/".join(parts[after:]),
        folder=folder.name,
        file=output.with_suffix(".onnx").name,
        samples=samples,
        letters=json.dumps(letters),
    )
    output.with_suffix(".yaml").write_text(text)
    sys.stdout.write(f"edgetvm bench {output.with_suffix('.yaml')}\n")


if __name__ == "__main__":
    main()
