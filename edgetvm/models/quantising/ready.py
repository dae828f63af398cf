"""A float ONNX graph in the form that quantisation needs."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgetvm.base.errors import MissingToolError, ModelError
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.pins import installed_version
from edgetvm.models.importers import importer_for
from edgetvm.models.model import Model
from edgetvm.models.onnx.apart import WORKER
from edgetvm.models.onnx.file import load
from edgetvm.models.onnx.importer import bind
from edgetvm.models.onnx.prepare import simplified

if TYPE_CHECKING:
    import onnx

# The first in which QuantizeLinear knows channels.
OPSET = 13

_MENDS = {
    "tflite": "quantise it where it is exported, or quantise its ONNX file",
    "torch": "export it with torch.onnx.export and quantise that file",
    "relay": "quantise the ONNX file that it was made from",
}


def check_format(path: Path) -> None:
    """Refuse a file that is not ONNX, before any work on it.

    Raises:
        ModelError: it is of another format, or cannot be read.
    """
    found = importer_for(path)
    if found.name != "onnx":
        raise ModelError(
            f"only ONNX files can be quantised here, and it is one of {found.name}",
            where=str(path),
            mend=_MENDS[found.name],
        )


def ready_for_quantising(model: Model) -> onnx.ModelProto:
    """The graph of an imported float model, ready to be quantised.

    Raises:
        ModelError: it is no ONNX file, it is quantised already, or its opset cannot be raised.
        MissingToolError: ONNX Runtime, which quantises, is not installed.
    """
    where = str(model.source)
    check_format(model.source)
    if model.quantised:
        kinds = ", ".join(map(str, model.quantised))
        raise ModelError(
            f"it is quantised already ({kinds})",
            where=where,
            mend="use it as it is: edgetvm bench",
        )
    if installed_version("onnxruntime") is None:
        raise MissingToolError(
            "onnxruntime is missing, which quantises", mend="pip install 'edgetvm[reference]'"
        )
    graph = load(model.source)
    bind(graph, model.options, model.source)
    shapes = {spec.name: spec.shape for spec in model.signature.inputs}
    return ready_graph(graph, shapes, where)


def ready_graph(
    graph: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], where: str
) -> onnx.ModelProto:
    """A graph with its shapes fixed and inferred, normalisations folded, and each node named.

    Args:
        graph: parsed; it may be changed.
        shapes: of its inputs.
        where: for errors.

    Raises:
        ModelError: its opset is older than 13 and cannot be raised.
    """
    _fix(graph, shapes)
    simple = simplified(graph, shapes)
    graph = graph if simple is None else simple[0]
    if _opset(graph) < OPSET:
        raised = WORKER.run("upgrade", graph, {"opset": [OPSET]})
        if raised is None:
            raise ModelError(
                f"opset {_opset(graph)} cannot be raised to {OPSET}, which quantisation needs",
                where=where,
                mend=f"export it again with opset {OPSET} or newer",
            )
        graph = raised
    graph = _preprocessed(graph)
    _name_nodes(graph)
    return graph


def _opset(graph: onnx.ModelProto) -> int:
    return max(one.version for one in graph.opset_import if one.domain in ("", "ai.onnx"))


def _fix(graph: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for entry in graph.graph.input:
        for axis, size in zip(
            entry.type.tensor_type.shape.dim, shapes.get(entry.name, ()), strict=False
        ):
            axis.dim_value = size


def _preprocessed(graph: onnx.ModelProto) -> onnx.ModelProto:
    """By ONNX Runtime: batch normalisation folded, all shapes inferred."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, native_words_kept_back():
        given, made = (str(Path(folder, name)) for name in ("given.onnx", "made.onnx"))
        onnx.save(graph, given)
        quant_pre_process(given, made, skip_symbolic_shape=True)
        return onnx.load(made)


def _name_nodes(graph: onnx.ModelProto) -> None:
    """Names that are missing or shared are made of the first output, which is unique."""
    shared = Counter(node.name for node in graph.graph.node)
    for node in graph.graph.node:
        if not node.name or shared[node.name] > 1:
            node.name = f"{node.op_type} {node.output[0]}"
