"""Where the time of one model goes: edgetvm's kernels one by one, peers by kind of operator."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.latency.case import Case

_WARM, _RUNS = 5, 30


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
    from edgetvm.models import import_model

    profile = dataclasses.replace(load_profile("local"), cores=threads)
    model = import_model(case.file)
    operations = _operations(optimise(model, profile))
    artifact = compile_model(model, profile)
    states = model.signature.initial_states()
    arrays = iter(case.input_arrays())
    given = [
        states[spec.name] if spec.name in states else next(arrays)
        for spec in model.signature.inputs
    ]
    machine = _machine(artifact.library, given)
    whole_us = _whole_us(machine)
    calls = _calls(machine)
    rules = {kernel.name: kernel.rule for kernel in artifact.kernels}
    shares: dict[str, Share] = {}
    for name, us, moved in calls:
        one = shares.setdefault(name, Share(name, rules.get(name, ""), 0, 0.0, 0.0, 0))
        one.calls += 1
        one.us += us
        one.moved_bytes += moved
    for name, one in shares.items():
        each = operations.get(name.partition(PLACED)[0])
        one.operations = None if each is None else each * one.calls
    found = sorted(shares.values(), key=lambda share: -share.us)
    return found, sum(share.us for share in found), whole_us


def _machine(library: bytes, given: list[Any]) -> Any:
    import tvm
    from tvm import relax

    # The library leaves libm's functions undefined: they must be in the global scope.
    ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.so")
        path.write_bytes(library)
        module = tvm.runtime.load_module(str(path))
    machine = relax.VirtualMachine(module, tvm.cpu())
    machine.set_input("main", *(tvm.runtime.tensor(array) for array in given))
    return machine


def _whole_us(machine: Any) -> float:
    invoke = machine.module["invoke_stateful"]
    samples = []
    for _ in range(_WARM + _RUNS):
        began = time.perf_counter_ns()
        invoke("main")
        samples.append(time.perf_counter_ns() - began)
    return median(samples[_WARM:]) / 1e3


def _calls(machine: Any) -> list[tuple[str, float, int]]:
    """Each call of a run: what is called, the median of its times, bytes of its tensors."""
    runs: list[list[int]] = []
    called: list[tuple[str, int]] = []
    stamps_ns: list[float] = []
    began = 0

    def instrument(_function: Any, name: str, before: bool, _value: Any, *args: Any) -> int:
        nonlocal began
        if before:
            if len(runs) == 1:
                called.append((name, sum(map(_bytes, args))))
                stamps_ns.append(_stamp_ns(args))
            began = time.perf_counter_ns()
        else:
            runs[-1].append(time.perf_counter_ns() - began)
        return 0

    machine.set_instrument(instrument)
    invoke = machine.module["invoke_stateful"]
    for _ in range(_WARM + _RUNS):
        runs.append([])
        invoke("main")
    medians = [median(samples) for samples in zip(*runs[_WARM:], strict=True)]
    least_ns = min(medians)
    return [
        (name, max(0.0, ns - least_ns - stamp_ns) / 1e3, moved)
        for (name, moved), ns, stamp_ns in zip(called, medians, stamps_ns, strict=True)
    ]


def _stamp_ns(args: tuple[Any, ...]) -> float:
    """What it costs to hand these arguments to Python, which a stamp's time includes."""
    import tvm_ffi

    nothing = tvm_ffi.convert(lambda *_: None)

    def cost_ns(*given: Any) -> float:
        samples = []
        for _ in range(9):
            began = time.perf_counter_ns()
            nothing(*given)
            samples.append(time.perf_counter_ns() - began)
        return median(samples)

    return max(0.0, cost_ns(*args) - cost_ns())


def _bytes(value: Any) -> int:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return 0
    return int(np.prod([int(axis) for axis in value.shape]) * np.dtype(str(value.dtype)).itemsize)


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
