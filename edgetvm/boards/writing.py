"""A board profile as a YAML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from edgetvm.base.errors import UsageError
from edgetvm.base.files import storage_errors, write_text
from edgetvm.boards.profile import BoardProfile


def profile_text(profile: BoardProfile) -> str:
    """What `read_profile` reads the same profile from; keys with their default are left out."""
    return yaml.safe_dump(_told(profile), sort_keys=False, default_flow_style=None, width=96)


def _told(record: Any) -> dict[str, Any]:
    """The values of a record that are not its defaults."""
    told = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value == field.default:
            continue
        told[field.name] = _plain(value)
    return told


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _told(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def write_profile(profile: BoardProfile, path: Path) -> None:
    """Write a profile; its file is called as it is.

    Raises:
        UsageError: there is a file already, or its name is another.
        StorageError: it cannot be written.
    """
    if path.name != f"{profile.name}.yaml":
        raise UsageError(f"{path} is no file for it", mend=f"call it {profile.name}.yaml")
    if path.exists():
        raise UsageError(f"{path} is there already", mend="choose another name, or remove it")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, profile_text(profile))
