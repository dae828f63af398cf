"""The plugin's counts, against a program that can be counted by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgetvm.base.errors import BoardCrashError, BoardTimeoutError, MissingToolError
from edgetvm.base.zig import run_zig
from edgetvm.estimate.code import texts_of
from edgetvm.estimate.tools import emulator
from edgetvm.estimate.trace import Misses, Trace
from edgetvm.estimate.watching import CacheLevel, Machine, Sampling, watch

pytestmark = pytest.mark.usefixtures("session_cache")

_LINES = 512
_SAMPLING = Sampling()
_SOURCE = Path(__file__).parent / "counted.S"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("counted") / "counted"
    flags = ("-target", "aarch64-linux-none", "-nostdlib", "-static", f"-DWALK={64 * _LINES}")
    run_zig("cc", *flags, str(_SOURCE), "-o", str(made))
    return str(made)


def watched(program: str, *caches: tuple[int, int], sampling: Sampling = _SAMPLING) -> Trace:
    machine = Machine("aarch64", "cortex-a72", tuple(CacheLevel(*one) for one in caches))
    return watch(machine, [program], 60, sampling).trace


def test_instructions_are_counted_one_by_one(program: str) -> None:
    runs = watched(program).runs
    # After the call that begins: the head, the walk, and the mark that ends.
    assert [run.instructions for run in runs] == [3 + 3 * _LINES + 4] * 3
    assert all(run.others == 0 for run in runs)


def test_a_walk_that_fits_into_a_cache_misses_it_once(program: str) -> None:
    size = 64 * _LINES
    first, *others = watched(program, (2 * size, 2), (8 * size, 16)).runs
    assert sum(one.loads + one.foreseen_loads for one in first.misses) == _LINES
    assert all(run.misses == (Misses(), Misses()) for run in others)


def test_a_walk_that_is_too_long_for_level_1_finds_all_in_level_2(program: str) -> None:
    size = 64 * _LINES
    *_, last = watched(program, (size // 2, 2), (2 * size, 16)).runs
    level2, memory = last.misses
    assert memory == Misses()
    assert level2.loads + level2.foreseen_loads == _LINES
    # A prefetcher sees the walk after its first line.
    assert level2.loads == 1


def test_windows_are_the_instructions_that_were_run(program: str) -> None:
    trace = watched(program, sampling=Sampling(windows=4, instructions=60))
    *_, last = trace.runs
    assert 4 <= len(last.windows) <= 8
    texts = texts_of((code for one in trace.blocks.values() for code in one.codes), "aarch64")
    middle = [texts[code] for code in trace.codes(last.windows[2])]
    assert middle[:3] == ["ldr\tx3, [x1], #64", "subs\tx2, x2, #1", "b.ne\t#-8"]
    assert len(middle) >= 60


def test_a_program_that_fails_or_hangs_is_told(tmp_path: Path, program: str) -> None:
    machine = Machine("aarch64", "cortex-a72")
    with pytest.raises(BoardCrashError, match="under QEMU"):
        watch(machine, [str(tmp_path / "absent")], 60)
    with pytest.raises(BoardTimeoutError, match="more than 0 s"):
        watch(machine, [program], 1e-3)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MissingToolError, match="qemu-aarch64"):
        emulator("aarch64")
    with pytest.raises(MissingToolError, match="no emulator"):
        emulator("riscv64")
