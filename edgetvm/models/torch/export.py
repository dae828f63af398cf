"""A module of this Python process into a model: exported, saved, and imported from the file."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgetvm.base import cache
from edgetvm.base.errors import MissingToolError, ModelUnreadableError
from edgetvm.base.files import sha256_of, storage_errors
from edgetvm.models.importers import import_model
from edgetvm.models.model import ImportOptions, Model


def import_torch(
    module: Any,
    example_inputs: Any = (),
    options: ImportOptions | None = None,
    name: str = "",
    *,
    dynamic_shapes: Any = None,
    path: Path | None = None,
) -> Model:
    """Export a PyTorch module and import it.

    The program is saved, so that the model can be checked, packaged and cached like any other: its
    `source` is that file. The module is exported in evaluation mode, and left as it was.

    Args:
        module: a `torch.nn.Module`, or an exported program.
        example_inputs: for `forward()`: a tensor, a sequence of positional arguments, or a mapping
            of keyword arguments. Their shapes are the model's.
        options: see `import_model`.
        name: for files and reports; the module's class without it.
        dynamic_shapes: as in `torch.export.export`; `options` then fixes them.
        path: where to save the program (.pt2); in the cache without it.

    Raises:
        ModelUnreadableError: PyTorch cannot export the module.
        MissingToolError: PyTorch is not installed.
        StorageError: the program cannot be saved.
        UnsupportedOperatorsError, InputError: see `import_model`.
    """
    name = name or re.sub(r"\W+", "-", type(module).__name__).lower()
    content = _exported(module, example_inputs, dynamic_shapes)
    if path is None:
        depends_on = {"sha256": sha256_of(content), "name": name}
        folder, _ = cache.get_or_make(
            "programs", depends_on, lambda aside: _write(aside / _file_name(name), content)
        )
        path = folder / _file_name(name)
    else:
        _write(path, content)
    return import_model(path, options, name)


def _file_name(name: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-') or 'module'}.pt2"


def _write(path: Path, content: bytes) -> None:
    with storage_errors(path):
        path.write_bytes(content)


def _exported(module: Any, example_inputs: Any, dynamic_shapes: Any) -> bytes:
    try:
        import torch
    except ImportError as error:
        raise MissingToolError(
            "PyTorch is not installed", mend="run: pip install 'edgetvm[torch]'"
        ) from error
    arguments: Sequence[Any] = ()
    keywords: Mapping[str, Any] = {}
    if isinstance(example_inputs, torch.Tensor):
        arguments = (example_inputs,)
    elif isinstance(example_inputs, Mapping):
        keywords = example_inputs
    else:
        arguments = tuple(example_inputs)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = module
            if not isinstance(module, torch.export.ExportedProgram):
                with _evaluating(module):
                    program = torch.export.export(
                        module, tuple(arguments), dict(keywords), dynamic_shapes=dynamic_shapes
                    )
            with _without_examples(program):
                torch.export.save(program, buffer)
    except Exception as error:  # torch raises every kind for a module that it cannot trace
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ModelUnreadableError(
            f"PyTorch cannot export it: {lines[0] if lines else type(error).__name__}"[:400],
            where=type(module).__name__,
            mend="torch.export.export(module, inputs) must succeed first",
        ) from error
    return buffer.getvalue()


@contextmanager
def _without_examples(program: Any) -> Iterator[None]:
    """Without its example inputs: they differ from file to file, and may be private."""
    examples = program.example_inputs
    program.example_inputs = None
    try:
        yield
    finally:
        program.example_inputs = examples


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """The module and all below it in evaluation mode; each as it was afterwards."""
    modes = [(one, one.training) for one in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for one, mode in modes:
            one.training = mode
