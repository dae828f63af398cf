"""Trials made by hand, for tests that need no board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune.jobs import Tensor
from edgetvm.tune.records import Conditions, Outcome, Trial
from edgetvm.tune.tasks import Form

HERE = Conditions("local", "x86_64", 3, 2)


def made_trial(
    task: str = "task",
    ratio: float = 1.0,
    decisions: Mapping[str, str] | None = None,
    *,
    outcome: Outcome = "ok",
    operators: Mapping[str, Mapping[str, str]] | None = None,
    workload: str = "",
    default_ms: float = 2.0,
) -> Trial:
    """A trial that took `ratio` of the default's time."""
    return Trial(
        task,
        workload or task,
        KernelChoice("rule", dict(decisions or {})),
        dict(operators or {}),
        outcome,
        (ratio * default_ms,) if outcome == "ok" else (),
        default_ms,
    )


def made_form(
    candidates: Mapping[str, Sequence[str]],
    *,
    operators: Mapping[str, Mapping[str, str]] | None = None,
    shape: tuple[int, ...] = (8, 16),
) -> Form:
    """A form whose defaults are the first of the candidates."""
    return Form(
        f"workload of {shape}",
        "",
        (Tensor(shape, "float32"), Tensor(shape, "float32")),
        "rule",
        {name: tuple(values) for name, values in candidates.items()},
        {name: values[0] for name, values in candidates.items()},
        dict(operators or {}),
    )
