"""What a board does for edgetvm, beside the stock RPC vocabulary.

Each function takes a JSON request and a payload, and answers with one message: a JSON header and
a payload. A session is a process of its own, so the open package is the process's.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.base.errors import BoardError, EdgetvmError, PackageError
from edgetvm.base.version import __version__
from edgetvm.farm.board_pacing import paced
from edgetvm.farm.conditions_now import conditions_now, temperature_c, throttled_flags
from edgetvm.package.archive import verify_package
from edgetvm.package.arrays import pack, unpack
from edgetvm.package.cores import keep_apart
from edgetvm.package.crossbuild import BuiltRuntime
from edgetvm.package.deployed import opened, runs_in_c
from edgetvm.package.executor import fitting_target
from edgetvm.package.running import RunningModel

Answer = tuple[dict[str, Any], bytes]

# A sleep ends late by less than this, mostly.
_SPIN_NS = 200_000

# Exit code of the session before this one, where it died; a session's process inherits it.
last_exit_code: int | None = None

_executor: RunningModel | None = None
# What boards run packages in; a session's process inherits it. Without it TVM's runtime runs them.
runtime: BuiltRuntime | None = None
_resident_before_open_bytes = 0


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _opened() -> RunningModel:
    if _executor is None:
        raise PackageError("no package is open in this session", mend="open one first")
    return _executor


def facts(_request: dict[str, Any], _payload: bytes) -> Answer:
    """What the board is and how it stands now."""
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    cpu = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            cpu = value.strip()
            break
    return {
        "version": __version__,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cpu": cpu or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "governor": governor.read_text().strip() if governor.is_file() else None,
        "load_average": os.getloadavg()[0],
        "temperature_c": temperature_c(),
        "throttled": _throttled(),
        "last_exit_code": last_exit_code,
    }, b""


def _throttled() -> bool | None:
    """Whether a Raspberry Pi slows down now, for heat or lack of power; None on other boards."""
    # The firmware's bits 0 to 3: under-voltage, capped, throttled, soft limit of temperature.
    flags = throttled_flags()
    return None if flags is None else flags & 0xF != 0


def conditions(_request: dict[str, Any], _payload: bytes) -> Answer:
    """How the machine and this session stand now: see `edgetvm.measure.conditions`."""
    return conditions_now(), b""


def open_package(request: dict[str, Any], _payload: bytes) -> Answer:
    """Verify the uploaded package `file`, load it and run its sample once.

    Answers with `open_ns` (bytes on the board to ready), `first_run_ns`, the `threads` that it
    runs on, the `profile` of the target that was taken, and the sample's outputs.
    """
    global _executor, _resident_before_open_bytes  # noqa: PLW0603 - the session's one package
    import tvm  # noqa: F401 - the runtime belongs to the server, not to the model's cold start

    # What was open before is no part of what this package takes.
    _executor = None
    # "5" resets the high-water mark of resident memory: see proc(5), clear_refs.
    with suppress(OSError):  # a kernel without it: the mark then stands where the fork set it
        Path("/proc/self/clear_refs").write_text("5")
    _resident_before_open_bytes = _status_bytes("VmRSS")
    began_ns = time.perf_counter_ns()
    package = verify_package(Path(request["file"]).read_bytes(), request["file"])
    target = fitting_target(package.manifest)
    if runtime is not None and runs_in_c(target):
        began_ns = time.perf_counter_ns()  # it verifies the package itself
    executor = opened(Path(request["file"]), package, target, runtime, request["threads"])
    open_ns = time.perf_counter_ns() - began_ns
    executor.set_inputs(package.sample_inputs)
    first_run_ns = executor.run_ns()
    _executor = executor
    described, payload = pack(executor.outputs())
    return {
        "open_ns": open_ns,
        "first_run_ns": first_run_ns,
        "threads": executor.threads,
        "profile": target.profile,
        "arrays": described,
    }, payload


def run(request: dict[str, Any], payload: bytes) -> Answer:
    """One run on the arrays of the payload. Answers with the outputs and `duration_ns`."""
    executor = _opened()
    executor.set_inputs(unpack(request["arrays"], payload))
    duration_ns = executor.run_ns()
    described, data = pack(executor.outputs())
    return {"duration_ns": duration_ns, "arrays": described}, data


def time_queries(request: dict[str, Any], payload: bytes) -> Answer:
    """Run `count` queries of `runs` runs each, with a stamp before and after each query.

    They run on the inputs that were last set, or on the arrays of the payload. Where they are
    `paced` the payload's only array, int64 `[count]`, tells when each arrives, in nanoseconds from
    the beginning, ascending; without it each arrives when the one before is done. No query begins
    after `max_s` seconds, counted from the first arrival. With `threads` the runs share their work
    among fewer than the package was opened with.

    Answers with int64 `[queries, 2]`, when each began and ended in nanoseconds from the beginning,
    and with `on_board_ns`, how long it all took.
    """
    executor = _opened()
    executor.share_among(request["threads"] or executor.threads)
    arrivals_ns: list[int] = []
    if request["paced"]:
        arrivals_ns = _arrivals_ns(request, payload)
    elif request["arrays"]:
        executor.set_inputs(unpack(request["arrays"], payload))
    zero_ns = time.perf_counter_ns()
    first_ns = arrivals_ns[0] if arrivals_ns else 0
    until_ns = zero_ns + first_ns + int(request["max_s"] * 1e9)
    invoke, again = executor.invoke, range(request["runs"] - 1)
    stamps_ns = []
    for index in range(request["count"]):
        if arrivals_ns:
            _wait_until(zero_ns + arrivals_ns[index])
        began_ns = time.perf_counter_ns()
        invoke()
        for _ in again:
            invoke()
        ended_ns = time.perf_counter_ns()
        stamps_ns.append((began_ns, ended_ns))
        if ended_ns > until_ns:
            break
    on_board_ns = time.perf_counter_ns() - zero_ns
    if request["threads"]:
        executor.share_among(executor.threads)
    table = np.asarray(stamps_ns, "<i8").reshape(-1, 2) - zero_ns
    return {"on_board_ns": on_board_ns}, table.tobytes()


def time_kernels(request: dict[str, Any], _payload: bytes) -> Answer:
    """Run `count` times, or for `max_s` seconds, on the inputs that were last set, and time each
    call of a kernel.

    Answers with the `names` of the calls, and int64 `[runs, 1 + calls]`: how long each run and each
    of its calls took, in nanoseconds. Later runs may be slower.
    """
    executor = _opened()
    executor.share_among(executor.threads)
    until_ns = time.perf_counter_ns() + int(request["max_s"] * 1e9)
    names: list[str] = []
    rows = []
    for _ in range(request["count"]):
        began_ns = time.perf_counter_ns()
        calls = executor.timed_calls()
        ended_ns = time.perf_counter_ns()
        names = [one.name for one in calls]
        rows.append([ended_ns - began_ns, *(round(one.ns) for one in calls)])
        if ended_ns > until_ns:
            break
    return {"names": names}, np.asarray(rows, "<i8").tobytes()


def _arrivals_ns(request: dict[str, Any], payload: bytes) -> list[int]:
    arrays = list(unpack(request["arrays"], payload).values())
    if len(arrays) != 1 or arrays[0].dtype != np.int64 or arrays[0].shape != (request["count"],):
        raise BoardError(
            "the arrivals are not those of the queries", mend="send an int64 for each query"
        )
    found = [int(one) for one in arrays[0]]
    if found != sorted(found) or min(found, default=0) < 0:
        raise BoardError("the arrivals are not in order", mend="send them in ascending order")
    return found


def _wait_until(at_ns: int) -> None:
    """Sleep, and spin away what a sleep's end may be late by."""
    left_ns = at_ns - time.perf_counter_ns()
    if left_ns > _SPIN_NS:
        time.sleep((left_ns - _SPIN_NS) / 1e9)
    while time.perf_counter_ns() < at_ns:
        pass


