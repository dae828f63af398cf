"""Where things lie: the user's folders first, then what edgetvm ships."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def _xdg(variable: str, fallback: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG Base Directory Specification says to ignore relative paths.
    base = Path(value) if value.startswith("/") else Path.home() / fallback
    return base / "edgetvm"


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/edgetvm`: anything in it can be made again."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def config_folder() -> Path:
    """`$XDG_CONFIG_HOME/edgetvm`: the user's boards, devices and recipes."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def data_folder() -> Path:
    """`$XDG_DATA_HOME/edgetvm`: measurements and tuning records, which cannot be made again."""
    return _xdg("XDG_DATA_HOME", ".local/share")


def shipped_folder(kind: str) -> Path:
    """The folder of board profiles (`devices`), `recipes` or `experiments` that edgetvm ships."""
    inside_wheel = _PACKAGE / "_data" / kind
    return inside_wheel if inside_wheel.is_dir() else _PACKAGE.parent / kind


def shipped_file(name: str) -> Path:
    """A file of the project's root that comes with edgetvm, such as its `LICENSE`."""
    inside_wheel = _PACKAGE / "_data" / name
    return inside_wheel if inside_wheel.is_file() else _PACKAGE.parent / name


def search_folders(kind: str) -> list[Path]:
    """Folders to look in for `devices`, `recipes` or `experiments`, the first one winning.

    `$EDGETVM_DEVICES` and so on (folders joined by `:`), `./devices` and so on, the user's
    configuration folder, and what edgetvm ships.
    """
    chosen = [*_named_folders(kind), Path.cwd() / kind, *_own_folders(kind)]
    return list(dict.fromkeys(folder.resolve() for folder in chosen if folder.is_dir()))


def chosen_folders(kind: str) -> list[Path]:
    """Those of `search_folders` that the user chose: all but what the current folder holds."""
    chosen = [*_named_folders(kind), *_own_folders(kind)]
    return [folder.resolve() for folder in chosen if folder.is_dir()]


def _named_folders(kind: str) -> list[Path]:
    named = os.environ.get(f"EDGETVM_{kind.upper()}", "").split(":")
    return [Path(name) for name in named if name]


def _own_folders(kind: str) -> list[Path]:
    return [config_folder() / kind, shipped_folder(kind)]


def model_folders() -> list[Path]:
    """Folders of `$EDGETVM_MODELS` (joined by `:`), where recipes find model files by name."""
    return [Path(name) for name in os.environ.get("EDGETVM_MODELS", "").split(":") if name]


def data_folders() -> list[Path]:
    """Folders of `$EDGETVM_DATA` (joined by `:`), where recipes find folders of data by name."""
    return [Path(name) for name in os.environ.get("EDGETVM_DATA", "").split(":") if name]
