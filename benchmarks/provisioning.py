"""How long provisioning takes: sixteen emulated boards beside one, and a second run.

    python -m benchmarks.provisioning
    python -m benchmarks.provisioning --core-share 1 --delay-ms 20

Real boards have cores of their own, and slower ones. So that emulated boards do not wait for each
other's work, each has a tenth of one of this machine's cores (`--core-share`). `--delay-ms` is
added to every packet both ways, as by a network. The second run, which has nothing to do, is the
command as users start it, Python's own start included. Ends with

    result: provision16_ratio=… second_run_s=… server_bytes_aarch64=… server_bytes_armv7=…
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from edgetvm.farm import Board, board_program
from edgetvm.farm.emulating import ARCHITECTURES, EmulatedBoard, emulated_boards
from edgetvm.farm.emulating.faults import link_impaired
from edgetvm.farm.emulating.inventory_of import inventory_text
from edgetvm.farm.provision import Order, provision


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.provisioning")
    parser.add_argument("--boards", type=int, default=16)
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="x86_64")
    parser.add_argument("--core-share", type=float, default=0.1)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, ExitStack() as open_:
        # Host keys are noted in a home of the benchmark's own.
        os.environ["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        os.environ["HOME"] = home
        boards = open_.enter_context(emulated_boards(arguments.boards, arguments.architecture))
        for board in boards:
            _give(board, arguments.core_share)
        if arguments.delay_ms:
            for board in boards:
                open_.enter_context(link_impaired(board, delay_ms=arguments.delay_ms))
        ratio = _ratio(boards, arguments.rounds)
        second_s = _second_run_s(boards, Path(home), arguments.rounds)
    sizes = {name: board_program(name).stat().st_size for name in ("aarch64", "armv7l")}
    print(
        f"result: provision{arguments.boards}_ratio={ratio:.2f} second_run_s={second_s:.2f} "
        f"server_bytes_aarch64={sizes['aarch64']} server_bytes_armv7={sizes['armv7l']}"
    )


def _give(board: EmulatedBoard, core_share: float) -> None:
    """Let a board compute for a share of each 20 ms only, by either version of control groups."""
    period_us, quota_us = 20_000, round(20_000 * core_share)
    board.run(
        "sh",
        "-c",
        "cd /sys/fs/cgroup; if [ -e cpu.max ]; then "
        f"echo {quota_us} {period_us} >cpu.max; else "
        f"echo {period_us} >cpu/cpu.cfs_period_us; echo {quota_us} >cpu/cpu.cfs_quota_us; fi",
    )


def _ratio(boards: Sequence[EmulatedBoard], rounds: int) -> float:
    """Of the median times of all boards and of one, in turns."""
    all_boards = [board.board for board in boards]
    _took_s(all_boards)
    one_s, all_s = [], []
    for _ in range(rounds):
        one_s.append(_took_s(all_boards[:1]))
        all_s.append(_took_s(all_boards))
        print(f"one board {one_s[-1]:.2f} s, {len(boards)} boards {all_s[-1]:.2f} s", flush=True)
    return median(all_s) / median(one_s)


def _took_s(boards: Sequence[Board]) -> float:
    """Until boards that nothing was done to are ready, in seconds."""
    _well(boards, Order(remove=True, accept_new_host_key=True))
    began_s = time.monotonic()
    _well(boards, Order())
    return time.monotonic() - began_s


def _well(boards: Sequence[Board], order: Order) -> None:
    for outcome in provision(boards, order).values():
        if outcome.error is not None:
            raise outcome.error


def _second_run_s(boards: Sequence[EmulatedBoard], home: Path, rounds: int) -> float:
    inventory = home / "boards.yaml"
    inventory.write_text(inventory_text(boards))
    environment = {**os.environ, "EDGETVM_INVENTORY": str(inventory)}
    took_s = []
    for _ in range(rounds):
        began_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "edgetvm", "provision"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        took_s.append(time.monotonic() - began_s)
        if done.stdout.count("no change") != len(boards):
            sys.exit(f"the second run had something to do:\n{done.stdout}")
    print(f"second run {', '.join(f'{one:.2f}' for one in took_s)} s", flush=True)
    return median(took_s)


if __name__ == "__main__":
    main()
