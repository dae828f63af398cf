"""Where the models' files come from: wheels, the user's folders, the onnx package."""

from __future__ import annotations

import zipfile
from pathlib import Path

from benchmarks.latency.suite import Light, Made, Mine, Quantised, Shared, Source, Wheel
from benchmarks.real_models import fetched
from edgetvm.measure.peers.case import Unavailable


def obtained(source: Source, folder: Path) -> Path:
    """The file of a source (the weights, of a made one), fetched where it must be.

    Raises:
        Unavailable: it cannot be had here.
    """
    match source:
        case Wheel(package, file):
            return member(package, file, folder)
        case Shared(file):
            return _shared(file)
        case Light(name):
            return _light(name)
        case Mine(path):
            return path
        case Made(_, package, file):
            return member(package, file, folder)
        case Quantised():
            raise AssertionError("it is made from another case")


def member(package: str, file: str, folder: Path) -> Path:
    """A file of a Python package, whose wheel is kept in the folder.

    Raises:
        Unavailable: the wheel cannot be downloaded, or has no such file.
    """
    path = folder / "files" / file
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        wheel = fetched(package, folder)
    except SystemExit as error:
        raise Unavailable(str(error)) from None
    with zipfile.ZipFile(wheel) as archive:
        if file not in archive.namelist():
            raise Unavailable(f"{package} has no file {file}")
        archive.extract(file, folder / "files")
    return path


def _shared(file: str) -> Path:
    from edgetvm.base.paths import model_folders

    for root in model_folders():
        if (root / file).is_file():
            return root / file
    raise Unavailable(f"no folder of $EDGETVM_MODELS has {file}")


def _light(name: str) -> Path:
    import onnx.backend.test

    data = Path(onnx.backend.test.__file__).parent / "data" / "light"
    path = data / f"light_{name}.onnx"
    if not path.is_file():
        raise Unavailable(f"this onnx package has no {path.name}")
    return path
