"""Which boards a tuning begins with."""

from __future__ import annotations

import socket

import pytest

from edgetvm.base.errors import TrackerUnreachableError
from edgetvm.farm import Address, Board
from edgetvm.workflow.tuning import _first_there


class InHand:
    """A farm's lease of a board whose tracker is away."""

    def where(self) -> None:
        return None

    def prove(self) -> None:
        return None


def test_only_a_farm_s_tracker_is_waited_for() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        tracker = Address(*nobody.getsockname())
        alone = Board("alone", "rpi4", tracker, "key")
        served = Board("served", "rpi4", tracker, "key", hand=InHand())
        with pytest.raises(TrackerUnreachableError):
            _first_there([alone])
        assert _first_there([served]) is served
