"""Package files: written the same each time, and refused when anything is wrong with them."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from mutations import mutated
from numpy.typing import NDArray

import edgetvm
from edgetvm.base.errors import PackageError, StorageError, UsageError
from edgetvm.base.files import sha256_of
from edgetvm.boards import load_profile
from edgetvm.compile import Artifact, compile_model
from edgetvm.models import import_model
from edgetvm.models.model import DTYPES
from edgetvm.package import Executor, Notes, check, joined, read_package, write_package
from edgetvm.package.archive import Package, is_package, packed, verify_package
from edgetvm.package.arrays import from_bytes, pack, to_bytes, unpack
from edgetvm.package.assembly import build_package
from edgetvm.package.executor import fitting_target
from edgetvm.package.gate import Checked
from edgetvm.package.manifest import Licence

Members = dict[str, bytes]

LIBRARY = "local/model.so"


@pytest.fixture(scope="module")
def artifact(odd_names_onnx: Path) -> Artifact:
    return compile_model(import_model(odd_names_onnx), load_profile("local"))


@pytest.fixture(scope="module")
def checked(artifact: Artifact, odd_names_onnx: Path) -> Checked:
    return check(artifact, import_model(odd_names_onnx))


@pytest.fixture(scope="module")
def data(artifact: Artifact, checked: Checked) -> bytes:
    return build_package(
        artifact, checked.correctness, checked.sample_inputs, checked.sample_outputs
    )


@pytest.fixture(autouse=True)
def never_loaded(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test here may load a model's code, but for those that say so in their name."""
    if "runs" not in request.node.name:
        monkeypatch.setattr(
            Executor, "__init__", lambda *_: pytest.fail("the model's code was loaded")
        )


