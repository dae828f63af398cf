"""What TVM's stock client can do with a board, in one session."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

DTYPES = "float16 float32 float64 bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
# Longer than what the program takes in one part.
LONG_BYTES = (16 << 20) + 5


def outcome(deed: Callable[[], Any]) -> Any:
    """What it gives, or how it fails: the kind of error, and the last line of its words."""
    try:
        return deed()
    except Exception as error:
        return type(error).__name__, str(error).strip().splitlines()[-1]


def conversation(remote: Any, library: bytes, long_bytes: int = LONG_BYTES) -> dict[str, Any]:
    """Everything that a client asks; answers that do not depend on time or place."""
    from tvm.runtime import tensor

    random = np.random.default_rng(0)
    cpu = remote.cpu()
    told: dict[str, Any] = {"exists": cpu.exist}
    remote.upload(bytearray(library), "kernels.so")
    module = remote.load_module("kernels.so")
    told |= _arrays(cpu, random, long_bytes)
    told |= _runs(module, cpu, random)
    told |= _refusals(remote, module, cpu)
    told |= _files(remote)
    fill = remote.get_function("tvm.contrib.random.random_fill_for_measure")
    filled = tensor(np.zeros(100, "float32"), cpu)
    fill(filled)
    told["fill"] = 1 <= filled.numpy().min() <= filled.numpy().max() <= 10
    cpu.sync()
    return told


def _arrays(cpu: Any, random: np.random.Generator, long_bytes: int) -> dict[str, Any]:
    import tvm
    from tvm.runtime import empty, tensor

    told: dict[str, Any] = {}
    for dtype in DTYPES:
        sent = random.integers(0, 2, (3, 5, 7)).astype(dtype)
        told[dtype] = np.array_equal(tensor(sent, cpu).numpy(), sent)
    told["no elements"] = empty((0, 3), "float32", cpu).numpy().shape
    told["no axes"] = float(tensor(np.float32(3), cpu).numpy())
    long = random.integers(0, 255, long_bytes).astype("uint8")
    told["long"] = np.array_equal(tensor(long, cpu).numpy(), long)
    first = tensor(random.normal(size=(64, 64)).astype("float32"), cpu)
    there, here = empty((64, 64), "float32", cpu), empty((64, 64), "float32", tvm.cpu())
    first.copyto(there)
    there.copyto(here)
    told["copies"] = np.array_equal(here.numpy(), first.numpy())
    return told


def _runs(module: Any, cpu: Any, random: np.random.Generator) -> dict[str, Any]:
    from tvm.runtime import empty, tensor

    a, b = (random.normal(size=(64, 64)).astype("float32") for _ in range(2))
    product = [tensor(a, cpu), tensor(b, cpu), empty((64, 64), "float32", cpu)]
    module["product"](*product)
    d = random.normal(size=1024).astype("float32")
    e = empty((1024,), "float32", cpu)
    module["wave"](tensor(d, cpu), e)
    told = {
        "product": bool(np.allclose(product[2].numpy(), a @ b, atol=1e-4)),
        "wave": bool(np.allclose(e.numpy(), np.tanh(d) + 1, atol=1e-5)),
    }
    ways: list[dict[str, Any]] = [
        {"number": 3, "repeat": 4},
        {"number": 1, "repeat": 2, "min_repeat_ms": 5},
        {"number": 1, "repeat": 2, "f_preproc": "cache_flush_cpu_non_first_arg"},
        {"number": 1, "repeat": 2, "cache_flush_bytes": 1 << 16, "cooldown_interval_ms": 1},
    ]
    for way in ways:
        times_s = module.time_evaluator("product", cpu, **way)(*product).results
        told[f"timed {way}"] = len(times_s), min(times_s) > 0
    told["after"] = bool(np.allclose(product[2].numpy(), a @ b, atol=1e-4))
    return told


def _refusals(remote: Any, module: Any, cpu: Any) -> dict[str, Any]:
    from tvm.runtime import empty

    square, line = empty((64, 64), "float32", cpu), empty((1024,), "float32", cpu)
    whole = empty((1024,), "int32", cpu)
    deeds: dict[str, Callable[[], Any]] = {
        "another rank": lambda: module["product"](square, line, square),
        "an argument too few": lambda: module["product"](square, square),
        "another dtype": lambda: module["wave"](whole, line),
        "no such kernel": lambda: module["nothing"],
        "no such function": lambda: remote.get_function("no.such"),
    }
    told = {name: outcome(deed) for name, deed in deeds.items()}
    # Here the words are each server's own.
    deeds = {
        "no such file": lambda: remote.load_module("nothing.so"),
        "no such kernel to time": lambda: module.time_evaluator("nothing", cpu)(square),
        "no such preparation": lambda: module.time_evaluator("wave", cpu, f_preproc="nothing"),
    }
    return told | {name: outcome(deed)[0] for name, deed in deeds.items()}


def _files(remote: Any) -> dict[str, Any]:
    text = bytes(range(256)) * 400
    remote.upload(bytearray(text), "text.bin")
    told = {"download": hashlib.sha256(remote.download("text.bin")).hexdigest()}
    remote.remove("text.bin")
    told["removed"] = outcome(lambda: remote.download("text.bin"))[0]
    # MetaSchedule's runner removes what may not be there.
    remote.remove("text.bin")
    remote.remove("")
    return told
