"""The `BoardProfile` record and the YAML files it is read from."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import NotFoundError
from edgetvm.base.named_files import files_of, find_called
from edgetvm.base.yamlfile import read_yaml
from edgetvm.boards.core import CoreModel

_STRICT = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(gt=0)]

PROFILE_NAME = r"^[a-z0-9][a-z0-9._-]*$"

# Architectures whose vectors are NEON's.
_NEON = ("aarch64", "armv7l")
# LLVM's features of cores that compute with vectors of float16.
_HALF = frozenset({"+fullfp16", "+avx512fp16"})


@dataclass(frozen=True, config=_STRICT)
class Cache:
    """Sizes of one core's view of the caches."""

    l1d_bytes: Annotated[int, Field(gt=0, description="Level 1 data cache of one core, bytes.")]
    l2_bytes: Annotated[int, Field(gt=0, description="Level 2 cache, bytes.")]
    l3_bytes: Annotated[int, Field(ge=0, description="Level 3 cache, bytes; 0 for none.")] = 0
    l2_shared: Annotated[bool, Field(description="Whether all cores share level 2.")] = False


@dataclass(frozen=True, config=_STRICT)
class BoardProfile:
    """What the compiler must know about a board. One YAML file in `devices/`."""

    name: Annotated[str, Field(pattern=PROFILE_NAME, description="Equals the file's.")]
    description: Annotated[str, Field(description="What people call the board.")]
    triple: Annotated[
        str, Field(description="LLVM target triple: `aarch64-linux-gnu`, `x86_64-linux-gnu`, …")
    ]
    cpu: Annotated[str, Field(description="LLVM's name of the core: `cortex-a72`, `haswell`, …")]
    vector_lanes: Annotated[Positive, Field(description="float32 lanes of one vector register.")]
    vector_registers: Annotated[Positive, Field(description="Vector registers of a core.")]
    cores: Annotated[Positive, Field(description="Cores to run on.")]
    cache: Annotated[Cache, Field(description="Cache sizes.")]
    multiply_adds: Annotated[
        Positive, Field(description="float32 multiply-adds that a core can start in one cycle.")
    ]
    memory_bytes: Annotated[Positive, Field(description="Memory of the board, bytes.")]
    clock_mhz: Annotated[Positive, Field(description="Highest sustained clock of a core, MHz.")]
    features: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[+-][A-Za-z0-9._-]+$")], ...],
        Field(description="LLVM features to switch on (`+dotprod`) or off (`-prefer-256-bit`)."),
    ] = ()
    required_cpu_flags: Annotated[
        tuple[str, ...],
        Field(description="Flags of /proc/cpuinfo that the code needs; checked before it is run."),
    ] = ()
    float_abi: Annotated[
        Literal["hard", "soft"] | None, Field(description="32-bit ARM only: floating-point ABI.")
    ] = None
    emulated: Annotated[
        bool, Field(description="Run under emulation: times are marked and never ranked.")
    ] = False
    source: Annotated[str, Field(description="Where the figures come from.")] = ""
    memory_gbs: Annotated[
        float | None,
        Field(gt=0, description="Gigabytes a second of the memory's interface; its peak."),
    ] = None
    core: Annotated[
        CoreModel | None, Field(description="How `edgetvm estimate` prices code; none without it.")
    ] = None

    @property
    def architecture(self) -> str:
        """The first word of the triple, as `uname -m` prints it."""
        word = self.triple.split("-", 1)[0]
        return "armv7l" if word.startswith("armv7") else word

    def slowness(self, lanes: int) -> float:
        """The time of a multiply-add of so many float32 lanes over that of a whole vector.

        A core that computes a wide vector in two halves gives half a vector in half the time; one
        that has units as wide as its vectors does not. None has more than two such units.
        """
        return max(0.5, lanes / self.multiply_adds) / max(
            0.5, self.vector_lanes / self.multiply_adds
        )

    @property
    def multiplies_by_element(self) -> bool:
        """Whether a vector is multiplied by one element of another, as NEON does.

        One load then brings the factors of several steps; elsewhere each is loaded into all lanes.
        """
        return self.architecture in _NEON

    @property
    def multiplies_bytes(self) -> bool:
        """Whether vectors of bytes are multiplied to words at once, as NEON does."""
        return self.architecture in _NEON

    @property
    def computes_half(self) -> bool:
        """Whether it has arithmetic on vectors of float16."""
        return not _HALF.isdisjoint(self.features)

    @property
    def multiplies_from_memory(self) -> bool:
        """Whether an operand of a multiply-add may lie in memory, as on x86.

        Elsewhere each takes an instruction to load, and a register.
        """
        return self.architecture in ("x86_64", "i686")

    def counted_in(self, dtype: str) -> BoardProfile:
        """The profile with lanes and multiply-adds of another type: of float16 twice as many.

        Where the board has no arithmetic for it, they are computed as float32.
        """
        return _of_half(self) if dtype == "float16" and self.computes_half else self


@functools.lru_cache(maxsize=64)
def _of_half(profile: BoardProfile) -> BoardProfile:
    return dataclasses.replace(
        profile,
        vector_lanes=2 * profile.vector_lanes,
        multiply_adds=2 * profile.multiply_adds,
    )


@dataclass(frozen=True, config=_STRICT)
class _DetectedFile:
    """The content of `local.yaml`: the rest is read from this machine."""

    name: str
    description: str
    detect: Literal[True]


def read_profile(path: Path) -> BoardProfile:
    """Read one profile file, or detect this machine where the file says `detect: true`.

    Raises:
        ConfigurationError: naming file, line, key path and the mend.
    """
    from edgetvm.boards.detect import detect_local

    record: BoardProfile | _DetectedFile
    if path.stem == "local":
        record = read_yaml(path, _DetectedFile)
    else:
        record = read_yaml(path, BoardProfile)
    if record.name != path.stem:
        raise NotFoundError(
            f"name is {record.name!r}", where=str(path), mend=f"call it {path.stem!r} as its file"
        )
    if isinstance(record, BoardProfile):
        return record
    return detect_local(record.name, record.description)


def profile_names() -> list[str]:
    """The names of all profiles on the search path."""
    return sorted(files_of("devices"))


def load_profile(name: str) -> BoardProfile:
    """The profile of that name from the search path (`edgetvm.base.paths.search_folders`).

    Raises:
        NotFoundError: no such profile; names the nearest one.
        ConfigurationError: its file cannot be used.
    """
    return read_profile(find_called("devices", name).path)


def list_profiles() -> list[BoardProfile]:
    """All profiles on the search path, by name.

    Raises:
        ConfigurationError: one of the files cannot be used.
    """
    return [read_profile(path) for _, path in sorted(files_of("devices").items())]
