"""One run of a package, recipe or model on a board, with inputs from a file or made up."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import InputError, StorageError
from edgetvm.base.files import write_bytes
from edgetvm.base.steps import step
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.standing_boards import connected
from edgetvm.measure.deployment import deploy
from edgetvm.models.model import Arrays
from edgetvm.package.archive import Package


@dataclass(frozen=True)
class RunResult:
    """What one run gave.

    Attributes:
        outputs: arrays by name.
        duration_ns: of the run, timed on the board.
    """

    outputs: dict[str, NDArray[np.generic]]
    duration_ns: int


def read_inputs(path: Path) -> dict[str, NDArray[np.generic]]:
    """Arrays by name from an .npz file; pickled objects are refused.

    Raises:
        InputError: not an .npz file, or it holds objects.
        StorageError: the file cannot be read.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with loaded as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise StorageError(
            (error.strerror or "cannot be read").lower(), where=str(path), mend="check the path"
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            "not an .npz file of plain arrays",
            where=str(path),
            mend="write it with numpy.savez(path, NAME=array, …)",
        ) from error


def write_outputs(path: Path, outputs: Arrays) -> None:
    """Write arrays by name as an .npz file, whole or not at all.

    Raises:
        StorageError: disk full, no permission.
    """
    buffer = io.BytesIO()
    # Not numpy.savez: it takes names as keywords, and an output may be called `file`.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def run(
    package: Package,
    inputs: Arrays,
    board: Board = LOCAL,
    threads: int | None = None,
    allow_mismatch: bool = False,
) -> RunResult:
    """Run a package once on a board.

    Args:
        package: verified; the board verifies it again.
        inputs: arrays by name.
        allow_mismatch: run although the board's answers to the package's sample are wrong.

    Raises:
        InputError: an input does not fit.
        NumericError: the board's answers to the package's sample are wrong.
        PackageError: the board cannot run it.
        BoardError: the board failed.
    """
    with connected(board, "run") as session:
        deploy(session, package, threads, allow_mismatch)
        with step(f"run on {board.name}"):
            duration_ns, outputs = session.run(inputs)
    return RunResult(outputs, duration_ns)
