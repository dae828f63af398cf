"""Measurements whose figures can be checked by head."""

from __future__ import annotations

from dataclasses import replace

from edgetvm.compile.artifact import Kernel
from edgetvm.measure.measurement import Environment, Measurement, StepRecord
from edgetvm.models.correctness import Correctness

MS = 1_000_000


def make(
    model: str = "mobilenet-v2",
    device: str = "rpi4",
    *,
    emulated: bool = False,
    relative_error: float = 1.2e-6,
    samples_ns: tuple[int, ...] = tuple(range(1 * MS, 101 * MS, MS)),
    kernels: int = 3,
    kernel_name: str = "fused_conv2d_add_relu",
    **changes: object,
) -> Measurement:
    """100 runs of 1, 2, … 100 ms: p50 is 51 ms, p90 91 ms, p99 100 ms, the mean 50.5 ms."""
    measurement = Measurement(
        id=f"20260301T120000Z-{device}",
        taken_at="2026-03-01T12:00:00Z",
        model=model,
        task="",
        scenario="single-stream",
        samples_ns=samples_ns,
        warmup=10,
        open_ns=250 * MS,
        first_run_ns=50 * MS,
        peak_memory_bytes=64 << 20,
        package_sha256="ab" * 32,
        package_size_bytes=3 << 19,
        library_size_bytes=1 << 20,
        deadline_ms=None,
        chunk_ms=None,
        correctness=Correctness(
            reference="onnxruntime 1.20.1",
            max_abs_error=2e-5,
            max_relative_error=relative_error,
            tolerance=1e-4,
            worst_output="logits",
            samples=5,
            inputs="random, seed 0",
        ),
        metrics={},
        kernels=tuple(
            Kernel(f"{kernel_name}_{n}", 1 + n % 4, "tuned" if n % 3 else "default", "matmul")
            for n in range(kernels)
        ),
        environment=Environment(
            device=device,
            profile=device,
            emulated=emulated,
            cpu="Cortex-A72",
            machine="aarch64",
            kernel="6.6.31",
            threads=4,
            cores=4,
            governor="performance",
            load_average=0.05,
            versions={"tvm": "0.27.0.post1", "edgetvm": "0.1.0"},
        ),
        steps=(
            StepRecord("import the model", 0.4),
            StepRecord("compile", 12.0, "42 kernels"),
            StepRecord("upload the package", 1.5),
        ),
    )
    return replace(measurement, **changes)
