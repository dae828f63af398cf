"""The table of importers, and the one function that picks from it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edgetvm.base.errors import EdgetvmError, ModelUnreadableError, UnsupportedOperatorsError
from edgetvm.base.files import sha256_of, sha256_of_file
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.pins import check_pins, installed_version
from edgetvm.base.steps import step
from edgetvm.base.words import plural, printable
from edgetvm.models.counting import multiply_adds
from edgetvm.models.imported import Imported, free_quietly
from edgetvm.models.model import ImportOptions, Model, Provenance


@dataclass(frozen=True)
class Importer:
    """One source format.

    Attributes:
        suffixes: of its files, lower case.
        module: of this room, with `read(path, options) -> Imported`; imported when it is used.
        packages: whose versions belong to a model's provenance.
        beside: the module whose `files_beside(path)` gives a model's other files, where there are.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    packages: tuple[str, ...]
    beside: str = ""


IMPORTERS = (
    Importer("onnx", (".onnx",), "onnx.importer", ("apache-tvm", "onnx", "onnxsim"), "onnx.file"),
    Importer("tflite", (".tflite", ".lite"), "tflite.importer", ("apache-tvm", "tflite")),
    Importer("torch", (".pt2", ".pt", ".pth"), "torch.importer", ("apache-tvm", "torch")),
    # Text and TVM's JSON; parameters are looked for beside the file.
    Importer("relay", (".relay", ".json"), "relay.importer", ("apache-tvm",), "relay.importer"),
)


MODEL_SUFFIXES = tuple(suffix for importer in IMPORTERS for suffix in importer.suffixes)


@dataclass(frozen=True)
class _Sign:
    """How the content of a file tells its format, whatever its name says.

    Attributes:
        at, letters: where in the file, and what stands there.
        importer: that reads it; empty for a format that comes in through its own exporter.
    """

    at: int
    letters: bytes
    told: str
    mend: str
    importer: str = ""

    def matches(self, head: bytes) -> bool:
        return head.startswith(self.letters, self.at)


_HEAD_BYTES = 16
_SIGNS = (
    _Sign(4, b"TFL3", "a TensorFlow Lite model", "call it .tflite", "tflite"),
    _Sign(
        0,
        b"\x89HDF\r\n",
        "HDF5, as Keras saved it once",
        "export it in Keras: model.export('model.onnx', format='onnx')",
    ),
)


def importer_for(path: Path) -> Importer:
    """The importer for a file, by its suffix.

    Raises:
        ModelUnreadableError: no such file, a folder, an empty file, or a suffix that none reads.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelUnreadableError(
            (error.strerror or "cannot be read").lower(), where=str(path), mend="check the path"
        ) from error
    if size_bytes == 0:
        raise ModelUnreadableError("the file is empty", where=str(path), mend="copy it again")
    meant = next((kind for kind in _SIGNS if kind.matches(head)), None)
    for importer in IMPORTERS:
        if path.suffix.lower() in importer.suffixes:
            if meant is not None and importer.name != meant.importer:
                break
            return importer
    if meant is not None:
        raise ModelUnreadableError(f"its content is {meant.told}", where=str(path), mend=meant.mend)
    raise ModelUnreadableError(
        f"no importer reads {path.suffix or 'files without a suffix'}",
        where=str(path),
        mend=f"known suffixes: {', '.join(MODEL_SUFFIXES)}",
    )


def source_digest(path: Path) -> str:
    """The SHA-256 of a model file; where it keeps weights in files beside itself, of them too.

    Raises:
        StorageError: a file cannot be read.
        ModelUnreadableError: not of the format that its name says.
    """
    own = sha256_of_file(path)
    beside: list[str] = []
    if place := importer_for(path).beside:
        module = import_module(f"edgetvm.models.{place}")
        beside = [sha256_of_file(one) for one in module.files_beside(path)]
    return sha256_of("".join([own, *beside]).encode()) if beside else own


def unsupported(path: Path, nodes: dict[str, list[str]]) -> UnsupportedOperatorsError:
    """One error for all operators that an importer does not know.

    Args:
        path: the model file.
        nodes: names of the nodes by operator.
    """
    parts = []
    # Protocol Buffers gives a name that is not UTF-8 as bytes.
    for operator, names in sorted(nodes.items(), key=str):
        # Fused nodes carry the names of all that went into them: the beginning is enough.
        shown = ", ".join(f"{name!s:.40}" for name in names[:3])
        shown += ", …" if len(names) > 3 else ""
        # Both come from the file: whatever they hold, the message stays one line of fair length.
        parts.append(f"{printable(str(operator)):.120} ({len(names)}x: {printable(shown)})")
    return UnsupportedOperatorsError(
        f"{plural(len(nodes), 'unsupported operator')}: {'; '.join(parts)}",
        where=str(path),
        mend="export the model without them, or fix shapes and inputs so that they fold away",
    )


def import_model(path: Path, options: ImportOptions | None = None, name: str = "") -> Model:
    """Read a model file into Relax.

    Args:
        path: an ONNX, TFLite, exported PyTorch or Relay file.
        options: shapes, constant inputs and states to fix.
        name: for reports; the file's own without it.

    Raises:
        ModelUnreadableError: missing, truncated, not of the format that its name says.
        UnsupportedOperatorsError: all of them in one message.
        InputError: a shape or name in `options` does not fit the model.
        MissingToolError: a package of the importer is missing, or TVM's pins do not hold.
    """
    check_pins()
    importer = importer_for(path)
    options = options or ImportOptions()
    with step(f"import {path.name}") as this:
        with native_words_kept_back():
            module = import_module(f"edgetvm.models.{importer.module}")
            read: Callable[[Path, ImportOptions], Imported] = module.read
            try:
                imported = read(path, options)
            except EdgetvmError as error:
                free_quietly(error)
                raise
        this.detail = f"{sum(imported.operators.values())} operators"
    return Model(
        name=name or path.stem,
        module=imported.module,
        signature=imported.signature.with_states(options.states),
        nodes=imported.nodes,
        operators=imported.operators,
        parameters=imported.parameters,
        multiply_adds=multiply_adds(imported.module),
        quantised=imported.quantised,
        source=path,
        options=options,
        provenance=Provenance(
            file_name=path.name,
            sha256=source_digest(path),
            importer=importer.name,
            versions={
                package: found
                for package in importer.packages
                if (found := installed_version(package))
            },
            changes=imported.changes,
        ),
    )
