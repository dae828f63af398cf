"""In the process that runs candidates on a board: a session with it, kept open.

The process can be killed where a candidate hangs; the board's server then ends the session.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from edgetvm.base.errors import BoardGoneError
from edgetvm.base.workers import Answer
from edgetvm.farm.tracker_client import Address, request_board
from edgetvm.tune.jobs import How, Loadable, Ran, RunJob, Tensor

# A session is given back after so long. The board ends one that lasts longer than this and its last
# job may, and a little more: that is how it gets rid of a candidate that hangs, after its host has.
_SESSION_S = 6.0
_GRACE_S = 3.0
# The default is timed again after so long, so that a candidate has a yardstick of its own time; on
# a slow board only after so many times as long as it takes.
_YARDSTICK_S = 2.0
_YARDSTICK_AGE = 5.0
_REPETITIONS = 5
# Kernels that take longer are timed so often, and once only: two dozen runs would take minutes.
_SLOW_MS = 300.0
_SLOW_REPETITIONS = 3
# A candidate whose first run takes so many times as long as what it has to beat is run no more. Nor
# is one that does in a part of a repetition, or in a whole one: most lose, and need not be known
# better.
_HOPELESS = 3.0
_LOSING = ((1.3, 0.25), (1.15, 1.0))
# Tensors of fewer numbers are sent to a board in no time.
_FEW = 1 << 14
# Repetitions that differ by so much are repeated.
_UNSTEADY = 1.3


@dataclass(frozen=True)
class Open:
    """To the runner's process: have a session for a job that may take so long.

    Attributes:
        wait_s: for the board, where another one has it or it is not there.
        tracker, key: of its server; a session with another is not kept.
    """

    allowed_s: float
    wait_s: float
    tracker: str
    key: str


@dataclass(frozen=True)
class Ended:
    """From it: the session ended in the middle of a job; why, TVM's words do not tell."""

    words: str


class _Session:
    """In the runner's process: a session with the board, renewed now and then."""

    def __init__(self) -> None:
        self._remote: Any = None
        self._key = ""
        self._until_s = self._allowed_s = 0.0
        self._kept: dict[object, Any] = {}
        # Of defaults: the latency, and when it is old.
        self._yardsticks: dict[Loadable, tuple[float, float]] = {}
        self.environment: Mapping[str, object] = {}

    def open(self, wanted: Open) -> Mapping[str, object]:
        """Have one as it is wanted."""
        late = time.monotonic() > self._until_s or wanted.allowed_s > self._allowed_s
        if self._remote is None or late or wanted.key != self._key:
            self.drop()
            self._connect(wanted)
        return self.environment

    @property
    def is_alive(self) -> bool:
        """Whether the board's end of it still answers."""
        try:
            self._remote.get_function("tvm.rpc.server.upload")
        except Exception:  # whatever TVM raises on a connection that broke
            return False
        return True

    def drop(self) -> None:
        self._kept.clear()
        self._remote = None

    def _connect(self, wanted: Open) -> None:
        from tvm import rpc

        self._key = wanted.key
        address, key = request_board(Address.parse(wanted.tracker), wanted.key, wanted.wait_s)
        limit_s = math.ceil(_SESSION_S + wanted.allowed_s + _GRACE_S)
        try:
            self._remote = rpc.connect(address.host, address.port, key, session_timeout=limit_s)
            self.environment = self._ask("facts")
            self.spread()
        except Exception as error:  # whatever TVM's client raises: the board is not there
            self.drop()
            raise BoardGoneError(f"its server at {address} does not answer") from error
        self._until_s, self._allowed_s = time.monotonic() + _SESSION_S, wanted.allowed_s

    def _ask(self, function: str) -> Mapping[str, object]:
        from edgetvm.farm.board_service import decode, encode

        try:
            ask = self._remote.get_function(f"edgetvm.{function}")
        except (AttributeError, RuntimeError):
            if not self.is_alive:
                raise
            return {}  # a stock server
        return decode(bytes(ask(encode({}, b""))))[0]

    def spread(self) -> None:
        """Give the threads that share a kernel cores of their own, those that are free now."""
        self._ask("threads")

    def module(self, library: bytes) -> Any:
        kept = self._kept.get(library)
        if kept is None:
            name = f"candidate{len(self._kept)}.so"
            self._remote.upload(bytearray(library), name)
            kept = self._kept[library] = self._remote.load_module(name)
        return kept

    def arguments(self, tensors: tuple[Tensor, ...], to_compare: bool) -> list[Any]:
        """Numbers that are only there to be computed with are made on the board: to send them takes
        longer than a trial."""
        kept = self._kept.get((tensors, True))
        if kept is None and not to_compare:
            kept = self._kept.get((tensors, False))
        if kept is None:
            self._kept.pop((tensors, False), None)
            held = [one for one in self._kept if isinstance(one, tuple)]
            for key in held[: max(0, len(held) - 1)]:
                del self._kept[key]  # of kernels before: the board's memory is small
            made = self._sent if to_compare else self._filled
            kept = [made(one, at) for at, one in enumerate(tensors)]
            self._kept[tensors, to_compare] = kept
        return list(kept)

    def _sent(self, tensor: Tensor, seed: int) -> Any:
        from tvm import runtime

        return runtime.tensor(_values(tensor, seed), self._remote.cpu())

    def _filled(self, tensor: Tensor, seed: int) -> Any:
        from tvm import runtime

        # What fills tensors knows of no indices, which are integers, or a few other numbers.
        if not tensor.dtype.startswith("float") or math.prod(tensor.shape) < _FEW:
            return self._sent(tensor, seed)
        try:
            fill = self._remote.get_function("tvm.contrib.random.random_fill")
        except (AttributeError, RuntimeError):
            if not self.is_alive:
                raise
            return self._sent(tensor, seed)  # a server that was built without it
        made = runtime.empty(tensor.shape, tensor.dtype, self._remote.cpu())
        fill(made)
        return made

    def times_ms(
        self, kernel: Loadable, how: How, to_beat_ms: float = math.inf
    ) -> tuple[float, ...]:
        """One repetition after the other; only one where the kernel looks like losing."""
        module, arguments = self.module(kernel.library), self.arguments(kernel.arguments, False)
        device = self._remote.cpu()
        flush = "cache_flush_cpu_non_first_arg" if how.cold else ""

        def timed(number: int, repeat: int) -> tuple[float, ...]:
            evaluate = module.time_evaluator(
                kernel.function, device, number=number, repeat=repeat, f_preproc=flush
            )
            return tuple(1000 * one for one in evaluate(*arguments).results)

        first_ms = min(timed(1, 2))
        if first_ms > _HOPELESS * to_beat_ms:
            return (first_ms,)
        if first_ms > _SLOW_MS:
            return timed(1, _SLOW_REPETITIONS)

        def number(least_ms: float) -> int:
            return 1 if how.cold else max(1, int(least_ms / max(first_ms, 1e-5)))

        least_ms, found = first_ms, tuple[float, ...]()
        for losing, share in _LOSING if to_beat_ms < math.inf else ():
            found = timed(number(share * how.least_ms), 1)
            least_ms = min(least_ms, *found)
            if least_ms > losing * to_beat_ms:
                return found
        found += timed(number(how.least_ms), _REPETITIONS - len(found))
        if max(found) > _UNSTEADY * min(found):
            # Something else ran meanwhile: the median of twice as many leaves more of it out.
            found += timed(number(how.least_ms), _REPETITIONS)
        return found

    def yardstick_ms(self, kernel: Loadable, how: How, known_ms: float) -> float:
        latency_ms, old_at_s = self._yardsticks.get(kernel, (0.0, -math.inf))
        if time.monotonic() < old_at_s:
            return latency_ms
        found_ms = median(self.yardstick_times_ms(kernel, how))
        if not 0 < _UNSTEADY * known_ms < found_ms:
            return found_ms
        # All candidates would look fast beside a default that something else has slowed down.
        return median(self.yardstick_times_ms(kernel, how))

    def yardstick_times_ms(self, kernel: Loadable, how: How) -> tuple[float, ...]:
        """Of the default, which is the yardstick from now on."""
        began_s = time.monotonic()
        self.spread()
        times_ms = self.times_ms(kernel, how)
        now_s = time.monotonic()
        age_s = max(_YARDSTICK_S, _YARDSTICK_AGE * (now_s - began_s))
        self._yardsticks[kernel] = median(times_ms), now_s + age_s
        return times_ms

    def answers(self, kernel: Loadable) -> Any:
        arguments = self.arguments(kernel.arguments, True)
        self.module(kernel.library)[kernel.function](*arguments)
        return np.asarray(arguments[-1].numpy())


