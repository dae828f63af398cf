"""Measurements for all tests of reports."""

from __future__ import annotations

import pytest
from made_measurements import MS, make

from edgetvm.measure.measurement import Measurement


@pytest.fixture
def measurements() -> list[Measurement]:
    """A model on two boards and an emulated one, a stream, and one that answers wrongly."""
    fast = tuple(sample // 10 for sample in make().samples_ns)
    return [
        make(device="qemu-armv7", emulated=True, samples_ns=(7 * MS,) * 100),
        make(device="rpi4", deadline_ms=99.5),
        make(device="rpi5", samples_ns=fast, deadline_ms=99.5, metrics={"top-1 accuracy": 0.715}),
        make("keyword", "rpi4", scenario="stream", chunk_ms=101.0, kernels=42, task="audio"),
        make("broken", "rpi4", relative_error=0.12),
    ]
