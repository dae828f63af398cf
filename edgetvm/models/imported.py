"""What every importer gives, and what they share."""

from __future__ import annotations

import gc
import math
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import InputError, ModelUnreadableError
from edgetvm.models.model import DTYPES, ImportOptions, QuantisedTensors, Signature, TensorSpec

if TYPE_CHECKING:
    from tvm.ir import IRModule


@dataclass(frozen=True)
class Imported:
    """A model as an importer leaves it; `edgetvm.models.importers` adds the rest."""

    module: IRModule
    signature: Signature
    nodes: Mapping[str, str]
    operators: Mapping[str, int]
    parameters: Mapping[str, int]
    quantised: tuple[QuantisedTensors, ...]
    changes: tuple[str, ...]


Axis = int | str | None

_MOST_ELEMENTS = 1 << 32


def fixed_shapes(
    axes: Mapping[str, Sequence[Axis]],
    options: ImportOptions,
    path: Path,
    length: int = 128,
    side: int = 224,
) -> dict[str, tuple[int, ...]]:
    """Static shapes of the inputs. A dynamic axis is None, or a symbol that axes may share.

    A dynamic axis takes its size from `options.shapes`. Where the user gave none, a symbol that
    is known from another input keeps that size; else 1 for a batch (see `_is_batch`) and for a
    symbol that is one elsewhere, `side` for the last two of a rank-4 image, `length` for others.

    Raises:
        InputError: a given shape has another rank, contradicts a fixed axis, or is not positive;
            or an input is larger than any board.
    """
    sizes: dict[str, int] = {}
    for name, declared in axes.items():
        if name in options.shapes:
            given = _checked(name, declared, options.shapes[name], path)
            for axis, size in zip(declared, given, strict=True):
                if isinstance(axis, str) and sizes.setdefault(axis, size) != size:
                    raise InputError(
                        f"input {name!r} has {size} for the axis {axis!r} that is {sizes[axis]} "
                        "elsewhere",
                        where=str(path),
                        mend="inputs that share an axis need one size for it",
                    )
    for declared in axes.values():
        for index, axis in enumerate(declared):
            if isinstance(axis, str) and _is_batch(declared, index):
                sizes.setdefault(axis, 1)
    shapes = {}
    for name, declared in axes.items():
        shape = list(options.shapes.get(name, ()))
        if not shape:
            for index, axis in enumerate(declared):
                guess = side if len(declared) == 4 and index >= 2 else length
                guess = 1 if _is_batch(declared, index) else guess
                # An axis declared as 0 is an empty one, or an exporter's way to say "dynamic".
                known = axis if isinstance(axis, int) else 0
                size = known or sizes.get(str(axis or ""), guess)
                shape.append(size)
                if isinstance(axis, str):
                    sizes[axis] = size
        shapes[name] = tuple(shape)
        if math.prod(shape) > _MOST_ELEMENTS:
            raise InputError(
                f"input {name!r} of shape [{', '.join(map(str, shape))}] is larger than any board",
                where=str(path),
                mend="give a smaller one with --shape",
            )
    return shapes


def _is_batch(declared: Sequence[Axis], index: int) -> bool:
    """Whether an open axis is a batch: the first, one so called, or that of a recurrent state.

    A state is [layers, batch, features]; with one layer, nothing tells it from [batch, time, ...].
    """
    axis, first = declared[index], declared[0]
    if index == 0 or (isinstance(axis, str) and "batch" in axis.lower()):
        return True
    fixed = [isinstance(one, int) and one > 0 for one in declared]
    return axis in (None, 0) and fixed == [True, False, True] and first != 1


def _checked(
    name: str, declared: Sequence[Axis], given: tuple[int, ...], path: Path
) -> tuple[int, ...]:
    fits = len(given) == len(declared) and all(
        size > 0 if not isinstance(axis, int) else axis in (size, 0) and size >= 0
        for axis, size in zip(declared, given, strict=True)
    )
    if not fits:
        raise InputError(
            f"input {name!r} cannot have shape [{', '.join(map(str, given))}]",
            where=str(path),
            mend=f"the model declares [{shown_axes(declared)}]; a ? may be any positive number",
        )
    return given


def shown_axes(declared: Sequence[Axis]) -> str:
    """Declared axes as text, `?` for a dynamic one."""
    return ", ".join(str(axis) if isinstance(axis, int) and axis else "?" for axis in declared)


def shape_changes(
    axes: Mapping[str, Sequence[Axis]],
    shapes: Mapping[str, tuple[int, ...]],
    options: ImportOptions,
) -> list[str]:
    """A sentence for each input whose dynamic axes were fixed, or guessed beyond the batch."""
    return [
        f"input {name} [{shown_axes(axes[name])}] {_how(name, axes[name], options)} "
        f"[{', '.join(map(str, shape))}]"
        for name, shape in shapes.items()
        if any(not isinstance(axis, int) for axis in axes[name])
    ]


