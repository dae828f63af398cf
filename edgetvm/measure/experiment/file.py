"""The YAML file of an experiment: what is crossed, how it is measured, and what is wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.named_files import find
from edgetvm.base.yamlfile import read_yaml
from edgetvm.measure.experiment.variants import (
    STRICT,
    Block,
    Place,
    Variant,
    crossed,
    placed,
)
from edgetvm.measure.peers import PEERS
from edgetvm.models.importers import MODEL_SUFFIXES
from edgetvm.models.quantising import Method
from edgetvm.recipes.modules import refused_code
from edgetvm.recipes.registry import refusal

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Percent = Annotated[float, Field(ge=0, le=100)]
Above = Annotated[float, Field(gt=0)]
# More is a mistake: at ten seconds each they take most of a day.
_MOST_VARIANTS = 5000


@dataclass(frozen=True, config=STRICT)
class Quantising:
    """How an ONNX model is made 8 bits wide before it is compiled: see `edgetvm quantize`."""

    max_loss_pct: Annotated[
        Percent | None,
        Field(description="Leave layers in float for so much loss at most; none without it."),
    ] = None
    method: Annotated[Method | None, Field(description="How ranges are taken.")] = None
    data: Annotated[
        str | None,
        Field(
            min_length=1,
            description="A folder of samples or an .npz file, from the experiment's folder on: "
            "more to calibrate on than a recipe's data.",
        ),
    ] = None


@dataclass(frozen=True, config=STRICT)
class ModelVariant:
    """A model of the experiment."""

    subject: Annotated[
        str,
        Field(
            min_length=1,
            description="A recipe's name, or a model or recipe file, from the experiment's folder "
            "on.",
        ),
    ]
    quantize: Annotated[
        Quantising | None, Field(description="Make it 8 bits wide first; as it is without it.")
    ] = None


@dataclass(frozen=True, config=STRICT)
class Target:
    """What is compiled for, and where it runs."""

    profile: Annotated[
        str | None, Field(description="A board profile; the board's own without it.")
    ] = None
    board: Annotated[
        str | None,
        Field(
            description="A board of the inventory; without it this machine, if it has what the "
            "profile needs, and else none: what is compiled is sized, estimated and run by QEMU."
        ),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.profile is None and self.board is None:
            raise ValueError("complete: `profile`, `board` or both")
        return self


@dataclass(frozen=True, config=STRICT)
class Measuring:
    """How much is measured."""

    rounds: Annotated[
        int, Field(ge=2, le=100, description="Rounds, in each of which all variants have a turn.")
    ] = 5
    runs: Annotated[
        int, Field(gt=0, description="Timed runs of a turn, in a process of its own.")
    ] = 50
    max_s: Annotated[Above, Field(description="No run of a turn begins after so many seconds.")] = (
        5.0
    )


@dataclass(frozen=True, config=STRICT)
class Goals:
    """What is searched for. All that are given must be met."""

    min_time_saved_pct: Annotated[
        Annotated[float, Field(ge=0, lt=100)] | None,
        Field(description="Of the baseline's median, in percent: 20 for 0.8 times the time."),
    ] = None
    max_latency_ms: Annotated[Above | None, Field(description="Median of one run.")] = None
    max_accuracy_lost_pct: Annotated[
        Percent | None,
        Field(description="Of `accuracy` against the baseline, in points of its best value."),
    ] = None
    max_package_kb: Annotated[Above | None, Field(description="Package, in 1024 bytes.")] = None
    max_memory_kb: Annotated[
        Above | None, Field(description="Peak memory beyond the bare server, in 1024 bytes.")
    ] = None
    enough: Annotated[
        int, Field(gt=0, description="Stop when so many variants meet all goals.")
    ] = 1

    @model_validator(mode="after")
    def _some(self) -> Self:
        if all(getattr(self, name) is None for name in GOAL_NAMES):
            raise ValueError(f"at least one of {', '.join(GOAL_NAMES)}")
        return self


GOAL_NAMES = (
    "min_time_saved_pct",
    "max_latency_ms",
    "max_accuracy_lost_pct",
    "max_package_kb",
    "max_memory_kb",
)


@dataclass(frozen=True, config=STRICT)
class Question:
    """Two variants whose difference the report tells in words."""

    ask: Annotated[str, Field(min_length=1, description="The question, as a reader asks it.")]
    first: Annotated[Place, Field(description="What is compared with.")]
    second: Annotated[Place, Field(description="What is compared.")]
    at: Annotated[Place, Field(description="What both have.")] = field(default_factory=Place)


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """A matrix of variants, measured in turns. One YAML file."""

    name: Annotated[Name, Field(description="Equals the file's.")]
    description: Annotated[str, Field(min_length=1, description="What is to be found out.")]
    models: Annotated[
        dict[Name, ModelVariant], Field(min_length=1, description="Models, by a name of yours.")
    ]
    targets: Annotated[
        dict[Name, Target], Field(min_length=1, description="Targets, by a name of yours.")
    ]
    baseline: Annotated[Variant, Field(description="What all others are compared with.")]
    cross: Annotated[
        tuple[Block, ...],
        Field(description="Blocks of values; the variants of all blocks together are tried."),
    ] = ()
    peers: Annotated[
        tuple[str, ...],
        Field(description="Other runtimes, in turns with the variants on this machine."),
    ] = ()
    measure: Annotated[Measuring, Field(description="Rounds, runs and times.")] = field(
        default_factory=Measuring
    )
    accuracy: Annotated[
        str | None,
        Field(description="The recipe's metric that is the accuracy; the first without it."),
    ] = None
    goals: Annotated[
        Goals | None,
        Field(description="Search for variants that meet them; without it all are measured."),
    ] = None
    questions: Annotated[
        tuple[Question, ...], Field(description="What the report is to answer.")
    ] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        _check_known(self.peers, [one.name for one in PEERS], ("peers",))
        for at, model, target in self._named():
            _check_known(model, list(self.models), (*at, "model"))
            _check_known(target, list(self.targets), (*at, "target"))
        count = len(self.variants)
        if count > _MOST_VARIANTS:
            raise refusal(("cross",), f"{count} variants", f"at most {_MOST_VARIANTS} variants")
        self._check_questions()
        return self

    def _named(self) -> Iterable[tuple[tuple[str | int, ...], tuple[str, ...], tuple[str, ...]]]:
        """Where models and targets are named, and which."""
        yield ("baseline",), (self.baseline.model,), (self.baseline.target,)
        for index, block in enumerate(self.cross):
            yield ("cross", index), block.model, block.target
        for index, question in enumerate(self.questions):
            for key in ("at", "first", "second"):
                place: Place = getattr(question, key)
                some = [(one,) if one else () for one in (place.model, place.target)]
                yield ("questions", index, key), some[0], some[1]

    def _check_questions(self) -> None:
        for index, question in enumerate(self.questions):
            for key in ("first", "second"):
                variant, peer = placed(self.baseline, question.at, getattr(question, key))
                at = ("questions", index, key)
                if peer is not None:
                    _check_known((peer,), list(self.peers), (*at, "peer"))
                elif variant not in self.variants:
                    raise refusal(at, variant.name, "a variant of `cross`: add it there")

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All that are tried, the baseline first."""
        return crossed(self.baseline, self.cross)