def stream(request: dict[str, Any], payload: bytes) -> Answer:
    """Run the chunks of the payload back to back, the state carried.

    The payload's arrays are `[chunks, *shape]` for each input that is not a state. Answers with
    `[chunks, *shape]` for each output that is not a state, and `service_ns`, `[chunks]`.
    A chunk's service time covers setting its inputs, the run, and reading its outputs.
    """
    executor = _opened()
    signature = executor.signature
    chunks = unpack(request["arrays"], payload)
    states = {state.input: state.output for state in signature.states}
    carried = signature.initial_states()
    kept: dict[str, list[Any]] = {
        spec.name: [] for spec in signature.outputs if spec.name not in states.values()
    }
    service_ns = []
    for index in range(len(next(iter(chunks.values())))):
        inputs = {name: array[index] for name, array in chunks.items()}
        began_ns = time.perf_counter_ns()
        outputs = executor.run({**inputs, **carried})
        carried = {source: outputs[result] for source, result in states.items()}
        service_ns.append(time.perf_counter_ns() - began_ns)
        for name, values in kept.items():
            values.append(outputs[name])
    results = {name: np.stack(values) for name, values in kept.items()}
    described, data = pack({**results, "service_ns": np.asarray(service_ns, "int64")})
    return {"arrays": described}, data


