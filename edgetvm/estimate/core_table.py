"""Tables of cores, as their files have them: `cores/NAME.yaml`."""

from __future__ import annotations

import functools
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.yamlfile import read_yaml

_STRICT = ConfigDict(extra="forbid")
_FOLDER = Path(__file__).parent / "cores"
Positive = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, config=_STRICT)
class Kind:
    """Instructions that a core treats alike.

    Attributes:
        match: pattern that their text begins with.
        units: that they take, by name: units x cycles.
        latency: cycles until the result is there; an address that moves on is there in the next.
        accumulate: cycles after which an operand that is added to must be there; as `latency`
            of the one before it counts where it is 0.
        alone: whether nothing else issues in the same cycle.
    """

    match: str
    units: dict[str, Positive]
    latency: Positive
    accumulate: Annotated[int, Field(ge=0)] = 0
    alone: bool = False


@dataclass(frozen=True, config=_STRICT)
class Table:
    """A core.

    Attributes:
        issue: instructions in a cycle; of a core that reorders, those that it takes up.
        units: how many there are of each.
        kinds: of instructions; the first that matches counts.
        window: instructions that a core which reorders has in hand; 0 for one that does not.
    """

    issue: Positive
    units: dict[str, Positive]
    kinds: tuple[Kind, ...] = field(default_factory=tuple)
    window: Annotated[int, Field(ge=0)] = 0


@functools.cache
def load_table(name: str) -> Table:
    """The table of a core.

    Raises:
        ConfigurationError: its file cannot be used.
    """
    return read_yaml(_FOLDER / f"{name}.yaml", Table)
