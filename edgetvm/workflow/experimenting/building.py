"""Packages of an experiment's variants, and what is known of them before they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.steps import step, unheard, warn
from edgetvm.base.words import plural
from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.ledger import Ledger, Part
from edgetvm.measure.experiment.missing import missing
from edgetvm.measure.experiment.reading import Slot, document_of
from edgetvm.measure.experiment.remarks import remarks
from edgetvm.measure.experiment.rows import Built as BuiltRow
from edgetvm.measure.experiment.rows import Estimated
from edgetvm.package.archive import Package
from edgetvm.workflow.build import Built, build
from edgetvm.workflow.estimating import estimate_package
from edgetvm.workflow.experimenting.candidates import Candidate, Site, Where, ready_subject
from edgetvm.workflow.subject import Subject


@dataclass(frozen=True)
class Work:
    """One run of an experiment.

    Attributes:
        session: its name, which begins with the time.
        gone: sites where no board is, and why: none is asked twice.
    """

    experiment: Experiment
    ledger: Ledger
    session: str
    gone: dict[Site, EdgetvmError] = field(default_factory=dict)

    def has(self, slot: Slot, part: Part) -> bool:
        """Whether a part of a variant is noted."""
        return self.ledger.last(slot.key, part) is not None

    def lacks(self, slot: Slot) -> bool:
        """Whether anything is still to be done of a variant or peer."""
        return bool(missing(self.ledger, slot, self.experiment.measure.rounds))

    def failed(self, slot: Slot, error: EdgetvmError) -> None:
        """Note that a variant failed, and go on. What is complete stays so, and is only told."""
        name = slot.peer or slot.variant.name
        if not self.lacks(slot):
            warn(f"{name}: all of it is measured; what failed now is more than that: {error}")
            return
        warn(f"{name}: {error}")
        self._note_failed(slot, error)

    def lost(self, slot: Slot, setting: str, why: str) -> None:
        """Note that a setting of a peer has no more turns; its others go on."""
        warn(f"{setting}, {slot.variant.told(('model', 'threads'))}: {why}")
        self.ledger.note(slot.key, "lost", self.session, {"setting": setting, "why": why})

    def left(self, slots: Sequence[Slot], error: EdgetvmError) -> None:
        """Note of all that wait for a board why it is not there."""
        waiting = [one for one in slots if self.lacks(one) and not self._failed_before(one)]
        if waiting:
            count = plural(len(waiting), "variant")
            warn(f"{error}; left for the next run of the experiment: {count}")
        for one in waiting:
            self._note_failed(one, error)

    def _failed_before(self, slot: Slot) -> bool:
        last = self.ledger.entries(slot.key)[-1:]
        return any(one.part == "failed" and one.session == self.session for one in last)

    def _note_failed(self, slot: Slot, error: EdgetvmError) -> None:
        self.ledger.note(slot.key, "failed", self.session, {"why": str(error)})


@dataclass(frozen=True)
class Ready:
    """A candidate with its model, as it is compiled, and its package."""

    candidate: Candidate
    subject: Subject
    built: Built

    @property
    def slot(self) -> Slot:
        """Where its entries stand."""
        return self.candidate.slot

    @property
    def where(self) -> Where:
        """Its target."""
        return self.candidate.where

    @property
    def package(self) -> Package:
        """That is measured."""
        return self.built.package


class Slotted(Protocol):
    """Whatever has entries."""

    @property
    def slot(self) -> Slot:
        """Where they stand."""


Some = TypeVar("Some", bound=Slotted)
Result = TypeVar("Result")


def each(
    title: str,
    work: Work,
    some: Sequence[Some],
    done: Callable[[Some], Result],
    is_end: Callable[[EdgetvmError], bool] = lambda _: False,
) -> list[Result]:
    """Do something for each; answers with what came of those that did not fail.

    Args:
        is_end: whether the others need not be tried after an error; it is raised then.
    """
    found = []
    with step(title) as this:
        for index, one in enumerate(some):
            this.advance(index, len(some), one.slot.variant.name)
            try:
                with unheard():
                    found.append(done(one))
            except EdgetvmError as error:
                if is_end(error):
                    raise
                work.failed(one.slot, error)
        this.detail = f"{len(found)} of {len(some)}"
    return found


def build_all(work: Work, candidates: Sequence[Candidate]) -> list[Ready]:
    """The packages of all that can be built, what is known of each noted."""

    def make(one: Candidate) -> Ready:
        subject = ready_subject(one)
        built = build(subject, one.where.profile, one.tuned, True, one.variant.options)
        if not work.has(one.slot, "built"):
            document = document_of(_told(built.package, one))
            work.ledger.note(one.slot.key, "built", work.session, document)
        return Ready(one, subject, built)

    return each("build the variants", work, candidates, make)


def _told(package: Package, candidate: Candidate) -> BuiltRow:
    manifest = package.manifest
    target = manifest.target(candidate.where.profile.name)
    said = remarks(target.kernels, target.options, target.executor)
    return BuiltRow(
        package.sha256,
        package.size_bytes,
        manifest.sizes_bytes[target.library],
        target.correctness,
        said,
        manifest.provenance.changes,
    )


def estimate_all(work: Work, ready: Sequence[Ready]) -> None:
    """Estimate what has no real board and was not estimated; without a model of its core it is
    only sized."""

    def price(one: Ready) -> None:
        (found,) = estimate_package(one.package, [one.where.profile])
        whole = found.whole
        priced = Estimated(whole.ms, whole.least_ms, whole.most_ms)
        work.ledger.note(one.slot.key, "estimated", work.session, document_of(priced))

    unknown = [one for one in ready if one.slot.estimated and not work.has(one.slot, "estimated")]
    if unknown:
        each("estimate what has no real board", work, unknown, price)
