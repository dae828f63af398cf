"""Files of recipes and pipelines, by name or path, and whether code beside them may run."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from edgetvm.base.errors import NotFoundError
from edgetvm.base.paths import search_folders
from edgetvm.base.yamlfile import Keys
from edgetvm.recipes.modules import is_chosen, refused_code, with_code

Kind: TypeAlias = Literal["recipes", "pipelines"]


@dataclass(frozen=True)
class Found:
    """A file, and what its keys go through before they are read.

    Attributes:
        path: of it.
        before: runs the code beside it, or refuses it where nobody chose the file.
    """

    path: Path
    before: Callable[[Keys], Keys]


def files_of(kind: Kind) -> dict[str, Path]:
    """The YAML files of the search path by name: by their paths below its folders."""
    found: dict[str, Path] = {}
    for folder in search_folders(kind):
        for path in sorted(folder.rglob("*.yaml")):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def find(kind: Kind, name_or_path: str) -> Found:
    """The file that a user names, by its path or by its name on the search path.

    Raises:
        NotFoundError: no such file; of a name it tells the nearest.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        return find_called(kind, name_or_path)
    if not path.is_file():
        raise NotFoundError(
            f"no such {kind.removesuffix('s')} file", where=name_or_path, mend="check the path"
        )
    return Found(path, partial(with_code, path))


def find_called(kind: Kind, name: str) -> Found:
    """The file of that name on the search path, whatever files are called so.

    Raises:
        NotFoundError: there is none; tells the nearest.
    """
    files = files_of(kind)
    if name not in files:
        near = difflib.get_close_matches(name, files, n=1)
        mend = f"did you mean {near[0]!r}?" if near else f"see: edgetvm {kind} list"
        raise NotFoundError(f"no {kind.removesuffix('s')} is called {name!r}", mend=mend)
    path = files[name]
    return Found(path, partial(with_code if is_chosen(path, kind) else refused_code, path))
