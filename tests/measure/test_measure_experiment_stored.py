"""What experiments left in a store: also what another version of edgetvm wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgetvm.base.errors import ConfigurationError
from edgetvm.measure import Store
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.membership import parts_of
from edgetvm.measure.experiment.reading import asked_key, last_asked


@pytest.mark.parametrize(
    "document",
    [{}, {"slots": [{}]}, {"slots": [{"key": "k", "peer": "", "variant": {"no": 1}}]}],
)
def test_what_cannot_be_read_is_refused_where_it_is_wanted(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    store = Store(f"sqlite:///{tmp_path}/results.sqlite")
    ledger = Ledger(store)
    ledger.note(asked_key("lab"), "asked", "session", document)
    assert parts_of(store) == {}
    with pytest.raises(ConfigurationError, match="stored of the experiment 'lab' cannot be read"):
        last_asked(ledger, "lab")
