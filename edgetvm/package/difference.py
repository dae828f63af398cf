"""What differs between two packages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgetvm.package.archive import Package


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        part: `manifest`, `target rpi4`, `kernel NAME for rpi4`, `member NAME` or `signature`.
        key: in that part, with dots between its words; empty where one package lacks the part.
        before, after: values in the first package and in the second; None where there is none.
    """

    part: str
    key: str
    before: Any
    after: Any


def differences(first: Package, second: Package) -> list[Change]:
    """All that differs, in the order of the packages; nothing for two of the same content."""
    before, after = _parts(first), _parts(second)
    changes: list[Change] = []
    for part in {**before, **after}:
        if part in before and part in after:
            changes += _changes(part, dict(_leaves(before[part])), dict(_leaves(after[part])))
        else:
            changes.append(Change(part, "", before.get(part), after.get(part)))
    return changes


def _parts(package: Package) -> dict[str, Mapping[str, Any]]:
    """The parts of a package, each by a name that it has in every package."""
    manifest = json.loads(package.manifest_json)
    targets, members = manifest.pop("targets"), manifest.pop("members")
    parts: dict[str, Mapping[str, Any]] = {"manifest": manifest}
    for target in targets:
        profile, kernels = target["profile"], target.pop("kernels")
        parts[f"target {profile}"] = target
        parts |= {f"kernel {kernel['name']} for {profile}": kernel for kernel in kernels}
    parts |= {f"member {member['name']}": member for member in members}
    if package.signed_by is not None:
        parts["signature"] = {"signed_by": package.signed_by}
    return parts


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Single values below `value`, by the path to them."""
    below: Any = ()
    if isinstance(value, dict):
        below = value.items()
    elif isinstance(value, list):
        below = enumerate(value)
    if not below:
        yield ".".join(path), value
    for key, one in below:
        yield from _leaves(one, (*path, str(key)))


def _changes(part: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            yield Change(part, key, before.get(key), after.get(key))
