"""The zip archive that `torch.export.save` writes, read without PyTorch.

PyTorch's own reader unpickles parts of it and runs code that it finds there. Nothing of that kind
reaches it from here: what is needed (a JSON document and raw tensors) is checked and written anew.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetvm.base.errors import ModelUnreadableError

HOW_TO_EXPORT = (
    "export the module itself: "
    "torch.export.save(torch.export.export(module.eval(), (example,)), 'model.pt2')"
)

_PROGRAM = "models/model.json"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_OLD_PROGRAM = "serialized_exported_program.json"

_LARGEST_DOCUMENT = 64 << 20
# A buffer may be a view that repeats a smaller record (strides of 0).
_LARGEST_VIEWS = 256 << 20
_RECORD = re.compile(r"(weight|tensor)_\d+")
# Bytes of an element, by torch's number for the dtype.
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 9: 4, 10: 8, 11: 16, 12: 1, 13: 2}


@dataclass(frozen=True)
class Archive:
    """A checked archive.

    Attributes:
        program: the exported program, as JSON; its inside is not checked yet.
        configs: which record holds which parameter, by the name of the file that says so.
        records: contents of the tensors' files, by name.
    """

    program: dict[str, Any]
    configs: Mapping[str, dict[str, Any]]
    records: Mapping[str, bytes]

    def rewritten(self, program: Mapping[str, Any]) -> io.BytesIO:
        """An archive for PyTorch's reader: the given program and these tensors, nothing else."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
            for name, text in (
                (_PROGRAM, json.dumps(program)),
                *((name, json.dumps(config)) for name, config in self.configs.items()),
                ("data/sample_inputs/model.pt", ""),
                ("archive_format", "pt2"),
                ("archive_version", "0"),
                ("byteorder", "little"),
                (".data/version", "3\n"),
            ):
                file.writestr(f"model/{name}", text)
            for name, content in self.records.items():
                file.writestr(f"model/{name}", content)
        buffer.seek(0)
        return buffer


def damaged(path: Path, what: str) -> ModelUnreadableError:
    """An error for a file that is an exported program, but not a whole one."""
    return ModelUnreadableError(
        f"not a whole exported PyTorch program: {what}", where=str(path), mend="save it again"
    )


def read_archive(path: Path) -> Archive:
    """Read a .pt2 file.

    Raises:
        ModelUnreadableError: something else, cut off, saved by another version of PyTorch, or
            it holds what only Python's pickle could read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            members = _members(file, path)
            _check_kind(members, path)
            return _read(file, members, path)
    except zipfile.BadZipFile as error:
        raise _no_zip(path) from error
    # zipfile and json raise any of these for names and numbers that cannot be.
    except (
        *(KeyError, TypeError, ValueError, AttributeError, IndexError, EOFError),
        *(OSError, OverflowError, RecursionError, NotImplementedError, RuntimeError),
    ) as error:
        raise damaged(path, f"{error}"[:200] or type(error).__name__) from error


def _no_zip(path: Path) -> ModelUnreadableError:
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK":
        return ModelUnreadableError(
            "not an exported PyTorch program, or cut off",
            where=str(path),
            mend="copy it again, or save it again",
        )
    what = (
        "a pickled PyTorch file (weights, or a module)"
        if start[:1] == b"\x80"
        else "no exported PyTorch program"
    )
    return ModelUnreadableError(f"it is {what}", where=str(path), mend=HOW_TO_EXPORT)


def _members(file: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The archive's files, by name below its one folder."""
    size, total = path.stat().st_size, 0
    members: dict[str, zipfile.ZipInfo] = {}
    for info in file.infolist():
        total += info.file_size
        name = info.filename.partition("/")[2] or info.filename
        if name in members:
            raise damaged(path, f"{name!r} is in it twice")
        members[name] = info
        # PyTorch compresses nothing: what is larger than the file was made to be.
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or total > size:
            members.pop(name)
            if name == _PROGRAM or name.startswith("data/"):
                raise damaged(path, f"{name!r} is compressed or larger than the file")
    return members


def _check_kind(members: Mapping[str, zipfile.ZipInfo], path: Path) -> None:
    if _PROGRAM in members and "data/weights/model.pt" not in members:
        return
    what = "it is a zip file, but no exported PyTorch program"
    if _OLD_PROGRAM in members or "data/weights/model.pt" in members:
        what = "it was exported with an older PyTorch, which pickled the weights"
    elif "constants.pkl" in members:
        what = "it is TorchScript (torch.jit.save)"
    elif "data.pkl" in members:
        what = "it is a pickled PyTorch file (torch.save of weights, or of a module)"
    elif any(name.startswith("data/aotinductor") for name in members):
        what = "it was compiled by AOTInductor for one machine"
    raise ModelUnreadableError(what, where=str(path), mend=HOW_TO_EXPORT)


def _read(file: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path) -> Archive:
    version = file.read(members["archive_version"]) if "archive_version" in members else b"0"
    order = file.read(members["byteorder"]) if "byteorder" in members else b"little"
    if version.strip() != b"0" or order.strip() != b"little":
        raise ModelUnreadableError(
            f"its archive is of version {version.decode('ascii', 'replace')!r:.20} "
            f"and {order.decode('ascii', 'replace')!r:.20}-endian",
            where=str(path),
            mend="save it again with the PyTorch that is installed here",
        )
    configs = {name: _document(file, members[name], path) for name in _CONFIGS}
    records: dict[str, bytes] = {}
    views = 0
    for config_name, config in configs.items():
        folder = config_name.rpartition("/")[0]
        for parameter, payload in config["config"].items():
            record = payload["path_name"]
            if payload.get("use_pickle") or not _RECORD.fullmatch(record):
                raise ModelUnreadableError(
                    f"{parameter!r} in it is a Python object, which is not unpickled",
                    where=str(path),
                    mend="export a module of plain tensors",
                )
            name = f"{folder}/{record}"
            if name not in records:
                records[name] = file.read(members[name])
            views += max(0, _size_bytes(payload["tensor_meta"]) - len(records[name]))
            if views > _LARGEST_VIEWS:
                raise damaged(path, f"{parameter!r} is larger than what is kept of it")
    return Archive(_document(file, members[_PROGRAM], path), configs, records)


def _size_bytes(meta: Mapping[str, Any]) -> int:
    """Bytes of a parameter as its description says; its device becomes this one."""
    meta["device"].update(type="cpu", index=None)
    sizes = [axis["as_int"] for axis in meta["sizes"]]
    if any(type(size) is not int or size < 0 for size in sizes) or len(sizes) > 64:
        raise ValueError(f"a parameter has the shape {sizes}"[:100])
    return int(math.prod(sizes)) * _ITEM_BYTES.get(meta["dtype"], 16)


def _document(file: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> dict[str, Any]:
    if info.file_size > _LARGEST_DOCUMENT:
        raise damaged(path, f"{info.filename!r} has {info.file_size} bytes")
    document = json.loads(file.read(info))
    if not isinstance(document, dict):
        raise TypeError(f"{info.filename!r} holds no record")
    return document
