"""What a search is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edgetvm.boards.profile import BoardProfile
from edgetvm.boards.roofline import Roofline
from edgetvm.compile.options import CompileOptions
from edgetvm.compile.tuned import KernelChoice
from edgetvm.farm.inventory import Board
from edgetvm.tune.budget import Budget
from edgetvm.tune.jobs import How
from edgetvm.tune.records import Conditions
from edgetvm.tune.running import Runner
from edgetvm.tune.tasks import Form, Tasks


@dataclass(frozen=True)
class Search:
    """What is searched, where, and how.

    Attributes:
        tasks: of the model.
        profile: of the boards.
        options: how the model is compiled.
        runners: of the boards, each of which may be lost and come back.
        roofline: of the boards.
        conditions: under which trials are kept.
        how: candidates are timed.
        budget: when it ends.
        more_forms: other forms of the tasks, by task key, one lot after the other.
        seeds: choices that were best elsewhere, by task key: tried first.
    """

    tasks: Tasks
    profile: BoardProfile
    options: CompileOptions
    runners: Sequence[Runner]
    roofline: Roofline
    conditions: Conditions
    how: How
    budget: Budget
    more_forms: Iterator[Mapping[str, Form]]
    seeds: Mapping[str, Sequence[KernelChoice]] = field(default_factory=dict)

    @property
    def boards(self) -> list[Board]:
        """To run on."""
        return [one.board for one in self.runners]
