"""The C runtime, built for every board: what the files are, how large, and that they run."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from real_board import packaged

from edgetvm.base.errors import NotFoundError, PackageError, UsageError
from edgetvm.base.zig import run_zig
from edgetvm.package.archive import Package, verify_package
from edgetvm.package.assembly import single_executable, with_runners
from edgetvm.package.binding import edgetvm_lite
from edgetvm.package.crossbuild import (
    ARCHITECTURES,
    LIBCS,
    RUNTIME_FOLDER,
    BuiltRuntime,
    Libc,
    build_runtime,
)
from edgetvm.package.kit import write_kit

pytestmark = pytest.mark.usefixtures("session_cache")

# By ELF's own numbers (e_machine), and what runs such programs here.
MACHINES = {"x86_64": 62, "aarch64": 183, "armv7l": 40}
EMULATORS = {"x86_64": [], "aarch64": ["qemu-aarch64"], "armv7l": ["qemu-arm"]}
# Kibibytes that the files may have.
MOST_KB = {"x86_64": 56, "aarch64": 48, "armv7l": 40}
MOST_RUNNER_KB = {"x86_64": 68, "aarch64": 64, "armv7l": 56}
BOTH = [(architecture, libc) for architecture in ARCHITECTURES for libc in LIBCS]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: run scripts/setup test")
    return found


def read_elf(path: Path, *what: str) -> str:
    done = subprocess.run(
        [program("readelf"), "-W", *what, path], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize(("architecture", "libc"), BOTH)
def test_files_are_for_their_board_and_small(architecture: str, libc: Libc) -> None:
    built = build_runtime(architecture, libc)
    library, runner = built.folder / "libedgetvm.so", built.folder / "edgetvm-run"
    for path in (library, runner):
        head = path.read_bytes()[:20]
        assert head[:4] == b"\x7fELF"
        assert head[4] == (1 if architecture == "armv7l" else 2)
        assert int.from_bytes(head[18:20], "little") == MACHINES[architecture]
    assert library.stat().st_size <= MOST_KB[architecture] << 10
    if libc == "glibc":
        assert runner.stat().st_size <= MOST_RUNNER_KB[architecture] << 10
    if architecture == "armv7l":
        assert "hard-float ABI" in read_elf(runner, "-h")
    # A static program has neither an interpreter nor libraries that it needs.
    static = "INTERP" not in read_elf(runner, "-l") and "NEEDED" not in read_elf(runner, "-d")
    assert static == (libc == "musl")
    assert "soname: [libedgetvm.so.1]" in read_elf(library, "-d")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_library_exports_what_the_header_says_and_needs_an_old_glibc(architecture: str) -> None:
    library = build_runtime(architecture, "glibc").folder / "libedgetvm.so"
    header = (RUNTIME_FOLDER / "include" / "edgetvm.h").read_text()
    declared = set(re.findall(r"EDGETVM_API[^(;]*?(edgetvm_\w+)\(", header))
    lines = [line.split() for line in read_elf(library, "--dyn-syms").splitlines()]
    exported = {line[7] for line in lines if len(line) == 8 and line[6].isdigit()}
    assert exported == declared
    needed = re.findall(r"GLIBC_(\d+)\.(\d+)", read_elf(library, "--version-info"))
    assert max((int(major), int(minor)) for major, minor in needed) <= (2, 17)


def test_a_build_is_made_once_and_always_the_same(
    isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_runtime("x86_64", "musl")
    assert build_runtime("x86_64", "musl") == first
    monkeypatch.setenv("XDG_CACHE_HOME", str(isolated_home / "another"))
    again = build_runtime("x86_64", "musl")
    assert again.folder != first.folder
    for name in ("libedgetvm.so", "libedgetvm.a", "edgetvm-run"):
        assert (again.folder / name).read_bytes() == (first.folder / name).read_bytes()


def test_an_architecture_without_a_runtime_is_named() -> None:
    with pytest.raises(NotFoundError, match=r"no C runtime for riscv64.*aarch64, armv7l, x86_64"):
        build_runtime("riscv64", "musl")


@pytest.fixture(scope="module")
def package(tiny_onnx: Path) -> Package:
    return packaged(tiny_onnx)


def runner_of(architecture: str) -> bytes:
    return build_runtime(architecture, "musl").runner


def executable(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def ran(*command: str | Path) -> str:
    done = subprocess.run(list(command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "architecture"), [("rpi4", "aarch64"), ("rpi3-32", "armv7l")])
def test_a_package_brings_what_runs_it(
    name: str, architecture: str, tiny_onnx: Path, tmp_path: Path
) -> None:
    data = with_runners(packaged(tiny_onnx, profile=name), lambda _: True, runner_of)
    package = verify_package(data, "m")
    (target,) = package.manifest.targets
    assert target.runtime == f"{name}/edgetvm-run"
    assert list(package.members)[:2] == [f"{name}/model.so", f"{name}/edgetvm-run"]
    parts = {licence.name for licence in package.manifest.licences}
    assert parts == {"edgetvm", "musl", "zig"}
    assert b"MIT" in package.members["licences/musl.txt"]
    runner = executable(tmp_path / "edgetvm-run", package.members[target.runtime])
    (tmp_path / "m.edgetvm").write_bytes(data)
    said = ran(program(EMULATORS[architecture][0]), runner, tmp_path / "m.edgetvm", "--self-test")
    assert "self-test passed" in said


def test_a_target_that_wants_no_runtime_gets_none(package: Package) -> None:
    assert with_runners(package, lambda _: False, runner_of) == package.data


def test_a_single_executable_is_a_package_and_a_program(package: Package, tmp_path: Path) -> None:
    data = single_executable(package, runner_of("x86_64"))
    found = verify_package(data, "m")
    assert found.begin % 4096 == 0
    assert found.members.items() >= package.members.items()
    path = executable(tmp_path / "tiny", data)
    assert "self-test passed" in ran(path, "--self-test")
    with pytest.raises(PackageError, match="m: its program was altered"):
        verify_package(data.replace(b"ELF", b"ELG", 1), "m")
    # What stands in a program may be taken out of it.
    assert verify_package(data[found.begin :], "m").members == found.members


@pytest.fixture(scope="module")
def kit(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        folder = tmp_path_factory.mktemp("kit") / "kit"
        files = write_kit(folder, build_runtime("x86_64", "glibc"))
    assert {"bin/edgetvm-run", "include/edgetvm.h", "lib/libedgetvm.a"} <= set(files)
    return folder


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    built = BuiltRuntime(tmp_path, "x86_64", "glibc")
    with pytest.raises(UsageError, match="the folder is not empty"):
        write_kit(tmp_path, built)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


USER = """
#include <edgetvm.h>
#include <stdio.h>
int main(void) { puts(edgetvm_architecture()); return 0; }
"""


def test_pkg_config_finds_the_library(kit: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(kit, tmp_path / "moved", symlinks=True)
    (tmp_path / "user.c").write_text(USER)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(moved / "lib" / "pkgconfig")}
    flags = subprocess.run(
        [program("pkg-config"), "--cflags", "--libs", "edgetvm"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    command = [program("gcc"), "user.c", *flags, f"-Wl,-rpath,{moved / 'lib'}", "-o", "user"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert ran(tmp_path / "user") == "x86_64\n"


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_cmake_finds_the_library(kind: str, kit: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(kit, tmp_path / "moved", symlinks=True)
    if kind == "static":
        (moved / "lib" / "libedgetvm.so").unlink()
    (tmp_path / "user.c").write_text(USER)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(user C)\nfind_package(edgetvm REQUIRED)\n"
        "add_executable(user user.c)\ntarget_link_libraries(user edgetvm::edgetvm)\n"
    )
    ran(program("cmake"), "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={moved}")
    ran(program("cmake"), "--build", tmp_path / "b")
    assert ran(tmp_path / "b" / "user") == "x86_64\n"
    assert ("libedgetvm" in read_elf(tmp_path / "b" / "user", "-d")) == (kind == "shared")


# --- The Python binding ---------------------------------------------------------------------------


def test_structures_are_those_of_the_header(tmp_path: Path) -> None:
    structures = {
        "edgetvm_config": edgetvm_lite._Config,
        "edgetvm_tensor": edgetvm_lite._Tensor,
        "edgetvm_info": edgetvm_lite._Info,
        "edgetvm_error": edgetvm_lite._Error,
    }
    lines = [
        f'printf("%zu ", offsetof({name}, {field[0]}));'
        for name, structure in structures.items()
        for field in structure._fields_
    ]
    lines += [f'printf("%zu ", sizeof({name}));' for name in structures]
    source = "#include <edgetvm.h>\n#include <stdio.h>\nint main(void) {" + "\n".join(lines) + "}"
    (tmp_path / "offsets.c").write_text(source)
    include = f"-I{RUNTIME_FOLDER / 'include'}"
    run_zig("cc", include, "offsets.c", "-o", "offsets", folder=tmp_path)
    found = [int(number) for number in ran(tmp_path / "offsets").split()]
    expected = [
        getattr(structure, field[0]).offset
        for structure in structures.values()
        for field in structure._fields_
    ]
    assert found == expected + [ctypes.sizeof(structure) for structure in structures.values()]


@pytest.fixture
def opened(kit: Path, package: Package, tmp_path: Path) -> edgetvm_lite.Model:
    path = tmp_path / "m.edgetvm"
    path.write_bytes(package.data)
    return edgetvm_lite.Model(path, library=kit / "lib" / "libedgetvm.so")


def test_the_binding_answers_as_the_sample(opened: edgetvm_lite.Model, package: Package) -> None:
    inputs, outputs = package.manifest.signature.inputs, package.manifest.signature.outputs
    assert [(one.name, one.shape, one.dtype) for one in opened.inputs] == [
        (spec.name, spec.shape, np.dtype(spec.dtype)) for spec in inputs
    ]
    assert opened.info["target"] == "local"
    found = opened.run(package.sample_inputs)
    for spec in outputs:
        np.testing.assert_allclose(found[spec.name], package.sample_outputs[spec.name], atol=1e-5)
    assert opened.read("sample/input-0.bin") == package.members["sample/input-0.bin"]
    assert opened.labels == []


def test_the_binding_refuses_in_one_sentence(
    opened: edgetvm_lite.Model, package: Package, kit: Path, tmp_path: Path
) -> None:
    image = package.sample_inputs["image"]
    for inputs, said in (
        ({"picture": image}, "no input 'picture': there are image"),
        ({"image": image[0]}, r"input 'image' is float32\[3, 8, 8\]: it should be"),
        ({"image": image.astype("f8")}, "it should be float32"),
    ):
        with pytest.raises(ValueError, match=said):
            opened.run(inputs)
    with pytest.raises(edgetvm_lite.EdgetvmError, match="image"):
        opened.run({})
    with pytest.raises(edgetvm_lite.EdgetvmError, match="no member nothing"):
        opened.read("nothing")
    opened.close()
    opened.close()
    with pytest.raises(ValueError, match="the model is closed"):
        opened.run({"image": image})
    cut = tmp_path / "cut.edgetvm"
    cut.write_bytes(package.data[:-9])
    with pytest.raises(edgetvm_lite.EdgetvmError, match="cut off") as caught:
        edgetvm_lite.Model(cut, library=kit / "lib" / "libedgetvm.so")
    assert caught.value.status == 8


def test_a_stream_goes_on_and_begins_anew(kit: Path, stateful_onnx: Path, tmp_path: Path) -> None:
    package = packaged(stateful_onnx, states={"sum": "total"})
    path = tmp_path / "m.edgetvm"
    path.write_bytes(package.data)
    with edgetvm_lite.Model(path, library=kit / "lib" / "libedgetvm.so") as model:
        (given,) = [one for one in model.inputs if not one.state]
        ones = {given.name: np.ones(given.shape, given.dtype)}
        (total,) = [one.name for one in model.outputs if one.state]
        sums = [model.run(ones)[total].copy() for _ in range(3)]
        model.reset_state()
        np.testing.assert_array_equal(model.run(ones)[total], sums[0])
        np.testing.assert_allclose(sums[2], 3 * sums[0])


def test_the_binding_needs_numpy_and_nothing_of_edgetvm(
    kit: Path, package: Package, tmp_path: Path
) -> None:
    (tmp_path / "m.edgetvm").write_bytes(package.data)
    shutil.copy(kit / "share/edgetvm/python/edgetvm_lite.py", tmp_path)
    shutil.copy(kit / "lib" / "libedgetvm.so.1", tmp_path / "libedgetvm.so")
    code = (
        "import sys, edgetvm_lite\n"
        "print(edgetvm_lite.Model('m.edgetvm').info['name'])\n"
        "print(sorted({'edgetvm', 'tvm', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path[:0] = ['.']\n{code}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "tiny\n[]\n", done.stderr


def answered(binding: Path, **variables: str) -> str:
    """What a process that has only this binding says of its library."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import edgetvm_lite\n"
        "try: print(edgetvm_lite.load_library().edgetvm_version().decode())\n"
        "except edgetvm_lite.EdgetvmError as error: print(error.status, error)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(binding)],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_binding_finds_its_library(kit: Path, tmp_path: Path) -> None:
    own = kit / "share" / "edgetvm" / "python"
    assert answered(own) == "0.1.0\n"
    shutil.copy(own / "edgetvm_lite.py", tmp_path)
    told = answered(tmp_path)
    assert told.startswith("6 libedgetvm.so.1: ") and "$EDGETVM_LIBRARY" in told
    assert answered(tmp_path, EDGETVM_LIBRARY=str(kit / "lib")) == "0.1.0\n"
    assert answered(tmp_path, EDGETVM_LIBRARY=str(tmp_path)).startswith("6 ")
    shutil.copy(kit / "lib" / "libedgetvm.so.1", tmp_path)
    assert answered(tmp_path) == "0.1.0\n"
