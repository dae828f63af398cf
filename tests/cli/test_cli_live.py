"""On a terminal, and stopped by Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from real_command import COMMAND, Home

pytestmark = pytest.mark.board


def in_a_terminal(
    *arguments: str | Path,
    at: Callable[[bytes], object] | None = None,
    deed: Callable[[int], object] | None = None,
) -> tuple[int, str]:
    """Run a command on a pseudo-terminal. Answers with its exit code and all that was shown.

    Args:
        at: of all that was shown so far: whether it is time for `deed`.
        deed: gets the process's id, once.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        os.execve(COMMAND[0], [*COMMAND, *map(str, arguments)], environment)  # noqa: S606
    shown = b""
    until_s = time.monotonic() + 120
    while time.monotonic() < until_s:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
        if at is not None and deed is not None and at(shown):
            deed(pid)
            at = None
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def plain(shown: str) -> str:
    """Without what a terminal obeys."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r", "")


def test_a_live_display_shows_steps_and_ends_clean(tiny_onnx: Path) -> None:
    code, shown = in_a_terminal("bench", tiny_onnx, "--runs", "30")
    assert code == 0
    assert "Traceback" not in shown
    # It was live: escape codes, a hidden cursor, and the cursor back at the end.
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    text = plain(shown)
    for title in ("import tiny.onnx", "optimise the graph", "check against the reference"):
        assert f"✓ {title}" in text
    assert "✓ time tiny, single-stream" in text
    assert "tiny" in text.split("✓ time tiny")[1]


def test_an_error_on_a_terminal_ends_clean(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x00nonsense")
    code, shown = in_a_terminal("bench", tmp_path / "bad.onnx")
    assert code == 4
    text = plain(shown)
    assert "✗ import bad.onnx" in text
    assert "error: " in text
    assert "Traceback" not in text
    assert shown.count("\x1b[?25h") >= shown.count("\x1b[?25l")


def test_ctrl_c_on_a_terminal_gives_the_cursor_back(tiny_onnx: Path) -> None:
    code, shown = in_a_terminal(
        "bench",
        tiny_onnx,
        *("--runs", "1000000000", "--warmup", "0", "--max-time", "60"),
        at=lambda shown: b"p50" in shown,
        deed=lambda pid: os.killpg(pid, signal.SIGINT),
    )
    assert code == 130
    assert "Traceback" not in shown
    assert "stopped by Ctrl-C" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def descendants(pid: int) -> list[psutil.Process]:
    """Processes below a process."""
    return psutil.Process(pid).children(recursive=True)


def files(root: Path) -> set[Path]:
    """All files below a folder, but for locks."""
    return {path for path in root.rglob("*") if path.is_file() and "locks" not in path.parts}


def stopped(
    home: Home, *arguments: str | Path, after: str, whole_group: bool
) -> tuple[int, str, str, list[psutil.Process]]:
    """Send SIGINT when the command has said `after`; also answers with its descendants."""
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **home.variables},
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if after in line:
                break
        time.sleep(1.0)
        below = descendants(process.pid)
        began_s = time.monotonic()
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        out, rest = process.communicate(timeout=60)
        assert time.monotonic() - began_s < 15
    return process.returncode, out, rest, below


@pytest.mark.parametrize("whole_group", [False, True])
def test_ctrl_c_in_mid_run_ends_with_130_and_leaves_nothing(
    home: Home, tiny_onnx: Path, whole_group: bool
) -> None:
    root = home.package.parent
    before = files(root)
    code, out, said, below = stopped(
        home,
        *("bench", tiny_onnx, "--runs", "1000000000", "--warmup", "0", "--max-time", "60"),
        after="deploy and self-test",
        whole_group=whole_group,
    )
    assert (code, out) == (130, "")
    lines = [line for line in said.splitlines() if line]
    assert lines[-1] == "stopped by Ctrl-C; nothing is left half-written"
    assert [line for line in lines[:-1] if not line.startswith("✗ ")] == []
    # Tracker, server and the session were there, and are gone.
    assert len(below) >= 3
    _, left = psutil.wait_procs(below, timeout=5)
    assert left == []
    assert files(root) == before


_TUNED_ROW = re.compile(r"^fused_conv\w* +[\d.]+% +[1-9]\d* +[\d.]+ ms +\d+\.\d\d ", re.M)


def test_ctrl_c_while_tuning_on_a_terminal_leaves_no_worker(
    tiny_onnx: Path, tmp_path: Path
) -> None:
    below: list[psutil.Process] = []

    def stop(pid: int) -> None:
        below.extend(descendants(pid))
        os.killpg(pid, signal.SIGINT)

    code, shown = in_a_terminal(
        *("tune", tiny_onnx, "--trials", "999", "--database", tmp_path / "records"),
        at=lambda shown: _TUNED_ROW.search(plain(shown.decode(errors="replace"))),
        deed=stop,
    )
    text = plain(shown)
    assert code == 130
    assert "Traceback" not in text
    # The table was in sight, and the line below it.
    assert _TUNED_ROW.search(text)
    assert re.search(r"^kernel +share +trials +best +gain +GFLOP/s +roofline", text, re.M)
    assert re.search(r"^\d+ trials?, [\d.]+ a second .*boards: 1 (busy|idle)", text, re.M)
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    last = " ".join(text.strip().splitlines()[-3:])
    assert "stopped by Ctrl-C; the same command again goes on from here" in last
    # Tracker, server and its session, the runner, and the builders were there, and are gone.
    assert len(below) >= 5
    _, left = psutil.wait_procs(below, timeout=10)
    assert left == []
