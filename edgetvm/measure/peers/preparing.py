"""A model file made ready for peers: shapes fixed, constants bound, with what it answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from edgetvm.base import cache
from edgetvm.base.files import sha256_of
from edgetvm.measure.peers import graphs
from edgetvm.measure.peers.case import Case, Unavailable, case_in
from edgetvm.models.importers import import_model, importer_for, source_digest
from edgetvm.models.model import Arrays
from edgetvm.models.reference import Source, named_outputs, reference_for
from edgetvm.package.arrays import pack

# Raise it when what is written below changes: older cases are made anew.
_FORMAT = 2


def prepared(source: Source, inputs: Arrays) -> Case:
    """The model and one set of its inputs as peers take them; from the cache if it was made before.

    Args:
        source: of the model; ONNX and TFLite files only.
        inputs: by name, a stream's states among them.

    Raises:
        Unavailable: no peer reads such a file.
        InputError: the model's own runtime refuses the inputs.
        StorageError: the cache cannot be written.
    """
    kind = importer_for(source.path).name
    if kind not in ("onnx", "tflite"):
        raise Unavailable(f"peers read ONNX and TFLite files, and this is one of {kind}")
    described, payload = pack(inputs)
    depends_on = {
        "format": _FORMAT,
        "model": source_digest(source.path),
        "shapes": {spec.name: spec.shape for spec in source.signature.inputs},
        "bindings": dict(source.options.bindings),
        "inputs": [described, sha256_of(payload)],
    }
    folder, _ = cache.get_or_make("peers", depends_on, lambda made: _make(source, inputs, made))
    return case_in(folder, source.path.stem)


def _make(source: Source, inputs: Arrays, folder: Path) -> None:
    signature = source.signature
    expected = named_outputs(reference_for(source).run(inputs), signature)
    simplified, operators = False, set[str]()
    names = [spec.name for spec in signature.inputs]
    results = [spec.name for spec in signature.outputs]
    if importer_for(source.path).name == "onnx":
        names, operators, simplified = _onnx(source, folder)
    else:
        shutil.copyfile(source.path, folder / "model.tflite")
        # Variables of the file, which keep themselves there.
        states = {state.input: state.output for state in signature.states}
        names = [name for name in names if name not in states]
        results = [name for name in results if name not in states.values()]
        if source.options.bindings:
            raise Unavailable("inputs of a TFLite file cannot be bound for peers")
    arrays = {f"input{index}": inputs[name] for index, name in enumerate(names)}
    arrays |= {f"output{index}": expected[name] for index, name in enumerate(results)}
    np.savez(folder / "data.npz", allow_pickle=False, **arrays)
    told = {
        "format": importer_for(source.path).name,
        "kind": "int8" if import_model(source.path, source.options).quantised else "fp32",
        "inputs": names,
        "outputs": results,
        "operators": sorted(operators),
        "simplified": simplified,
    }
    (folder / "case.json").write_text(json.dumps(told))


def _onnx(source: Source, folder: Path) -> tuple[list[str], set[str], bool]:
    """The file with all shapes fixed: its inputs, operators, and whether onnxsim could take it."""
    import onnx

    shapes = {spec.name: spec.shape for spec in source.signature.inputs}
    model = graphs.fixed(onnx.load(source.path), shapes, source.options.bindings)
    path = folder / "model.onnx"
    onnx.save(model, path)
    simplified = graphs.simplified(path, folder / "simplified.onnx") is not None
    names = [entry.name for entry in model.graph.input]
    return names, {node.op_type for node in model.graph.node}, simplified
