"""Trains the perceptron of `relay/digits`, and writes it as TVM up to 0.18 saved models.

On scikit-learn's copy of the UCI digits; every fifth picture takes no part, and the recipe is
scored on those. Writes text, parameters, and these pictures with their labels.

    python recipes/training/relay_digits.py
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

RECIPES = Path(__file__).resolve().parent.parent / "relay"
Floats = NDArray[np.float32]
HIDDEN = 48

TEXT = f"""#[version = "0.0.5"]
def @main(%data: Tensor[(1, 1, 8, 8), float32], %fc1_weight: Tensor[({HIDDEN}, 64), float32], %fc1_bias: Tensor[({HIDDEN}), float32], %fc2_weight: Tensor[(10, {HIDDEN}), float32], %fc2_bias: Tensor[(10), float32]) -> Tensor[(1, 10), float32] {{
  %0 = nn.batch_flatten(%data);
  %1 = nn.dense(%0, %fc1_weight, units={HIDDEN});
  %2 = nn.bias_add(%1, %fc1_bias, axis=-1);
  %3 = nn.relu(%2);
  %4 = nn.dense(%3, %fc2_weight, units=10);
  %5 = nn.bias_add(%4, %fc2_bias, axis=-1);
  nn.softmax(%5)
}}
"""  # noqa: E501 - as TVM wrote it


def tensor(array: Floats) -> bytes:
    """A tensor as TVM stores it: mark, CPU 0, rank, float32, shape, size, data."""
    head = struct.pack("<QQiiiBBH", 0xDD5E40F096B4A13F, 0, 1, 0, array.ndim, 2, 32, 1)
    shape = struct.pack(f"<{array.ndim}qq", *array.shape, array.nbytes)
    return head + shape + array.astype("<f4").tobytes()


def parameters(arrays: dict[str, Floats]) -> bytes:
    """What `relay.save_param_dict` gave."""
    names = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in arrays)
    count = struct.pack("<Q", len(arrays))
    head = struct.pack("<QQ", 0xF7E58D4F05049CB7, 0)
    return head + count + names + count + b"".join(map(tensor, arrays.values()))


def main() -> None:
    """Train, write, and print the accuracy on what took no part."""
    pictures, labels = load_digits(return_X_y=True)
    data = (pictures / 16).astype(np.float32)
    held_out = np.arange(len(data)) % 5 == 0
    model = MLPClassifier((HIDDEN,), alpha=0.1, max_iter=2000, random_state=0)
    model.fit(data[~held_out], labels[~held_out])
    (first, second), (first_bias, second_bias) = model.coefs_, model.intercepts_
    arrays = {
        "fc1_weight": first.T, "fc1_bias": first_bias,
        "fc2_weight": second.T, "fc2_bias": second_bias,
    }  # fmt: skip
    rounded = {name: np.ascontiguousarray(one, np.float32) for name, one in arrays.items()}
    RECIPES.joinpath("digits.relay").write_text(TEXT)
    RECIPES.joinpath("digits.params").write_bytes(parameters(rounded))
    rows = data[held_out].reshape(-1, 1, 8, 8)
    np.savez_compressed(RECIPES / "digits.npz", data=rows, label=labels[held_out])
    print(f"top1 {model.score(data[held_out], labels[held_out]):.4f} of {held_out.sum()}")


if __name__ == "__main__":
    main()
