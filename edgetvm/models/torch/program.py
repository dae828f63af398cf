"""An exported program, loaded: static, flat, and never unpickled."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edgetvm.base.errors import InputError, MissingToolError, ModelUnreadableError
from edgetvm.models.imported import (
    Axis,
    check_names,
    fixed_shapes,
    shape_changes,
)
from edgetvm.models.importers import unsupported
from edgetvm.models.model import ImportOptions
from edgetvm.models.torch.archive import HOW_TO_EXPORT, damaged, read_archive
from edgetvm.models.torch.description import Description, describe
from edgetvm.models.torch.sizes import (
    UnknownSizeError,
    evaluate,
    plain_symbol,
    solve,
    symbols_in,
)


@dataclass(frozen=True)
class Program:
    """What both the importer and the reference runtime work from.

    Attributes:
        exported: torch's ExportedProgram: every size is fixed, it takes its inputs by position
            and gives a tuple.
        inputs, outputs: their names, in order.
        operators: how often each operator occurs.
        axes: of the inputs as declared, None for an open one.
        changes: what was fixed, one sentence each.
    """

    exported: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    axes: Mapping[str, tuple[Axis, ...]]
    changes: tuple[str, ...]

    def input_dtypes(self) -> dict[str, str]:
        """numpy's names for the dtypes of the inputs."""
        values = {node.name: node.meta.get("val") for node in self.exported.graph.nodes}
        return {name: str(values[name].dtype).removeprefix("torch.") for name in self.inputs}


# What checks and rewriting meet in a description that is not what PyTorch wrote.
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


def load_program(path: Path, options: ImportOptions) -> Program:
    """Load a .pt2 file.

    Raises:
        ModelUnreadableError: see `read_archive`; or PyTorch cannot read it.
        UnsupportedOperatorsError: it calls what is no operator of PyTorch's own.
        InputError: a shape or name in `options` does not fit.
        MissingToolError: there is no PyTorch.
    """
    archive = read_archive(path)
    try:
        description = describe(archive.program)
        if description.unknown:
            raise unsupported(path, dict(description.unknown))
        check_names(list(description.axes), options, path)
        symbols, axes, changes = _fixed(description, options, path)
        document = description.static(symbols)
    except UnknownSizeError as error:
        raise ModelUnreadableError(
            f"the size {error} in it depends on the data",
            where=str(path),
            mend="export a module whose shapes follow from the shapes of its inputs",
        ) from error
    except ModelUnreadableError as error:
        raise ModelUnreadableError(error.what, where=str(path), mend=error.mend) from error
    except InputError:
        raise
    except _DAMAGE as error:
        raise damaged(path, f"{type(error).__name__} {error}"[:200]) from error
    return Program(
        exported=_loaded(archive.rewritten(document), path, description),
        inputs=tuple(description.axes),
        outputs=description.outputs,
        operators=description.operators,
        axes=axes,
        changes=tuple(changes),
    )


def _loaded(archive: Any, path: Path, description: Description) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingToolError(
            "PyTorch is not installed",
            where=str(path),
            mend="run: pip install 'edgetvm[torch]', or export the model to ONNX",
        ) from error
    if any(name.startswith("quantized_decomposed.") for name in description.operators):
        import_module("torch.ao.quantization.fx._decomposed")  # registers these operators
    # It would log each failure with a traceback, before it raises it.
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(archive)
    except Exception as error:  # torch raises every kind for a program that it does not understand
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ModelUnreadableError(
            f"PyTorch {torch.__version__} cannot read this program, which was exported with "
            f"{description.document.get('torch_version') or 'an unknown version'}: "
            f"{lines[-1] if lines else type(error).__name__}"[:400],
            where=str(path),
            mend=f"with the PyTorch that is installed here, {HOW_TO_EXPORT}",
        ) from error
    finally:
        logging.disable(level)


def _fixed(
    description: Description, options: ImportOptions, path: Path
) -> tuple[dict[str, int], dict[str, tuple[Axis, ...]], list[str]]:
    """A size for every symbol, the axes as declared, and what was fixed."""
    plain = {
        axis: plain_symbol(axis)
        for axes in description.axes.values()
        for axis in axes
        if isinstance(axis, str)
    }
    axes: dict[str, tuple[Axis, ...]] = {
        name: tuple(plain[axis] if isinstance(axis, str) else axis for axis in declared)
        for name, declared in description.axes.items()
    }
    guessed = _with_examples(description, axes, options)
    shapes = fixed_shapes(axes, guessed, path)
    symbols: dict[str, int] = {}
    for name, shape in shapes.items():
        for axis, size in zip(axes[name], shape, strict=True):
            if isinstance(axis, str):
                symbols[axis] = size
    for name, declared in description.axes.items():
        shapes[name] = tuple(
            _derived(axis, size, symbols) if isinstance(axis, str) else size
            for axis, size in zip(declared, shapes[name], strict=True)
        )
        _check_given(name, shapes[name], options, path)
    _check_limits(description, symbols, path)
    return symbols, axes, shape_changes(axes, shapes, options)


def _with_examples(
    description: Description, axes: Mapping[str, tuple[Axis, ...]], options: ImportOptions
) -> ImportOptions:
    """Where the user gave no shape: 1 for the batch, and the sizes of the example inputs."""
    batches = {declared[0] for declared in axes.values() if declared and declared[0] is not None}
    # A symbol that the user fixed on one input is fixed on all.
    settled = {
        axis for name in options.shapes for axis in axes.get(name, ()) if isinstance(axis, str)
    }
    shapes = dict(options.shapes)
    for name, declared in description.axes.items():
        if name in shapes or not settled.isdisjoint(one for one in axes[name] if one is not None):
            continue
        shapes[name] = tuple(
            axis
            if isinstance(axis, int)
            else 1
            if plain in batches or index == 0
            else description.examples.get(axis, 1)
            for index, (axis, plain) in enumerate(zip(declared, axes[name], strict=True))
        )
    return dataclasses.replace(options, shapes=shapes)


def _derived(text: str, size: int, symbols: dict[str, int]) -> int:
    """The size of an axis whose expression the symbols decide, or which decides its symbol."""
    open_symbols = symbols_in(text) - symbols.keys()
    if len(open_symbols) == 1 and symbols_in(text) == open_symbols:
        (symbol,) = open_symbols
        found = solve(text, symbol, size)
        symbols[symbol] = 1 if found is None else found
    value = evaluate(text, symbols)
    return int(value)


def _check_given(name: str, shape: tuple[int, ...], options: ImportOptions, path: Path) -> None:
    given = options.shapes.get(name, shape)
    if tuple(given) != shape:
        raise InputError(
            f"input {name!r} cannot have shape [{', '.join(map(str, given))}]",
            where=str(path),
            mend=f"by the module's own rules it would be [{', '.join(map(str, shape))}]",
        )


def _check_limits(description: Description, symbols: Mapping[str, int], path: Path) -> None:
    for symbol, size in symbols.items():
        least, most = description.limits.get(symbol, (None, None))
        # torch writes 2 for "not known to be 1": it would take a 1 all the same.
        too_small = least is not None and least > 2 and size < least
        if too_small or (most is not None and size > most):
            names = [name for name, axes in description.axes.items() if _names(axes, symbol)]
            raise InputError(
                f"an axis of {' and '.join(map(repr, names))} cannot be {size}",
                where=str(path),
                mend=f"it was exported for {least} to {'any size' if most is None else most}: "
                "give another with --shape",
            )


def _names(axes: tuple[int | str, ...], symbol: str) -> bool:
    return any(isinstance(axis, str) and symbol in symbols_in(axis) for axis in axes)
