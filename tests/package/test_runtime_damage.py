"""Damaged packages: the runtime gets as far with each as the table says, and never further."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import damages
import pytest
from built_runtime import RUNTIME, Builds
from damages import Damage, Members, archive, entries_of

from edgetvm.base.errors import PackageError
from edgetvm.package.archive import verify_package
from edgetvm.package.assembly import Notes, build_package

TABLES = {
    "archive": damages.ARCHIVES,
    "manifest": damages.MANIFESTS,
    "library": damages.LIBRARIES,
}


def statuses() -> dict[str, int]:
    """Of the header, by their names in small letters."""
    header = (RUNTIME / "include" / "edgetvm.h").read_text()
    found = re.findall(r"EDGETVM_(\w+) = (\d+)", header)
    return {name.lower(): int(number) for name, number in found}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damage, id=f"{table}: {damage.name}")
        for table, rows in TABLES.items()
        for damage in rows
    ],
)
def test_a_damaged_package_is_refused(
    damage: Damage, builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.edgetvm"
    path.write_bytes(damage.build(tiny.manifest, tiny.members))
    done = builds.sanitized()(path, "--self-test", code=statuses()[damage.status])
    assert done.stdout == ""
    # What is wrong, where, and the mend.
    assert re.fullmatch(r"edgetvm-run: (\S*damaged\.edgetvm: )?.{10,} \(.{5,}\)\n", done.stderr)


# What only the machine that runs it refuses.
RUNNING = {"needs_vm", "wrong_architecture", "missing_cpu_feature", "bad_library"}


@pytest.fixture(scope="session")
def parts(tiny: Any) -> tuple[dict[str, Any], Members]:
    """The manifest, without its members, and the members of a package that lacks nothing."""
    checked = tiny.checked
    data = build_package(
        tiny.artifacts[0],
        checked.correctness,
        checked.sample_inputs,
        checked.sample_outputs,
        Notes(labels=("one", "two")),
    )
    package = verify_package(data, "whole")
    manifest = json.loads(package.manifest_json)
    del manifest["members"]
    return manifest, dict(package.members)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damage, id=damage.name)
        for damage in (*damages.ARCHIVES, *damages.MANIFESTS)
        if damage.status not in RUNNING
    ],
)
def test_the_reader_in_python_refuses_the_same(
    damage: Damage, parts: tuple[dict[str, Any], Members]
) -> None:
    verify_package(archive(entries_of(*parts)), "whole")
    with pytest.raises(PackageError) as caught:
        verify_package(damage.build(*parts), "damaged")
    assert caught.value.mend


def test_what_is_not_needed_is_checked_when_it_is_read(
    builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.edgetvm"
    altered = next(one for one in damages.ARCHIVES if one.name == "a bit of the labels")
    path.write_bytes(altered.build(tiny.manifest, tiny.members))
    run = builds.sanitized()
    run(path)
    assert "labels.txt was altered" in run(path, "--self-test", code=13).stderr
    altered = next(one for one in damages.ARCHIVES if one.name == "a bit of a sample")
    path.write_bytes(altered.build(tiny.manifest, tiny.members))
    assert "input-0.bin was altered" in run(path, code=13).stderr
    altered = next(one for one in damages.ARCHIVES if one.name == "a bit of the code")
    path.write_bytes(altered.build(tiny.manifest, tiny.members))
    assert "model.so was altered" in run(path, "--info", code=13).stderr


SIZES = [one for one in (*damages.ARCHIVES, *damages.MANIFESTS) if one.counts]


@pytest.mark.parametrize("damage", SIZES, ids=lambda damage: damage.name)
def test_sizes_do_not_overflow_on_32_bits(
    damage: Damage, builds: Builds, stream: Any, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.edgetvm"
    path.write_bytes(damage.build(stream.manifest, stream.members))
    builds.static("armv7l")(path, code=statuses()[damage.status])


def test_what_is_not_damaged_is_read(builds: Builds, tiny: Any, tmp_path: Path) -> None:
    """The tables' own writer: without damage, with a comment of a member, with a signature."""
    path = tmp_path / "whole.edgetvm"
    entries = entries_of(tiny.manifest, tiny.members)
    path.write_bytes(archive(entries))
    assert '"signed": false' in builds.sanitized()(path, "--self-test", "--json").stdout
    entries.append(damages.Entry("signature.json", b"{}", comment=b"by me"))
    path.write_bytes(archive(entries))
    told = builds.sanitized()(path, "--self-test", "--json").stdout
    assert '"signed": "not checked"' in told


def test_every_status_has_its_own_number() -> None:
    numbers = statuses()
    assert len(set(numbers.values())) == len(numbers)
    assert sorted(numbers.values()) == [0, *range(2, len(numbers) + 1)]
