"""edgetvm's side: a model compiled for a board, its kernels called as the virtual machine does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.arm import plan
from benchmarks.arm.boards import Board, profile_of
from benchmarks.arm.emulator import Counted, counted
from benchmarks.arm.systems import system
from benchmarks.arm.tools import HERE, compiled
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.measure.peers.case import Arrays, Case

_LINK = ("-rdynamic", "-ldl", "-lm")
_LIBRARY, _PLAN, _ANSWERS = "model.so", "plan", "answers"


@dataclass(frozen=True)
class Program:
    """A model compiled for a board.

    Attributes:
        folder: with the library and the plan of its calls.
        outputs: what a run writes, in order.
        answers: positions of the model's own outputs among them, without a stream's state.
        calls: kernels in the order they are called.
        rules: which schedule rule each kernel got.
    """

    board: Board
    folder: Path
    outputs: tuple[plan.View, ...]
    answers: tuple[int, ...]
    calls: tuple[str, ...]
    rules: dict[str, str]


def program(board: Board, case: Case, folder: Path, options: CompileOptions = DEFAULTS) -> Program:
    """Compile a case's model into a folder.

    Raises:
        EdgetvmError: it cannot be compiled.
        Unavailable: its calls cannot be recorded.
    """
    from edgetvm.compile import compile_model
    from edgetvm.models import import_model

    model = import_model(case.file)
    with plan.lowered_module() as lowered:
        artifact = compile_model(model, profile_of(board), options=options, native=False)
    signature = artifact.signature
    states = signature.initial_states()
    names = [spec.name for spec in signature.inputs if spec.name not in states]
    given = dict(zip(names, case.input_arrays(), strict=True)) | states
    inputs = [np.ascontiguousarray(given[spec.name]) for spec in signature.inputs]
    recording = plan.record(lowered[-1], inputs)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _LIBRARY).write_bytes(artifact.library)
    plan.write(recording, folder / _PLAN)
    kept = {state.output for state in signature.states}
    return Program(
        board,
        folder,
        tuple(recording.outputs),
        tuple(at for at, spec in enumerate(signature.outputs) if spec.name not in kept),
        tuple(name for name, _ in recording.calls),
        {kernel.name: kernel.rule for kernel in artifact.kernels},
    )


def run(made: Program, folder: Path, timeout_s: float, each: bool = False) -> Counted:
    """Count a program's runs, or with `each` the calls of one run.

    Raises:
        Unavailable: it fails.
    """
    replay = compiled(HERE / "replay.c", folder, [*made.board.zig, *_LINK])
    names = (str(made.folder / name) for name in (_LIBRARY, _PLAN, _ANSWERS))
    command = [str(replay), *names, *(["each"] if each else [])]
    return counted(made.board, system(made.board, folder), command, timeout_s)


def answers(made: Program) -> Arrays:
    """What the last run gave."""
    content = (made.folder / _ANSWERS).read_bytes()
    found, at = [], 0
    for view in made.outputs:
        dtype = np.dtype(f"{'iuf...b'[view.code]}{view.bits // 8}")
        found.append(np.frombuffer(content, dtype, view.size // dtype.itemsize, at))
        at += view.size
    return [found[position] for position in made.answers]