def zipped(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def unzipped(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_package_runs_and_answers_as_its_sample(
    tmp_path: Path, artifact: Artifact, checked: Checked, data: bytes
) -> None:
    path = tmp_path / "m.edgetvm"
    sample = checked.sample_inputs, checked.sample_outputs
    write_package(path, artifact, checked.correctness, *sample)
    assert path.read_bytes() == data
    package = read_package(path)
    assert package.sha256 == sha256_of(data)
    assert package.size_bytes == len(data)
    manifest = package.manifest
    assert manifest.edgetvm_version == edgetvm.__version__
    assert manifest.signature == artifact.signature
    (target,) = manifest.targets
    assert target.kernels == artifact.kernels
    assert manifest.provenance == artifact.provenance
    assert target.correctness == checked.correctness
    assert target.profile == "local"
    assert package.members[LIBRARY] == artifact.library
    assert sum(manifest.sizes_bytes.values()) == sum(map(len, package.members.values()))
    for found, wanted in zip((package.sample_inputs, package.sample_outputs), sample, strict=True):
        assert list(found) == list(wanted)
        for name in wanted:
            np.testing.assert_array_equal(found[name], wanted[name])
    answers = Executor.of(package).run(package.sample_inputs)
    for name, wanted_array in package.sample_outputs.items():
        np.testing.assert_allclose(answers[name], wanted_array, rtol=1e-5)


def test_the_same_content_gives_the_same_bytes(
    odd_names_onnx: Path, artifact: Artifact, checked: Checked, data: bytes
) -> None:
    again = compile_model(import_model(odd_names_onnx), load_profile("local"))
    rest = (checked.sample_inputs, checked.sample_outputs)
    assert build_package(again, checked.correctness, *rest) == data
    assert build_package(artifact, None, *rest) != data


def test_the_manifest_comes_first_and_members_are_plain(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == [
        "manifest.json",
        LIBRARY,
        "sample/input-0.bin",
        "sample/output-0.bin",
        "sample/output-1.bin",
        "sample/output-2.bin",
        "licences/edgetvm.txt",
    ]
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o644}


def begins_at(data: bytes, name: str) -> int:
    """Where a member's content begins in the file, by its own header (APPNOTE 4.3.7)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.getinfo(name).header_offset
    name_bytes, extra_bytes = struct.unpack_from("<HH", data, at + 26)
    return at + 30 + int(name_bytes) + int(extra_bytes)


@settings(max_examples=40, deadline=None)
@given(label=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300))
def test_libraries_begin_where_a_page_may(artifact: Artifact, checked: Checked, label: str) -> None:
    notes = Notes(labels=(label, "cat"), processing={"note": label}, licence="MIT")
    sample = checked.sample_inputs, checked.sample_outputs
    data = build_package(artifact, None, *sample, notes)
    begin = begins_at(data, LIBRARY)
    assert begin % 4096 == 0
    assert data[begin : begin + len(artifact.library)] == artifact.library
    package = verify_package(data, "m")
    assert package.manifest.processing == {"note": label}
    assert package.members["labels.txt"].decode().count("\n") == 2
    assert [one.spdx for one in package.manifest.licences] == ["Apache-2.0", "MIT"]


@pytest.mark.parametrize(
    ("licence", "text", "kept"),
    [
        ("MIT", "Copyright: mine", "Copyright: mine"),
        ("Apache-2.0", "", "Apache License"),
        ("MIT", "", None),
    ],
)
def test_the_text_of_the_models_licence_is_kept_where_it_is_known(
    licence: str, text: str, kept: str | None, artifact: Artifact, checked: Checked
) -> None:
    sample = checked.sample_inputs, checked.sample_outputs
    notes = Notes(licence=licence, licence_text=text)
    package = verify_package(build_package(artifact, None, *sample, notes), "m")
    model = package.manifest.licences[-1]
    assert (model.name, model.spdx) == (artifact.name, licence)
    assert model.member == (kept and "licences/model.txt")
    assert model.member is None or kept in package.members[model.member].decode()


def for_rpi4(data: bytes) -> bytes:
    """The same package, which says that it is for another board and has another library."""
    package = verify_package(data, "m")
    (target,) = package.manifest.targets
    other = replace(
        target, profile="rpi4", architecture="aarch64", library="rpi4/model.so", correctness=None
    )
    files = {**package.members, "rpi4/model.so": b"another library"}
    return packed(replace(package.manifest, targets=(other,)), files)


def test_several_targets_share_all_but_their_code(data: bytes) -> None:
    packages = [verify_package(one, "m") for one in (data, for_rpi4(data))]
    both = joined(packages)
    found = verify_package(both, "m")
    assert [one.profile for one in found.manifest.targets] == ["local", "rpi4"]
    assert list(found.members)[:3] == [LIBRARY, "rpi4/model.so", "sample/input-0.bin"]
    assert found.members["rpi4/model.so"] == b"another library"
    assert found.sample_outputs.keys() == packages[0].sample_outputs.keys()
    assert begins_at(both, "rpi4/model.so") % 4096 == begins_at(both, LIBRARY) % 4096 == 0
    assert found.manifest.target("rpi4").architecture == "aarch64"
    with pytest.raises(PackageError, match=r"nothing for rpi5 \(it is for local, rpi4\)"):
        found.manifest.target("rpi5")
    assert joined(packages[:1]) == data


def test_what_does_not_belong_together_is_not_joined(data: bytes) -> None:
    package = verify_package(data, "m")
    with pytest.raises(UsageError, match="local is named twice"):
        joined([package, package])
    manifest = verify_package(for_rpi4(data), "m").manifest
    files = verify_package(for_rpi4(data), "m").members
    other = verify_package(packed(replace(manifest, name="other"), files), "m")
    with pytest.raises(UsageError, match="other is another model than"):
        joined([package, other])


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=5000))
def test_anything_may_stand_before_a_package(data: bytes, before: bytes) -> None:
    package = verify_package(before + data, "m")
    assert package.begin == len(before)
    assert package.members == verify_package(data, "m").members


def test_a_machine_takes_the_first_target_that_it_can_run(data: bytes) -> None:
    local, foreign = (verify_package(one, "m").manifest for one in (data, for_rpi4(data)))
    both = replace(local, targets=foreign.targets + local.targets)
    assert fitting_target(both).profile == "local"
    lacking = replace(local.targets[0], profile="b", required_cpu_flags=("no_such_flag",))
    neither = replace(local, targets=(*foreign.targets, lacking))
    with pytest.raises(PackageError) as caught:
        fitting_target(neither)
    assert "rpi4: it is compiled for aarch64 (rpi4)" in caught.value.what
    assert "b: it needs the CPU feature no_such_flag" in caught.value.what


def test_errors_that_json_does_not_know_survive(artifact: Artifact, checked: Checked) -> None:
    wrong = replace(checked.correctness, max_abs_error=math.inf, max_relative_error=math.nan)
    data = build_package(artifact, wrong, checked.sample_inputs, checked.sample_outputs)
    found = verify_package(data, "m").manifest.targets[0].correctness
    assert found is not None
    assert found.max_abs_error == math.inf
    assert math.isnan(found.max_relative_error)
    json.loads(unzipped(data)["manifest.json"], parse_constant=pytest.fail)


def refused(data: bytes) -> PackageError:
    with pytest.raises(PackageError) as caught:
        verify_package(data, "m.edgetvm")
    assert caught.value.where == "m.edgetvm"
    assert caught.value.mend
    str(caught.value).encode()
    return caught.value


@pytest.mark.parametrize("sixteenth", range(16))
def test_a_cut_off_package_is_refused(data: bytes, sixteenth: int) -> None:
    assert "cut off" in refused(data[: len(data) * sixteenth // 16]).what
    refused(data[: -1 - sixteenth])


def with_member(change: Callable[[Members], object]) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        members = unzipped(data)
        change(members)
        return zipped(members)

    return damage


def with_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        members = unzipped(data)
        manifest = json.loads(members["manifest.json"])
        change(manifest)
        members["manifest.json"] = json.dumps(manifest).encode()
        return zipped(members)

    return damage


def renamed(old: str, new: str) -> Callable[[bytes], bytes]:
    """A member under another name, in the manifest, too."""

    def damage(data: bytes) -> bytes:
        members = {new if name == old else name: one for name, one in unzipped(data).items()}
        manifest = json.loads(members["manifest.json"])
        next(one for one in manifest["members"] if one["name"] == old)["name"] = new
        manifest["targets"][0]["library"] = new
        members["manifest.json"] = json.dumps(manifest).encode()
        return zipped(members)

    return damage


def manifest_last(data: bytes) -> bytes:
    members = unzipped(data)
    manifest = members.pop("manifest.json")
    return zipped({**members, "manifest.json": manifest})


def twice(data: bytes) -> bytes:
    """The library stands twice in the file and in the manifest."""
    members = unzipped(data)
    manifest = json.loads(members["manifest.json"])
    manifest["members"].append(next(one for one in manifest["members"] if one["name"] == LIBRARY))
    members["manifest.json"] = json.dumps(manifest).encode()
    buffer = io.BytesIO(zipped(members))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(LIBRARY, members[LIBRARY])
    return buffer.getvalue()


def central(field: int, layout: str, number: int) -> Callable[[bytes], bytes]:
    """Overwrite a field of the second member in ZIP's central directory (APPNOTE 4.3.12)."""

    def damage(data: bytes) -> bytes:
        at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1) + field
        size = struct.calcsize(layout)
        return data[:at] + struct.pack(layout, number) + data[at + size :]

    return damage


def local(field: int, layout: str, number: int) -> Callable[[bytes], bytes]:
    """Overwrite a field of the second member's own header (APPNOTE 4.3.7)."""

    def damage(data: bytes) -> bytes:
        at = data.index(b"PK\x03\x04", 4) + field
        size = struct.calcsize(layout)
        return data[:at] + struct.pack(layout, number) + data[at + size :]

    return damage


def with_gap(data: bytes) -> bytes:
    """A byte that belongs to nothing between members and directory, which every offset allows."""
    at = data.index(b"PK\x01\x02")
    end = bytearray(data[-22:])
    struct.pack_into("<I", end, 16, struct.unpack_from("<I", end, 16)[0] + 1)
    return data[:at] + b"\0" + data[at:-22] + bytes(end)


def with_comment(data: bytes) -> bytes:
    return data[:-2] + struct.pack("<H", 3) + b"abc"


def manifest_text(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(members: Members) -> None:
        assert old in members["manifest.json"]
        members["manifest.json"] = members["manifest.json"].replace(old, new)

    return with_member(change)


def tensor(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    return with_manifest(lambda manifest: change(manifest["signature"]["inputs"][0]))


def longer_sample(data: bytes) -> bytes:
    """A sample of the wrong length, with a manifest that agrees to it."""
    members = unzipped(data)
    content = members["sample/input-0.bin"] + b"\0\0\0\0"
    members["sample/input-0.bin"] = content
    manifest = json.loads(members["manifest.json"])
    entry = next(one for one in manifest["members"] if one["name"] == "sample/input-0.bin")
    entry |= {"size_bytes": len(content), "sha256": sha256_of(content)}
    members["manifest.json"] = json.dumps(manifest).encode()
    return zipped(members)


def without(name: str) -> Callable[[bytes], bytes]:
    """Without a member, in the manifest, too."""

    def damage(data: bytes) -> bytes:
        members = unzipped(data)
        del members[name]
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = [one for one in manifest["members"] if one["name"] != name]
        members["manifest.json"] = json.dumps(manifest).encode()
        return zipped(members)

    return damage


def swap(members: Members) -> None:
    """Two members with their contents exchanged."""
    a, b = "sample/output-0.bin", "sample/output-1.bin"
    members[a], members[b] = members[b], members[a]


def flip(members: Members) -> None:
    library = members[LIBRARY]
    members[LIBRARY] = library[:100] + bytes([library[100] ^ 1]) + library[101:]


def first_member(**keys: object) -> Callable[[bytes], bytes]:
    return with_manifest(lambda manifest: manifest["members"][0].update(keys))


def first_target(**keys: object) -> Callable[[bytes], bytes]:
    return with_manifest(lambda manifest: manifest["targets"][0].update(keys))


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "not an .edgetvm package, or cut off"),
    "a ZIP without members": (lambda _: zipped({}), "does not begin with a manifest"),
    "another ZIP": (lambda _: zipped({"a": b"b"}), "does not begin with a manifest"),
    "altered member": (with_member(flip), "local/model.so was altered"),
    "swapped members": (with_member(swap), "sample/output-0.bin was altered"),
    "extra member": (with_member(lambda m: m.update(extra=b"x")), "not those of its manifest: ext"),
    "missing member": (with_member(lambda m: m.pop(LIBRARY)), "not those of its manifest: loc"),
    "no library": (without(LIBRARY), "members are not those of its targets"),
    "no target": (with_manifest(lambda m: m.update(targets=[])), "holds no compiled model"),
    "two targets of one name": (
        with_manifest(lambda m: m["targets"].append(m["targets"][0])),
        "members are not those of its targets",
    ),
    "a library by another name": (first_target(library="b/model.so"), "'b/model.so' is no name"),
    "a runtime by another name": (first_target(runtime="bin/sh"), "'bin/sh' is no name"),
    "a runtime that is not there": (first_target(runtime="local/edgetvm-run"), "not those of its"),
    "labels by another name": (with_manifest(lambda m: m.update(labels="a.txt")), "'a.txt' is no"),
    "a licence by another name": (
        with_manifest(lambda m: m["licences"][0].update(member="sample/input-0.bin")),
        "is no name for that member",
    ),
    "no sample": (without("sample/output-2.bin"), "members are not those of its targets"),
    "path upwards": (renamed(LIBRARY, "../model.so"), "wrong at targets.0.library"),
    "path upwards inside": (renamed(LIBRARY, "a/../../b"), "wrong at targets.0.library"),
    "absolute path": (renamed(LIBRARY, "/etc/passwd"), "wrong at targets.0.library"),
    "windows path": (renamed(LIBRARY, "c:\\a"), "wrong at targets.0.library"),
    "empty name": (first_member(name=""), "wrong at members.0.name"),
    "compressed": (lambda data: zipped(unzipped(data), zipfile.ZIP_DEFLATED), "is not plain"),
    "encrypted flag": (central(8, "<H", 1), "is not plain"),
    "unknown compression": (central(10, "<H", 99), "is not plain|not an .edgetvm"),
    "huge claimed size": (central(24, "<I", 0xFFFFFFF0), "claims more than a package may hold"),
    "claimed size too large": (central(24, "<I", 10**8), "is not plain"),
    "a comment": (with_comment, "cut off"),
    "a gap": (with_gap, "cut off"),
    "something after it": (lambda data: data + b"\n", "cut off"),
    "another name in its own header": (local(30, "<B", ord("x")), "cut off"),
    "another size in its own header": (local(22, "<I", 7), "cut off"),
    "another CRC in its own header": (local(14, "<I", 7), "cut off"),
    "a flag in its own header": (local(6, "<H", 8), "cut off"),
    "another manifest by its CRC": (
        lambda data: data.replace(b"Apache-2", b"Apache-3"),
        "manifest.json was altered",
    ),
    "a key twice": (
        manifest_text(b'{"edgetvm_version"', b'{"labels":null,"edgetvm_version"'),
        "manifest is wrong: a key stands twice",
    ),
    "no number": (manifest_text(b'"labels":null', b'"labels":NaN'), "manifest is wrong: NaN"),
    "a truth for a number": (tensor(lambda t: t.update(shape=[2, True])), "shape.1: input should"),
    "a number for a truth": (first_target(emulated=1), "wrong at targets.0.emulated"),
    "a NUL in a text": (
        with_manifest(lambda m: m.update(name="a\0b")),
        "a text holds what is no character",
    ),
    "half a character": (
        with_manifest(lambda m: m.update(name="\ud800")),
        "a text holds what is no character",
    ),
    "a text nobody reads": (
        with_manifest(lambda m: m["provenance"].update(changes=["\ud800"])),
        "a text holds what is no character",
    ),
    "offset astray": (central(42, "<I", 10**6), "cut off"),
    "manifest last": (manifest_last, "does not begin with a manifest"),
    "a signature that is none": (
        with_member(lambda m: m.update({"signature.json": b""})),
        "its signature.json is no signature",
    ),
    "a signature too large": (
        with_member(lambda m: m.update({"signature.json": b" " * 5000})),
        "signature.json is too large",
    ),
    "manifest not JSON": (
        with_member(lambda m: m.update({"manifest.json": b"{"})),
        "manifest is not JSON",
    ),
    "manifest not UTF-8": (
        with_member(lambda m: m.update({"manifest.json": b'{"a": "\xff"}'})),
        "manifest is not JSON",
    ),
    "manifest nested": (
        with_member(lambda m: m.update({"manifest.json": b"[" * 100_000})),
        "manifest is not JSON",
    ),
    "manifest a list": (
        with_member(lambda m: m.update({"manifest.json": b"[1]"})),
        "has package format None",
    ),
    "manifest too large": (
        with_member(lambda m: m.update({"manifest.json": b" " * (5 << 20)})),
        "manifest.json is too large",
    ),
    "newer format": (with_manifest(lambda m: m.update(format_version=2)), "has package format 2"),
    "no format": (with_manifest(lambda m: m.pop("format_version")), "has package format None"),
    "missing key": (with_manifest(lambda m: m.pop("signature")), "wrong at signature"),
    "another executor": (first_target(executor="sh"), "wrong at targets.0.executor"),
    "wrong SHA-256": (first_member(sha256="0" * 64), "local/model.so was altered"),
    "SHA-256 too short": (first_member(sha256="0" * 63), "wrong at members.0.sha256"),
    "wrong size": (first_member(size_bytes=7), "local/model.so was altered"),
    "negative size": (first_member(size_bytes=-1), "wrong at members.0.size_bytes"),
    "size beyond limit": (first_member(size_bytes=1 << 40), "wrong at members.0.size_bytes"),
    "duplicate names": (twice, "local/model.so stands twice"),
    "unknown dtype": (tensor(lambda t: t.update(dtype="object")), "object\\[2, 3\\] is no tensor"),
    "pickled dtype": (tensor(lambda t: t.update(dtype="O")), "is no tensor"),
    "another dtype": (tensor(lambda t: t.update(dtype="float64")), "'in/x:0' is damaged: 24 bytes"),
    "negative shape": (tensor(lambda t: t.update(shape=[-2, -3])), "is no tensor"),
    "another shape": (tensor(lambda t: t.update(shape=[2, 4])), "'in/x:0' is damaged: 24 bytes"),
    "shape that overflows to 0": (tensor(lambda t: t.update(shape=[1 << 32, 1 << 32])), "damaged"),
    "shape beyond 64 bits": (tensor(lambda t: t.update(shape=[1 << 70])), "is too large"),
    "too many axes": (tensor(lambda t: t.update(shape=[2, 3] + [1] * 100)), "is no tensor"),
    "longer sample": (longer_sample, "sample input 'in/x:0' is damaged: 28 bytes are no float32"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_package_is_refused(data: bytes, name: str) -> None:
    import re

    damage, said = DAMAGES[name]
    assert re.search(said, refused(damage(data)).what)


@pytest.mark.parametrize(("comment_bytes", "is_read"), [(1000, True), (60_000, False)])
def test_a_directory_is_limited(data: bytes, comment_bytes: int, is_read: bool) -> None:
    """Of 26 members, with comments that mean nothing."""
    package = verify_package(data, "m")
    more = {f"licences/{number}.txt": b"text" for number in range(20)}
    licences = tuple(Licence(name, "MIT", name) for name in more)
    manifest = replace(
        package.manifest, licences=(*package.manifest.licences, *licences), members=()
    )
    buffer = io.BytesIO(packed(manifest, {**package.members, **more}))
    with zipfile.ZipFile(buffer, "a") as archive:
        for entry in archive.infolist():
            entry.comment = bytes(comment_bytes)
        archive.comment = b" "  # so that the directory is written again
        archive.comment = b""
    if is_read:
        assert len(verify_package(buffer.getvalue(), "m").members) == 26
    else:
        assert "more than a package may hold" in refused(buffer.getvalue()).what


def test_reading_is_told_by_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no such file or directory \(check the path\)"):
        read_package(tmp_path / "m.edgetvm")
    path = tmp_path / "m.edgetvm"
    path.write_bytes(b"hello")
    with pytest.raises(PackageError, match=f"{path}: not an .edgetvm package"):
        read_package(path)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """Neither waits for a pipe nor fills memory."""
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    with large.open("wb") as file:
        file.truncate(1 << 40)
    for path, said in ((pipe, "no file"), (Path("/dev/zero"), "no file"), (large, "larger than")):
        with pytest.raises(PackageError, match=said) as caught:
            read_package(path)
        assert caught.value.where == str(path)
    with pytest.raises(StorageError, match="is a directory"):
        read_package(tmp_path)


def test_the_damages_start_from_a_package_that_is_whole(data: bytes) -> None:
    verify_package(data, "m")
    verify_package(zipped(unzipped(data)), "m")


def test_random_damage_is_refused_or_without_effect(data: bytes) -> None:
    """ZIP's own dates and attributes mean nothing; whatever counts is as it was, or refused."""
    whole = verify_package(data, "m")

    @settings(max_examples=400, deadline=None)
    @given(mutated(data))
    def damage(changed: bytes) -> None:
        try:
            package = verify_package(changed, "m")
        except PackageError as error:
            assert error.mend
            return
        assert package.manifest == whole.manifest
        assert package.members == whole.members

    damage()


def test_damage_to_the_directory_is_refused_or_without_effect(data: bytes) -> None:
    whole = verify_package(data, "m")
    start = data.index(b"PK\x01\x02")

    @settings(max_examples=300, deadline=None)
    @given(mutated(data[start:]))
    def damage(changed: bytes) -> None:
        try:
            package: Package = verify_package(data[:start] + changed, "m")
        except PackageError:
            return
        assert (package.manifest, package.members) == (whole.manifest, whole.members)

    damage()


def any_array() -> st.SearchStrategy[NDArray[np.generic]]:
    shapes = arrays_of.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    dtypes = st.sampled_from(DTYPES).map(np.dtype)
    swapped = dtypes.map(lambda dtype: dtype.newbyteorder(">"))
    return arrays_of.arrays(st.one_of(dtypes, swapped), shapes)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), any_array(), max_size=4))
