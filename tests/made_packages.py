"""Packages in the new format, and damaged ones, written byte by byte."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from edgetvm.compile import Artifact
from edgetvm.models.model import Signature
from edgetvm.package.arrays import to_bytes
from edgetvm.package.gate import Checked

PAGE_BYTES = 4096
Members = dict[str, bytes]


def target_of(artifact: Artifact, checked: Checked | None) -> dict[str, Any]:
    """An artifact as an entry of the manifest's `targets`."""
    profile = artifact.profile
    correctness = checked.correctness if checked else None
    return {
        "profile": profile.name,
        "architecture": profile.architecture,
        "triple": profile.triple,
        "cpu": profile.cpu,
        "required_cpu_flags": list(profile.required_cpu_flags),
        "emulated": profile.emulated,
        "executor": artifact.executor,
        "library": f"{profile.name}/model.so",
        "runtime": None,
        "correctness": correctness
        and {"reference": correctness.reference, "tolerance": correctness.tolerance},
    }


def contents(
    artifacts: Sequence[Artifact], checked: Checked, labels: str | None = None
) -> tuple[dict[str, Any], Members]:
    """The manifest, without its members, and the members of a package."""
    signature = artifacts[0].signature
    members = {f"{one.profile.name}/model.so": one.library for one in artifacts}
    for kind, specs, arrays in (
        ("input", signature.inputs, checked.sample_inputs),
        ("output", signature.outputs, checked.sample_outputs),
    ):
        for index, spec in enumerate(specs):
            members[f"sample/{kind}-{index}.bin"] = to_bytes(arrays[spec.name])
    if labels is not None:
        members["labels.txt"] = labels.encode()
    manifest = {
        "format_version": 1,
        "edgetvm_version": "0.0.0",
        "name": artifacts[0].name,
        "signature": TypeAdapter(Signature).dump_python(signature, mode="json"),
        "targets": [target_of(one, checked) for one in artifacts],
        "labels": "labels.txt" if labels is not None else None,
        "processing": None,
        "provenance": {"tuning_sha256": None},
    }
    return manifest, members


def packed(manifest: Mapping[str, Any], members: Members, **last: bytes) -> bytes:
    """The bytes of a package: the manifest gets the members' names, sizes and checksums."""
    listed = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
        for name, data in members.items()
    ]
    text = json.dumps({"members": listed, **manifest}, indent=1, sort_keys=True)
    extra = {f"{name}.json": data for name, data in last.items()}
    return zipped({"manifest.json": text.encode(), **members, **extra})


def zipped(members: Members) -> bytes:
    """Members stored, one after the other, code at a page's begin."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            if name.endswith("model.so"):
                entry.extra = _padding(buffer.tell() + 30 + len(name))
            archive.writestr(entry, data)
    return buffer.getvalue()


def _padding(begin: int) -> bytes:
    """An extra field that lets what follows begin at a page: four bytes of its own at least."""
    size = (-begin - 4) % PAGE_BYTES
    return b"\x35\xd9" + size.to_bytes(2, "little") + bytes(size)
