"""The kernels that estimates are tried on: our own compiler's, with good and bad schedules."""

from __future__ import annotations

import dataclasses
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.prepare import prepared
from benchmarks.latency.suite import chosen
from edgetvm.base.errors import EdgetvmError
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS
from edgetvm.compile.tuned import KernelChoice
from edgetvm.estimate.replaying import Program
from edgetvm.tune.building import BuildJob, build_candidate
from edgetvm.tune.jobs import Tensor
from edgetvm.tune.space import Space
from edgetvm.tune.tasks import Task, tasks_of

# Penalties are fitted on kernels of the first models, and estimates judged on those of the others.
# Models that share kernels are together.
FITTED = (
    "mobilenetv2", "efficientnet-lite0", "tiny-resnet8-int8", "minilm-l6", "ppocr-cls",
    "unet-small", "shufflenet",
)  # fmt: skip
HELD_OUT = (
    "ppocr-det", "squeezenet", "tiny-kws-int8", "mobilenetv2-int8", "oww-embedding",
    "lstm-forecaster", "tiny-ad01", "mobilenet-v3-small", "resnet18", "silero-vad", "tiny-vww",
    "crnn",
)  # fmt: skip
# Of each model so many tasks: those that compute most, and those that move most.
_TASKS = 4
# Of each task the default schedule, so many others, and plain loops.
_OTHERS = 1
_MOST_MULTIPLY_ADDS = 60e6
# Below a few thousand cycles a call is mostly what calling costs.
_LEAST_BYTES = 16384
_PLAIN = "plain loops"


@dataclass(frozen=True)
class Kernel:
    """A kernel to try estimates on.

    Attributes:
        name: of its model, its task and its schedule.
        group: of kernels that do the same work.
        held_out: whether nothing is fitted to it.
        schedule: `default`, `other` or `plain loops`.
        arguments: of it.
        file: of its library.
        function: its name there.
    """

    name: str
    group: str
    held_out: bool
    schedule: str
    arguments: tuple[Tensor, ...]
    file: Path
    function: str

    @property
    def program(self) -> Program:
        """To be replayed."""
        content = b"".join(_values(one, at) for at, one in enumerate(self.arguments))
        return Program(self.file.read_bytes(), content, self.arguments, self.function)


def _values(tensor: Tensor, seed: int) -> bytes:
    """Small numbers: no denormal ones, and indices that are valid."""
    draw = np.random.default_rng(seed)
    if tensor.dtype.startswith("float"):
        return draw.uniform(-1, 1, tensor.shape).astype(tensor.dtype).tobytes()
    return draw.integers(0, 2, tensor.shape).astype(tensor.dtype).tobytes()


def kernels(profile: BoardProfile, folder: Path) -> list[Kernel]:
    """All kernels, built where they are not in the folder."""
    found: list[Kernel] = []
    for names, held_out in ((FITTED, False), (HELD_OUT, True)):
        for name in names:
            record = folder / f"{name}.json"
            if not record.exists():
                _build(name, held_out, profile, folder)
            found += _read(record)
    return found


def _read(record: Path) -> list[Kernel]:
    return [
        Kernel(
            **{
                **one,
                "arguments": tuple(Tensor(tuple(a["shape"]), a["dtype"]) for a in one["arguments"]),
                "file": record.parent / one["file"],
            }
        )
        for one in json.loads(record.read_text())
    ]


def _build(name: str, held_out: bool, profile: BoardProfile, folder: Path) -> None:
    from edgetvm.base.paths import cache_folder
    from edgetvm.models import import_model

    folder.mkdir(parents=True, exist_ok=True)
    (entry,) = chosen([name])
    model = import_model(prepared(entry, cache_folder() / "benchmarks").file)
    records: list[dict[str, Any]] = []
    for task in _chosen(tasks_of(model, profile, DEFAULTS).tasks):
        for at, (schedule, choice) in enumerate(_choices(task)):
            job = BuildJob(task.form.kernel, choice, profile, DEFAULTS)
            try:
                built = build_candidate(job)
            except EdgetvmError:
                continue
            file = folder / f"{name}-{task.key}-{at}.so"
            file.write_bytes(built.library)
            arguments = [dataclasses.asdict(one) for one in task.form.arguments]
            records.append(
                {
                    "name": f"{name}: {task.description or task.name} [{schedule} {at}]",
                    "group": f"{name} {task.key}",
                    "held_out": held_out,
                    "schedule": schedule,
                    "arguments": arguments,
                    "file": file.name,
                    "function": built.function,
                }
            )
    (folder / f"{name}.json").write_text(json.dumps(records, indent=1))


def _chosen(tasks: tuple[Task, ...]) -> list[Task]:
    fit = [
        one
        for one in tasks
        if one.multiply_adds < _MOST_MULTIPLY_ADDS and one.moved_bytes >= _LEAST_BYTES
    ]
    computing = sorted(fit, key=lambda one: -one.multiply_adds)[: _TASKS // 2]
    # What computes little for what it moves: element by element, depthwise, products of one row.
    moving = sorted(fit, key=lambda one: one.multiply_adds / one.moved_bytes)
    moving = sorted(moving[: len(moving) // 2], key=lambda one: -one.moved_bytes)
    rest = [one for one in moving if one not in computing]
    return computing + rest[: _TASKS - _TASKS // 2]


def _choices(task: Task) -> list[tuple[str, KernelChoice]]:
    draw = random.Random(task.key)  # noqa: S311 - a sample
    others = Space(task.form)._left if task.form.candidates else []
    some = draw.sample(others, min(_OTHERS, len(others)))
    found = [("default", KernelChoice(task.form.rule))]
    found += [("other", one) for one in some]
    return [*found, (_PLAIN, KernelChoice(_PLAIN))]
