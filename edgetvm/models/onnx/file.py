"""ONNX files: parsed, checked, and the files in which they keep weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.onnx.order import sort

if TYPE_CHECKING:
    import onnx

# What onnx's checker minds and the importer does not: nodes of a domain that onnx has no schema
# for (all of them are named later), and outputs whose shape is left to be inferred.
_TOLERABLE = ("No Op registered", "No opset import", "Field 'shape' of 'type' is required")
_UNSORTED = "topologically sorted"


def load(path: Path) -> onnx.ModelProto:
    """Parse and check an ONNX file; its external data must lie in its own folder.

    Raises:
        ModelUnreadableError: not ONNX, truncated, or inconsistent.
    """
    import onnx

    model = _parsed(path)
    _check_names(model, path)
    if _checked_weights(model, path):
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except (onnx.checker.ValidationError, ValueError, OSError, RuntimeError) as error:
            raise _invalid(path, error) from error
    try:
        onnx.checker.check_model(path)
    except (onnx.checker.ValidationError, ValueError, OSError, RuntimeError) as error:
        _tolerate(model, path, error)
    return model


def _check_names(model: onnx.ModelProto, path: Path) -> None:
    """Refuse inputs and outputs whose names are not UTF-8: Protocol Buffers gives them as bytes."""
    names = [entry.name for entry in (*model.graph.input, *model.graph.output)]
    for name in names + [tensor.name for tensor in model.graph.initializer]:
        if isinstance(name, bytes):
            raise ModelUnreadableError(
                f"the name {name!r} is not UTF-8", where=str(path), mend="export it again"
            )


def _parsed(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelUnreadableError(
            "not an ONNX file, or cut off", where=str(path), mend="export or copy it again"
        ) from error
    except (ValueError, OSError, RuntimeError) as error:
        raise _invalid(path, error) from error


def _tolerate(model: onnx.ModelProto, path: Path, error: Exception) -> None:
    """Pass over what the importer does not mind, and mend the order of nodes."""
    import onnx

    if _UNSORTED in str(error):
        sort(model.graph)
        try:
            onnx.checker.check_model(model)
        except (onnx.checker.ValidationError, ValueError, RuntimeError) as still:
            if _UNSORTED in str(still):
                named = re.search("input ('.*') of node", str(still))
                raise ModelUnreadableError(
                    f"tensor {named[1] if named else '?'} depends on itself, or nothing makes it",
                    where=str(path),
                    mend="export it again",
                ) from still
            error = still
        else:
            return
    shaped = all(entry.type.tensor_type.HasField("shape") for entry in model.graph.input)
    if not shaped or not any(tolerable in str(error) for tolerable in _TOLERABLE):
        raise _invalid(path, error) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "inconsistent"


def _invalid(path: Path, error: Exception) -> ModelUnreadableError:
    return ModelUnreadableError(
        f"not a valid ONNX model: {_first_line(error)}", where=str(path), mend="export it again"
    )


def files_beside(path: Path) -> list[Path]:
    """The files in which an ONNX file keeps weights, in its own folder.

    Raises:
        ModelUnreadableError: not ONNX; or a file is named that lies elsewhere, is missing or short.
    """
    # Parsing takes long: only a file that may name others is looked into.
    if b"location" not in path.read_bytes():
        return []
    return [path.parent / name for name in _checked_weights(_parsed(path), path)]


def _checked_weights(model: onnx.ModelProto, path: Path) -> list[str]:
    """The names of files with weights; each holds all that tensors are said to have in it."""
    from onnx import TensorProto

    names = set()
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            names.add(_checked_place(tensor, path))
    return sorted(names)


def _checked_place(tensor: onnx.TensorProto, path: Path) -> str:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")

    def refusal(what: str, mend: str) -> ModelUnreadableError:
        return ModelUnreadableError(
            f"the weights of {tensor.name!r} {what}", where=str(path), mend=mend
        )

    if not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise refusal(
            f"are said to lie in {name!r}", "keep them in a file of the model's own folder"
        )
    file = path.parent / name
    inside = file.resolve().is_relative_to(path.parent.resolve())
    if not file.is_file() or file.is_symlink() or not inside:
        raise refusal(f"lie in {name}, which is no file here", "copy it to the model's own folder")
    try:
        offset = int(entries.get("offset") or 0)
        size = file.stat().st_size
        given = int(entries.get("length") or max(size - offset, 0))
    except (ValueError, OSError) as error:
        raise refusal(f"have no readable place in {name}", "export the model again") from error
    wanted = _bytes(tensor)
    if min(offset, given) < 0 or offset + given > size or wanted not in (given, None):
        raise refusal(
            f"take {wanted} bytes; the file says {given} from byte {offset} of {name}, "
            f"which has {size}",
            "copy or export both files again",
        )
    return name


def _bytes(tensor: onnx.TensorProto) -> int | None:
    """Bytes of a tensor, or None where its elements are not whole bytes."""
    from onnx import helper

    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, TypeError, ValueError):
        return None
    whole = dtype.kind in "fiub" and dtype.isbuiltin
    return math.prod(tensor.dims) * dtype.itemsize if whole else None


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for below in (attribute.g, *attribute.graphs):
                yield from _tensors(below)
