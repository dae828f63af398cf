"""What the commands of packages print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from edgetvm.base.units import format_bytes
from edgetvm.base.words import plural, printable
from edgetvm.cli.compile_views import told_memory
from edgetvm.cli.tables import add_row, fact_table, new_table
from edgetvm.cli.views import correctness_words, tensor_rows

if TYPE_CHECKING:
    from edgetvm.package import BuiltRuntime, Change, Package
    from edgetvm.package.manifest import PackagedTarget

_LONG = 60


def package_document(package: Package, path: Path) -> dict[str, Any]:
    """`edgetvm package … --json`."""
    return {
        "path": str(path),
        "sha256": package.sha256,
        "size_bytes": package.size_bytes,
        "signed_by": package.signed_by,
        "manifest": asdict(package.manifest),
    }


def package_view(package: Package, path: Path) -> RenderableType:
    """`edgetvm package write` and `sign`."""
    manifest = package.manifest
    return fact_table(
        {
            "package": path,
            "model": manifest.name,
            "size": format_bytes(package.size_bytes),
            "sha256": package.sha256,
            "signed by": package.signed_by or "nobody",
            **tensor_rows(manifest.signature),
            **{f"for {target.profile}": _target(package, target) for target in manifest.targets},
        }
    )


def verified_view(package: Package, path: Path, key: Path | None) -> RenderableType:
    """`edgetvm package verify`: what was found, and the rest."""
    return Group(_verdict(package, key), "", package_view(package, path))


def _verdict(package: Package, key: Path | None) -> str:
    """`whole and unaltered, signed by mine.pub.pem`."""
    is_known = package.signed_by is not None or package.manifest.program_sha256 is not None
    program = ", its program too" if package.begin and is_known else ""
    if package.signed_by is None:
        part, rest = "", ""
        if package.begin and not is_known:
            part, rest = "the package in it is ", "; its program was not checked"
        return f"{part}whole and unaltered{program}, signed by nobody{rest}"
    signer = printable(str(key)) if key else "a key that was not compared: name yours with --key"
    return f"whole and unaltered{program}, signed by {signer}"


def _target(package: Package, target: PackagedTarget) -> str:
    code_bytes = package.manifest.sizes_bytes[target.library]
    return (
        f"{target.triple}, {target.cpu}; {format_bytes(code_bytes)} at {target.options}; "
        f"activations {told_memory(target.memory, target.options)}; "
        f"{correctness_words(target.correctness)}{_checked_on(target)}"
    )


def _checked_on(target: PackagedTarget) -> str:
    """Where the model was run for the comparison: seldom on the board itself."""
    return "" if target.correctness is None else f" (checked on {target.correctness.checked_on})"


def whole_package_view(package: Package, path: Path) -> RenderableType:
    """`edgetvm package inspect`."""
    manifest = package.manifest
    provenance = manifest.provenance
    facts = {
        "written by": f"edgetvm {manifest.edgetvm_version}, format {manifest.format_version}",
        "made from": f"{provenance.file_name}, SHA-256 {provenance.sha256}",
        "changed": "; ".join(provenance.changes) or "nothing",
        "processing": json.dumps(manifest.processing) if manifest.processing else "not told",
        "licences": "; ".join(f"{one.name}: {one.spdx}" for one in manifest.licences),
        **{f"on {target.profile}": _needs(target) for target in manifest.targets},
    }
    members = new_table("member", "size", "sha256", right=("size",))
    for member in manifest.members:
        add_row(members, member.name, format_bytes(member.size_bytes), member.sha256)
    return Group(package_view(package, path), "", fact_table(facts), "", members)


def _needs(target: PackagedTarget) -> str:
    flags = ", ".join(target.required_cpu_flags) or "nothing special"
    return f"{target.executor}; needs {flags}; {plural(len(target.kernels), 'kernel')}"


def difference_document(changes: Sequence[Change]) -> dict[str, Any]:
    """`edgetvm package diff --json`."""
    return {"equal": not changes, "changes": [asdict(change) for change in changes]}


def difference_view(changes: Sequence[Change]) -> RenderableType:
    """`edgetvm package diff`."""
    if not changes:
        return "they hold the same"
    columns = ("part", "key", "first", "second")
    table = new_table(*columns, folded=columns)
    for change in changes:
        add_row(table, change.part, change.key, _short(change.before), _short(change.after))
    return table


def kit_document(folder: Path, runtime: BuiltRuntime, files: Sequence[str]) -> dict[str, Any]:
    """`edgetvm package runtime --json`."""
    return {
        "path": str(folder),
        "architecture": runtime.architecture,
        "libc": runtime.libc,
        "sizes_bytes": {name: (folder / name).stat().st_size for name in files},
    }


def kit_view(document: dict[str, Any]) -> RenderableType:
    """`edgetvm package runtime`."""
    table = new_table("file", "bytes", right=("bytes",))
    for name, size_bytes in document["sizes_bytes"].items():
        add_row(table, name, str(size_bytes))
    told = f"{document['architecture']}, {document['libc']}"
    return Group(fact_table({"folder": document["path"], "for": told}), "", table)


def _short(value: Any) -> str:
    """A value in one line; a whole part by its size where it has one."""
    if value is None:
        return "—"
    if isinstance(value, dict):
        return f"{value['size_bytes']} bytes" if "size_bytes" in value else "there"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
