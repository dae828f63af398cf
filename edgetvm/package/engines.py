"""The two ways in which a library is run: by its own function, or by TVM's virtual machine."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.memory.plan import ALIGNMENT_BYTES
from edgetvm.models.model import Signature, TensorSpec

Array = NDArray[np.generic]


@dataclass(frozen=True)
class TimedCall:
    """A call of a kernel, or of a function of the runtime, and how long it took."""

    name: str
    ns: float


class Engine(Protocol):
    """A loaded library.

    Attributes:
        invoke: one run.
    """

    invoke: Callable[[], object]

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        """Set what the next runs take, in the signature's order."""

    def outputs(self) -> list[Array]:
        """Copies of what the last run gave, in the signature's order."""

    def timed_calls(self) -> list[TimedCall]:
        """One run, call by call; what a time stamp costs is subtracted."""

    def watch(self, watcher: Callable[..., int]) -> None:
        """See `Executor.watch`."""


def engine_of(library: Path, signature: Signature) -> Engine:
    """Load a library. Its file may be removed afterwards."""
    import tvm

    module = tvm.runtime.load_module(str(library))
    if module.implements_function("edgetvm_run"):
        return _Native(module, ctypes.CDLL(str(library)), signature)
    return _Machine(module, signature)


class _Native:
    """A library with a function that calls its kernels: `edgetvm/compile/native/entry.py`."""

    def __init__(self, module: Any, library: ctypes.CDLL, signature: Signature) -> None:
        count = ctypes.c_int32.in_dll(library, "edgetvm_blocks").value
        sizes = (ctypes.c_int64 * count).in_dll(library, "edgetvm_block_bytes")
        self._blocks = [_aligned(size) for size in sizes]
        self._addresses = (ctypes.c_void_p * count)(*(one.ctypes.data for one in self._blocks))
        inputs = self._blocks[1 : 1 + len(signature.inputs)]
        outputs = self._blocks[1 + len(signature.inputs) :]
        self._inputs = [_shaped(*one) for one in zip(inputs, signature.inputs, strict=True)]
        self._outputs = [_shaped(*one) for one in zip(outputs, signature.outputs, strict=True)]
        names = ctypes.addressof(ctypes.c_char.in_dll(library, "edgetvm_names"))
        self._names = ctypes.string_at(names).decode().splitlines()
        table = ctypes.cast(self._addresses, ctypes.c_void_p)
        self.invoke: Callable[[], object] = partial(module["edgetvm_run"], table)
        self._call = partial(module["edgetvm_call"], table)

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        for place, array in zip(self._inputs, arrays, strict=True):
            np.copyto(place, array)

    def outputs(self) -> list[Array]:
        return [one.copy() for one in self._outputs]

    def timed_calls(self) -> list[TimedCall]:
        # A call of no kernel costs what each call costs beside its kernel.
        least_ns = median(self._call_ns(len(self._names)) for _ in range(9))
        times_ns = [self._call_ns(index) for index in range(len(self._names))]
        return [
            TimedCall(name, max(0.0, ns - least_ns))
            for name, ns in zip(self._names, times_ns, strict=True)
        ]

    def watch(self, watcher: Callable[..., int]) -> None:
        raise TypeError("a native library shows no tensors: compile it with native=False")

    def _call_ns(self, index: int) -> int:
        began_ns = time.perf_counter_ns()
        self._call(index)
        return time.perf_counter_ns() - began_ns


def _aligned(size_bytes: int) -> NDArray[np.uint8]:
    """Memory that begins where kernels need it to."""
    whole = np.zeros(size_bytes + ALIGNMENT_BYTES, np.uint8)
    begin = -whole.ctypes.data % ALIGNMENT_BYTES
    return whole[begin : begin + size_bytes]


def _shaped(block: NDArray[np.uint8], spec: TensorSpec) -> Array:
    shaped: Array = block.view(spec.dtype).reshape(spec.shape)
    return shaped


class _Machine:
    """A library with a program of TVM's Relax virtual machine."""

    def __init__(self, module: Any, signature: Signature) -> None:
        import tvm
        from tvm import relax

        self._tensor = tvm.runtime.tensor
        self._count = len(signature.outputs)
        self._machine = relax.VirtualMachine(module, tvm.cpu())
        self.invoke: Callable[[], object] = partial(self._machine.module["invoke_stateful"], "main")
        self._stamps: _Stamps | None = None

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        tensors = [self._tensor(np.asarray(array, order="C")) for array in arrays]
        self._machine.set_input("main", *tensors)

    def outputs(self) -> list[Array]:
        results: Any = self._machine.get_outputs("main")
        if self._count == 1 and hasattr(results, "numpy"):
            results = [results]
        return [result.numpy() for result in results]

    def timed_calls(self) -> list[TimedCall]:
        if self._stamps is None:
            self._stamps = _Stamps()
            self._machine.set_instrument(self._stamps)
        return self._stamps.of_a_run(self.invoke)

    def watch(self, watcher: Callable[..., int]) -> None:
        self._machine.set_instrument(watcher)


class _Stamps:
    """What the virtual machine calls before and after each call of a run.

    What a time stamp itself costs is subtracted: every call's arguments are handed to Python, which
    takes microseconds.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._costs_ns: list[float] = []
        self._taken_ns: list[int] = []
        self._known = False
        self._began_ns = 0

    def __call__(self, _function: Any, name: str, before: bool, _value: Any, *args: Any) -> int:
        if not before:
            self._taken_ns.append(time.perf_counter_ns() - self._began_ns)
            return 0
        if not self._known:
            self._names.append(name)
            self._costs_ns.append(_cost_ns(args))
        self._began_ns = time.perf_counter_ns()
        return 0

    def of_a_run(self, run: Callable[[], object]) -> list[TimedCall]:
        """Each call of one run."""
        self._taken_ns = []
        run()
        self._known = True
        # The shortest call does nothing to speak of: its time is the stamp's.
        least_ns = min(self._taken_ns, default=0)
        return [
            TimedCall(name, max(0.0, taken_ns - least_ns - cost_ns))
            for name, cost_ns, taken_ns in zip(
                self._names, self._costs_ns, self._taken_ns, strict=True
            )
        ]


def _cost_ns(args: Sequence[Any]) -> float:
    """What it costs to hand these arguments to Python, which a stamp's time includes."""
    import tvm_ffi

    nothing = tvm_ffi.convert(lambda *_: None)

    def median_ns(*given: Any) -> float:
        samples = []
        for _ in range(9):
            began_ns = time.perf_counter_ns()
            nothing(*given)
            samples.append(time.perf_counter_ns() - began_ns)
        return median(samples)

    return max(0.0, median_ns(*args) - median_ns())
