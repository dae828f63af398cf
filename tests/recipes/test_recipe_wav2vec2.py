"""wav2vec 2.0 from a small checkpoint of Hugging Face's form, beside PyTorch's own layers."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import ConfigurationError, ModelUnreadableError
from edgetvm.recipes import load_recipe, run_module

FILE = Path(__file__).parents[2] / "recipes" / "speech" / "wav2vec2.py"
CONFIG = {
    "conv_dim": [6, 6],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 2],
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 5,
}
SAMPLES = 16000


def loader() -> Any:
    return run_module(FILE)


def safetensors(weights: dict[str, np.ndarray[Any, Any]]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name, value in weights.items():
        data = value.astype("<f4").tobytes()
        offsets = [at, at + len(data)]
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": offsets}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def write_checkpoint(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    weights: dict[str, np.ndarray[Any, Any]] = loader().by_chance(loader().Shape.of(CONFIG, "c"), 3)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "vocab.json").write_text(json.dumps({"<pad>": 0, "|": 4, "A": 2, "<s>": 1, "B": 3}))
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    return weights


def test_a_checkpoint_becomes_a_model_and_a_recipe(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    output = tmp_path / "recipes" / "speech" / "small"
    output.parent.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, FILE, tmp_path, "--seconds", "1", "--output", output],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    recipe = load_recipe(str(output.with_suffix(".yaml")))
    assert recipe.name == "speech/small"
    assert recipe.postprocess is not None
    assert recipe.postprocess.parameters["letters"] == ("", " ", "a", "b", " ")
    session = onnxruntime.InferenceSession(str(output.with_suffix(".onnx")))
    (found,) = session.run(None, {"sound": np.zeros((1, SAMPLES), np.float32)})
    assert found.shape == (1, 1599, 5)


@pytest.mark.torch
def test_it_computes_what_pytorchs_layers_compute(tmp_path: Path) -> None:
    import torch
    from torch.nn import functional

    weights = write_checkpoint(tmp_path)
    read = loader().read_safetensors((tmp_path / "model.safetensors").read_bytes(), "made")
    model = loader().network(read, loader().Shape.of(CONFIG, "made"), 800)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    sound = 3 + np.random.default_rng(0).standard_normal((1, 800)).astype(np.float32)
    (found,) = session.run(None, {"sound": sound})

    w = {name.removeprefix("wav2vec2."): torch.from_numpy(one) for name, one in weights.items()}

    def norm(x: Any, name: str) -> Any:
        return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    def linear(x: Any, name: str) -> Any:
        return functional.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = torch.from_numpy(sound)
    x = ((x - x.mean()) / torch.sqrt(x.var(correction=0) + 1e-7))[:, None]
    for number, stride in enumerate(CONFIG["conv_stride"]):  # type: ignore[arg-type]
        place = f"feature_extractor.conv_layers.{number}"
        x = functional.conv1d(x, w[f"{place}.conv.weight"], stride=stride)
        if number == 0:
            scale, shift = w[f"{place}.layer_norm.weight"], w[f"{place}.layer_norm.bias"]
            x = functional.group_norm(x, 6, scale, shift)
        x = functional.gelu(x)
    x = linear(
        norm(x.transpose(1, 2), "feature_projection.layer_norm"), "feature_projection.projection"
    )
    conv = torch.nn.Conv1d(8, 8, 4, padding=2, groups=2)
    conv = torch.nn.utils.parametrizations.weight_norm(conv, dim=2)
    conv.parametrizations.weight.original0.data = w["encoder.pos_conv_embed.conv.weight_g"]
    conv.parametrizations.weight.original1.data = w["encoder.pos_conv_embed.conv.weight_v"]
    conv.bias.data = w["encoder.pos_conv_embed.conv.bias"]
    x = norm(
        x + functional.gelu(conv(x.transpose(1, 2))[..., :-1]).transpose(1, 2), "encoder.layer_norm"
    )
    for number in range(2):
        layer = f"encoder.layers.{number}"
        names = [f"{layer}.attention.{part}_proj" for part in "qkv"]
        attended, _ = functional.multi_head_attention_forward(
            *[x.transpose(0, 1)] * 3,
            embed_dim_to_check=8,
            num_heads=2,
            in_proj_weight=torch.cat([w[f"{name}.weight"] for name in names]),
            in_proj_bias=torch.cat([w[f"{name}.bias"] for name in names]),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=w[f"{layer}.attention.out_proj.weight"],
            out_proj_bias=w[f"{layer}.attention.out_proj.bias"],
        )
        x = norm(x + attended.transpose(0, 1), f"{layer}.layer_norm")
        inner = functional.gelu(linear(x, f"{layer}.feed_forward.intermediate_dense"))
        x = norm(
            x + linear(inner, f"{layer}.feed_forward.output_dense"), f"{layer}.final_layer_norm"
        )
    expected = linear(x, "lm_head").detach().numpy()
    assert found == pytest.approx(expected, abs=1e-4)


def test_another_kind_of_checkpoint_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="do_stable_layer_norm is True"):
        loader().Shape.of({**CONFIG, "do_stable_layer_norm": True}, "config.json")
    with pytest.raises(ConfigurationError, match="no 'hidden_size' in it"):
        loader().Shape.of({"conv_dim": [], "conv_kernel": [], "conv_stride": []}, "config.json")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_checkpoint_is_refused_in_a_sentence(data: st.DataObject) -> None:
    whole = safetensors({"a": np.arange(6.0).reshape(2, 3)})
    assert loader().read_safetensors(whole, "made")["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ModelUnreadableError, match="not a safetensors file"):
        loader().read_safetensors(whole[: data.draw(st.integers(0, len(whole) - 1))], "made")
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        loader().read_safetensors(bytes(damaged), "made")
    except ModelUnreadableError as error:
        assert error.where == "made"
