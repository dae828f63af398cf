"""Exported PyTorch programs (`torch.export.save`) into Relax. PyTorch is an extra."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from edgetvm.base.errors import MissingToolError, ModelUnreadableError
from edgetvm.models.counting import parameter_counts
from edgetvm.models.imported import (
    Imported,
    check_names,
    converter_stopped,
    relax_signature,
)
from edgetvm.models.model import ImportOptions


def read(path: Path, options: ImportOptions) -> Imported:
    """Import a .pt2 file. See `edgetvm.models.importers.import_model` for the errors."""
    try:
        import torch
    except ImportError as error:
        raise MissingToolError(
            "PyTorch is not installed",
            where=str(path),
            mend="run: pip install 'edgetvm[torch]', or export the model to ONNX",
        ) from error
    from tvm.relax.frontend.torch import from_exported_program

    try:
        program = torch.export.load(path)
    except Exception as error:  # torch raises every kind for a file that is no exported program
        raise ModelUnreadableError(
            "not an exported PyTorch program, or cut off",
            where=str(path),
            mend="make it with torch.export.save(torch.export.export(model, inputs), path)",
        ) from error
    names = list(program.graph_signature.user_inputs)
    check_names(names, options, path)
    try:
        module = from_exported_program(program, keep_params_as_input=False)
    except Exception as error:
        raise converter_stopped(error, path, "export the model to ONNX instead") from error
    outputs = [str(name) for name in program.graph_signature.user_outputs]
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    return Imported(
        module=module,
        signature=relax_signature(module, names, outputs, path),
        nodes={},
        operators=dict(Counter(str(node.target) for node in calls)),
        parameters=parameter_counts(module),
        quantised=(),
        changes=(),
    )
