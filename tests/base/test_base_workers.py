"""Processes that answer requests, and all the ways in which one is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_board import alive, within

from edgetvm.base.errors import BoardGoneError
from edgetvm.base.workers import Worker, WorkerLate, WorkerLost

_LARGE = 3 << 20
_LIMIT_BYTES = 256 << 20


class Unsendable(Exception):
    """An error that pickles, and cannot be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def _print_everywhere() -> str:
    sys.stdout.write("printed\n")
    sys.stdout.flush()
    os.write(1, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    subprocess.run([sys.executable, "-c", "print('a program')"], check=True)
    return "quiet"


def _grow() -> str:
    _KEPT.append(bytearray(b"1" * (_LIMIT_BYTES + 1)))
    return "large"


def _raise(error: Exception) -> object:
    raise error


def _spin(_: object = None) -> None:
    while True:
        pass


_KEPT: list[object] = []
_ACTS: dict[str, Callable[[], object]] = {
    "pid": os.getpid,
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit(7),
    "spin": _spin,
    "sleep a second": lambda: time.sleep(1),
    "print": _print_everywhere,
    "read": sys.stdin.read,
    "grow": _grow,
    "refuse": lambda: _raise(BoardGoneError("gone", where="here", mend="wait")),
    "refuse oddly": lambda: _raise(Unsendable("this", "that")),
    "answer oddly": lambda: lambda: None,
}


def acting(*_: str) -> Callable[[object], object]:
    """In the worker: does what it is told; what it does not know it sends back.

    What is printed while it is made is no answer.
    """
    os.write(1, b"\x01\x00\x00\x00\x00\x00\x00\x00made")
    return lambda told: _ACTS[told]() if isinstance(told, str) and told in _ACTS else told


@pytest.fixture(autouse=True)
def tests_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the functions of this module."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(one for one in sys.path if one))


@pytest.fixture
def worker() -> Iterator[Worker]:
    """One that acts."""
    made = Worker(acting, memory_limit_bytes=_LIMIT_BYTES)
    yield made
    made.close()


def test_it_answers_again_and_again_from_one_process(worker: Worker) -> None:
    first = worker.ask("pid", 20)
    assert first != os.getpid()
    assert worker.ask({"any": (1, None)}, 20) == {"any": (1, None)}
    assert worker.ask("pid", 20) == first


def test_messages_larger_than_any_pipe_arrive_whole(worker: Worker) -> None:
    data = os.urandom(_LARGE)
    assert worker.ask(data, 20) == data


def test_an_error_is_carried_and_costs_no_process(worker: Worker) -> None:
    before = worker.ask("pid", 20)
    with pytest.raises(BoardGoneError, match="gone") as caught:
        worker.ask("refuse", 20)
    assert (caught.value.where, caught.value.mend) == ("here", "wait")
    with pytest.raises(RuntimeError, match="Unsendable: this and that"):
        worker.ask("refuse oddly", 20)
    with pytest.raises(Exception, match="pickle"):
        worker.ask("answer oddly", 20)
    assert worker.ask("pid", 20) == before


@pytest.mark.parametrize(
    ("act", "words"), [("segfault", "SIGSEGV"), ("kill", "SIGKILL"), ("exit", "exit code 7")]
)
def test_a_death_is_told_and_the_next_request_finds_a_new_process(
    worker: Worker, act: str, words: str
) -> None:
    before = worker.ask("pid", 20)
    with pytest.raises(WorkerLost, match=words):
        worker.ask(act, 20)
    assert worker.ask("pid", 20) != before


def test_a_hang_is_ended_at_the_deadline_and_renewed(worker: Worker) -> None:
    before = worker.ask("pid", 20)
    with pytest.raises(WorkerLate, match=r"within 0\.2 s"):
        worker.ask("spin", 0.2)
    assert not alive(before)
    assert worker.ask("pid", 20) != before


def test_a_process_that_reads_nothing_does_not_hold_a_large_request_for_ever(
    worker: Worker,
) -> None:
    os.kill(worker.ask("pid", 20), signal.SIGSTOP)
    with pytest.raises(WorkerLate):
        worker.ask(bytes(_LARGE), 0.2)
    assert worker.ask("ready", 20) == "ready"


def test_time_in_a_pause_is_no_delay(worker: Worker) -> None:
    before = worker.ask("pid", 20)
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(worker.ask("sleep a second", 1.6)))
    asking.start()
    time.sleep(0.2)
    worker.pause()
    asking.join(2.5)
    assert asking.is_alive()
    worker.go_on()
    asking.join(20)
    assert answers == [None]
    assert worker.ask("pid", 20) == before


def test_what_is_printed_or_read_does_not_disturb(worker: Worker) -> None:
    assert worker.ask("print", 20) == "quiet"
    assert worker.ask("read", 20) == ""
    assert worker.ask("ready", 20) == "ready"


def test_a_process_above_the_memory_limit_is_renewed_after_its_answer(worker: Worker) -> None:
    before = worker.ask("pid", 20)
    assert worker.ask("grow", 20) == "large"
    assert not alive(before)
    assert worker.ask("pid", 20) != before


def test_closing_ends_a_request_under_way_and_starts_nothing_again(worker: Worker) -> None:
    before = worker.ask("pid", 20)
    lost: list[WorkerLost] = []

    def ask() -> None:
        try:
            worker.ask("spin", 60)
        except WorkerLost as error:
            lost.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    worker.close()
    asking.join(20)
    assert len(lost) == 1
    assert not alive(before)
    with pytest.raises(WorkerLost, match="closed"):
        worker.ask("pid", 20)
    assert worker._process is None


_OWNER = """
import sys, threading
from test_base_workers import Worker, acting
worker = Worker(acting)
print(worker.ask("pid", 20), flush=True)
if {act!r} == "pause":
    worker.pause()
    sys.stdin.read()
worker.ask({act!r}, 600)
"""


@pytest.mark.parametrize("act", ["spin", "pause"])
def test_it_ends_with_an_owner_that_is_killed_whatever_it_does(act: str) -> None:
    here = str(Path(__file__).parent)
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {here!r})" + _OWNER.format(act=act),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    pid = int(owner.stdout.readline())
    time.sleep(0.3)
    owner.kill()
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    assert within(5, lambda: not alive(pid))