def pace(request: dict[str, Any], payload: bytes) -> Answer:
    """Run chunks as they arrive, in several streams: see `board_pacing.paced`."""
    chunks = unpack(request["arrays"], payload)
    described, data = pack(paced(_opened(), request, chunks))
    return {"arrays": described}, data


def threads(_request: dict[str, Any], _payload: bytes) -> Answer:
    """Make ready to time kernels by themselves: workers are off the core of the session.

    Answers with the `threads` that share a kernel.
    """
    return {"threads": keep_apart()}, b""


def memory(_request: dict[str, Any], _payload: bytes) -> Answer:
    """The most memory held since the package was opened, beyond what the server held before."""
    peak_bytes = _status_bytes("VmHWM") - _resident_before_open_bytes
    return {"peak_memory_bytes": max(peak_bytes, 0)}, b""


# Offered under "edgetvm.NAME".
FUNCTIONS: dict[str, Callable[[dict[str, Any], bytes], Answer]] = {
    "facts": facts,
    "conditions": conditions,
    "open": open_package,
    "run": run,
    "time_queries": time_queries,
    "time_kernels": time_kernels,
    "stream": stream,
    "pace": pace,
    "memory": memory,
    "threads": threads,
}


def encode(header: dict[str, Any], payload: bytes) -> bytes:
    """One message: u32 length of the header, the header as JSON, the payload."""
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + payload


def decode(message: bytes) -> Answer:
    """The header and payload of `encode`."""
    (size_bytes,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + size_bytes]), message[4 + size_bytes :]


def _answering(function: Callable[[dict[str, Any], bytes], Answer]) -> Callable[[bytes], bytes]:
    def answer(message: Any) -> bytes:
        try:
            return encode(*function(*decode(bytes(message))))
        except EdgetvmError as error:
            told = {"kind": type(error).__name__, "what": error.what, "mend": error.mend}
        except MemoryError:
            told = {"kind": "BoardMemoryError", "what": "the board has too little memory"}
        except Exception as error:  # whatever went wrong must reach the host in words
            told = {"kind": "BoardError", "what": f"{type(error).__name__}: {error}"}
        return encode({"error": told}, b"")

    return answer


def register() -> None:
    """Offer the functions to RPC clients of this process."""
    import tvm_ffi

    for name, function in FUNCTIONS.items():
        tvm_ffi.register_global_func(f"edgetvm.{name}", _answering(function), override=True)
