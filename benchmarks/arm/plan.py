"""The kernels that one inference calls, with their tensors, in a file that `replay.c` reads.

The virtual machine's program is run on this machine with kernels that do nothing, and every call is
noted. It decides nothing by what kernels compute, so the calls are those of the board. Tensors are
parts of slots of memory; what no kernel made (parameters, inputs) is written with its content.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from edgetvm.measure.peers.case import Arrays, Unavailable

_INTEGER, _REAL, _TENSOR = 1, 3, 7
_ALIGNMENT = 64
# What the virtual machine does itself and moves no data with.
_BUILTINS = "vm.builtin."
# What makes the run depend on what kernels compute.
_DECISIONS = ("vm.builtin.read_if_cond", "vm.builtin.tensor_to_shape")


@dataclass(frozen=True)
class View:
    """A tensor at an address of this process."""

    address: int
    size: int
    code: int
    bits: int
    shape: tuple[int, ...]


@dataclass
class Recording:
    """What one run did.

    Attributes:
        calls: names of kernels with their arguments: views, integers or reals.
        contents: at addresses that no kernel had written to when they were first seen.
        outputs: of the model.
    """

    calls: list[tuple[str, list[View | int | float]]] = field(default_factory=list)
    contents: dict[int, bytes] = field(default_factory=dict)
    outputs: list[View] = field(default_factory=list)


@contextlib.contextmanager
def lowered_module() -> Iterator[list[Any]]:
    """Notes the module that `compile_model` hands to TVM's code generator."""
    from tvm import relax

    seen: list[Any] = []
    build = relax.build

    def noting(module: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(module)
        return build(module, *arguments, **options)

    with patch.object(relax, "build", noting):
        yield seen


def record(module: Any, inputs: Arrays) -> Recording:
    """Run the module's program without its kernels.

    Raises:
        Unavailable: it calls something that is not a kernel of its own.
    """
    import tvm
    from tvm import relax

    from edgetvm.compile.kernel_pipeline import kernel_pipeline

    names = {
        variable.name_hint
        for variable, function in module.functions.items()
        if isinstance(function, tvm.tirx.PrimFunc)
    }
    # With our own pipeline, whose kernels take tensors anywhere in the arena.
    executable = relax.build(
        _without_bodies(module),
        target="llvm",
        relax_pipeline=None,
        tir_pipeline=kernel_pipeline(),
    )
    machine = relax.VirtualMachine(executable, tvm.cpu())
    recording = Recording()
    made: list[tuple[int, int]] = []
    kept: list[Any] = []
    strange: list[str] = []

    def on_call(_: Any, name: str, before: bool, result: Any, *arguments: Any) -> None:
        if not before:
            if name == "vm.builtin.alloc_tensor":
                view = _view(result)
                made.append((view.address, view.address + view.size))
            return
        if name not in names:
            if name in _DECISIONS or not name.startswith(_BUILTINS):
                strange.append(name)
            return
        values: list[View | int | float] = []
        for argument in arguments:
            if isinstance(argument, (int, float)):
                values.append(argument)
                continue
            view = _view(argument)
            values.append(view)
            kept.append(argument)
            if not any(start <= view.address < end for start, end in made):
                recording.contents.setdefault(view.address, argument.numpy().tobytes())
        recording.calls.append((name, values))

    machine.set_instrument(on_call)
    machine.set_input("main", *(tvm.runtime.tensor(array) for array in inputs))
    machine.invoke_stateful("main")
    if strange:
        names_of = ", ".join(sorted(set(strange)))
        raise Unavailable(f"it calls {names_of}, which is no kernel of the library")
    results = machine.get_outputs("main")
    kept.append(results)
    recording.outputs = [
        _view(one) for one in ([results] if hasattr(results, "numpy") else results)
    ]
    return recording


def _without_bodies(module: Any) -> Any:
    from tvm import tirx

    result = module.clone()
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc):
            result[variable] = function.with_body(tirx.Evaluate(tirx.const(0, "int32")))
    return result


def _view(tensor: Any) -> View:
    array = np.from_dlpack(tensor)
    dtype = array.dtype
    code = {"i": 0, "u": 1, "f": 2, "b": 6}[dtype.kind]
    return View(array.ctypes.data, array.nbytes, code, 8 * dtype.itemsize, tuple(array.shape))


def write(recording: Recording, path: Path) -> None:
    """Write a recording: 64-bit words, then names and contents, at places that the words give."""
    views = _views(recording)
    slots = _slots(views, recording)
    numbers = {view: number for number, view in enumerate(views)}
    names = sorted({name for name, _ in recording.calls})

    def words(name_at: dict[str, int], content_at: list[int]) -> list[int]:
        found = [len(slots), len(views), len(recording.calls), len(recording.outputs)]
        for slot, at in zip(slots, content_at, strict=True):
            found += [slot.end - slot.start, at]
        for view in views:
            number = next(
                number for number, slot in enumerate(slots) if slot.start <= view.address < slot.end
            )
            offset = view.address - slots[number].start
            found += [number, offset, view.code, view.bits, len(view.shape), *view.shape]
        for name, arguments in recording.calls:
            found += [name_at[name], len(arguments)]
            for argument in arguments:
                found += _argument(argument, numbers)
        return [*found, *(numbers[view] for view in recording.outputs)]

    empty = words(dict.fromkeys(names, 0), [0] * len(slots))
    parts = bytearray(8 * len(empty))
    name_at = {}
    for name in names:
        name_at[name] = len(parts)
        parts += name.encode() + b"\0"
    content_at = []
    for slot in slots:
        parts += bytes(-len(parts) % _ALIGNMENT)
        content_at.append(len(parts) if slot.content else 0)
        parts += slot.content
    filled = words(name_at, content_at)
    parts[: 8 * len(filled)] = np.asarray(filled, "<i8").tobytes()
    path.write_bytes(parts)


@dataclass
class _Slot:
    start: int
    end: int
    content: bytes


def _views(recording: Recording) -> list[View]:
    found: dict[View, None] = {}
    for _, arguments in recording.calls:
        found |= {view: None for view in arguments if isinstance(view, View)}
    return list(found | dict.fromkeys(recording.outputs))


def _slots(views: list[View], recording: Recording) -> list[_Slot]:
    """The stretches of memory that views cover, where those that overlap are one."""
    slots: list[_Slot] = []
    for view in sorted(views, key=lambda view: (view.address, -view.size)):
        end = view.address + max(view.size, 1)
        if slots and view.address < slots[-1].end:
            slots[-1].end = max(slots[-1].end, end)
        else:
            slots.append(_Slot(view.address, end, b""))
    for slot in slots:
        found = {at: one for at, one in recording.contents.items() if slot.start <= at < slot.end}
        if found:
            content = bytearray(slot.end - slot.start)
            for at, one in found.items():
                content[at - slot.start : at - slot.start + len(one)] = one
            slot.content = bytes(content)
    return slots


def _argument(argument: View | int | float, numbers: dict[View, int]) -> tuple[int, int]:
    if isinstance(argument, View):
        return _TENSOR, numbers[argument]
    if isinstance(argument, int):
        return _INTEGER, argument
    return _REAL, int(np.float64(argument).view(np.int64))
