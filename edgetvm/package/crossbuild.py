"""The C runtime built for any board, on any host, by Zig's C compiler.

Built once for each platform: a build is cached by the hash of all that it depends on.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgetvm.base import cache
from edgetvm.base.errors import NotFoundError
from edgetvm.base.files import sha256_of_file, storage_errors
from edgetvm.base.pins import installed_version
from edgetvm.base.steps import Step, step
from edgetvm.base.zig import run_zig, zig_folder

Libc = Literal["glibc", "musl"]
LIBCS: tuple[Libc, ...] = ("glibc", "musl")

# The C sources, which are in the wheel too.
RUNTIME_FOLDER = Path(__file__).parent / "runtime"
LIBRARY_FILE = "libedgetvm.so"
ARCHIVE_FILE = "libedgetvm.a"
RUNNER_FILE = "edgetvm-run"


@dataclass(frozen=True)
class _Platform:
    """How Zig is told of an architecture and a C library.

    Attributes:
        target: with the oldest glibc that has all that is called, 2.17 of 2012.
        cpu: what every such board has.
        code: what the sources are compiled for beside; Thumb takes two thirds of Arm's bytes.
        seldom: how what is not called often is optimised; for 32-bit Arm LLVM would then call
            functions for shifts of 64 bits, which no library there has.
    """

    target: str
    cpu: str = "baseline"
    code: str = ""
    seldom: str = "-Oz"


# Of ELF headers, by class: where the list of sections is told to begin, as what number, and where
# an entry's size, their count and the names' number follow.
_SECTIONS = {1: (0x20, "<I", 0x2E), 2: (0x28, "<Q", 0x3A)}
_ARMV7 = ("generic+v7a+vfp3d16", "+thumb_mode", "-Os")
_PLATFORMS: dict[tuple[str, Libc], _Platform] = {
    ("aarch64", "glibc"): _Platform("aarch64-linux-gnu.2.17"),
    ("aarch64", "musl"): _Platform("aarch64-linux-musl"),
    ("armv7l", "glibc"): _Platform("arm-linux-gnueabihf.2.17", *_ARMV7),
    # Zig has this C library in Thumb as well.
    ("armv7l", "musl"): _Platform("thumb-linux-musleabihf", _ARMV7[0], seldom=_ARMV7[2]),
    ("x86_64", "glibc"): _Platform("x86_64-linux-gnu.2.17"),
    ("x86_64", "musl"): _Platform("x86_64-linux-musl"),
}
ARCHITECTURES = tuple(dict.fromkeys(architecture for architecture, _ in _PLATFORMS))
_INCLUDE = ("-Iinclude", "-Isrc")
_FLAGS = (
    *("-std=c11", "-Os", "-fPIC", "-fno-sanitize=all", "-ffunction-sections", "-fdata-sections"),
    *("-fvisibility=hidden", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
)
# What is called for every block of a file, or while a model runs; all else is as small as can be.
_OFTEN = frozenset(
    f"{name}.c"
    for name in "crc32 functions half pool program sha256 sha256_arm sha256_x86 wide".split()
)
_LINK = ("-Os", "-s", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--hash-style=gnu")
# Linked for size, Zig's own memcpy and memset, which come before the C library's, go byte by byte.
_STATIC_LIBC = ("-O2", "-static", "-lm", "-pthread")
# Zig's own exp, log and sin would come before those of a shared libm, and with all their tables.
_SHARED_LIBC = ("-rtlib=none", "-lm", "-pthread")
# Of a build, as its progress counts them: two objects, and what is linked of them.
_PARTS = 3
_KERNEL = ("-std=c11", "-Os", "-fPIC", "-shared", "-nostdlib", "-s", "-Wl,--build-id=none")
_EXPORTS = "{ global: edgetvm_*; local: *; };"
# No exception passes through C, and musl's tables for them are a sixth of a static program.
_DISCARD = "SECTIONS { /DISCARD/ : { *(.eh_frame*) *(.comment) } } INSERT AFTER .text;"


@dataclass(frozen=True)
class BuiltRuntime:
    """The runtime for one architecture and C library.

    Attributes:
        folder: with `libedgetvm.so`, `libedgetvm.a` and `edgetvm-run`. With musl the runner is
            static: it runs on any Linux.
        architecture: as `uname -m` prints it.
    """

    folder: Path
    architecture: str
    libc: Libc

    @property
    def runner(self) -> bytes:
        """The program that runs packages."""
        return (self.folder / RUNNER_FILE).read_bytes()


def build_runtime(architecture: str, libc: Libc) -> BuiltRuntime:
    """The runtime for boards of an architecture, built or taken from the cache.

    Raises:
        NotFoundError: there is none for that architecture.
        CompileError: it cannot be built.
        MissingToolError: the ziglang package is not installed.
        StorageError: the cache folder cannot be written.
    """
    platform = _platform(architecture, libc)

    def make(folder: Path) -> None:
        with (
            step(f"build the C runtime for {architecture} ({libc}), this once") as this,
            storage_errors(folder),
        ):
            _build(folder, platform, this, static=libc == "musl")

    folder, _ = cache.get_or_make("runtimes", _depends_on(platform, _read()), make)
    return BuiltRuntime(folder, architecture, libc)


def build_program(
    name: str, sources: Path, architecture: str, borrowed: Sequence[Path] = ()
) -> Path:
    """A static program over the runtime and its runner, built or taken from the cache.

    Args:
        name: of its file.
        sources: a folder of C files; one has the program's `main`.
        architecture: of the boards, any Linux of which can run it.
        borrowed: C files of other programs; headers are found beside them.

    Raises:
        NotFoundError, CompileError, MissingToolError, StorageError: as `build_runtime`.
    """
    platform = _platform(architecture, "musl")
    files = [*sorted(sources.glob("*.c")), *borrowed]
    folders = tuple(dict.fromkeys(path.parent for path in files))
    read = [*_read(), *(path for one in folders for path in sorted(one.glob("*.h"))), *files]

    def make(folder: Path) -> None:
        with step(f"build {name} for {architecture}"), storage_errors(folder):
            _build_program(folder / name, files, folders, platform)

    folder, _ = cache.get_or_make("programs", {"name": name, **_depends_on(platform, read)}, make)
    return folder / name


def build_kernel(name: str, source: Path, architecture: str) -> Path:
    """A shared object of one C file that needs no C library, built or taken from the cache.

    Args:
        name: of its file.
        source: the C file.
        architecture: of the boards.

    Raises:
        NotFoundError, CompileError, MissingToolError, StorageError: as `build_runtime`.
    """
    platform = _platform(architecture, "musl")

    def make(folder: Path) -> None:
        command = ("cc", "-target", platform.target, f"-mcpu={platform.cpu}{platform.code}")
        with step(f"build {name} for {architecture}"), storage_errors(folder):
            run_zig(*command, *_KERNEL, str(source), "-o", str(folder / name))

    folder, _ = cache.get_or_make(
        "programs", {"name": name, **_depends_on(platform, [source])}, make
    )
    return folder / name


def _platform(architecture: str, libc: Libc) -> _Platform:
    platform = _PLATFORMS.get((architecture, libc))
    if platform is None:
        known = ", ".join(ARCHITECTURES)
        raise NotFoundError(f"there is no C runtime for {architecture}", mend=f"it is for {known}")
    return platform


def _depends_on(platform: _Platform, sources: Sequence[Path]) -> dict[str, object]:
    return {
        "sources": [(path.name, sha256_of_file(path)) for path in sources],
        "platform": [platform.target, platform.cpu, platform.code, platform.seldom],
        "code": sha256_of_file(Path(__file__)),
        "ziglang": installed_version("ziglang"),
    }


def runner_licences() -> dict[str, bytes]:
    """Texts of the licences of what a static runner holds beside edgetvm, by the part's name."""
    folder = zig_folder()
    return {
        "musl": (folder / "lib/libc/musl/COPYRIGHT").read_bytes(),
        "zig": (folder / "LICENSE").read_bytes(),
    }


