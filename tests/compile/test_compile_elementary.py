"""Own elementary functions: their errors against float64, and that no call is left in a loop."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetvm.boards import load_profile
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.options import CompileOptions
from edgetvm.compile.target import target_for

Values = NDArray[Any]
_TINY = 1.7e-38


@dataclass(frozen=True)
class Case:
    """A function, what it should give, and the bounds that its module states."""

    reference: Callable[[Values], Values]
    ulps: float
    rough: float = 3e-7


def sigmoid(x: Values) -> Values:
    return 1 / (1 + np.exp(-x))


# np.log1p(x) of a float64 of a float32 below 1e-8 is exact enough; erf is the C library's.
CASES = {
    "exp": Case(np.exp, 1.2, 7e-6),
    "sigmoid": Case(sigmoid, 2.5, 7e-6),
    "tanh": Case(np.tanh, 2.5, 4e-7),
    "erf": Case(np.vectorize(math.erf, otypes=[float]), 2.5, 4e-7),
    "log": Case(np.log, 0.9),
    "log2": Case(np.log2, 1.9),
    "log10": Case(np.log10, 2.0),
    "log1p": Case(np.log1p, 1.5),
}
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-39, 88.72, 88.73, 89.0, -86.9,
     -87.0, -88.0, -103.0, -104.0, 3e38, -3e38, 1.17549435e-38, 9.0, -9.1, 3.92, -4.0],
    np.float32,
)  # fmt: skip


def numbers(step: int) -> NDArray[np.float32]:
    """Float32 of every kind: all bit patterns, one in `step`."""
    return np.concatenate([SPECIAL, np.arange(0, 1 << 32, step, np.uint32).view(np.float32)])


def kernel(
    name: str, size: int, dtype: str, lanes: int | None, function: Callable[[Any], Any]
) -> Any:
    from tvm import s_tir, te

    x = te.placeholder((size,), dtype, name="x")
    y = te.compute((size,), lambda i: function(x[i]), name="y")
    schedule = s_tir.Schedule(te.create_prim_func([x, y]))
    (loop,) = schedule.get_loops(schedule.get_sblock("y"))
    if lanes is not None:
        schedule.vectorize(schedule.split(loop, [None, lanes])[1])
    return schedule.mod["main"].with_attr("global_symbol", name)


def build(
    functions: dict[str, Callable[[Any], Any]],
    profile: BoardProfile,
    size: int,
    rough: bool = False,
    dtype: str = "float32",
    lanes: int | None = 8,
) -> Any:
    import tvm

    kernels = {
        name: kernel(name, size, dtype, lanes, function) for name, function in functions.items()
    }
    module = tvm.IRModule(kernels)
    # LLVM may reassociate where the grade is approximate.
    options = CompileOptions(4 if rough else 3)
    pipeline = kernel_pipeline(options.level.functions)
    return tvm.tirx.build(module, target=target_for(profile, options), pipeline=pipeline)


def call_of(name: str) -> Callable[[Any], Any]:
    from tvm import tirx

    made: Callable[[Any], Any] = getattr(tirx, name)
    return made


def run(library: Any, name: str, x: Values) -> Values:
    import tvm

    out = tvm.runtime.tensor(np.zeros_like(x))
    library[name](tvm.runtime.tensor(x), out)
    found: Values = out.numpy()
    return found


def without_fma() -> BoardProfile:
    return replace(load_profile("x86-avx2"), cpu="x86-64", vector_lanes=4, required_cpu_flags=())


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("fma", [True, False])
def test_errors_stay_below_the_stated_bounds(fma: bool, rough: bool) -> None:
    x = np.resize(numbers(9973), 430_720)
    profile = load_profile("local") if fma else without_fma()
    names = {name: call_of(name) for name in CASES}
    library = build(names, profile, x.size, rough)
    for name in names:
        found = run(library, name, x).astype(np.float64)
        with np.errstate(all="ignore"):
            expected = CASES[name].reference(x.astype(np.float64))
            rounded = expected.astype(np.float32)
        assert np.array_equal(np.isnan(found), np.isnan(expected)), name
        infinite = np.isinf(rounded)
        assert np.array_equal(found[infinite], rounded[infinite]), name
        usual = np.isfinite(rounded)
        error = np.abs(found - expected)[usual]
        size = np.abs(expected)[usual]
        if rough:
            bound = CASES[name].rough * size
        else:
            bound = CASES[name].ulps * np.spacing(size.astype(np.float32)).astype(np.float64)
        if name in ("exp", "sigmoid"):
            bound = np.where(size < _TINY, _TINY, bound)
        assert np.all(error <= bound + 2**-149), (name, float((error / bound).max()))
        if name in ("tanh", "erf", "sigmoid"):
            assert np.abs(found[usual]).max() == 1.0


def test_what_is_too_small_is_zero_and_signs_stay() -> None:
    names = {name: call_of(name) for name in ("exp", "sigmoid", "tanh", "erf")}
    for rough in (False, True):
        library = build(names, load_profile("local"), 8, rough)
        x = np.array([-np.inf, -104, -89, -1e9, np.inf, 0.0, -0.0, -1e-45], np.float32)
        assert run(library, "exp", x).tolist() == [0, 0, 0, 0, np.inf, 1, 1, 1]
        assert run(library, "sigmoid", x)[[0, 3, 4, 5]].tolist() == [0, 0, 1, 0.5]
        for odd in ("tanh", "erf"):
            assert np.signbit(run(library, odd, x)[5:]).tolist() == [False, True, True]


def test_float16_is_computed_in_float32() -> None:
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    names = {name: call_of(name) for name in CASES}
    library = build(names, load_profile("local"), x.size, dtype="float16")
    for name, case in CASES.items():
        found = run(library, name, x)
        with np.errstate(all="ignore"):
            expected = case.reference(x.astype(np.float64)).astype(np.float16)
        np.testing.assert_allclose(
            found.astype(np.float32), expected.astype(np.float32), rtol=1e-3, atol=6e-8
        )


@pytest.mark.parametrize(
    "exponent", [1.0, 2.0, 3.0, 4.0, 1.5, 0.5, -0.5, -1.0, -2.0, -3.5, 0.0, 2.7]
)
def test_powers(exponent: float) -> None:
    from tvm import tirx

    x = np.abs(np.resize(SPECIAL, 32))
    library = build(
        {"pow": lambda base: tirx.pow(base, tirx.const(exponent, "float32"))},
        load_profile("local"),
        x.size,
    )
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), exponent)
        rounded = expected.astype(np.float32)
    found = run(library, "pow", x)
    # Between the least and the largest number: products of denormal numbers lose bits.
    normal = ~((np.abs(expected) > 0) & (np.abs(expected) < 1.2e-38))
    np.testing.assert_allclose(found[normal], rounded[normal], rtol=6e-7)


@pytest.mark.parametrize("divisor", [6.0, -0.3, 49.0, 1e-3, 3e38, 1e-44])
def test_quotients_by_a_constant(divisor: float) -> None:
    from tvm import tirx

    x = np.resize(SPECIAL, 32)
    library = build(
        {"divide": lambda value: value / tirx.const(divisor, "float32")},
        load_profile("local"),
        x.size,
    )
    divided = r"\bvdivp?s"
    # Of the last two, the inverse is no normal number.
    assert bool(re.search(divided, library.inspect_source("asm"))) == (divisor in (3e38, 1e-44))
    with np.errstate(all="ignore"):
        expected = (x.astype(np.float64) / np.float32(divisor)).astype(np.float32)
    normal = ~((np.abs(expected) > 0) & (np.abs(expected) < 1.2e-38))
    np.testing.assert_allclose(run(library, "divide", x)[normal], expected[normal], rtol=1.8e-7)


def test_what_is_rounded_is_divided_first() -> None:
    from tvm import tirx

    steps = np.arange(-16, 16).astype(np.float32) + np.float32(0.5)
    library = build(
        {"rounded": lambda value: tirx.round(value / tirx.const(0.3, "float32"))},
        load_profile("local"),
        steps.size,
    )
    x = steps * np.float32(0.3)
    expected = np.round(x / np.float32(0.3))
    assert (np.round(x * (np.float32(1) / np.float32(0.3))) != expected).any()
    np.testing.assert_array_equal(run(library, "rounded", x), expected)


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("lanes", [None, 4, 16])
@pytest.mark.parametrize("board", ["local", "x86-avx2", "rpi4", "rpi3-32", "qemu-armv7"])
def test_no_call_is_left_in_a_loop(board: str, lanes: int | None, rough: bool) -> None:
    from tvm import tirx

    profile = load_profile(board)
    functions: dict[str, Callable[[Any], Any]] = {name: call_of(name) for name in CASES}
    functions["pow"] = lambda base: tirx.pow(base, tirx.const(-1.5, "float32"))
    library = build(functions, profile, 64, rough, lanes=lanes)
    assembly = library.inspect_source("asm")
    called = set(re.findall(r"^\s+(?:callq?|blx?|b)\s+([A-Za-z_]\w*)", assembly, re.MULTILINE))
    # What checks a kernel's arguments calls to complain, and the kernel its body.
    own = {name for name in called if "compute_" in name or name.startswith(("TVMFFI", "__tvm"))}
    assert called - own == set()
    if profile.architecture == "x86_64":
        wide = "zmm" if profile.vector_lanes == 16 and lanes == 16 else "ymm"
        assert wide in assembly or lanes == 4
    elif profile.architecture == "aarch64" or lanes:
        assert re.search(r"fmla\s+v\d+\.4s|v(?:fma|mul)\.f32\s+q\d+", assembly)
