"""The `Measurement` record: raw samples and all that they were taken in, as versioned JSON.

Statistics are computed from it (`edgetvm.measure.statistics`), never stored instead of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import ConfigurationError
from edgetvm.boards.roofline import Roofline
from edgetvm.compile.artifact import Kernel, MemoryUse
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.measure.beside import Beside
from edgetvm.measure.highest_rate import RateSearch
from edgetvm.measure.kernel_times import KernelTimes
from edgetvm.measure.metering import PowerReading
from edgetvm.measure.real_time import RealTime
from edgetvm.measure.rules import Rule, Scenario
from edgetvm.measure.samples import Samples
from edgetvm.measure.windows import Window
from edgetvm.models.correctness import Correctness, JsonFloat
from edgetvm.recipes.accuracy import Confusion, Track

SCHEMA_VERSION = 2
# What was written before scenarios had rules and windows is read as it was.
_READ_VERSIONS = (1, SCHEMA_VERSION)


def _some(samples: Samples) -> Samples:
    if not len(samples):
        raise ValueError("no samples")
    return samples


@dataclass(frozen=True)
class Environment:
    """What the samples were taken on and in.

    Attributes:
        device: name of the board in the inventory; `local` for this machine.
        profile: name of the board profile that the code was compiled for.
        emulated: the board's instructions are emulated: its times say nothing about a real one.
        cpu: the CPU's own name.
        machine: as `uname -m` prints it.
        kernel: as `uname -r` prints it, on the board.
        threads: threads that the model ran on.
        cores: cores that the process could use.
        governor: clock governor of the first core; None where the kernel shows none.
        load_average: one-minute load before the measurement began.
        versions: of everything that made or ran the code.
    """

    device: str
    profile: str
    emulated: bool
    cpu: str
    machine: str
    kernel: str
    threads: int
    cores: int
    governor: str | None
    load_average: float
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ThreadTurns:
    """Runs on all threads of a measurement and on one, taken in turns after its timed runs.

    Attributes:
        all_ns, one_ns: duration of each, in nanoseconds, in the order taken.
    """

    all_ns: Annotated[tuple[int, ...], Field(min_length=1)]
    one_ns: Annotated[tuple[int, ...], Field(min_length=1)]


@dataclass(frozen=True)
class LayerAgreement:
    """What a layer of a float model gives, and the same tensor of its 8-bit model on the board.

    Attributes:
        tensor: its name, the same in both files.
        operator: that gives it.
        error_pct: root mean square of the difference, in percent of that of the float values.
    """

    tensor: str
    operator: str
    error_pct: JsonFloat


@dataclass(frozen=True)
class StepRecord:
    """A step on the way to the measurement, and how long it took."""

    title: str
    elapsed_s: float
    detail: str = ""


@dataclass(frozen=True)
class Measurement:
    """One model, measured once on one device.

    Attributes:
        id: unique; begins with the time, so that names sort by age.
        taken_at: UTC, ISO 8601.
        model: name of the model; the recipe's name where there is one.
        task: the recipe's task; empty without a recipe.
        scenario: see `edgetvm.measure.scenarios`; `stream` feeds the chunks of a signal one after
            the other, back to back, and carries the state; `real-time` feeds them as they would
            arrive.
        samples_ns: latency of each query in nanoseconds, in the order taken: the duration of its
            runs; of a server, from its arrival; of a cold start, open and first run. For a stream,
            the service time of each chunk, in real time too.
        warmup: untimed runs before the first sample.
        open_ns: from the package's bytes on the board to a model ready to run, verified.
        first_run_ns: the first run after that.
        peak_memory_bytes: the most memory that the process held beyond the bare server, from open
            to the last run.
        package_sha256, package_size_bytes: of the package file that was measured.
        library_size_bytes: of the compiled library in it, parameters included.
        deadline_ms: the time that the recipe allows for one run or chunk.
        chunk_ms: duration of the signal in one chunk of a stream.
        correctness: against the reference runtime.
        metrics: the recipe's own figures, by name.
        kernels: of the compiled model.
        environment: see `Environment`.
        steps: what was done before the measurement.
        options: that the model was compiled with.
        memory: that a run takes, as planned; None where it is not known.
        thread_turns: None where it ran on one thread, or took too long to run again.
        power: what a meter beside the board told while the samples were taken; empty without one.
        windows: that the samples were taken in, in order; empty where nobody looked at the board.
        rule: how much was asked for; None where the measurement is older than rules.
        preset: that the rule is of; empty where a number of runs was given.
        runs_per_query: of the model.
        target_qps: queries a second that a server got on average.
        rate_search: how that rate was found, where it is the highest that keeps a bound.
        settled: whether the warm-up ended because times had settled.
        kernel_times: where the time of a run goes, timed on the board after all else; None where
            its times say nothing.
        peak_gflops: that the board's profile gives so many threads, a multiply-add counted as two.
        roofline: of the board on so many threads, its memory measured after all else; None where
            its times say nothing.
        confusion: of the classes of the recipe's data, where it has some.
        track: of the numbers of the recipe's data, where it has some.
        layers: of the float model that it was made from, where that was asked for.
        beside: peers that were timed in turns with it; None without any.
        real_time: what became of each chunk of the scenario `real-time`.
    """

    id: str
    taken_at: str
    model: str
    task: str
    scenario: Scenario
    samples_ns: Annotated[Samples, AfterValidator(_some)]
    warmup: int
    open_ns: int
    first_run_ns: int
    peak_memory_bytes: int
    package_sha256: str
    package_size_bytes: int
    library_size_bytes: int
    deadline_ms: float | None
    chunk_ms: float | None
    correctness: Correctness
    metrics: Mapping[str, JsonFloat]
    kernels: tuple[Kernel, ...]
    environment: Environment
    steps: tuple[StepRecord, ...] = field(default_factory=tuple)
    options: CompileOptions = DEFAULTS
    memory: MemoryUse | None = None
    thread_turns: ThreadTurns | None = None
    power: tuple[PowerReading, ...] = ()
    windows: tuple[Window, ...] = ()
    rule: Rule | None = None
    preset: str = ""
    runs_per_query: int = 1
    target_qps: float | None = None
    rate_search: RateSearch | None = None
    settled: bool = True
    kernel_times: KernelTimes | None = None
    peak_gflops: float | None = None
    roofline: Roofline | None = None
    real_time: RealTime | None = None
    beside: Beside | None = None
    confusion: Confusion | None = None
    track: Track | None = None
    layers: tuple[LayerAgreement, ...] = field(default_factory=tuple)
    schema_version: int = SCHEMA_VERSION

    @property
    def judged_windows(self) -> tuple[Window, ...]:
        """The windows, where they can be invalid; none on an emulated board, whose times count
        for nothing."""
        return () if self.environment.emulated else self.windows

    @property
    def is_tuned(self) -> bool:
        """Whether a kernel of it has a tuned schedule."""
        return any(kernel.schedule == "tuned" for kernel in self.kernels)


_ADAPTER = TypeAdapter(Measurement)


def to_json(measurement: Measurement) -> bytes:
    """The measurement as JSON text."""
    return _ADAPTER.dump_json(measurement)


def from_json(data: bytes, where: str) -> Measurement:
    """Read a measurement back.

    Raises:
        ConfigurationError: not a measurement of this schema version; names `where`.
    """
    # First of all: another version may have other fields.
    version = _version(data)
    joined = " and ".join(map(str, _READ_VERSIONS))
    if version not in (None, *_READ_VERSIONS):
        raise ConfigurationError(
            f"measurement of schema version {version}",
            where=where,
            mend=f"this edgetvm reads versions {joined}",
        )
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise ConfigurationError(
            "not a measurement of edgetvm", where=where, mend="was it cut off or edited?"
        ) from error


def _version(data: bytes) -> object:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document.get("schema_version") if isinstance(document, dict) else None
