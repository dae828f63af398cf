"""What a rule decides: each choice has a name, candidates and a default computed from the profile.

Untuned code takes every default. Other choices are what tuning may vary, in the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from edgetvm.base.errors import UsageError

Choice = TypeVar("Choice")


@dataclass
class Decisions:
    """The decisions of one kernel.

    Attributes:
        wanted: choices other than the defaults, by name, as text.
        taken: what was chosen, by name, as text.
        candidates: among which, by name, as text.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    candidates: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def choose(self, name: str, candidates: Sequence[Choice], default: Choice) -> Choice:
        """The wanted candidate, or the default.

        Raises:
            UsageError: what is wanted is no candidate.
        """
        chosen = default
        if name in self.wanted:
            found = [one for one in candidates if str(one) == self.wanted[name]]
            if not found:
                raise UsageError(
                    f"{self.wanted[name]!r} is no choice for {name!r}",
                    mend=f"it takes {', '.join(map(str, candidates))}",
                )
            chosen = found[0]
        self.taken[name] = str(chosen)
        # A board of one core makes two candidates the same: `(1, profile.cores)`.
        self.candidates[name] = tuple(dict.fromkeys(map(str, candidates)))
        return chosen
