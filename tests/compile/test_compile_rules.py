"""Rules that write their own loops: what they compute, which of them answers, and where."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetvm.boards import load_profile
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.schedules import groups, schedule_module
from edgetvm.compile.target import target_for

Array = NDArray[Any]
# From arrays in to the array out, in float64.
Reference = Callable[..., Array]


def softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def layer_norm(x: Array, scale: Array, shift: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale + shift


def instance_norm(x: Array, scale: Array, shift: Array) -> Array:
    centred = x - x.mean((2, 3), keepdims=True)
    norm = centred / np.sqrt((centred**2).mean((2, 3), keepdims=True) + 1e-5)
    return norm * scale[:, None, None] + shift[:, None, None]


def pooled(x: Array, size: int, stride: int, pad: int, of: str) -> Array:
    """Of NHWC, window by window; the mean is of what is there."""
    _, height, width, _ = x.shape
    rows = []
    for top in range(-pad, height + pad - size + 1, stride):
        row = []
        for left in range(-pad, width + pad - size + 1, stride):
            window = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
            row.append(getattr(window, of)((1, 2)))
        rows.append(np.stack(row, 1))
    return np.stack(rows, 1)


def linear_2x(x: Array) -> Array:
    """Of NHWC, to twice the size, pixels taken as areas."""
    for axis in (1, 2):
        place = (np.arange(2 * x.shape[axis]) + 0.5) / 2 - 0.5
        low = np.floor(place).astype(int)
        part = (place - low).reshape([-1 if at == axis else 1 for at in range(4)])
        first, second = (np.clip(one, 0, x.shape[axis] - 1) for one in (low, low + 1))
        x = x.take(first, axis) * (1 - part) + x.take(second, axis) * part
    return x


def build(make: Callable[..., Any], shapes: Sequence[Sequence[int]], dtype: str) -> Any:
    """A kernel from operators of topi."""
    from tvm import te

    inputs = [te.placeholder(shape, dtype, name=f"x{at}") for at, shape in enumerate(shapes)]
    results = make(*inputs)
    results = list(results) if isinstance(results, (list, tuple)) else [results]
    return te.create_prim_func([*inputs, *results], index_dtype_override="int64")


def scheduled(function: Any, profile: BoardProfile) -> tuple[Any, str]:
    """The kernel with its default schedule, and the rule that answered."""
    import tvm

    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    module, rules = schedule_module(module, profile)
    return module, rules["main"].rule


def library_of(module: Any, profile: BoardProfile) -> Any:
    import tvm

    return tvm.tirx.build(module, target=target_for(profile), pipeline=kernel_pipeline())


def answers(function: Any, profile: BoardProfile, arrays: Sequence[Array]) -> tuple[Array, str]:
    import tvm

    module, rule = scheduled(function, profile)
    result = function.params[len(arrays)].ty
    out = np.zeros([int(size) for size in result.shape], str(result.dtype))
    tensors = [tvm.runtime.tensor(array) for array in (*arrays, out)]
    library_of(module, profile)["main"](*tensors)
    found: Array = tensors[-1].numpy()
    return found, rule


def topi(name: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
    """An operator of topi with what follows its tensors."""

    def make(*tensors: Any) -> Any:
        import tvm.topi

        function: Any = tvm.topi
        for part in name.split("."):
            function = getattr(function, part)
        return function(*tensors, *arguments, **options)

    return make


def pool(size: int, stride: int, pad: int, of: str, layout: str = "NHWC") -> Callable[..., Any]:
    return topi(
        "nn.pool2d", (size, size), (stride, stride), (1, 1), (pad,) * 4, of, layout=layout,
        count_include_pad=False,
    )  # fmt: skip


def channels_first(reference: Reference) -> Reference:
    return lambda x: reference(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def relu(make: Callable[..., Any]) -> Callable[..., Any]:
    def both(*tensors: Any) -> Any:
        from tvm import topi as operators

        return operators.nn.relu(make(*tensors))

    return both


def positive(reference: Reference) -> Reference:
    return lambda *arrays: np.maximum(reference(*arrays), 0)


RESIZE = {"roi": (0, 0, 0, 0), "layout": "NHWC"}
NEAREST = {"method": "nearest_neighbor", "coordinate_transformation_mode": "asymmetric",
           "rounding_method": "floor"}  # fmt: skip
# Rule, kernel, reference, shapes of the inputs. Sizes that no vector divides, primes, and 1.
CASES: dict[str, tuple[str, Callable[..., Any], Reference, list[tuple[int, ...]]]] = {
    **{
        f"softmax {shape}": ("rows", topi("nn.softmax"), softmax, [shape])
        for shape in [(7, 2), (2, 3, 64), (5, 67), (1, 1000), (4, 1031)]
    },
    "softmax of one": ("columns", topi("nn.softmax"), np.ones_like, [(3, 1)]),
    "log softmax": (
        "rows", topi("nn.log_softmax"), lambda x: np.log(softmax(x)), [(3, 5, 37)],
    ),
    **{
        f"layer norm {shape}": (
            "rows", topi("nn.layer_norm", [len(shape) - 1], 1e-5), layer_norm,
            [shape, shape[-1:], shape[-1:]],
        )
        for shape in [(2, 3, 16), (5, 37), (1, 384)]
    },
    "instance norm": (
        "rows", topi("nn.instance_norm", channel_axis=1, axis=[2, 3]), instance_norm,
        [(2, 3, 5, 7), (3,), (3,)],
    ),
    **{
        f"sum {shape} {axis}": (
            rule, topi("sum", axis), lambda x, axis=axis: x.sum(axis), [shape],
        )
        for rule, shape, axis in [
            ("rows", (3, 100), 1), ("rows", (2, 3, 5, 7), (2, 3)), ("rows", (1000,), 0),
            ("columns", (13, 37), 0), ("columns", (2, 5, 7, 24), (1, 2)), ("rows", (9, 1), 0),
            ("columns", (2, 7, 3), 1),
        ]
    },
    "max of rows": ("rows", topi("max", 1), lambda x: x.max(1), [(4, 61)]),
    "mean, channels first": ("rows", topi("nn.adaptive_pool", (1, 1), "avg"),
        lambda x: x.mean((2, 3), keepdims=True), [(1, 6, 7, 7)]),
    **{
        f"pool {size} {stride} {pad} {of} {shape}": (
            "columns", pool(size, stride, pad, "max" if of == "max" else "avg"),
            lambda x, size=size, stride=stride, pad=pad, of=of: pooled(x, size, stride, pad, of),
            [shape],
        )
        for size, stride, pad, of, shape in [
            (3, 2, 1, "max", (1, 9, 11, 20)), (2, 2, 0, "max", (2, 6, 4, 3)),
            (3, 1, 1, "mean", (1, 5, 7, 35)), (5, 1, 2, "max", (1, 7, 7, 16)),
        ]
    },
    **{
        f"pool {size} {stride} channels first": (
            rule, pool(size, stride, 1, "max", "NCHW"),
            channels_first(lambda x, size=size, stride=stride: pooled(x, size, stride, 1, "max")),
            [(1, 3, 11, 21)],
        )
        for rule, size, stride in [("columns", 3, 1), ("register tile", 3, 2)]
    },
    "pool, then relu": (
        "columns", relu(pool(3, 2, 1, "avg")),
        positive(lambda x: pooled(x, 3, 2, 1, "mean")), [(1, 7, 7, 19)],
    ),
    **{
        f"transpose {shape} {order}": (
            "elements", topi("transpose", order), lambda x, order=order: x.transpose(order), [shape]
        )
        for shape, order in [
            ((37, 53), (1, 0)), ((3, 17, 19), (1, 2, 0)), ((5, 6, 7, 8), (0, 2, 1, 3)),
            ((1, 9, 12, 3), (0, 3, 1, 2)), ((16, 32), (1, 0)), ((2, 3, 4, 5), (3, 2, 1, 0)),
            ((4, 5, 21), (0, 2, 1)), ((1, 5, 13, 3), (0, 3, 1, 2)),
        ]
    },
    "transpose, then relu": (
        "elements", relu(topi("transpose", (0, 2, 1))),
        positive(lambda x: x.transpose(0, 2, 1)), [(2, 21, 35)],
    ),
    "nearest": (
        "elements", topi("image.resize2d", size=(10, 14), **RESIZE, **NEAREST),
        lambda x: x.repeat(2, 1).repeat(2, 2), [(1, 5, 7, 19)],
    ),
    "nearest, channels first": (
        "elements", topi("image.resize2d", (0,) * 4, (10, 14), "NCHW", **NEAREST),
        lambda x: x.repeat(2, 2).repeat(2, 3), [(1, 3, 5, 7)],
    ),
    "linear": (
        "elements", topi("image.resize2d", size=(10, 14), method="linear", **RESIZE), linear_2x,
        [(1, 5, 7, 19)],
    ),
    **{
        f"concat {axis}": (
            "elements", lambda *x, axis=axis: topi("concatenate", axis)(x),
            lambda *x, axis=axis: np.concatenate(x, axis),
            [tuple(size if at == axis else (2, 3, 5)[at] for at in range(3)) for size in sizes],
        )
        for axis, sizes in [(0, (1, 4)), (1, (3, 1, 2)), (2, (17, 5, 32))]
    },
    "concat, then relu": (
        "elements", relu(lambda *x: topi("concatenate", -1)(x)),
        positive(lambda *x: np.concatenate(x, -1)), [(3, 20), (3, 13)],
    ),
    "pad": (
        "elements", topi("nn.pad", (0, 1, 2, 0), (0, 2, 0, 3), 1.5),
        lambda x: np.pad(x, ((0, 0), (1, 2), (2, 0), (0, 3)), constant_values=1.5),
        [(1, 4, 5, 18)],
    ),
    "slice": (
        "elements", topi("strided_slice", [1, 3], [4, 40], [1, 1]), lambda x: x[1:4, 3:40],
        [(5, 41)],
    ),
    "slice with a step": (
        "elements", topi("strided_slice", [0, 1], [5, 40], [2, 3]), lambda x: x[0:5:2, 1:40:3],
        [(5, 41)],
    ),
    "broadcast": (
        "elements", topi("add"), lambda x, y: x + y, [(3, 1, 37), (5, 1)],
    ),
    "chain": (
        "elements", relu(topi("multiply")), positive(lambda x, y: x * y), [(2, 3, 67), (2, 3, 67)],
    ),
    "sigmoid": ("elements", topi("sigmoid"), lambda x: 1 / (1 + np.exp(-x)), [(257,)]),
    "one element": ("elements", topi("exp"), np.exp, [(1, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_a_rule_computes_what_numpy_does(
    name: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, make, reference, shapes = CASES[name]
    # As if everything were worth all cores.
    monkeypatch.setattr(groups, "_WORK_OF_A_START", 0)
    profile = dataclasses.replace(load_profile("local"), cores=cores)
    random = np.random.default_rng(1)
    arrays = [random.standard_normal(shape, np.float32) for shape in shapes]
    found, answered = answers(build(make, shapes, "float32"), profile, arrays)
    expected = reference(*(array.astype(np.float64) for array in arrays))
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=2e-6, atol=2e-6)
    assert answered == rule


@pytest.mark.parametrize("board", ["x86-avx2", "rpi4", "rpi3-32"])
def test_other_boards_get_vectors_and_no_calls(board: str) -> None:
    import tvm

    profile = load_profile(board)
    for name in ("softmax (5, 67)", "layer norm (5, 37)", "pool 3 1 1 mean (1, 5, 7, 35)",
                 "transpose (37, 53) (1, 0)", "concat 2", "chain"):  # fmt: skip
        rule, make, _, shapes = CASES[name]
        module, answered = scheduled(build(make, shapes, "float32"), profile)
        assert answered == rule
        assembly = library_of(tvm.IRModule(module.functions), profile).inspect_source("asm")
        vector = {"x86-avx2": r"%ymm\d", "rpi4": r"v\d+\.4s|\bq\d+,", "rpi3-32": r"\bq\d+\b"}[board]
        assert re.search(vector, assembly), name
        called = re.findall(r"^\s+(?:callq?|blx?)\s+([A-Za-z_]\w*)", assembly, re.MULTILINE)
        foreign = {one for one in called if not one.startswith(("TVMFFI", "__tvm", "main"))}
        # Copies of whole rows.
        assert foreign <= {"memcpy", "memset"}, name


def test_partial_results_are_kept_in_registers() -> None:
    profile = load_profile("local")
    _, make, _, shapes = CASES["layer norm (1, 384)"]
    module, _ = scheduled(build(make, shapes, "float32"), profile)
    assert "AllocWorkspace" not in library_of(module, profile).inspect_source("asm")


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "float16", "float64", "bool"])
def test_other_kinds_of_numbers(dtype: str) -> None:
    random = np.random.default_rng(1)
    profile = load_profile("local")
    x = random.integers(-9, 9, (5, 2, 37)).astype(dtype)
    turned, rule = answers(build(topi("transpose", (2, 0, 1)), [x.shape], dtype), profile, [x])
    assert rule == "elements"
    np.testing.assert_array_equal(turned, x.transpose(2, 0, 1))
    joined = lambda *tensors: topi("concatenate", 2)(tensors)  # noqa: E731
    both, rule = answers(build(joined, [x.shape, x.shape], dtype), profile, [x, x])
    assert rule == "elements"
    np.testing.assert_array_equal(both, np.concatenate([x, x], 2))
    if dtype == "bool":
        return
    for axis, rule in ((2, "rows"), (0, "columns")):
        largest, answered = answers(build(topi("max", axis), [x.shape], dtype), profile, [x])
        assert answered == rule
        np.testing.assert_array_equal(largest, x.max(axis))


def test_a_long_sum_is_at_least_as_exact_as_one_after_the_other() -> None:
    x = np.random.default_rng(1).random((4, 100_003), np.float32)
    found, _ = answers(build(topi("sum", 1), [x.shape], "float32"), load_profile("local"), [x])
    exact = x.astype(np.float64).sum(1)
    in_order = np.add.accumulate(x, 1)[:, -1]
    assert np.abs(found - exact).max() < np.abs(in_order - exact).max() / 4


def test_matrix_products_are_left_to_tiles() -> None:
    function = build(topi("nn.dense"), [(3, 32), (16, 32)], "float32")
    _, rule = scheduled(function, load_profile("local"))
    assert rule not in ("rows", "columns")


@pytest.mark.parametrize(("side", "written"), [(8, True), (64, False)])
def test_what_parts_keep_for_each_other_must_fit_the_stack(side: int, written: bool) -> None:
    """A pool whose channels are padded after it, as BlazeFace has it."""

    def pool_and_pad(x: Any) -> Any:
        from tvm import topi as operators

        return operators.nn.pad(pool(2, 2, 0, "max")(x), [0, 0, 0, 0], [0, 0, 0, 4])

    function = build(pool_and_pad, [(1, side, side, 28)], "float32")
    _, rule = scheduled(function, load_profile("local"))
    assert (rule == "columns") == written
