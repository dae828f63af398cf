"""The C runtime in programs of others: CMake, pkg-config, the examples, the C++ header."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from built_runtime import RUNTIME, program

import edgetvm
from edgetvm.package.crossbuild import ARCHIVE_FILE, build_runtime

STRICT = "-Wall -Wextra -Wpedantic -Wconversion -Werror".split()


def run(*command: object, **more: Any) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False, **more)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What CMake installs, moved to another place."""
    folder = tmp_path_factory.mktemp("runtime")
    cmake, build = program("cmake"), folder / "build"
    run(cmake, "-S", RUNTIME, "-B", build, "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_C_FLAGS=-Werror")
    run(cmake, "--build", build, "-j2")
    run(cmake, "--install", build, "--prefix", folder / "first", "--strip")
    return (folder / "first").rename(folder / "moved")


def flags(installed: Path) -> list[str]:
    environment = {**os.environ, "PKG_CONFIG_PATH": str(installed / "lib" / "pkgconfig")}
    told = run(program("pkg-config"), "--cflags", "--libs", "edgetvm", env=environment)
    return [*told.split(), f"-Wl,-rpath,{installed / 'lib'}"]


def test_the_example_in_c_names_the_best_class(installed: Path, tiny: Any, tmp_path: Path) -> None:
    source = RUNTIME / "example" / "classify.c"
    built = tmp_path / "classify"
    run(program("gcc"), "-std=c11", *STRICT, source, *flags(installed), "-o", built)
    scores = tiny.checked.sample_outputs["scores"][0]
    best = int(scores.argmax())
    told = run(built, tiny.path).split()
    labels = tiny.members["labels.txt"].decode().splitlines()
    assert told[0] == str(best)
    assert float(told[-1]) == pytest.approx(float(scores[best]), rel=1e-4)
    assert told[1:-1] == labels[best : best + 1]
    sample = tmp_path / "input.bin"
    sample.write_bytes(tiny.members["sample/input-0.bin"])
    assert run(built, tiny.path, sample).split() == told


def test_the_example_in_cpp_runs_a_stream(installed: Path, stream: Any, tmp_path: Path) -> None:
    source = RUNTIME / "example" / "stream.cpp"
    built = tmp_path / "stream"
    run(program("g++"), "-std=c++11", *STRICT, source, *flags(installed), "-o", built)
    chunks = struct.pack("<12f", *range(12))
    assert run(built, stream.path, input=chunks).split() == ["0", "8", "24"]
    failed = subprocess.run([built, "/nowhere"], capture_output=True, text=True, check=False)
    assert failed.returncode == 6
    assert failed.stderr.startswith("/nowhere: it cannot be read")


_OTHER_ELEMENTS = """
#include <cstdio>
#include <edgetvm.hpp>

int main(int, char **arguments)
try {
    edgetvm::Model model(arguments[1]);
    model.set_input("chunk", std::vector<float>(4, 1.0f));
    model.run();
    std::printf("%zu ", model.output<float>("total").size());
    model.output<double>("total");
    return 0;
} catch (const edgetvm::Error &error) {
    std::printf("%d %s", error.status(), error.what());
    return 0;
}
"""


def test_elements_of_another_size_are_refused_in_cpp(
    installed: Path, stream: Any, tmp_path: Path
) -> None:
    source, built = tmp_path / "other.cpp", tmp_path / "other"
    source.write_text(_OTHER_ELEMENTS)
    run(program("g++"), "-std=c++11", *STRICT, source, *flags(installed), "-o", built)
    assert run(built, stream.path) == "4 4 the output's elements are of another size"


def test_cmake_finds_it(installed: Path, tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\n"
        "project(mine C)\n"
        "find_package(edgetvm REQUIRED)\n"
        f"add_executable(mine {RUNTIME / 'example' / 'classify.c'})\n"
        "target_link_libraries(mine PRIVATE edgetvm::edgetvm)\n"
    )
    cmake = program("cmake")
    run(cmake, "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed}")
    run(cmake, "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "mine", tiny.path)


def test_the_library_shows_its_api_and_nothing_else(installed: Path) -> None:
    declared = re.findall(r"\b(edgetvm_\w+)\(", (RUNTIME / "include" / "edgetvm.h").read_text())
    listed = run("nm", "-D", "--defined-only", installed / "lib" / "libedgetvm.so")
    assert {line.split()[-1] for line in listed.splitlines()} == set(declared)


@pytest.mark.usefixtures("session_cache")
@pytest.mark.parametrize("architecture", ["x86_64", "armv7l"])
def test_a_static_library_takes_no_names_from_others(architecture: str) -> None:
    """Such as `json_object` and `zip_open`, which well-known libraries have."""
    archive = build_runtime(architecture, "glibc").folder / ARCHIVE_FILE
    listed = re.findall(r"(?m)^\w+ \w (\w+)$", run("nm", "-g", "--defined-only", archive))
    assert "edgetvm_open" in listed
    strange = {one for one in listed if not one.startswith(("edgetvm_", "etvm_"))}
    assert strange == {
        "TVMBackendParallelLaunch",
        "TVMFFIErrorSetRaisedFromCStr",
        "TVMFFIErrorSetRaisedFromCStrParts",
    }


def test_one_version_stands_everywhere(installed: Path) -> None:
    told = run(installed / "bin" / "edgetvm-run", "--version")
    assert told.split()[1] == edgetvm.__version__
    for name in ("CMakeLists.txt", "edgetvm.pc", "src/api.c"):
        assert edgetvm.__version__ in (RUNTIME / name).read_text()