def _read() -> list[Path]:
    """All files that a build reads."""
    folders = (RUNTIME_FOLDER / name for name in ("include", "src", "runner"))
    return sorted(path for folder in folders for path in folder.glob("*.[ch]"))


def _build(folder: Path, platform: _Platform, this: Step, static: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="edgetvm-") as scratch_name:
        scratch = Path(scratch_name)
        this.advance(0, _PARTS, "compiling the library")
        library = _compiled("src", scratch, platform)
        this.advance(1, _PARTS, "compiling edgetvm-run")
        runner = _compiled("runner", scratch, platform)
        this.advance(2, _PARTS, "linking; Zig builds a C library for its first program of a target")
        discard, exports = scratch / "discard.ld", scratch / "exports.map"
        discard.write_text(_DISCARD)
        exports.write_text(_EXPORTS)
        cpu = f"-mcpu={platform.cpu}"
        link = ("cc", "-target", platform.target, cpu, *_LINK, f"-Wl,-T,{discard}")
        shared = ("-shared", f"-Wl,-soname,{LIBRARY_FILE}.1", f"-Wl,--version-script,{exports}")
        run_zig(*link, *shared, library, *_SHARED_LIBC, "-o", str(folder / LIBRARY_FILE))
        run_zig("ar", "rcs", str(folder / ARCHIVE_FILE), library)
        libc = _STATIC_LIBC if static else _SHARED_LIBC
        run_zig(*link, library, runner, *libc, "-o", str(folder / RUNNER_FILE))
        _drop_sections(folder / RUNNER_FILE)
        this.detail = ""


