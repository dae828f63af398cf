"""Whisper's networks from a container of its format, beside its mathematics in numpy."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import erf, softmax

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.recipes import run_module

ROOT = Path(__file__).parents[2]
WIDTH, HEADS, BANDS, FRAMES, SLOTS, WORDS, LAYERS = 8, 2, 3, 12, 5, 11, 2

Floats = NDArray[Any]


def loader() -> Any:
    return run_module(ROOT / "recipes" / "speech" / "whisper.py")


def listener() -> Any:
    return run_module(ROOT / "pipelines" / "speech" / "whisper.py")


def made_weights() -> dict[str, Floats]:
    random = np.random.default_rng(0)
    weights: dict[str, Floats] = {}

    def tensor(name: str, *shape: int) -> None:
        weights[name] = random.normal(0, 0.5, shape).astype(np.float16)

    def linear(name: str, outputs: int, inputs: int) -> None:
        tensor(f"{name}/weight", outputs, inputs)
        tensor(f"{name}/bias", outputs)

    def norm(name: str) -> None:
        tensor(f"{name}/layer_norm/gamma", WIDTH)
        tensor(f"{name}/layer_norm/beta", WIDTH)

    for number, inputs in ((1, BANDS), (2, WIDTH)):
        tensor(f"encoder/conv{number}/weight", WIDTH, inputs, 3)
        tensor(f"encoder/conv{number}/bias", WIDTH)
    tensor("encoder/position_encodings/encodings", FRAMES, WIDTH)
    tensor("decoder/position_encodings/encodings", 2 * SLOTS, WIDTH)
    tensor("decoder/embeddings/weight", WORDS, WIDTH)
    for side in ("encoder", "decoder"):
        weights[f"{side}/num_heads"] = np.array(HEADS, np.int16)
        norm(side)
        for layer in range(LAYERS):
            place = f"{side}/layer_{layer}"
            norm(f"{place}/self_attention")
            linear(f"{place}/self_attention/linear_0", 3 * WIDTH, WIDTH)
            linear(f"{place}/self_attention/linear_1", WIDTH, WIDTH)
            norm(f"{place}/ffn")
            linear(f"{place}/ffn/linear_0", 4 * WIDTH, WIDTH)
            linear(f"{place}/ffn/linear_1", WIDTH, 4 * WIDTH)
            if side == "decoder":
                norm(f"{place}/attention")
                linear(f"{place}/attention/linear_0", WIDTH, WIDTH)
                linear(f"{place}/attention/linear_1", 2 * WIDTH, WIDTH)
                linear(f"{place}/attention/linear_2", WIDTH, WIDTH)
    return weights


def container(weights: dict[str, Floats]) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    kinds = {"float16": 4, "int16": 2}
    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(weights))]
    for name, value in weights.items():
        parts += [text(name), struct.pack("<B", value.ndim)]
        parts += [struct.pack("<I", size) for size in value.shape]
        parts += [struct.pack("<BI", kinds[value.dtype.name], value.nbytes), value.tobytes()]
    parts.append(struct.pack("<I", 1))
    parts += [text("decoder/projection/weight"), text("decoder/embeddings/weight")]
    return b"".join(parts)


class Whisper:
    """As the paper has it: no memory, all tokens anew each time."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}

    def norm(self, x: Floats, name: str) -> Floats:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        inside = f"{name}/layer_norm"
        return scaled * self.weights[f"{inside}/gamma"] + self.weights[f"{inside}/beta"]

    def linear(self, x: Floats, name: str) -> Floats:
        return x @ self.weights[f"{name}/weight"].T + self.weights[f"{name}/bias"]

    def attention(self, q: Floats, k: Floats, v: Floats, causal: bool = False) -> Floats:
        found = []
        for q1, k1, v1 in zip(*(np.split(one, HEADS, -1) for one in (q, k, v)), strict=True):
            scores = q1 @ k1.T / np.sqrt(WIDTH / HEADS)
            if causal:
                scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
            found.append(softmax(scores, -1) @ v1)
        return np.concatenate(found, -1)

    def block(self, x: Floats, place: str, heard: Floats | None = None) -> Floats:
        inside = f"{place}/self_attention"
        q, k, v = np.split(self.linear(self.norm(x, inside), f"{inside}/linear_0"), 3, -1)
        x = x + self.linear(self.attention(q, k, v, heard is not None), f"{inside}/linear_1")
        if heard is not None:
            inside = f"{place}/attention"
            k, v = np.split(self.linear(heard, f"{inside}/linear_1"), 2, -1)
            q = self.linear(self.norm(x, inside), f"{inside}/linear_0")
            x = x + self.linear(self.attention(q, k, v), f"{inside}/linear_2")
        inside = f"{place}/ffn"
        return x + self.linear(
            gelu(self.linear(self.norm(x, inside), f"{inside}/linear_0")), f"{inside}/linear_1"
        )

    def heard(self, mel: Floats) -> Floats:
        x = mel
        for number in (1, 2):
            weight = self.weights[f"encoder/conv{number}/weight"]
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1))), 3, 1)
            windows = windows[:, ::number]
            bias = self.weights[f"encoder/conv{number}/bias"]
            x = gelu(np.einsum("oik,itk->ot", weight, windows) + bias[:, np.newaxis])
        x = x.T + self.weights["encoder/position_encodings/encodings"][: FRAMES // 2]
        for layer in range(LAYERS):
            x = self.block(x, f"encoder/layer_{layer}")
        return self.norm(x, "encoder")

    def scores(self, tokens: list[int], heard: Floats) -> Floats:
        x = self.weights["decoder/embeddings/weight"][tokens]
        x = x + self.weights["decoder/position_encodings/encodings"][: len(tokens)]
        for layer in range(LAYERS):
            x = self.block(x, f"decoder/layer_{layer}", heard)
        return (self.norm(x, "decoder") @ self.weights["decoder/embeddings/weight"].T)[-1]


def gelu(x: Floats) -> Floats:
    return x * (1 + erf(x / np.sqrt(2))) / 2


def test_encoder_and_decoder_are_whispers() -> None:
    made = made_weights()
    weights = loader().read_container(container(made), "made")
    encode, decode = (
        onnxruntime.InferenceSession(model.SerializeToString())
        for model in (
            loader().encoder(weights, FRAMES),
            loader().decoder(weights, FRAMES // 2, SLOTS),
        )
    )
    whole = Whisper(made)
    mel = np.random.default_rng(1).normal(0, 1, (BANDS, FRAMES)).astype(np.float32)
    keys, values = encode.run(None, {"mel": mel[np.newaxis]})
    own = np.zeros((LAYERS, HEADS, SLOTS, WIDTH // HEADS), np.float32)
    carried = {"own_keys": own, "own_values": own}
    heard = whole.heard(mel)
    tokens = [7, 0, 10, 3, 3]
    for place, token in enumerate(tokens):
        given = {"token": token, "place": place}
        scores, *after = decode.run(
            None,
            {name: np.array([[value]], np.int64) for name, value in given.items()}
            | {"keys": keys, "values": values, **carried},
        )
        carried = dict(zip(carried, after, strict=True))
        assert scores[0] == pytest.approx(whole.scores(tokens[: place + 1], heard), abs=1e-4)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_container_is_refused_in_a_sentence(data: st.DataObject) -> None:
    whole = container({"a": np.arange(6, dtype=np.float16).reshape(2, 3)})
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ModelUnreadableError, match="not a CTranslate2 model"):
        loader().read_container(whole[:cut], "made")
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        loader().read_container(bytes(damaged), "made")
    except ModelUnreadableError as error:
        assert error.where == "made"


def test_a_tone_is_heard_in_the_band_of_its_pitch() -> None:
    t = np.arange(16000) / 16000
    # Slaney's mel: 45.2 at 8000 Hz, so 1000 Hz, which is 15, lies a third of the way up.
    for hertz, band in ((1000.0, 26), (250.0, 6), (4000.0, 61)):
        found = listener().bands(np.sin(2 * np.pi * hertz * t))
        assert found.shape == (80, 100)
        assert abs(int(found[:, 50].argmax()) - band) <= 1
        # Nothing lies more than eight powers of ten below the loudest.
        assert found.max() - found.min() == pytest.approx(2.0, abs=1e-6)


def test_letters_stand_for_bytes_and_texts_are_made_plain() -> None:
    table = listener()._bytes()
    assert sorted(table.values()) == list(range(256))
    assert (table["A"], table["Ġ"], table["Ċ"]) == (65, 32, 10)
    assert listener().plain("And Mr. Dashwood: ill-disposed, isn't he?") == (
        "and mister dashwood ill disposed isn't he"
    )
