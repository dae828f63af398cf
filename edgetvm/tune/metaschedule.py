"""Trials as MetaSchedule's own JSON records, and back.

Two files of JSON lines, as `tvm.s_tir.meta_schedule.database.JSONDatabase` keeps them: kernels, and
of each record its kernel's line, trace, times in seconds, target and arguments.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgetvm.base.errors import UsageError
from edgetvm.base.files import storage_errors, write_text
from edgetvm.base.frames import quick_frames
from edgetvm.base.steps import step
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.compile.options import CompileOptions
from edgetvm.compile.schedules import all_rules, scheduled_as
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.traces import trace_of
from edgetvm.compile.target import target_for
from edgetvm.compile.tuned import NO_RULE, KernelChoice
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.generic import TITLE
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.space import key_of
from edgetvm.tune.tasks import Form, form_of
from edgetvm.tune.tuning import conditions_of

WORKLOADS = "database_workload.json"
RECORDS = "database_tuning_record.json"
# MetaSchedule's time of a candidate that failed, and from where on it takes a time for that.
_FAILED_S = 1e10
_ENDLESS_S = 1e9
_NO_TRACE = "[[], []]"

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        workloads: kernels that have a record.
        records: trials with a trace.
        left_out: trials that no trace can tell, by rule.
        estimated: trials that were left out, for no board measured them.
    """

    workloads: int
    records: int
    left_out: Mapping[str, int]
    estimated: int


@dataclass(frozen=True)
class Damage:
    """A line that could not be read, or does not hold for its kernel."""

    file: str
    line: int
    what: str


@dataclass(frozen=True)
class Imported:
    """What was read.

    Attributes:
        added: trials that are new.
        known: records that the database had.
        damaged: lines that were left out.
    """

    added: int
    known: int
    damaged: tuple[Damage, ...]


@dataclass(frozen=True)
class Record:
    """One line of `database_tuning_record.json`.

    Attributes:
        workload: its kernel's line, from 0.
        trace: as JSON.
        times_s: empty where the candidate failed, or was not measured.
    """

    workload: int
    trace: str
    times_s: tuple[float, ...]


def export_records(database: TuningDatabase, folder: Path, profile: str | None = None) -> Exported:
    """Write the trials that boards measured and a trace can tell.

    A trial whose board was lost says nothing, and is left out without a word.

    Args:
        database: with the trials.
        folder: for the two files; made where it is missing.
        profile: of the boards; all without it.

    Raises:
        UsageError: the folder holds records, or no board measured a trial.
        NotFoundError: a profile of the trials is no longer known.
        StorageError: a file cannot be written.
    """
    for name in (WORKLOADS, RECORDS):
        if (folder / name).exists():
            raise UsageError(
                "it holds records", where=str(folder / name), mend="name an empty folder"
            )
    trials = {one: database.trials(one) for one in database.conditions(profile)}
    measured = {one: found for one, found in trials.items() if not one.estimated}
    made = _Export(database)
    with step("tell trials by traces") as this:
        total = sum(map(len, measured.values()))
        for conditions, found in measured.items():
            made.add(conditions, found, lambda done: this.advance(done, total))
    if not made.records and not made.left_out:
        raise UsageError(
            "no board has measured a trial" + (f" for {profile}" if profile else ""),
            where=str(database.path),
            mend="tune on a board first: edgetvm tune",
        )
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / WORKLOADS, _lines(made.workloads))
    write_text(folder / RECORDS, _lines(made.records))
    estimated = sum(len(found) for one, found in trials.items() if one.estimated)
    return Exported(len(made.workloads), len(made.records), dict(made.left_out), estimated)


def _lines(values: list[Any]) -> str:
    return "".join(f"{json.dumps(one, separators=(',', ':'))}\n" for one in values)


