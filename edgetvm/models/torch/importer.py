"""Exported PyTorch programs (`torch.export.save`) into Relax. PyTorch is an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgetvm.base.errors import ModelUnreadableError, UnsupportedOperatorsError
from edgetvm.models.counting import parameter_counts
from edgetvm.models.imported import (
    Imported,
    bound_array,
    converter_stopped,
    relax_signature,
)
from edgetvm.models.importers import unsupported
from edgetvm.models.model import ImportOptions
from edgetvm.models.torch.decompose import decomposed
from edgetvm.models.torch.graph import ProgramReader
from edgetvm.models.torch.program import load_program
from edgetvm.models.torch.quantised import quantised_tensors


def read(path: Path, options: ImportOptions) -> Imported:
    """Import a .pt2 file. See `edgetvm.models.importers.import_model` for the errors."""
    program = load_program(path, options)
    inputs: dict[str, Any] = dict.fromkeys(program.inputs)
    dtypes = program.input_dtypes()
    for name in options.bindings:
        inputs[name] = bound_array(name, program.axes[name], dtypes[name], options, path)
    try:
        reader = ProgramReader(decomposed(program.exported), inputs)
        unknown = reader.unsupported()
        if unknown:
            raise unsupported(path, unknown)
        module = reader.read()
    except ModelUnreadableError as error:
        raise ModelUnreadableError(error.what, where=str(path), mend=error.mend) from error
    except UnsupportedOperatorsError:
        raise
    except Exception as error:
        raise converter_stopped(error, path, "export the module in another way") from error
    free = [name for name in program.inputs if name not in options.bindings]
    return Imported(
        module=module,
        signature=relax_signature(module, free, program.outputs, path),
        nodes=reader.nodes,
        operators=program.operators,
        parameters=parameter_counts(module),
        quantised=quantised_tensors(program.exported),
        changes=(
            *(
                f"input {name} became the constant {value}"
                for name, value in options.bindings.items()
            ),
            *program.changes,
        ),
    )
