"""Which run a command belongs to: an unfinished one of the same budget, or a new one."""

from __future__ import annotations

from edgetvm.base.errors import UsageError
from edgetvm.base.steps import note, warn
from edgetvm.base.units import format_duration
from edgetvm.tune.budget import Budget
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.records import Conditions


def run_of(
    database: TuningDatabase, what: str, conditions: Conditions, budget: Budget, resume: bool
) -> int:
    """The number of the run that goes on, or of a new one. No other process works on it."""
    unfinished = database.unfinished_runs(what, conditions)
    same = [run for run, of in unfinished.items() if of == str(budget)]
    for run in same:
        if database.work_on(run):
            note(
                f"goes on with the unfinished run of this command: {database.trials_in(run)} "
                f"trials, {format_duration(database.spent_s(run))} so far"
            )
            return run
    others = ", ".join(dict.fromkeys(of for of in unfinished.values() if of != str(budget)))
    if resume:
        raise _nothing_to_resume(database, budget, others, is_held=bool(same))
    if same:
        warn(
            "another process works on the run of this command now: this one begins a run of its "
            "own, and takes over what the other measures"
        )
    elif others:
        note(f"begins a run; one with another budget ({others}) is unfinished, and stays so")
    run = database.begin_run(what, conditions, str(budget))
    database.work_on(run)
    return run


def _nothing_to_resume(
    database: TuningDatabase, budget: Budget, others: str, *, is_held: bool
) -> UsageError:
    if is_held:
        return UsageError(
            f"another process works on the unfinished run of this budget ({budget}) now",
            where=str(database.path),
            mend="let it end, or leave --resume out to begin another run beside it",
        )
    other = f"; one with another budget is: {others}" if others else ""
    return UsageError(
        f"no run of this model, profile and budget ({budget}) is unfinished{other}",
        where=str(database.path),
        mend="give its budget to go on with it"
        if others
        else "leave --resume out: what was measured before is used in any case",
    )
