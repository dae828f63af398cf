"""YAML files that users name: of recipes, pipelines, experiments and board profiles."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from edgetvm.base.errors import NotFoundError
from edgetvm.base.paths import chosen_folders, search_folders

Kind: TypeAlias = Literal["recipes", "pipelines", "experiments", "devices"]


@dataclass(frozen=True)
class _Words:
    """About files of a kind.

    Attributes:
        noun: what one is called.
        pattern: of their paths below a folder of the search path.
        mend: where none has a name and none nearly has it.
    """

    noun: str
    pattern: str
    mend: str


_WORDS: dict[Kind, _Words] = {
    "recipes": _Words("recipe", "**/*.yaml", "see: edgetvm recipes list"),
    "pipelines": _Words("pipeline", "**/*.yaml", "see: edgetvm pipelines list"),
    "experiments": _Words("experiment", "*.yaml", "name a .yaml file, or: {known}"),
    "devices": _Words("board profile", "*.yaml", "see: edgetvm profiles list"),
}


@dataclass(frozen=True)
class NamedFile:
    """A file that was found.

    Attributes:
        path: of it.
        is_chosen: whether the user chose it, by its path or by the folder that it lies in; what
            the current folder happens to hold is not chosen.
    """

    path: Path
    is_chosen: bool


def files_of(kind: Kind) -> dict[str, Path]:
    """The YAML files of the search path by name: by their paths below its folders."""
    found: dict[str, Path] = {}
    for folder in search_folders(kind):
        for path in sorted(folder.glob(_WORDS[kind].pattern)):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def find(kind: Kind, name_or_path: str) -> NamedFile:
    """The file that a user names, by its path or by its name on the search path.

    Raises:
        NotFoundError: no such file; of a name it tells the nearest.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        return find_called(kind, name_or_path)
    if not path.is_file():
        noun = _WORDS[kind].noun
        raise NotFoundError(f"no such {noun} file", where=name_or_path, mend="check the path")
    return NamedFile(path, is_chosen=True)


def find_called(kind: Kind, name: str) -> NamedFile:
    """The file of that name on the search path, whatever files are called so.

    Raises:
        NotFoundError: there is none; tells the nearest.
    """
    files = files_of(kind)
    if name not in files:
        words, near = _WORDS[kind], difflib.get_close_matches(name, files, n=1)
        usual = words.mend.format(known=", ".join(files) or "none")
        mend = f"did you mean {near[0]!r}?" if near else usual
        raise NotFoundError(f"no {words.noun} is called {name!r}", mend=mend)
    path = files[name]
    is_chosen = any(path.is_relative_to(folder) for folder in chosen_folders(kind))
    return NamedFile(path, is_chosen)
