"""What `edgetvm package diff` says: all that differs, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from real_board import packaged
from rich.console import Console

from edgetvm.cli.package_views import difference_view
from edgetvm.package import Change, differences, signed
from edgetvm.package.archive import Package, packed, verify_package


@pytest.fixture(scope="module")
def package(tiny_onnx: Path) -> Package:
    return packaged(tiny_onnx)


def test_the_same_content_does_not_differ(package: Package) -> None:
    assert differences(package, package) == []
    behind = verify_package(b"something" + package.data, "m")
    assert differences(package, behind) == []


def test_a_signature_is_all_that_signing_changes(package: Package) -> None:
    mine = verify_package(signed(package, Ed25519PrivateKey.generate()), "m")
    (change,) = differences(package, mine)
    assert change == Change("signature", "", None, {"signed_by": mine.signed_by})


def test_each_thing_is_named_where_it_is(package: Package) -> None:
    manifest = package.manifest
    (target,) = manifest.targets
    first, *rest = target.kernels
    changed = replace(
        target,
        cpu="other",
        kernels=(replace(first, rule="another rule"), *rest[1:], replace(first, name="new")),
    )
    files = {**package.members, target.library: b"another library"}
    other = verify_package(packed(replace(manifest, name="b", targets=(changed,)), files), "m")
    found = {(one.part, one.key): (one.before, one.after) for one in differences(package, other)}
    member = f"member {target.library}"
    gone = found.pop((f"kernel {rest[0].name} for local", ""))
    assert gone[0]["name"] == rest[0].name and gone[1] is None
    new = found.pop(("kernel new for local", ""))
    assert new[0] is None and new[1]["rule"] == first.rule
    assert found.pop((member, "sha256"))[1] != target.library
    assert found == {
        ("manifest", "name"): ("tiny", "b"),
        ("target local", "cpu"): (target.cpu, "other"),
        (f"kernel {first.name} for local", "rule"): (first.rule, "another rule"),
        (member, "size_bytes"): (len(package.members[target.library]), 15),
    }


def test_long_names_leave_room_for_what_differs() -> None:
    name = "kernel " + "fused_conv2d_add_" * 12 + " for local"
    console = Console(width=80, record=True, file=StringIO())
    console.print(difference_view([Change(name, "rule", "before", "after")]))
    first, *_ = (line for line in console.export_text().splitlines() if "before" in line)
    assert first.split()[-3:] == ["rule", "before", "after"]