class _Export:
    """Lines of the two files, as they grow."""

    def __init__(self, database: TuningDatabase) -> None:
        self._database = database
        self.workloads: list[Any] = []
        self.records: list[Any] = []
        self.left_out: Counter[str] = Counter()
        self._kernels: dict[str, Any] = {}
        self._lines: dict[str, tuple[int, Any]] = {}
        self._done = 0

    def add(
        self, conditions: Conditions, trials: Sequence[Trial], told: Callable[[int], None]
    ) -> None:
        """Add the trials under these conditions; tells how many of all are done."""
        profile = load_profile(conditions.profile)
        target = target_for(profile, CompileOptions(opt_level=conditions.level))
        for_target = json.loads(str(target))
        traces: dict[object, str | None] = {}
        for trial in trials:
            self._done += 1
            told(self._done)
            function = self._kernel(trial.workload)
            if function is None or trial.outcome == "board lost":
                continue
            key = key_of(trial.workload, trial.choice)
            if key not in traces:
                with target:
                    traces[key] = _trace(trial.choice, function, profile)
            trace = traces[key]
            if trace is None:
                self.left_out[trial.choice.rule] += 1
                continue
            times_s = [one / 1e3 for one in trial.times_ms] or [_FAILED_S]
            number, arguments = self._line(trial.workload, function)
            self.records.append([number, [json.loads(trace), times_s, for_target, arguments]])

    def _kernel(self, key: str) -> Any:
        """A kernel's function; None where it was not kept."""
        from tvm import ir

        from edgetvm.compile.memory.strides import without_gaps

        if key not in self._kernels:
            text = self._database.kernel(key)
            self._kernels[key] = text and without_gaps(ir.load_json(text)).with_attr(
                "global_symbol", "main"
            )
        return self._kernels[key]

    def _line(self, key: str, function: Any) -> tuple[int, Any]:
        """A kernel's line, written when its first record is, and its arguments."""
        from tvm import ir

        quick_frames()
        from tvm.s_tir import meta_schedule as ms

        if key not in self._lines:
            workload = ms.database.Workload(ir.IRModule({"main": function}))
            arguments = [one.as_json() for one in ms.arg_info.ArgInfo.from_prim_func(function)]
            self._lines[key] = len(self.workloads), arguments
            self.workloads.append([str(one) for one in workload.as_json()])
        return self._lines[key]


def _trace(choice: KernelChoice, function: Any, profile: BoardProfile) -> str | None:
    if choice.trace is not None:
        return choice.trace
    if choice.rule == NO_RULE:
        return _NO_TRACE
    rule = dict(all_rules()).get(choice.rule)
    try:
        return rule and trace_of(rule, function, profile, Decisions(choice.decisions))
    except UsageError:  # a decision that this edgetvm does not know any more
        return None


def import_records(
    database: TuningDatabase, folder: Path, profile: BoardProfile, options: CompileOptions
) -> Imported:
    """Read records that edgetvm or MetaSchedule's `tune_relax` wrote, as trials of a profile.

    Their times were taken without a default beside them, so that they decide nothing: a search
    tries them first. Lines that cannot be read are left out and told.

    Args:
        database: for the trials.
        folder: with the two files.
        profile: of the boards that they were measured on.
        options: level of optimisation that they count for.

    Raises:
        UsageError: the folder has no records.
        StorageError: a file cannot be read, or the database cannot be written.
    """
    damaged: list[Damage] = []
    kernels = {
        number: _form(text, profile, options, number, damaged)
        for number, text in _parsed(folder / WORKLOADS, parse_workload, damaged)
    }
    conditions = conditions_of(profile, options)
    known = {key_of(one.workload, one.choice) for one in database.trials(conditions)}
    added = had = 0
    for number, record in _parsed(folder / RECORDS, parse_record, damaged):
        found = kernels.get(record.workload)
        if found is None:
            damaged.append(Damage(RECORDS, number + 1, "its kernel is not there"))
            continue
        trial = _trial(record, found, profile, folder)
        if trial is None:
            damaged.append(Damage(RECORDS, number + 1, "its trace is none for its kernel"))
            continue
        if key_of(trial.workload, trial.choice) in known:
            had += 1
            continue
        known.add(key_of(trial.workload, trial.choice))
        database.add_workload(found, _described(found))
        database.append(None, conditions, trial)
        added += 1
    return Imported(added, had, tuple(damaged))