def test_arrays_survive(arrays: dict[str, NDArray[np.generic]]) -> None:
    described, content = pack(arrays)
    found = unpack(json.loads(json.dumps(described)), content)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable


def test_bytes_are_little_endian_and_row_major() -> None:
    assert to_bytes(np.array([1, 256], ">i2")) == b"\x01\x00\x00\x01"
    assert to_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3).T) == bytes([0, 3, 1, 4, 2, 5])
    assert from_bytes(b"\x01\x00\x00\x01", "int16", [2]).tolist() == [1, 256]
    assert from_bytes(b"\x00\x00\x80\x3f", "float32", []) == np.float32(1)


X = {"name": "x", "dtype": "uint8", "shape": [2]}


@pytest.mark.parametrize(
    ("described", "content"),
    [
        ([X], b"1"),
        ([X], b"123"),
        ([X], b""),
        ([], b"1"),
        ([X, X], b"1234"),
        ([{**X, "dtype": "object"}], b"12"),
        ([{**X, "dtype": ["uint8"]}], b"12"),
        ([{**X, "shape": [-2]}], b"12"),
        ([{**X, "shape": [-1, -2]}], b"12"),
        ([{**X, "shape": ["a"]}], b"12"),
        ([{**X, "shape": 2}], b"12"),
        ([{**X, "shape": [1] * 100 + [2]}], b"12"),
        ([{"name": "x", "dtype": "uint8"}], b"12"),
        ([{"dtype": "uint8", "shape": [2]}], b"12"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    described: list[dict[str, Any]], content: bytes
) -> None:
    with pytest.raises(PackageError) as caught:
        unpack(described, content)
    assert caught.value.mend


def test_a_package_is_known_by_its_end(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert not is_package(tmp_path) and not is_package(path)
    for content, is_one in (
        (data, True),
        (b"a program" + data, True),
        (data.replace(b"Apache-2", b"Apache-3"), True),
        (data[:-1], False),
        (b"", False),
        (b"PK\5\6" + b"\xff" * 18, False),
    ):
        path.write_bytes(content)
        assert is_package(path) is is_one
    np.savez(tmp_path / "file.npz", manifest=np.zeros(3))
    assert not is_package(tmp_path / "file.npz")
