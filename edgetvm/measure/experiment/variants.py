"""The axes that an experiment crosses, and one point on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import product
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.compile.options import CompileOptions, Layout, OptLevel, Precision

STRICT = ConfigDict(extra="forbid")
Threads = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, config=STRICT)
class Variant:
    """One way to compile and run one model."""

    model: Annotated[str, Field(description="One of `models`.")]
    target: Annotated[str, Field(description="One of `targets`.")]
    layout: Annotated[Layout, Field(description="How images lie in memory.")] = "auto"
    opt_level: Annotated[OptLevel, Field(description="How much is optimised.")] = 3
    precision: Annotated[Precision, Field(description="Of sums of float32.")] = "fp32"
    threads: Annotated[Threads, Field(description="Threads to run on.")] = 1
    tuned: Annotated[
        bool, Field(description="Whether to take the schedules that `edgetvm tune` has found.")
    ] = False

    @property
    def options(self) -> CompileOptions:
        """How it is compiled."""
        return CompileOptions(self.opt_level, self.layout, self.precision)

    def told(self, axes: Sequence[str]) -> str:
        """Its values on some axes: `int8, avx2, -O3`."""
        return ", ".join(_WORDS[axis](getattr(self, axis)) for axis in axes)

    @property
    def name(self) -> str:
        """Its values on all axes."""
        return self.told(AXES)


@dataclass(frozen=True, config=STRICT)
class Block:
    """Values that are crossed with each other; what is left out has the baseline's value."""

    model: Annotated[tuple[str, ...], Field(description="Some of `models`.")] = ()
    target: Annotated[tuple[str, ...], Field(description="Some of `targets`.")] = ()
    layout: Annotated[tuple[Layout, ...], Field(description="How images lie in memory.")] = ()
    opt_level: Annotated[tuple[OptLevel, ...], Field(description="How much is optimised.")] = ()
    precision: Annotated[tuple[Precision, ...], Field(description="Of sums of float32.")] = ()
    threads: Annotated[tuple[Threads, ...], Field(description="Threads to run on.")] = ()
    tuned: Annotated[tuple[bool, ...], Field(description="Without and with tuned schedules.")] = ()


@dataclass(frozen=True, config=STRICT)
class Place:
    """Some values of a variant; what is left out has the baseline's value."""

    model: Annotated[str | None, Field(description="One of `models`.")] = None
    target: Annotated[str | None, Field(description="One of `targets`.")] = None
    layout: Annotated[Layout | None, Field(description="How images lie in memory.")] = None
    opt_level: Annotated[OptLevel | None, Field(description="How much is optimised.")] = None
    precision: Annotated[Precision | None, Field(description="Of sums of float32.")] = None
    threads: Annotated[Threads | None, Field(description="Threads to run on.")] = None
    tuned: Annotated[bool | None, Field(description="Whether with tuned schedules.")] = None
    peer: Annotated[str | None, Field(description="One of `peers`, in the place of edgetvm.")] = (
        None
    )


AXES = tuple(one.name for one in fields(Variant))
_WORDS: dict[str, Callable[[Any], str]] = {
    "model": str,
    "target": str,
    "layout": str,
    "opt_level": lambda level: f"-O{level}",
    "precision": str,
    "threads": lambda count: "1 thread" if count == 1 else f"{count} threads",
    "tuned": lambda tuned: "tuned" if tuned else "untuned",
}


def told_value(axis: str, value: object) -> str:
    """A value in words: `-O3` of `opt_level`."""
    return _WORDS[axis](value)


def crossed(baseline: Variant, blocks: Iterable[Block]) -> tuple[Variant, ...]:
    """The baseline, then every point of each block, each once."""
    found = {baseline: None}
    for block in blocks:
        axes = [getattr(block, axis) or (getattr(baseline, axis),) for axis in AXES]
        found |= {Variant(*point): None for point in product(*axes)}
    return tuple(found)


def varying(variants: Sequence[Variant]) -> tuple[str, ...]:
    """The axes on which they differ; the model's where they do not."""
    found = tuple(axis for axis in AXES if len({getattr(one, axis) for one in variants}) > 1)
    return found or AXES[:1]


def placed(baseline: Variant, *places: Place) -> tuple[Variant, str | None]:
    """The variant that places describe, later ones first, and the peer in its place."""
    values = {axis: getattr(baseline, axis) for axis in AXES}
    peer = None
    for place in places:
        values |= {axis: one for axis in AXES if (one := getattr(place, axis)) is not None}
        peer = place.peer or peer
    return Variant(**values), peer
