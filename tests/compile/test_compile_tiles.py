"""Tiles of sums: where they begin, and how they lie over channels and pixels."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetvm.boards import load_profile
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.kernels import contraction
from edgetvm.compile.kernels.contraction import Window
from edgetvm.compile.schedules.beginnings import begun_with_bias
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.depthwise import depthwise
from edgetvm.compile.schedules.tiled import tiled
from edgetvm.compile.target import target_for

WINDOW = Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))


def random(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def kernel(make: Callable[..., Any], *shapes: tuple[int, ...]) -> Any:
    from tvm import te

    inputs = [te.placeholder(shape, "float32", name=f"x{at}") for at, shape in enumerate(shapes)]
    function = te.create_prim_func([*inputs, make(*inputs)], index_dtype_override="int64")
    return function.with_attr("global_symbol", "main")


def product_and(follow: Callable[[Any, Any, Any], Any]) -> Any:
    """A product of 6x8 and 8x16, and what follows it, with a bias and a tensor of its shape."""

    def make(data: Any, weights: Any, bias: Any, other: Any) -> Any:
        return follow(contraction.product(data, weights, 16, "float32"), bias, other)

    return kernel(make, (1, 6, 8), (1, 8, 16), (16,), (1, 6, 16))


def each(element: Callable[..., Any]) -> Callable[..., Any]:
    """From a function of a sum, bias and other tensor at an index to what follows the sums."""
    from tvm import te

    def follow(sums: Any, bias: Any, other: Any) -> Any:
        return te.compute(sums.shape, lambda *at: element(sums, bias, other, *at), name="after")

    return follow


def initial(function: Any) -> str:
    """What the sums of a kernel begin with."""
    import tvm_ffi
    from tvm import s_tir

    found = []
    tvm_ffi.structural_walk(function.body, (s_tir.SBlock, lambda one: found.append(one.init)))
    (init,) = [one for one in found if one is not None]
    return str(init.value)


@pytest.mark.parametrize(
    ("term", "element"),
    [
        ("x2", lambda sums, bias, other, n, y, f: sums[n, y, f] + bias[f]),
        ("x2", lambda sums, bias, other, n, y, f: bias[f] + sums[n, y, f]),
        ("x3", lambda sums, bias, other, n, y, f: sums[n, y, f] + other[n, y, f]),
    ],
)
def test_sums_begin_with_what_is_added_to_them(term: str, element: Callable[..., Any]) -> None:
    begun = begun_with_bias(product_and(each(element)), "contraction")
    assert begun is not None
    assert initial(begun).startswith(term)


@pytest.mark.parametrize(
    "element",
    [
        lambda sums, bias, other, n, y, f: sums[n, y, f] - bias[f],
        lambda sums, bias, other, n, y, f: sums[n, y, f] * bias[f],
        lambda sums, bias, other, n, y, f: sums[n, 5 - y, f] + bias[f],
        lambda sums, bias, other, n, y, f: sums[n, y, f] + sums[n, y, f],
        lambda sums, bias, other, n, y, f: sums[n, y, f] + (bias[f] + other[n, y, f]),
    ],
)
def test_sums_begin_with_nothing_else(element: Callable[..., Any]) -> None:
    assert begun_with_bias(product_and(each(element)), "contraction") is None


def test_sums_that_two_read_begin_with_zero() -> None:
    from tvm import te

    def follow(sums: Any, bias: Any, _: Any) -> Any:
        one = te.compute(sums.shape, lambda n, y, f: sums[n, y, f] + bias[f], name="one")
        return te.compute(sums.shape, lambda n, y, f: one[n, y, f] * sums[n, y, f], name="two")

    assert begun_with_bias(product_and(follow), "contraction") is None


def run(function: Any, *arrays: NDArray[Any]) -> NDArray[Any]:
    import tvm

    profile = load_profile("local")
    out = np.zeros([int(size) for size in function.params[-1].ty.shape], np.float32)
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    built = tvm.tirx.build(module, target=target_for(profile), pipeline=kernel_pipeline())
    tensors = [tvm.runtime.tensor(array) for array in (*arrays, out)]
    built["main"](*tensors)
    found: NDArray[Any] = tensors[-1].numpy()
    return found


def test_features_of_half_a_vector_begin_with_their_own_bias() -> None:
    """The weights behind the last feature are zeros; the bias has none."""
    from tvm import te

    def make(data: Any, weights: Any, bias: Any) -> Any:
        sums = contraction.product(data, weights, 3, "float32")
        return te.compute(sums.shape, lambda n, y, f: sums[n, y, f] + bias[f], name="after")

    data, weights, bias = random(1, 6, 8), random(8, 3), random(3)
    packed = contraction.pack(weights, 4)
    function = kernel(make, data.shape, packed.shape, bias.shape)
    schedule = tiled(function, load_profile("local"), Decisions())
    assert schedule is not None
    found = run(schedule.mod["main"], data, packed, bias)
    np.testing.assert_allclose(found, data @ weights + bias, rtol=1e-5, atol=1e-5)


def depthwise_kernel(channels: int, height: int, width: int) -> Any:
    from tvm import te

    def make(data: Any, weights: Any, bias: Any) -> Any:
        sums = contraction.depthwise(data, weights, WINDOW, "float32")
        return te.compute(sums.shape, lambda n, y, x, c: sums[n, y, x, c] + bias[c], name="after")

    return kernel(make, (1, height, width, channels), (3, 3, channels), (channels,))


@pytest.mark.parametrize("outermost", ["channels", "pixels"])
def test_channels_and_pixels_of_a_depthwise_convolution(outermost: str) -> None:
    data, weights, bias = random(1, 5, 13, 40), random(3, 3, 40), random(40)
    function = depthwise_kernel(40, 5, 13)
    decisions = Decisions({"outermost": outermost})
    schedule = depthwise(function, load_profile("local"), decisions)
    assert schedule is not None
    around = np.pad(data, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = bias + sum(
        around[:, y : y + 5, x : x + 13] * weights[y, x] for y in range(3) for x in range(3)
    )
    np.testing.assert_allclose(
        run(schedule.mod["main"], data, weights, bias), expected, rtol=1e-5, atol=1e-5
    )


def test_operands_in_registers_are_shared_by_as_many_columns_as_fit() -> None:
    import tvm

    profile = load_profile("rpi4")
    decisions = Decisions()
    schedule = depthwise(depthwise_kernel(64, 14, 14), profile, decisions)
    assert schedule is not None
    assert decisions.taken["tile"] == "1x14 points of 1x4 lanes"
    # Narrower than a line of the cache.
    assert decisions.taken["outermost"] == "pixels"
    module = tvm.IRModule({"main": schedule.mod["main"]})
    built = tvm.tirx.build(module, target=target_for(profile), pipeline=kernel_pipeline())
    raising = r"^__tvm_set_raised\w*:.*?^\.Lfunc_end"
    assembly = re.sub(raising, "", built.inspect_source("asm"), flags=re.MULTILINE | re.DOTALL)
    assert "fmla" in assembly
    assert not re.findall(r"\bst[rp]\s+q\d+.*\[sp", assembly)