def _drop_sections(program: Path) -> None:
    """Cut off the list of sections at an ELF file's end, which linkers read and no system does."""
    data = bytearray(program.read_bytes())
    place, form, counts = _SECTIONS[data[4]]
    (begin,) = struct.unpack_from(form, data, place)
    struct.pack_into(form, data, place, 0)
    struct.pack_into("<HHH", data, counts, 0, 0, 0)
    program.write_bytes(data[:begin])


def _build_program(
    program: Path, sources: Sequence[Path], folders: Sequence[Path], platform: _Platform
) -> None:
    with tempfile.TemporaryDirectory(prefix="edgetvm-") as scratch_name:
        scratch = Path(scratch_name)
        discard = scratch / "discard.ld"
        discard.write_text(_DISCARD)
        parts = [*_sources("src"), *(one for one in _sources("runner") if one != "runner/main.c")]
        parts += map(str, sources)
        includes = (*_INCLUDE, "-Irunner", *(f"-I{one}" for one in folders))
        compiled = _compiled_together(scratch / "program.o", parts, includes, platform)
        link = ("cc", "-target", platform.target, f"-mcpu={platform.cpu}", *_LINK)
        run_zig(*link, f"-Wl,-T,{discard}", compiled, *_STATIC_LIBC, "-o", str(program))


def _sources(part: str) -> list[str]:
    return sorted(f"{part}/{path.name}" for path in (RUNTIME_FOLDER / part).glob("*.c"))


def _compiled(part: str, scratch: Path, platform: _Platform) -> str:
    """The sources of one folder as an object."""
    return _compiled_together(scratch / f"{part}.o", _sources(part), _INCLUDE, platform)


def _compiled_together(
    compiled: Path, sources: Sequence[str], includes: Sequence[str], platform: _Platform
) -> str:
    cpu = f"-mcpu={platform.cpu}{platform.code}"
    command = ("build-obj", "-target", platform.target, cpu, "-OReleaseSmall", "-lc", *includes)
    emit = f"-femit-bin={compiled}"
    rare = [one for one in sources if Path(one).name not in _OFTEN]
    often = [one for one in sources if one not in rare]
    flags = ("-cflags", *_FLAGS)
    files = (*((*flags, "--", *often) if often else ()), *flags, platform.seldom, "--")
    run_zig(*command, *files, *rare, emit, folder=RUNTIME_FOLDER)
    return str(compiled)