# The word that marks a guess in `Provenance.changes`.
GUESSED = "guessed as"


def _how(name: str, declared: Sequence[Axis], options: ImportOptions) -> str:
    beyond_batch = any(
        not isinstance(axis, int) and not _is_batch(declared, index)
        for index, axis in enumerate(declared)
    )
    return GUESSED if beyond_batch and name not in options.shapes else "fixed to"


def check_names(known: Sequence[str], options: ImportOptions, path: Path) -> None:
    """Refuse options that name inputs which the model does not have, or one input twice.

    Raises:
        InputError: naming the inputs that there are.
    """
    for name in (*options.shapes, *options.bindings):
        if name not in known:
            raise InputError(
                f"the model has no input {name!r}",
                where=str(path),
                mend=f"its inputs are {', '.join(known)}",
            )
        if name in options.shapes and name in options.bindings:
            raise InputError(
                f"input {name!r} is given a shape and a value",
                where=str(path),
                mend="a bound input has the shape of its value: leave --shape out",
            )


def bound_array(
    name: str, axes: Sequence[Axis], dtype: str, options: ImportOptions, path: Path
) -> NDArray[np.generic]:
    """The constant that an input is bound to, in the input's own shape and dtype.

    Raises:
        InputError: the dtype cannot hold the value, or the value has another shape.
    """
    value = options.bindings[name]
    refusal = InputError(
        f"input {name!r} cannot be {value}",
        where=str(path),
        mend=f"it is {dtype}[{shown_axes(axes)}]",
    )
    try:
        given = np.asarray(value)
        array = given.astype(dtype)
    except (ValueError, OverflowError, TypeError) as error:
        raise refusal from error
    if dtype not in DTYPES or (array.dtype.kind in "iub" and not np.array_equal(array, given)):
        raise refusal
    if array.size == 1:
        one = tuple(axis if isinstance(axis, int) else 1 for axis in axes)
        array = array.reshape(one) if set(one) <= {1} else array
    if array.ndim != len(axes) or any(
        isinstance(axis, int) and axis not in (size, 0)
        for axis, size in zip(axes, array.shape, strict=True)
    ):
        raise refusal
    return array


def relax_signature(
    module: IRModule, input_names: Sequence[str], output_names: Sequence[str], path: Path
) -> Signature:
    """The signature of `main`, under the names that the source file uses.

    Raises:
        ModelUnreadableError: an input or output keeps a dynamic shape, is not a tensor of plain
            numbers, or shares its name; or there is no output.
    """
    if not output_names:
        raise ModelUnreadableError("it has no outputs", where=str(path), mend="export it again")
    for names in (input_names, output_names):
        for name, count in Counter(names).items():
            if count > 1:
                raise ModelUnreadableError(
                    f"{name!r} names {count} tensors", where=str(path), mend="rename all but one"
                )
    main = module["main"]
    fields = list(getattr(main.ret_ty, "fields", None) or [main.ret_ty])
    if len(fields) != len(output_names) or len(main.params) != len(input_names):
        raise ModelUnreadableError(
            f"of {len(input_names)} inputs and {len(output_names)} outputs TVM's converter keeps "
            f"{len(main.params)} and {len(fields)}",
            where=str(path),
            mend="export it again",
        )
    inputs = [
        _tensor(name, parameter.ty, path)
        for name, parameter in zip(input_names, main.params, strict=True)
    ]
    outputs = [_tensor(name, ty, path) for name, ty in zip(output_names, fields, strict=True)]
    return Signature(tuple(inputs), tuple(outputs))


def _tensor(name: str, ty: object, path: Path) -> TensorSpec:
    shape = getattr(ty, "shape", None)
    try:
        axes = tuple(int(axis) for axis in shape)  # type: ignore[union-attr]
    except (TypeError, ValueError) as error:
        raise ModelUnreadableError(
            f"{name!r} keeps a dynamic shape",
            where=str(path),
            mend="fix the shapes of the inputs (--shape NAME=1,3,224,224) that it depends on",
        ) from error
    dtype = str(ty.dtype)  # type: ignore[attr-defined]
    if dtype not in DTYPES:
        raise ModelUnreadableError(
            f"{name!r} is {dtype}",
            where=str(path),
            mend=f"export it with inputs and outputs of {', '.join(DTYPES)}",
        )
    return TensorSpec(name, axes, dtype)


def free_quietly(error: BaseException) -> None:
    """Free what an import left half-built: TVM complains of it on stderr, which is quiet now."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__context__
    gc.collect()


def converter_stopped(
    error: Exception, path: Path, mend: str, who: str = "TVM's converter"
) -> ModelUnreadableError:
    """TVM's converters raise every kind of error; all mean that they cannot read this file."""
    free_quietly(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TVM's own errors end with the reason, after a native traceback.
    reason = lines[-1] if lines else type(error).__name__
    return ModelUnreadableError(f"{who} stopped: {reason}", where=str(path), mend=mend)