def _values(tensor: Tensor, seed: int) -> Any:
    """Arguments that suit every kernel: small whole numbers where they may be indices."""
    random = np.random.default_rng(seed)
    kind = np.dtype(tensor.dtype if tensor.dtype != "bool" else "int8")
    if kind.kind == "f":
        return (2 * random.random(tensor.shape, "float32") - 1).astype(kind)
    if kind.itemsize == 1 and tensor.dtype != "bool":
        info = np.iinfo(kind)
        return random.integers(info.min, info.max, tensor.shape, kind, endpoint=True)
    return random.integers(0, 2, tensor.shape).astype(tensor.dtype)


def _run(session: _Session, job: RunJob) -> Ran:
    if job.rounds > 1:
        return _in_turns(session, job)
    if job.candidate == job.default:
        times_ms = session.yardstick_times_ms(job.default, job.how)
        return Ran("ok", times_ms, median(times_ms), environment=session.environment)
    default_ms = session.yardstick_ms(job.default, job.how, job.default_ms)
    times_ms = session.times_ms(job.candidate, job.how, job.to_beat * default_ms)
    return Ran("ok", times_ms, default_ms, environment=session.environment)


def _in_turns(session: _Session, job: RunJob) -> Ran:
    error_ratio = 0.0
    if job.compare:
        expected, found = session.answers(job.default), session.answers(job.candidate)
        error_ratio = _difference(expected, found)
    mine: list[float] = []
    others: list[float] = []
    session.spread()
    for _ in range(job.rounds):
        others += session.times_ms(job.default, job.how)
        mine += session.times_ms(job.candidate, job.how)
    return Ran("ok", tuple(mine), median(others), "", session.environment, error_ratio)


def _difference(expected: Any, found: Any) -> float:
    if expected.dtype.kind != "f":
        return float(np.max(np.abs(expected.astype("int64") - found.astype("int64")), initial=0))
    if not np.isfinite(found[np.isfinite(expected)]).all():
        return float("inf")
    scale = float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected))) or 1.0
    return float(np.max(np.abs(expected - found), initial=0, where=np.isfinite(expected))) / scale


def answering() -> Answer:
    """In the runner's process: answers jobs for one board."""
    from tvm import rpc  # noqa: F401 - it takes seconds, which the first job need not wait for

    session = _Session()

    def answer(asked: Open | RunJob) -> Mapping[str, object] | Ran | Ended:
        if isinstance(asked, Open):
            return session.open(asked)
        try:
            return _run(session, asked)
        except Exception as error:  # what the candidate raises, or TVM when the session ends
            words = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            alive = session.is_alive
            session.drop()
            return (
                Ran("crash", error=words, environment=session.environment)
                if alive
                else Ended(words)
            )

    return answer
