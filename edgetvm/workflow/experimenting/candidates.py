"""An experiment's variants made ready to be tried: models found, targets placed, keys computed."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache as once
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from edgetvm.base import cache
from edgetvm.base.errors import ConfigurationError, EdgetvmError, PackageError, UsageError
from edgetvm.base.files import sha256_of, sha256_of_tree
from edgetvm.base.pins import installed_version
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.compile.compiler import check_precision
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.estimate.played import NAME as PLAYED
from edgetvm.estimate.tools import can_emulate
from edgetvm.farm.inventory import LOCAL, Board, find_board
from edgetvm.measure.experiment.file import Experiment, ModelVariant, Quantising, Target
from edgetvm.measure.experiment.reading import Asked, Slot
from edgetvm.measure.experiment.variants import Variant
from edgetvm.measure.peers import Peer, peer_called
from edgetvm.models.importers import source_digest
from edgetvm.models.quantising import check_format
from edgetvm.package.executor import check_machine
from edgetvm.package.manifest import TargetNeeds
from edgetvm.recipes import METRICS
from edgetvm.workflow.build import depending_on
from edgetvm.workflow.quantising import check_there, quantize
from edgetvm.workflow.subject import Subject, find_subject
from edgetvm.workflow.tuning import tuned_schedules

# A board by its name; of what QEMU plays the profile too, for it plays one kind at a time.
Site = tuple[str, str]
Named = TypeVar("Named")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Where:
    """A target that was looked for.

    Attributes:
        profile: that is compiled for; emulated where its board is.
        board: that it runs on; None where there is none.
        is_played: whether QEMU's user emulation plays one.
        not_here: why this machine is none; empty where there is a board.
    """

    profile: BoardProfile
    board: Board | None
    is_played: bool = False
    not_here: str = ""

    @property
    def board_name(self) -> str:
        """Empty where it runs nowhere."""
        if self.board is not None:
            return self.board.name
        return PLAYED if self.is_played else ""

    @property
    def site(self) -> Site:
        """What has to stand for it."""
        return self.board_name, self.profile.name if self.is_played else ""

    @property
    def is_real(self) -> bool:
        """Whether times count that are taken there."""
        return self.board is not None and not self.profile.emulated

    @property
    def is_estimated(self) -> bool:
        """Whether its times are: where there is no real board, and a model of the core."""
        return not self.is_real and self.profile.core is not None


@dataclass(frozen=True)
class Candidate:
    """A variant that can be tried.

    Attributes:
        slot: where its entries stand.
        model: what the file says of its model.
        subject: the model as it is named; not yet quantised, see `ready_subject`.
        tuned: schedules that it takes.
        quantized: all that shapes how its model is quantised; None where it is not.
    """

    slot: Slot
    model: ModelVariant
    subject: Subject
    where: Where
    tuned: TunedSchedules
    quantized: Mapping[str, object] | None

    @property
    def variant(self) -> Variant:
        """Of the experiment."""
        return self.slot.variant


@dataclass(frozen=True)
class Rival:
    """A peer that runs a model of the experiment on this machine."""

    slot: Slot
    peer: Peer


@dataclass(frozen=True)
class Resolved:
    """What an experiment comes to on this machine.

    Attributes:
        asked: with the slots of all variants and peers.
        candidates: those of the variants that can be tried, in the file's order.
        rivals: likewise of peers.
    """

    asked: Asked
    candidates: tuple[Candidate, ...]
    rivals: tuple[Rival, ...]


def resolve(experiment: Experiment, database: Path | None = None) -> Resolved:
    """Find models, targets and schedules; what cannot be found is told in its variants' slots.

    Args:
        database: of tuned schedules; the user's own without it.

    Raises:
        ConfigurationError: no recipe has the metric that is to be the accuracy.
        StorageError: a file cannot be read.
    """
    return _Resolver(experiment, database).resolved


class _Resolver:
    def __init__(self, experiment: Experiment, database: Path | None) -> None:
        self._experiment = experiment
        self._database = database
        self._subjects = _each(experiment.models, lambda model: find_subject(model.subject))
        self._places = _each(experiment.targets, place_of)
        # Once for all variants: to read data of hundreds of megabytes takes seconds.
        self._told = once(_told)

    @cached_property
    def resolved(self) -> Resolved:
        """All of it."""
        tried = [self._tried(variant) for variant in self._experiment.variants]
        rivals = list(self._rivals([one for one in tried if isinstance(one, Candidate)]))
        found = [one.slot if isinstance(one, Candidate) else one for one in tried]
        slots = (*found, *(one.slot for one in rivals))
        accuracy = self._accuracy()
        best = METRICS.best(accuracy) if accuracy else None
        return Resolved(
            Asked(self._experiment, accuracy, best, slots),
            tuple(one for one in tried if isinstance(one, Candidate)),
            tuple(rivals),
        )

    def _tried(self, variant: Variant) -> Candidate | Slot:
        subject = self._subjects[variant.model]
        where = self._places[variant.target]
        if isinstance(subject, EdgetvmError):
            return Slot(variant, "", "", why=str(subject))
        if isinstance(where, EdgetvmError):
            return Slot(variant, "", "", why=str(where))
        try:
            return self._candidate(variant, subject, where)
        except EdgetvmError as error:
            return Slot(variant, "", "", why=str(error))

    def _candidate(self, variant: Variant, subject: Subject, where: Where) -> Candidate:
        model = self._experiment.models[variant.model]
        _refuse_impossible(model, subject, where, variant)
        tuned = self._tuned(variant, where) if variant.tuned else UNTUNED
        slot = Slot(variant, "", where.board_name, where.profile.emulated, where.is_estimated)
        one = Candidate(slot, model, subject, where, tuned, self._told(model.quantize))
        return replace(one, slot=replace(slot, key=self._key(one)))

    def _tuned(self, variant: Variant, where: Where) -> TunedSchedules:
        found = tuned_schedules(where.profile, variant.options, self._database)
        if found == UNTUNED:
            raise UsageError(
                f"nothing that was tuned for {where.profile.name} at {variant.options} beats a "
                "default schedule",
                mend="tune first: edgetvm tune",
            )
        return found

    def _key(self, one: Candidate) -> str:
        """The hash of all that shapes what a turn of it takes."""
        options, how = one.variant.options, self._experiment.measure
        shaped = depending_on(one.subject, one.where.profile, one.tuned, True, options)
        shaped |= {"board": one.slot.board, "threads": one.variant.threads}
        shaped |= {"runs": how.runs, "max_s": how.max_s, "quantize": one.quantized}
        return sha256_of(json.dumps(shaped, sort_keys=True).encode())

    def _rivals(self, candidates: list[Candidate]) -> Iterator[Rival]:
        seen: set[tuple[str, str, int]] = set()
        for name in self._experiment.peers:
            peer = peer_called(name)
            for one in candidates:
                board, place = one.where.board, (name, one.variant.model, one.variant.threads)
                if board is None or not board.shares_cores or place in seen:
                    continue
                seen.add(place)
                yield Rival(self._rival_slot(peer, one), peer)

    def _rival_slot(self, peer: Peer, beside: Candidate) -> Slot:
        variant = replace(
            self._experiment.baseline, model=beside.variant.model, threads=beside.variant.threads
        )
        version = installed_version(peer.package)
        digest, named = source_digest(beside.subject.path), beside.subject.name
        shaped: list[object] = [peer.name, version, digest, named, variant.threads]
        shaped += [str(beside.subject.options), beside.quantized]
        return Slot(
            variant,
            sha256_of(json.dumps(shaped).encode()),
            LOCAL.name,
            peer=" ".join(one for one in (peer.name, version) if one),
            why="" if version else f"{peer.package} is not installed: pip install 'edgetvm[bench]'",
        )

    def _accuracy(self) -> str:
        """The metric that the file names, or the first score of a recipe."""
        found = [
            metric
            for subject in self._subjects.values()
            if isinstance(subject, Subject) and subject.recipe is not None
            for metric in subject.recipe.metrics
            if METRICS.best(metric) is not None
        ]
        wanted = self._experiment.accuracy
        if wanted is not None and found and wanted not in found:
            raise ConfigurationError(
                f"accuracy is {wanted!r}, and no recipe of its models has such a score",
                where=f"experiment {self._experiment.name}",
                mend=f"name one of: {', '.join(dict.fromkeys(found))}",
            )
        return (wanted or found[0]) if found else ""


def _each(
    named: Mapping[str, Named], find: Callable[[Named], Found]
) -> dict[str, Found | EdgetvmError]:
    """What each name stands for, or why that cannot be had."""
    found: dict[str, Found | EdgetvmError] = {}
    for name, one in named.items():
        try:
            found[name] = find(one)
        except EdgetvmError as error:
            found[name] = error
    return found


def _refuse_impossible(
    model: ModelVariant, subject: Subject, where: Where, variant: Variant
) -> None:
    """What would fail is not begun.

    Raises:
        EdgetvmError: the board has no such arithmetic, or the model cannot be quantised.
    """
    check_precision(where.profile, variant.options)
    if model.quantize is not None:
        check_format(subject.path)
        check_there(subject.recipe, _data_of(model.quantize))


def _data_of(how: Quantising) -> Path | None:
    return None if how.data is None else Path(how.data)


def _told(how: Quantising | None) -> Mapping[str, object] | None:
    if how is None:
        return None
    data = _data_of(how)
    return {**asdict(how), "data": None if data is None else sha256_of_tree(data)}


def ready_subject(one: Candidate) -> Subject:
    """A candidate's model; quantised where the file says so, once.

    Raises:
        EdgetvmError: it cannot be quantised.
    """
    subject, how = one.subject, one.model.quantize
    if how is None:
        return subject
    local = depending_on(subject, load_profile(LOCAL.profile))
    depends_on = {**local, "quantize": one.quantized}

    def make(folder: Path) -> None:
        output = folder / "model.onnx"
        quantize(
            subject,
            output,
            data=_data_of(how),
            max_loss_pct=how.max_loss_pct,
            method=how.method,
        )

    folder, _ = cache.get_or_make("quantized", depends_on, make)
    recipe = folder / "model.yaml"
    made = find_subject(str(recipe if recipe.exists() else folder / "model.onnx"))
    return replace(made, name=f"{subject.name}, int8")


def place_of(target: Target) -> Where:
    """Where a target runs.

    Raises:
        NotFoundError, ConfigurationError: there is no such board or profile.
    """
    if target.board is not None:
        board = find_board(target.board)
        on_board = load_profile(board.profile)
        profile = on_board if target.profile is None else load_profile(target.profile)
        return Where(replace(profile, emulated=profile.emulated or on_board.emulated), board)
    profile = load_profile(target.profile or LOCAL.profile)
    not_here = _not_here(profile)
    if not not_here:
        return Where(profile, LOCAL)
    is_played = profile.architecture != platform.machine() and can_emulate(profile.architecture)
    emulated = is_played or profile.emulated
    return Where(replace(profile, emulated=emulated), None, is_played, not_here)


def _not_here(profile: BoardProfile) -> str:
    """Why this machine cannot run what is compiled for a profile; empty where it can."""
    try:
        check_machine(TargetNeeds.of(profile))
    except PackageError as error:
        return error.what
    return "its profile is an emulated board's" if profile.emulated else ""
