"""Candidates of a search, estimated where no board is there to measure them."""

from __future__ import annotations

from edgetvm.base.errors import BoardTimeoutError, EdgetvmError
from edgetvm.boards.profile import BoardProfile
from edgetvm.estimate.estimating import Estimate, core_of, estimate_kernel
from edgetvm.estimate.replaying import Program
from edgetvm.farm.inventory import Board
from edgetvm.tune.jobs import Loadable, Ran, RunJob


def program_of(kernel: Loadable) -> Program:
    """A candidate to be replayed, on zeros."""
    return Program(kernel.library, b"", kernel.arguments, kernel.function)


class EstimateRunner:
    """Answers as a board does, with estimates: see `edgetvm.tune.running.Runner`."""

    def __init__(self, board: Board, profile: BoardProfile) -> None:
        """Price for a profile; `board` stands for it in the records."""
        self.board = board
        self._profile = profile
        self._defaults: dict[Loadable, Estimate] = {}

    def begin(self) -> None:
        """Nothing needs to be begun."""

    def run(self, job: RunJob) -> Ran:
        """Estimate a candidate and its default. One that spills registers has no price."""
        try:
            default = self._default(job.default)
            same = job.candidate == job.default
            mine = default if same else self._estimate(job.candidate)
        except BoardTimeoutError as error:
            return Ran("timeout", error=error.what)
        except EdgetvmError as error:
            return Ran("crash", error=error.what)
        if mine.is_spilled and not same:
            return Ran("not priced", error="it keeps vectors on the stack")
        return Ran("ok", (mine.ms,), default.ms, environment=self._environment())

    def _default(self, kernel: Loadable) -> Estimate:
        if kernel not in self._defaults:
            self._defaults[kernel] = self._estimate(kernel)
        return self._defaults[kernel]

    def _estimate(self, kernel: Loadable) -> Estimate:
        return estimate_kernel(program_of(kernel), self._profile)

    def _environment(self) -> dict[str, object]:
        core = core_of(self._profile)
        return {"estimated": True, "error_factor": core.error, "core": core.llvm or core.table}

    def close(self) -> None:
        """Nothing is open."""
