"""Where the time of a measurement went, by kernels and the source model's nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgetvm.boards.roofline import Bound, Roofline, share_of
from edgetvm.compile.artifact import Kernel
from edgetvm.measure.measurement import Measurement


@dataclass(frozen=True)
class OperatorTime:
    """All calls of a kernel in a run.

    Attributes:
        name: of the kernel, or of a function of the runtime.
        nodes: of the source model, for each call.
        workload: what it computes, with shapes; empty for the runtime's own.
        calls: in a run.
        us: of all calls together.
        share: of the times of all calls of a run.
        gflops: a multiply-add counted as two; None where it multiplies nothing.
        of_peak: share of what the board's profile gives so many threads in float32; None where
            there is no such bound, see `edgetvm.boards.roofline.share_of`.
        moved_gbs: gigabytes a second that it reads and writes, wherever they lie.
        bound_by: what holds it up at best, the cores or the memory; None where that is not known.
        of_bound: how near it comes to that, 0 to 1; see `edgetvm.boards.roofline.share_of`.
    """

    name: str
    nodes: tuple[tuple[str, ...], ...]
    workload: str
    calls: int
    us: float
    share: float
    gflops: float | None
    of_peak: float | None
    moved_gbs: float | None
    bound_by: Literal["cores", "memory"] | None
    of_bound: float | None


def operator_times(measurement: Measurement) -> list[OperatorTime]:
    """The kernels of a run, those that take longest first; empty where nothing was timed."""
    times = measurement.kernel_times
    if times is None:
        return []
    kernels = {kernel.name: kernel for kernel in measurement.kernels}
    peak = measurement.peak_gflops if measurement.options.precision == "fp32" else None
    found = []
    for one in times.functions:
        kernel = kernels.get(one.name)
        gflops = kernel.gflop / one.us * 1e6 if kernel and kernel.gflop and one.us else None
        moved = kernel.moved_bytes * kernel.calls if kernel else 0
        bound = _bound(measurement, kernel)
        found.append(
            OperatorTime(
                name=one.name,
                nodes=kernel.nodes if kernel else (),
                workload=kernel.workload if kernel else "",
                calls=one.calls,
                us=one.us,
                share=one.us / times.sum_us if times.sum_us else 0.0,
                gflops=gflops,
                of_peak=_of_peak(one.us, peak, kernel),
                moved_gbs=moved / one.us / 1e3 if moved and one.us else None,
                bound_by=None if bound is None else bound.by,
                of_bound=share_of(bound, one.us / one.calls / 1e3),
            )
        )
    return sorted(found, key=lambda one: one.us, reverse=True)


def _bound(measurement: Measurement, kernel: Kernel | None) -> Bound | None:
    """What one call of a kernel can take at least."""
    roofline = measurement.roofline
    if roofline is None or kernel is None or measurement.options.precision != "fp32":
        return None
    in_floats = "int8" not in kernel.workload
    return roofline.bound(kernel.multiply_adds, kernel.moved_bytes, in_floats)


def _of_peak(us: float, peak_gflops: float | None, kernel: Kernel | None) -> float | None:
    if peak_gflops is None or kernel is None:
        return None
    multiply_adds = round(kernel.gflop * 1e9 / 2)
    bound = Roofline(peak_gflops).bound(multiply_adds, 0, "int8" not in kernel.workload)
    return share_of(bound, us / 1e3)
