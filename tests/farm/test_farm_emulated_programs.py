"""The board program where it belongs: on boards of each architecture, with glibc and with musl."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import emulated_boards
import numpy as np
import pytest
from emulated_boards import findings_of, know
from program_board import kernels
from real_sshd import free_port, until

from edgetvm.farm.asking import facts_of
from edgetvm.farm.emulating import Conditions, EmulatedBoard
from edgetvm.farm.program import board_program
from edgetvm.farm.ssh import Connection, upload
from edgetvm.farm.ssh.openssh import ssh_command

pytestmark = pytest.mark.board

_SERVE = """\
cd /tmp && mkdir -p sessions
/root/edgetvm-board serve --port 9090 --key board --folder /tmp/sessions >/tmp/log 2>&1 &
n=0; until grep -q listening /tmp/log || [ $n = 100 ]; do sleep 0.1; n=$((n + 1)); done
cat /tmp/log
"""


@contextmanager
def tunnel(board: EmulatedBoard, board_port: int) -> Iterator[int]:
    """A port that leads to the board's. TVM's client holds up all threads of this process."""
    port = free_port()
    ssh, *words = ssh_command(board.as_root)
    command = [ssh, "-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{board_port}", *words]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            assert until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            yield port
        finally:
            process.kill()


@pytest.mark.parametrize("musl", [False, True], ids=["glibc", "musl"])
@pytest.mark.parametrize("architecture", ["x86_64", "aarch64", "armv7l"])
def test_a_kernel_runs_there(architecture: str, musl: bool, session_cache: Path) -> None:
    """Over SSH, by TVM's own client; the board has neither Python nor this machine's libraries."""
    from tvm import rpc
    from tvm.runtime import empty, tensor

    with emulated_boards.boards(1, architecture, Conditions(musl=musl)) as (board,):
        know(board)
        facts = facts_of(board.board)
        assert facts.machine.architecture == architecture
        assert ("musl" in facts.libc) == musl
        assert findings_of(board) == []
        with Connection(board.as_root) as connection:
            upload(connection, board_program(architecture).read_bytes(), "edgetvm-board", 0o755)
            said = connection.run(_SERVE, deadline_s=30).out.decode()
            assert "listening on 127.0.0.1:9090" in said
        with tunnel(board, 9090) as port:
            remote = rpc.connect("127.0.0.1", port, "board", session_timeout=60)
            remote.upload(bytearray(kernels(architecture)), "kernels.so")
            d = np.linspace(-1, 1, 1024, dtype="float32")
            e = empty((1024,), "float32", remote.cpu())
            remote.load_module("kernels.so")["wave"](tensor(d, remote.cpu()), e)
            np.testing.assert_allclose(e.numpy(), np.tanh(d) + 1, atol=1e-5)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="ARM is emulated on x86 machines")
def test_arm_boards_say_what_they_are() -> None:
    with emulated_boards.boards(1, "armv7l") as (board,):
        know(board)
        core = facts_of(board.board).machine.cores[0]
        assert (core.part, len(facts_of(board.board).machine.cores)) == (
            "0xc07",
            min(2, os.cpu_count() or 1),
        )
        with Connection(board.board) as connection:
            assert connection.run("uname -m; sudo -n id -u", deadline_s=60).out == b"armv7l\n0\n"
