"""Kernels for Arm boards, run by QEMU's user emulation: real instructions, checked against numpy.

A program without a C library calls the kernels in the order of the module's main function. It reads
all constants and inputs and writes the result.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetvm.boards import BoardProfile
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.lowering import lower_contractions
from edgetvm.compile.schedules import schedule_module
from edgetvm.compile.target import target_for

_EMULATORS = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}
_HEAD = Path(__file__).with_name("emulated.c")
_CODES = {"i": 0, "u": 1, "f": 2}


def emulator(profile: BoardProfile) -> str:
    """QEMU's program for a board's architecture."""
    found = shutil.which(_EMULATORS[profile.architecture])
    if found is None:
        pytest.fail(f"{_EMULATORS[profile.architecture]} is not installed: run scripts/setup test")
    return found


def kernels_for(module: Any, profile: BoardProfile) -> tuple[Any, set[str]]:
    """The kernels of a graph, scheduled, and the rules that answered."""
    from tvm import relax

    module = relax.transform.LegalizeOps()(lower_contractions(profile)(module))
    module = relax.transform.DeadCodeElimination()(module)
    module, rules = schedule_module(module, profile)
    return module, {one.rule for one in rules.values()}


def emulated(module: Any, profile: BoardProfile, data: NDArray[Any], folder: Path) -> NDArray[Any]:
    """What a scheduled module of one input answers on a board.

    Args:
        module: a main function of nothing but kernel calls, and the kernels.
        profile: of the board.
        data: the input.
        folder: for what is built.
    """
    command = emulator(profile)
    calls = _Calls(module, data)
    (folder / "main.c").write_text(_HEAD.read_text() + calls.source())
    compiled_kernels(module, profile).write_to_file(str(folder / "kernels.o"))
    _zig(
        "cc",
        "-target",
        profile.triple.replace("armv7a", "arm"),
        "-O1",
        "-ffreestanding",
        "-fno-stack-protector",
        "-fno-sanitize=all",
        "-c",
        "main.c",
        "-o",
        "main.o",
        folder=folder,
    )
    _zig("ld.lld", "-o", "main", "main.o", "kernels.o", folder=folder)
    given = b"".join(array.tobytes() for array in calls.given)
    done = subprocess.run(
        [command, "-cpu", "max", str(folder / "main")],
        input=given,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr.decode()}"
    return np.frombuffer(done.stdout, calls.dtype).reshape(calls.shape)


def compiled_kernels(module: Any, profile: BoardProfile) -> Any:
    """A scheduled module's kernels, each a function of its own, as TVM's runtime module."""
    import tvm
    from tvm import tirx

    kernels = {
        variable: function.with_attr("global_symbol", variable.name_hint)
        for variable, function in module.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    return tvm.compile(
        tvm.IRModule(kernels), target=target_for(profile), tir_pipeline=kernel_pipeline()
    ).mod


def _zig(*words: str, folder: Path) -> None:
    command = [sys.executable, "-m", "ziglang", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class _Calls:
    """The main function as lines of C."""

    def __init__(self, module: Any, data: NDArray[Any]) -> None:
        main = module["main"]
        self.given: list[NDArray[Any]] = [data]
        self._tensors: list[str] = []
        self._names: dict[Any, str] = {main.params[0]: self._tensor(data.shape, str(data.dtype))}
        self._reads = ["fill(&t0);"]
        self._runs: list[str] = []
        for block in main.body.blocks:
            for binding in block.bindings:
                self._bind(binding)
        self._result = self._names[main.body.body]
        self.shape, self.dtype = _form(main.body.body)

    def _bind(self, binding: Any) -> None:
        from tvm import relax

        if isinstance(binding.value, relax.Var):
            self._names[binding.var] = self._names[binding.value]
            return
        kernel, arguments = binding.value.args[:2]
        names = [self._argument(one) for one in arguments.fields]
        result = self._tensor(*_form(binding.var))
        self._names[binding.var] = result
        listed = ", ".join(f"&{name}" for name in (*names, result))
        count = len(names) + 1
        self._runs.append(
            f"{{ extern kernel __tvm_ffi_{kernel.name_hint}; "
            f"run(__tvm_ffi_{kernel.name_hint}, (tensor *[]){{{listed}}}, {count}); }}"
        )

    def _argument(self, value: Any) -> str:
        from tvm import relax

        if isinstance(value, relax.Var):
            return self._names[value]
        array = value.value.numpy()
        name = self._tensor(array.shape, str(array.dtype))
        self.given.append(array)
        self._reads.append(f"fill(&{name});")
        return name

    def _tensor(self, shape: tuple[int, ...], dtype: str) -> str:
        name, kind = f"t{len(self._tensors)}", np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        sizes = ", ".join(map(str, shape))
        self._tensors.append(
            f"static char {name}_data[{size}] __attribute__((aligned(64)));\n"
            f"static int64_t {name}_shape[] = {{{sizes}}};\n"
            f"static tensor {name} = {{{name}_data, 1, 0, {len(shape)}, {_CODES[kind.kind]}, "
            f"{8 * kind.itemsize}, 1, {name}_shape, 0, 0}};"
        )
        return name

    def source(self) -> str:
        """All tensors, and what is done with them."""
        lines = [*self._reads, *self._runs, f"drain(&{self._result});"]
        body = "\n".join(f"    {line}" for line in lines)
        return "\n".join([*self._tensors, f"\nstatic void all(void)\n{{\n{body}\n}}\n"])


def _form(variable: Any) -> tuple[tuple[int, ...], str]:
    return tuple(int(size) for size in variable.ty.shape), str(variable.ty.dtype)
