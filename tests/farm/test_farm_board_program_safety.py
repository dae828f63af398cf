"""The board program under sanitizers and a fuzzer, and what is asked of its code and its size."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pytest
from built_runtime import RUNTIME, STRICT, program, sources
from program_board import ProgramBoard, kernels, serving
from real_board import packaged
from recording import recorded
from rpc_conversation import conversation
from test_farm_faults import HOSTILE, speaking

from edgetvm.farm import program as board_programs
from edgetvm.farm.board_service import encode
from edgetvm.farm.program import board_program
from edgetvm.farm.session_records import Pace
from edgetvm.package.arrays import pack

SOURCES = Path(board_programs.__file__).parent / "board_program"
FUZZ_SECONDS = 2
# The fuzzer has something of its own for these, or no use for them.
LEFT_OUT = ("main", "runner_main", "supervisor", "visitors", "guest")
MOST_BYTES = 256 << 10
PACE = Pace(period_ns=1_000_000, streams=2, count=3, keep=2, skip=True, max_s=1.0)
MOST_IDLE_BYTES = 4 << 20


def server_sources(*without: str) -> list[str]:
    """The server's C files."""
    return [str(one) for one in sorted(SOURCES.glob("*.c")) if one.stem not in without]


def compiled(target: Path, command: list[str], *files: str) -> Path:
    """The server's sources through a compiler that must have nothing to say."""
    includes = [f"-I{RUNTIME / name}" for name in ("include", "src", "runner")]
    done = subprocess.run(
        [*command, *STRICT, *includes, f"-I{SOURCES}", *sources("src"), *files]
        + ["-lm", "-pthread", "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return target


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProgramBoard]:
    """A server that ends with its first access that is not its own, or undefined operation."""
    flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [program("gcc"), *flags, "-DBOARD_SANITIZED"]
    runner = [one for one in sources("runner") if not one.endswith("/main.c")]
    program_path = tmp_path_factory.mktemp("built") / "edgetvm-board"
    built = compiled(program_path, command, *server_sources(), *runner)
    with serving(command=[str(built)]) as board:
        yield board


def test_a_conversation_is_clean_under_sanitizers(sanitized: ProgramBoard) -> None:
    answers = conversation(sanitized.connect(), kernels("x86_64"))
    assert [value for value in answers.values() if value is False] == []
    assert sanitized.process.poll() is None


def test_no_packets_break_a_session(
    sanitized: ProgramBoard, tiny_onnx: Path, tmp_path: Path
) -> None:
    package = packaged(tiny_onnx)
    described, payload = pack(package.sample_inputs)
    arrivals, times = pack({"arrivals_ns": np.asarray([0, 1000], "int64")})
    requests = (
        ("open", {"file": "tiny", "threads": 1}, b""),
        ("run", {"arrays": described}, payload),
        ("time_queries", {"arrays": [], "count": 2, "max_s": 1.5, "threads": None, "runs": 3}, b""),
        ("time_queries", {"arrays": arrivals, "count": 2, "max_s": 1.5, "paced": True}, times),
        ("time_kernels", {"count": 2, "max_s": 1.5}, b""),
        ("conditions", {}, b""),
        ("stream", {"arrays": described}, payload),
        ("pace", {"arrays": described, **asdict(PACE)}, payload),
        ("threads", {}, b""),
        ("memory", {}, b""),
    )

    def serve(remote: object) -> None:
        remote.upload(bytearray(package.data), "tiny")  # type: ignore[attr-defined]
        for name, request, data in requests:
            remote.get_function(f"edgetvm.{name}")(encode(request, data))  # type: ignore[attr-defined]

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    library = kernels("x86_64")
    recorded(sanitized, lambda remote: conversation(remote, library, 1000), corpus / "stock")
    recorded(sanitized, serve, corpus / "service")
    flags = ["-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    command = [program("clang"), *flags, "-DBOARD_SANITIZED"]
    harness = str(SOURCES / "fuzz" / "packets.c")
    fuzzer = compiled(tmp_path / "fuzzer", command, *server_sources(*LEFT_OUT), harness)
    done = subprocess.run(
        [str(fuzzer), str(corpus), f"-max_total_time={FUZZ_SECONDS}", "-seed=8", "-max_len=60000"]
        + [f"-artifact_prefix={tmp_path}/"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_whatever_answers_in_a_tracker_s_place_is_borne(sanitized: ProgramBoard) -> None:
    command = list(map(str, sanitized.process.args))[:1]
    boards = []
    with ExitStack() as stack:
        for answer in HOSTILE.values():
            address = stack.enter_context(speaking(answer))
            options = ("--tracker", str(address))
            boards.append(stack.enter_context(serving("x86_64", *options, command=command)))
        time.sleep(1.5)
        assert [board.process.poll() for board in boards] == [None] * len(boards)
    assert [board.process.returncode for board in boards] == [0] * len(boards)


@pytest.mark.parametrize("architecture", ["aarch64", "armv7l"])
def test_the_program_is_small(architecture: str) -> None:
    size_bytes = board_program(architecture).stat().st_size
    print(f"edgetvm-board for {architecture}: {size_bytes} bytes")
    assert size_bytes <= MOST_BYTES


def test_an_idle_server_takes_little_memory() -> None:
    with serving() as board:
        held_bytes = psutil.Process(board.process.pid).memory_info().rss
        print(f"edgetvm-board, idle: {held_bytes} bytes")
        assert held_bytes <= MOST_IDLE_BYTES
