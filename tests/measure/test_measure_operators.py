"""Operators of a run beside what the board allows, by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import make

from edgetvm.boards.roofline import Roofline
from edgetvm.compile.artifact import Kernel
from edgetvm.measure import KernelTime, KernelTimes
from edgetvm.measure.measurement import from_json, to_json
from edgetvm.measure.operators import operator_times

# Two calls of 5 million multiply-adds; a copy of 4 MB; a little of everything; bytes.
KERNELS = (
    Kernel("conv", 2, "default", "", multiply_adds=5_000_000, moved_bytes=1000),
    Kernel("copy", 1, "default", "", moved_bytes=4_000_000),
    Kernel("relu", 1, "default", "", moved_bytes=1000),
    Kernel("bytes", 1, "default", "", workload="conv2d int8", multiply_adds=10**6),
)
TIMES = (
    KernelTime("conv", 2, 4000.0),
    KernelTime("copy", 1, 800.0),
    KernelTime("relu", 1, 1.0),
    KernelTime("bytes", 1, 199.0),
)
# 10 GFLOP/s, and 10 GB/s beyond a megabyte of cache.
ROOF = Roofline(10.0, 10.0, 1 << 20, True)


def test_each_operator_has_the_bound_that_is_nearer() -> None:
    measurement = replace(
        make(), kernels=KERNELS, kernel_times=KernelTimes(TIMES, 5000.0, 1), roofline=ROOF
    )
    conv, copy, bytes_, relu = operator_times(from_json(to_json(measurement), "here"))
    # A call of 10 MFLOP takes 1 ms at least, and took 2; 4 MB take 0.4 ms, and took 0.8.
    assert (conv.bound_by, conv.of_bound, conv.share) == ("cores", pytest.approx(0.5), 0.8)
    assert (copy.bound_by, copy.of_bound) == ("memory", pytest.approx(0.5))
    assert [(one.bound_by, one.of_bound) for one in (relu, bytes_)] == [(None, None)] * 2
    (first, *_) = operator_times(replace(measurement, roofline=None))
    assert (first.bound_by, first.of_bound) == (None, None)
