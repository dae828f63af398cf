"""Where the time of one model goes: edgetvm's kernels one by one, peers by kind of operator."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.measure.peers.case import Case
from edgetvm.models.model import Signature

_RUNS = 30


@dataclass
class Share:
    """All calls of one kernel in a run.

    Attributes:
        rule: that scheduled it; empty for the runtime's own calls.
        operations: floating-point, of all calls; None where TVM cannot count them.
        moved_bytes: of all its tensors.
    """

    name: str
    rule: str
    calls: int
    us: float
    operations: float | None
    moved_bytes: int


def edgetvm_shares(case: Case, threads: int) -> tuple[list[Share], float, float]:
    """Kernels by time, the sum of their times, and a whole run without instruments, microseconds.

    Times are taken inside real runs, so caches are as in a run; what the stamps cost is subtracted.
    """
    from edgetvm.boards.profile import load_profile
    from edgetvm.compile import compile_model
    from edgetvm.compile.compiler import optimise
    from edgetvm.compile.memory.joins import PLACED
    from edgetvm.measure.kernel_times import time_kernels
    from edgetvm.models import import_model
    from edgetvm.package.executor import Executor

    profile = dataclasses.replace(load_profile("local"), cores=threads)
    model = import_model(case.file)
    operations = _operations(optimise(model, profile))
    artifact = compile_model(model, profile)
    executor = Executor(artifact.library, artifact.signature, threads)
    executor.set_inputs(_given(case, model.signature))
    times = time_kernels(executor, _RUNS)
    kernels = {kernel.name: kernel for kernel in artifact.kernels}
    found = []
    for one in times.functions:
        kernel, each = kernels.get(one.name), operations.get(one.name.partition(PLACED)[0])
        rule, moved = (kernel.rule, kernel.moved_bytes * one.calls) if kernel else ("", 0)
        total = None if each is None else each * one.calls
        found.append(Share(one.name, rule, one.calls, one.us, total, moved))
    found.sort(key=lambda share: -share.us)
    return found, sum(share.us for share in found), times.run_us


def _given(case: Case, signature: Signature) -> dict[str, NDArray[np.generic]]:
    states = signature.initial_states()
    names = [spec.name for spec in signature.inputs if spec.name not in states]
    return dict(zip(names, case.input_arrays(), strict=True)) | states


def _operations(module: Any) -> dict[str, float]:
    """Floating-point operations of one call of each kernel."""
    from tvm import IRModule, s_tir, tirx

    counts = {}
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc):
            try:
                alone = IRModule({"main": function})
                counts[variable.name_hint] = float(s_tir.analysis.estimate_tir_flops(alone))
            except Exception:  # TVM cannot count all that it can compile
                continue
    return counts


def peer_operators(case: Case, threads: int) -> dict[str, list[tuple[str, int, float]]]:
    """By peer, kinds of operators: name, how many, microseconds of a run, as it profiles itself."""
    found = {"openvino": _openvino_operators(case, threads)}
    if case.format == "onnx":
        found["onnxruntime"] = _onnxruntime_operators(case, threads)
    return found


def _onnxruntime_operators(case: Case, threads: int) -> list[tuple[str, int, float]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(
            str(case.simplified or case.file), options, providers=["CPUExecutionProvider"]
        )
        arrays = dict(zip(case.inputs, case.input_arrays(), strict=True))
        for _ in range(_RUNS):
            session.run(None, arrays)
        events = json.loads(Path(session.end_profiling()).read_text())
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            samples[event["args"]["op_name"], event["name"]].append(event["dur"])
    return _summed((kind, median(durations)) for (kind, _), durations in samples.items())


def _openvino_operators(case: Case, threads: int) -> list[tuple[str, int, float]]:
    import openvino
    from openvino import properties
    from openvino.properties import hint

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(str(case.file)),
        "CPU",
        {
            hint.inference_precision: openvino.Type.f32,
            hint.performance_mode: hint.PerformanceMode.LATENCY,
            properties.inference_num_threads: threads,
            properties.enable_profiling: True,
        },
    )
    request = compiled.create_infer_request()
    for port, array in zip(compiled.inputs, case.input_arrays(), strict=True):
        request.set_tensor(port, openvino.Tensor(array.copy()))
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(_RUNS):
        request.infer()
        for node in request.profiling_info:
            us = node.real_time.total_seconds() * 1e6
            samples[f"{node.node_type} {node.exec_type}", node.node_name].append(us)
    return _summed((kind, median(durations)) for (kind, _), durations in samples.items())


def _summed(each: Any) -> list[tuple[str, int, float]]:
    counts, times = Counter[str](), Counter[str]()
    for kind, us in each:
        counts[kind] += 1
        times[kind] += us
    return [(kind, counts[kind], us) for kind, us in times.most_common() if us > 0]


def report(case: Case, threads: int) -> None:
    """Print it all."""
    os.environ["TVM_NUM_THREADS"] = str(threads)
    os.environ["TVM_BIND_THREADS"] = "0"
    shares, total_us, whole_us = edgetvm_shares(case, threads)
    print(f"{case.name}, {threads} thr: edgetvm's kernels, as they are in a run")
    print(
        f"{'us':>9}{'share':>7}{'calls':>6}{'us each':>9}{'GFLOP/s':>9}{'GB/s':>7}  kernel [rule]"
    )
    for one in shares:
        rate = "-" if not one.operations else f"{one.operations / max(one.us, 1e-3) / 1e3:.1f}"
        moved = f"{one.moved_bytes / max(one.us, 1e-3) / 1e3:.1f}"
        print(
            f"{one.us:9.1f}{one.us / total_us:7.1%}{one.calls:6}{one.us / one.calls:9.2f}{rate:>9}"
            f"{moved:>7}  {one.name} [{one.rule}]"
        )
    print(f"{total_us:9.1f} in all; a run without stamps takes {whole_us:.1f} us")
    for peer, kinds in peer_operators(case, threads).items():
        print(f"\n{peer}: {sum(us for _, _, us in kinds):.1f} us in operators, by its own profile")
        for kind, count, us in kinds:
            print(f"{us:9.1f}{count:13}  {kind}")
