"""A package onto a board: sent, opened there, and tried with its own sample."""

from __future__ import annotations

from dataclasses import dataclass

from edgetvm.base.steps import step
from edgetvm.farm.session import BoardSession
from edgetvm.farm.session_records import Opened
from edgetvm.models.correctness import Correctness, worst_error
from edgetvm.models.model import Arrays
from edgetvm.package.archive import Package
from edgetvm.package.gate import refusal, tolerance_of
from edgetvm.package.manifest import PackagedTarget


@dataclass(frozen=True)
class Deployment:
    """How a deployment went.

    Attributes:
        opened: durations and threads, as the board tells them.
        target: of the package, that the board took.
        correctness: the board's answers to the sample against those that the package brings.
    """

    opened: Opened
    target: PackagedTarget
    correctness: Correctness


def deploy(
    session: BoardSession,
    package: Package,
    threads: int | None = None,
    allow_mismatch: bool = False,
) -> Deployment:
    """Send a package to a board, open it there, and compare its answers to its sample.

    Args:
        session: with the board, nothing open.
        package: verified; the board verifies it again.
        threads: to run on; all cores of the board without it.
        allow_mismatch: go on although the answers are wrong.

    Raises:
        NumericError: the board's answers are wrong.
        PackageError: the board cannot run the package.
        BoardError: the board failed, see `edgetvm.farm.session`.
    """
    with step("deploy and self-test") as this:
        opened = session.open(package.data, threads)
        target = package.manifest.target(opened.profile)
        correctness = correctness_of(package, target, opened.outputs, f"board {session.board.name}")
        open_ms, first_run_ms = opened.open_ns / 1e6, opened.first_run_ns / 1e6
        this.detail = f"open {open_ms:.1f} ms, first run {first_run_ms:.1f} ms"
        if not correctness.passed and not allow_mismatch:
            raise refusal(correctness, package.manifest.name)
    return Deployment(opened, target, correctness)


def correctness_of(
    package: Package, target: PackagedTarget, outputs: Arrays, checked_on: str
) -> Correctness:
    """How far a machine's answers to a package's sample lie from those that it brings.

    Args:
        target: of the package, that the machine took.
        outputs: that it gave.
        checked_on: names the machine.
    """
    checked = target.correctness
    error = worst_error(outputs, package.sample_outputs, package.manifest.signature.quanta)
    rounds = checked is not None and checked.rms_relative_error is not None
    return Correctness(
        reference=checked.reference if checked else "the package's sample",
        max_abs_error=error.max_abs_error,
        max_relative_error=error.max_relative_error,
        tolerance=checked.tolerance if checked else tolerance_of(target.options),
        worst_output=error.output,
        samples=1,
        inputs=f"the package's sample ({checked.inputs})" if checked else "the sample",
        checked_on=checked_on,
        rms_relative_error=error.rms_relative_error if rounds else None,
    )
