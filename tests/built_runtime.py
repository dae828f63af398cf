"""The C runtime and its runner, built in all the ways that it is used in, each once a test run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from edgetvm.package.crossbuild import RUNNER_FILE, RUNTIME_FOLDER, build_runtime

RUNTIME = RUNTIME_FOLDER
PROGRAMS = Path(__file__).parent / "package" / "runtime"
SIGNATURES = Path(__file__).parent / "package" / "signatures"
HANDMADE = Path(__file__).parent / "package" / "handmade"
STRICT = "-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
_TARGETS = {
    "x86_64": ["-target", "x86_64-linux-musl"],
    "aarch64": ["-target", "aarch64-linux-musl"],
    "armv7l": ["-target", "arm-linux-musleabihf", "-mcpu=generic+v7a+vfp3d16"],
}
# So that the checks can count what is allocated, and refuse it.
_WATCHED = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc", "aligned_alloc")]
_EMULATORS = {"x86_64": [], "aarch64": ["qemu-aarch64"], "armv7l": ["qemu-arm"]}
_PACKAGES = {
    "clang": "clang libclang-rt-dev",
    "gcc": "gcc",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
}


def program(name: str) -> str:
    """A program of the system; the test fails with what installs it."""
    found = shutil.which(name)
    if found is None:
        package = _PACKAGES.get(name, name)
        pytest.fail(f"{name} is not installed: run scripts/setup test (apt-get install {package})")
    return found


def sources(*folders: str) -> list[str]:
    """The runtime's C files."""
    return [str(one) for folder in folders for one in sorted((RUNTIME / folder).glob("*.c"))]


@dataclass(frozen=True)
class Runner:
    """edgetvm-run for an architecture, with what it is run by."""

    command: tuple[str, ...]

    def __call__(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it; it must end with that code, and says one sentence where that is not 0."""
        done = subprocess.run(
            [*self.command, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert (done.stderr == "") == (code == 0), done.stderr
        assert done.stderr.count("\n") == (code != 0), done.stderr
        return done


class Builds:
    """Builds what is asked for, once for all workers of a test run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def build(self, name: str, command: Sequence[str]) -> Path:
        """What a compiler's command (without -o) makes. It must have nothing to say."""
        path = self.folder / name
        with FileLock(self.folder / f"{name}.lock"):
            if not path.exists():
                made = self.folder / f"{name}.new"
                done = subprocess.run(
                    [*command, "-o", str(made)],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
                assert done.stderr == "", done.stderr
                made.rename(path)
        return path

    def native(self, compiler: str = "gcc") -> Runner:
        """The runner for this machine, by a plain compiler."""
        command = [program(compiler), *STRICT, "-O2", *_includes(), *sources("src", "runner")]
        return Runner((str(self.build(f"run-{compiler}", [*command, "-lm", "-pthread"])),))

    def sanitized(self) -> Runner:
        """The runner that stops at the first access that is not its own, or undefined operation."""
        flags = _sanitizing("address,undefined")
        return Runner((str(self._clang("run-sanitized", [*flags, *sources("src", "runner")])),))

    def static(self, architecture: str) -> Runner:
        """The runner that packages carry, and its emulator."""
        path = self.folder / f"run-{architecture}"
        with FileLock(f"{path}.lock"), pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(self.folder / "cache"))
            if not path.exists():
                built = build_runtime(architecture, "musl").folder / RUNNER_FILE
                path.symlink_to(built)
        return Runner((*map(program, _EMULATORS[architecture]), str(path)))

    def model(self, architecture: str, source: Path) -> Path:
        """A model in C, linked as compiled models are."""
        flags = [
            "-shared",
            "-fPIC",
            "-nostdlib",
            "-O1",
            "-fno-sanitize=all",
            "-fno-stack-protector",
        ]
        command = [sys.executable, "-m", "ziglang", "cc", *_TARGETS[architecture], *flags]
        return self.build(f"{source.stem}-{architecture}.so", [*command, str(source)])

    def checks(self, sanitizers: str) -> Path:
        """The checks in C of the C API, over the library."""
        files = [str(one) for one in sorted(PROGRAMS.glob("*.c"))]
        flags = [*_sanitizing(sanitizers), f"-I{PROGRAMS}", *_WATCHED]
        return self._clang(f"checks-{sanitizers}", [*flags, *sources("src"), *files])

    def signatures(self) -> Path:
        """The runner's check of signatures alone."""
        files = [str(RUNTIME / f"runner/{name}.c") for name in ("ed25519", "sha512")]
        flags = [*_sanitizing("address,undefined"), f"-I{RUNTIME / 'runner'}", *sources("src")]
        return self._clang("signatures", [*flags, *files, str(SIGNATURES / "verify.c")])

    def fuzzer(self, name: str, *more: str) -> Path:
        """A fuzzer of the runtime's own, with further flags and files."""
        flags = [*_sanitizing("fuzzer,address,undefined"), f"-I{RUNTIME / 'runner'}", *more]
        return self._clang(
            f"fuzz-{name}", [*flags, *sources("src"), str(RUNTIME / f"fuzz/{name}.c")]
        )

    def _clang(self, name: str, arguments: Sequence[str]) -> Path:
        command = [program("clang"), *STRICT, *_includes(), *arguments]
        return self.build(name.replace(",", "-"), [*command, "-lm", "-pthread"])


def _sanitizing(sanitizers: str) -> list[str]:
    return ["-g", "-O1", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]


def _includes() -> list[str]:
    return [f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}"]
