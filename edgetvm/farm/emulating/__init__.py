"""Boards that this machine plays: real OpenSSH servers in namespaces of their own.

    with emulated_boards(2) as boards:
        check_board(boards[0].board)
        boards[1].reboot()

They share this machine's cores and their programs may run under QEMU, so their profiles say
`emulated`, and no time that is measured on them is compared with a real board's.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from edgetvm.base.steps import step
from edgetvm.base.words import plural
from edgetvm.farm.emulating.binfmt import let_qemu_run, needed_programs
from edgetvm.farm.emulating.board import EmulatedBoard
from edgetvm.farm.emulating.caller import hand_over_cache
from edgetvm.farm.emulating.conditions import Conditions
from edgetvm.farm.emulating.lab import Lab
from edgetvm.farm.emulating.leftovers import link_name
from edgetvm.farm.emulating.needs import require_programs
from edgetvm.farm.emulating.userland import ARCHITECTURES

__all__ = ["ARCHITECTURES", "Conditions", "EmulatedBoard", "emulated_boards"]

_AT_ONCE = 4


@contextmanager
def emulated_boards(
    count: int = 1,
    architecture: str = "x86_64",
    conditions: Conditions = Conditions(),  # noqa: B008 - it is frozen
    prefix: str = "emulated",
) -> Iterator[list[EmulatedBoard]]:
    """Boards that are on while the block runs. Nothing of them is left after it.

    Where this process is killed, the kernel ends them, and the next call removes their folders.

    Args:
        count: of boards, up to 200.
        architecture: of their programs, one of `ARCHITECTURES`.
        conditions: what they have and lack.
        prefix: of their names: `emulated-1`, `emulated-2`, …

    Raises:
        MissingToolError: a program is missing, or the user is not root.
        BoardError: a board does not come up.
        StorageError: the cache, or a folder of /run, cannot be written.
    """
    require_programs(needed_programs(architecture))
    with ExitStack() as stack:
        with step(f"start {plural(count, f'emulated {architecture} board')}"):
            lab = Lab()
            stack.callback(lab.close)
            let_qemu_run(architecture, link_name(lab.number))
            boards = []
            for index in range(count):
                board = EmulatedBoard(lab, index, f"{prefix}-{index + 1}", architecture, conditions)
                stack.callback(board.close)
                boards.append(board)
            hand_over_cache()
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(EmulatedBoard.start, boards))
        yield boards
