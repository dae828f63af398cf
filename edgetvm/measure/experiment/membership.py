"""Of which experiment a stored measurement is."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pydantic.dataclasses import dataclass
from sqlalchemy import select

from edgetvm.measure.experiment.variants import Variant, varying
from edgetvm.measure.store import Store
from edgetvm.measure.store_tables import EXPERIMENTS, store_errors


@dataclass(frozen=True)
class PartOf:
    """An experiment's variant that a measurement is of.

    Attributes:
        measurement: its id.
        experiment: its name.
        variant: by what differs among the variants.
    """

    measurement: str
    experiment: str
    variant: str

    def __str__(self) -> str:
        return f"experiment {self.experiment}: {self.variant}"


def parts_of(store: Store) -> dict[str, PartOf]:
    """By id, all measurements that experiments of the store have noted.

    What several experiments share is of the one that was run last.

    Raises:
        StorageError: the store cannot be read.
    """
    named: dict[str, tuple[str, str]] = {}
    newest_first = [text for _, text in reversed(_noted(store, ["asked"]))]
    for document in reversed(dict.fromkeys(newest_first)):
        named |= _named(document)
    return {
        (one := json.loads(text)["measurement"]): PartOf(one, *named[key])
        for key, text in _noted(store, ["measured", "round"])
        if key in named and "measurement" in text
    }


def _noted(store: Store, parts: Iterable[str]) -> list[tuple[str, str]]:
    """Keys and documents, oldest first."""
    c = EXPERIMENTS.c
    asked = select(c.key, c.document).where(c.part.in_(parts)).order_by(c.number)
    with store_errors(store.engine), store.engine.connect() as connection:
        return [(key, text) for key, text in connection.execute(asked)]


def _named(document: str) -> dict[str, tuple[str, str]]:
    """By key, the experiment's name and the variant's; none where another version wrote it."""
    try:
        asked = json.loads(document)
        slots = [one for one in asked["slots"] if not one["peer"]]
        variants = {one["key"]: Variant(**one["variant"]) for one in slots}
        name = str(asked["experiment"]["name"])
    except (KeyError, TypeError, ValueError):
        return {}
    axes = varying(list(variants.values()))
    return {key: (name, variant.told(axes)) for key, variant in variants.items()}