def _trial(record: Record, form: Form, profile: BoardProfile, folder: Path) -> Trial | None:
    from tvm import ir

    choice = KernelChoice(TITLE, trace=record.trace)
    if scheduled_as(ir.load_json(form.kernel), profile, choice) is None:
        return None
    times_ms = tuple(1e3 * one for one in record.times_s)
    return Trial(
        form.workload,
        form.workload,
        choice,
        {},
        "ok" if times_ms else "build error",
        times_ms,
        error="" if times_ms else "it failed where its record was made",
        board="imported",
        environment={"imported from": folder.name},
    )


def _form(
    text: tuple[str, str],
    profile: BoardProfile,
    options: CompileOptions,
    number: int,
    damaged: list[Damage],
) -> Form | None:
    from tvm import tirx

    quick_frames()
    from tvm.s_tir import meta_schedule as ms

    try:
        module = ms.database.Workload.from_json(list(text)).mod
        functions = [one for one in module.functions.values() if isinstance(one, tirx.PrimFunc)]
        form = form_of(functions[0], profile, options, {}) if len(functions) == 1 else None
    except (RuntimeError, TypeError, ValueError) as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        damaged.append(Damage(WORKLOADS, number + 1, f"TVM cannot read its kernel: {words[-1]}"))
        return None
    if form is None:
        what = "it is not one kernel over tensors of known shapes"
        damaged.append(Damage(WORKLOADS, number + 1, what))
    return form


def _described(form: Form) -> str:
    shapes = ["x".join(map(str, one.shape)) or "scalar" for one in form.arguments]
    return f"imported: {', '.join(shapes[:-1])} -> {shapes[-1]}"


def _parsed(
    path: Path, parse: Callable[[str], Parsed], damaged: list[Damage]
) -> Iterator[tuple[int, Parsed]]:
    """The lines of a file that can be read, with their numbers from 0."""
    if not path.is_file():
        raise UsageError(
            f"there is no {path.name}",
            where=str(path.parent),
            mend="name the work folder of MetaSchedule, or one of edgetvm records export",
        )
    with storage_errors(path):
        lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            yield number, parse(line.decode())
        except (ValueError, RecursionError) as error:
            what = str(error) if type(error) is ValueError else "it is no JSON"
            damaged.append(Damage(path.name, number + 1, what))


def parse_workload(line: str) -> tuple[str, str]:
    """The hash of a kernel and the kernel in base 64, of a line.

    Raises:
        ValueError: it is none; says why, where it is JSON at all.
    """
    match json.loads(line):
        case [str(key), str(kernel)]:
            return key, kernel
    raise ValueError("it is no hash and kernel")


def parse_record(line: str) -> Record:
    """A record, of a line.

    Raises:
        ValueError: it is none; says why, where it is JSON at all.
        RecursionError: it is nested too deeply.
    """
    match json.loads(line):
        case [int(workload), [trace, times_s, _, _]] if workload >= 0 and workload is not True:
            return Record(workload, json.dumps(_checked(trace)), _times_s(times_s))
    raise ValueError("it is no kernel's number, trace, times, target and arguments")


def _checked(trace: object) -> object:
    match trace:
        case [list(instructions), list(decisions)]:
            if all(map(_is_instruction, instructions)) and all(map(_is_decision, decisions)):
                return trace
    raise ValueError("its trace is none")


def _is_instruction(one: object) -> bool:
    match one:
        case [str(), list(), list(), list()]:
            return True
    return False


def _is_decision(one: object) -> bool:
    match one:
        case [int(), _]:
            return True
    return False


def _times_s(times: object) -> tuple[float, ...]:
    if times is None:
        return ()
    if not isinstance(times, list) or not all(map(_is_time, times)):
        raise ValueError("its times are no seconds")
    return tuple(map(float, times)) if all(one < _ENDLESS_S for one in times) else ()


def _is_time(one: object) -> bool:
    return isinstance(one, int | float) and one is not True and 0 < one < math.inf
