"""A plan: for each wish what is not as wished, and the commands that are still missing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Literal

State = Literal["no change", "would change", "unknown"]


@dataclass(frozen=True)
class Command:
    """A command for a board's root.

    Attributes:
        words: a program and its arguments; or those of `script`.
        script: a file of `on_board` to run instead of a program.
        stdin: what it reads.
        deadline_s: for the whole of it.
    """

    words: tuple[str, ...]
    script: str = ""
    stdin: bytes = field(default=b"", repr=False)
    deadline_s: float = 30.0

    @property
    def text(self) -> str:
        """What a shell there gets."""
        if not self.script:
            return shlex.join(self.words)
        script = resources.files("edgetvm.farm").joinpath(f"on_board/{self.script}").read_text()
        return f"set -- {shlex.join(self.words)}\n{script}"

    def __str__(self) -> str:
        return shlex.join([self.script, *self.words] if self.script else self.words)


@dataclass(frozen=True)
class Step:
    """What is wished in one respect, and what is missing for it.

    Attributes:
        title: what is so afterwards.
        why: what is not as wished; empty where all is.
        commands: that are missing.
        proof: whether a session with the server comes before the commands; what that gives is
            known only then.
        goes_back: whether the release before is brought back where it fails.
    """

    title: str
    why: str = ""
    commands: tuple[Command, ...] = ()
    proof: bool = False
    goes_back: bool = False

    @property
    def state(self) -> State:
        """What a run would make of it."""
        if not self.why:
            return "no change"
        return "unknown" if self.proof else "would change"


def changes(steps: Sequence[Step]) -> int:
    """How many steps are not as wished."""
    return sum(bool(step.why) for step in steps)


def turns(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps in lists, each of which is sent in one round trip."""
    found: list[list[Step]] = []
    for step in steps:
        last = found[-1][-1] if found else None
        joins = last and not (last.proof or step.proof or any(one.script for one in last.commands))
        if joins:
            found[-1].append(step)
        else:
            found.append([step])
    return found


def commands(*all_words: Sequence[str]) -> tuple[Command, ...]:
    """Plain commands, one after the other."""
    return tuple(Command(tuple(words)) for words in all_words)
