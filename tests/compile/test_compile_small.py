"""-Os: what is asked for in words, and kernels that differ in numbers alone."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
import tvm
from made_models import write_tiny
from numpy.typing import NDArray
from tvm import te, tirx

from edgetvm.base.errors import UsageError
from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions, compile_model
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.linker import link_shared
from edgetvm.compile.native.merging import Merging, Use
from edgetvm.compile.native.plain import LEFT_OUT, symbol
from edgetvm.compile.stages import stages
from edgetvm.compile.target import target_for
from edgetvm.models import import_model
from edgetvm.models.fills import fill
from edgetvm.package.executor import Executor
from edgetvm.workflow import find_subject, tune


def mirrored(rows: int, columns: int, border: int, offset: int = 5) -> tirx.PrimFunc:
    """Rows of bytes the other way round, times 3, and an offset but for the last columns."""
    given = te.placeholder((rows, columns), "int8", "given")
    made = te.compute(
        (rows, columns),
        lambda i, j: (
            given[i, columns - 1 - j].astype("int32") * 3
            + tirx.if_then_else(j < columns - border, te.const(offset), te.const(0))
        ),
        "made",
    )
    return te.create_prim_func([given, made])


KERNELS = {
    "first": mirrored(4, 8, 2),
    "larger": mirrored(6, 40, 3),
    "again": mirrored(6, 40, 3),
    "another offset": mirrored(4, 8, 2, offset=7),
    "one column": mirrored(6, 1, 0),
}


def test_kernels_that_differ_in_numbers_are_one(tmp_path: Path) -> None:
    profile, merging = load_profile("local"), Merging()
    kernels = {name: kernel.with_attr("global_symbol", name) for name, kernel in KERNELS.items()}
    with tvm.transform.PassContext(disabled_pass=list(LEFT_OUT)):
        built = tirx.build(
            tvm.IRModule(kernels),
            target_for(profile),
            kernel_pipeline(plain=True, merging=merging),
        )
    uses = merging.uses
    assert {name: use.kernel for name, use in uses.items()} == {
        "again": "again",
        "first": "again",
        "larger": "again",
        # What an instruction is given, or an expression lacks, is no number of a table.
        "another offset": "another offset",
        "one column": "one column",
    }
    assert uses["larger"] == uses["again"] != uses["first"]
    assert uses["one column"] == Use("one column")
    compiled, library = tmp_path / "kernels.o", tmp_path / "kernels.so"
    built.write_to_file(str(compiled))
    link_shared(str(library), [str(compiled)])
    loaded = ctypes.CDLL(str(library))
    for name, (rows, columns, border) in {"first": (4, 8, 2), "larger": (6, 40, 3)}.items():
        given = np.random.default_rng(1).integers(-128, 128, (rows, columns)).astype(np.int8)
        found = _called(loaded, uses[name], given)
        wanted = given[:, ::-1].astype(np.int32) * 3 + 5 * (np.arange(columns) < columns - border)
        np.testing.assert_array_equal(found, wanted)


def _called(loaded: ctypes.CDLL, use: Use, given: NDArray[np.int8]) -> NDArray[np.int32]:
    """What a merged kernel makes of an aligned copy of its input."""
    room = np.zeros(given.size * 5 + 192, np.uint8)
    begin = -room.ctypes.data % 64
    behind = begin + (given.size + 63) // 64 * 64
    source = room[begin : begin + given.size].view(np.int8).reshape(given.shape)
    made = room[behind : behind + 4 * given.size].view(np.int32).reshape(given.shape)
    source[:] = given
    numbers = np.array(use.numbers, np.int32)
    pointers = [ctypes.c_void_p(one.ctypes.data) for one in (source, made, numbers)]
    assert loaded[symbol(use.kernel)](*pointers) == 0
    return made


def test_a_float_model_is_as_exact(tmp_path: Path) -> None:
    model = import_model(write_tiny(tmp_path / "m.onnx"))
    local = load_profile("local")
    inputs = fill(model.signature, "random")
    small, usual = (
        compile_model(model, local, options=options)
        for options in (CompileOptions("s"), CompileOptions())
    )
    found, wanted = (
        Executor(one.library, one.signature).run(inputs)["scores"] for one in (small, usual)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert (small.profile, str(small.options), small.options.level.title) == (
        local,
        "-Os",
        "small",
    )
    assert len(small.library) < len(usual.library)


@pytest.mark.parametrize("level", [5, -1, "z", "3"])
def test_there_are_no_other_levels(level: object) -> None:
    with pytest.raises(UsageError, match="no optimisation level"):
        CompileOptions(level)  # type: ignore[arg-type]


def test_small_code_goes_the_way_of_the_usual_level() -> None:
    assert stages(CompileOptions("s")) == stages(CompileOptions())


def test_tuning_is_not_for_small_code(tmp_path: Path) -> None:
    subject = find_subject(str(write_tiny(tmp_path / "m.onnx")))
    with pytest.raises(UsageError, match="-Os asks for small ones"):
        tune(subject, options=CompileOptions("s"))
