"""The program that calls kernels: watched and timed, it runs the same ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgetvm.base.errors import BoardCrashError
from edgetvm.boards import load_profile
from edgetvm.boards.detect import cpu_flags
from edgetvm.compile.options import DEFAULTS
from edgetvm.compile.tuned import UNTUNED
from edgetvm.estimate.replaying import Program, replayed, timed
from edgetvm.estimate.watching import Machine
from edgetvm.models import import_model
from edgetvm.workflow.estimating import code_of

pytestmark = [
    pytest.mark.usefixtures("session_cache"),
    pytest.mark.skipif("avx2" not in cpu_flags(), reason="this machine has no AVX2"),
]

_AVX2 = load_profile("x86-avx2")


@pytest.fixture
def program(tiny_onnx: Path) -> Program:
    code = code_of(import_model(tiny_onnx), _AVX2, UNTUNED, DEFAULTS)
    return Program(code.library, code.content)


def test_each_call_is_named_and_watched(program: Program) -> None:
    found = replayed(program, Machine("x86_64", "max"), 60)
    assert len(found.names) == len(found.runs) > 1
    assert all(run.instructions > found.nothing for run in found.runs)


def test_a_run_is_timed_by_the_clock_and_by_cycles(program: Program) -> None:
    found = timed(program, 20)
    # 7,000 multiply-adds take more than a hundred cycles and less than a million.
    assert 100 < found.run_ns / found.cycle_ns < 1e6
    assert 0.1 < found.cycle_ns < 5


def test_what_is_no_library_is_refused_in_words() -> None:
    with pytest.raises(BoardCrashError, match="cannot load the library"):
        timed(Program(np.zeros(4096, np.uint8).tobytes()), 1)