def _check_known(names: Iterable[str], known: list[str], at: tuple[str | int, ...]) -> None:
    for name in names:
        if name not in known:
            told = ", ".join(known)
            raise refusal(at, name, f"one of: {told}" if told else "left out: none is named")


def load_experiment(name_or_path: str) -> Experiment:
    """An experiment by its file, or by name from the search path.

    Relative paths in it start at its own folder.

    Raises:
        NotFoundError: there is no such file or experiment; names the nearest.
        ConfigurationError: it cannot be used; names file, line, key path and the mend.
    """
    file = find("experiments", name_or_path)
    path = file.path
    found = read_yaml(path, Experiment)
    if found.name != path.stem:
        raise ConfigurationError(
            f"name is {found.name!r}", where=str(path), mend=f"call it {path.stem!r} as its file"
        )
    models = {name: _anchored(one, path.absolute().parent) for name, one in found.models.items()}
    if not file.is_chosen:
        for model in models.values():
            _refuse_code(Path(model.subject))
    return replace(found, models=models)


def _refuse_code(subject: Path) -> None:
    """Of an experiment that nobody chose: it may not name code that nobody chose, either."""
    if subject.suffix in (".yaml", ".yml") and subject.is_file():
        read_yaml(subject, dict, partial(refused_code, subject))


def _anchored(model: ModelVariant, folder: Path) -> ModelVariant:
    named, how = Path(model.subject), model.quantize
    if named.suffix.lower() in (*MODEL_SUFFIXES, ".yaml", ".yml"):
        model = replace(model, subject=str(folder / named))
    if how is not None and how.data is not None:
        model = replace(model, quantize=replace(how, data=str(folder / how.data)))
    return model
