"""The C runtime built for any board, on any host, by Zig's C compiler.

Built once for each platform: a build is cached by the hash of all that it depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgetvm.base import cache
from edgetvm.base.errors import NotFoundError
from edgetvm.base.files import sha256_of_file
from edgetvm.base.pins import installed_version
from edgetvm.base.steps import step
from edgetvm.base.zig import run_zig, zig_folder

Libc = Literal["glibc", "musl"]
LIBCS: tuple[Libc, ...] = ("glibc", "musl")

# The C sources, which are in the wheel too.
RUNTIME_FOLDER = Path(__file__).parent / "runtime"
LIBRARY_FILE = "libedgetvm.so"
ARCHIVE_FILE = "libedgetvm.a"
RUNNER_FILE = "edgetvm-run"

# By `uname -m`: Zig's target for each C library, and the processor that any such board has. 2.17 is
# the oldest glibc with all that is called (2012).
_PLATFORMS: Mapping[str, Mapping[Libc, Sequence[str]]] = {
    "aarch64": {
        "glibc": ("-target", "aarch64-linux-gnu.2.17"),
        "musl": ("-target", "aarch64-linux-musl"),
    },
    "armv7l": {
        "glibc": ("-target", "thumb-linux-gnueabihf.2.17", "-mcpu=generic+v7a+vfp3d16"),
        "musl": ("-target", "thumb-linux-musleabihf", "-mcpu=generic+v7a+vfp3d16"),
    },
    "x86_64": {
        "glibc": ("-target", "x86_64-linux-gnu.2.17"),
        "musl": ("-target", "x86_64-linux-musl"),
    },
}
_COMPILE = (
    *("-std=c11", "-Os", "-fno-sanitize=all", "-ffunction-sections", "-fdata-sections"),
    *("-fvisibility=hidden", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
    *("-Wall", "-Wextra", "-Werror", "-Iinclude", "-Isrc"),
)
_LINK = ("-s", "-pthread", "-lm", "-Wl,--gc-sections", "-Wl,--build-id=none")


@dataclass(frozen=True)
class BuiltRuntime:
    """The runtime for one architecture and C library.

    Attributes:
        folder: with `libedgetvm.so`, `libedgetvm.a` and `edgetvm-run`.
        architecture: as `uname -m` prints it.
        libc: of the libraries; with musl the runner is static and needs none.
    """

    folder: Path
    architecture: str
    libc: Libc


def build_runtime(architecture: str, libc: Libc = "musl") -> BuiltRuntime:
    """The runtime for boards of an architecture, built or taken from the cache.

    Raises:
        NotFoundError: no runtime is known for that architecture.
        CompileError: it cannot be built.
        MissingToolError: the ziglang package is not installed.
        StorageError: the cache folder cannot be written.
    """
    if architecture not in _PLATFORMS:
        raise NotFoundError(
            f"there is no C runtime for {architecture}", mend=f"it is for {', '.join(_PLATFORMS)}"
        )
    platform = _PLATFORMS[architecture][libc]
    depends_on = {
        "sources": {
            str(path.relative_to(RUNTIME_FOLDER)): sha256_of_file(path) for path in _sources()
        },
        "platform": [*platform],
        "flags": [*_COMPILE, *_LINK],
        "code": sha256_of_file(Path(__file__)),
        "ziglang": installed_version("ziglang"),
    }

    def make(folder: Path) -> None:
        with step(f"build the runtime for {architecture} ({libc})"):
            _build(folder, platform, static=libc == "musl")

    folder, _ = cache.get_or_make("runtimes", depends_on, make)
    return BuiltRuntime(folder, architecture, libc)


def runner_licences() -> dict[str, bytes]:
    """Texts of the licences of what a static runner holds beside edgetvm, by the part's name."""
    return {
        "musl": (zig_folder() / "lib/libc/musl/COPYRIGHT").read_bytes(),
        "zig": (zig_folder() / "LICENSE").read_bytes(),
    }


def _sources() -> list[Path]:
    """Whatever a build reads."""
    folders = (RUNTIME_FOLDER / name for name in ("include", "src", "runner"))
    return sorted(path for folder in folders for path in folder.glob("*.[ch]"))


def _named(folder: str) -> list[str]:
    return sorted(f"{folder}/{path.name}" for path in (RUNTIME_FOLDER / folder).glob("*.c"))


def _build(folder: Path, platform: Sequence[str], static: bool) -> None:
    compiler = ("cc", *platform, *_COMPILE)
    library, runner = _named("src"), _named("runner")
    shared = ("-shared", "-fPIC", f"-Wl,-soname,{LIBRARY_FILE}.1", "-DEDGETVM_SHARED")
    whole = ("-static", f"-Wl,-T,{_script(folder)}") if static else ()
    run_zig(
        *compiler, *shared, *library, *_LINK, "-o", str(folder / LIBRARY_FILE), folder=RUNTIME_FOLDER
    )
    run_zig(
        *compiler, *whole, *library, *runner, *_LINK, "-o", str(folder / RUNNER_FILE),
        folder=RUNTIME_FOLDER,
    )
