"""ONNX files: what is imported, what is guessed, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_models import Shape, value, write, write_integers, write_tiny
from made_tflite import write_dense
from mutations import mutated
from onnx import helper

from edgetvm.base.errors import (
    EdgetvmError,
    InputError,
    ModelUnreadableError,
    UnsupportedOperatorsError,
    UsageError,
)
from edgetvm.models import ImportOptions, Signature, State, TensorSpec, import_model
from edgetvm.models.imported import GUESSED
from edgetvm.models.importers import unsupported

NODE = helper.make_node


def signature_of(path: Path, **options: object) -> Signature:
    return import_model(path, ImportOptions(**options)).signature  # type: ignore[arg-type]


def test_a_model_is_told_as_the_file_tells_it(tiny_onnx: Path) -> None:
    model = import_model(tiny_onnx)
    assert model.name == "tiny"
    assert model.signature == Signature(
        (TensorSpec("image", (1, 3, 8, 8), "float32"),), (TensorSpec("scores", (1, 5), "float32"),)
    )
    assert model.operators == {
        "Conv": 1,
        "Relu": 1,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
    }
    assert model.parameter_count == 4 * 3 * 9 + 4 + 4 * 5 + 5
    assert model.source == tiny_onnx
    assert model.provenance.file_name == "tiny.onnx"
    assert model.provenance.importer == "onnx"
    assert model.provenance.versions["onnx"] == onnx.__version__
    assert model.provenance.changes == ("simplified by onnxsim",)
    assert import_model(tiny_onnx, name="mine").name == "mine"


def test_names_and_order_are_the_files(odd_names_onnx: Path, integers_onnx: Path) -> None:
    odd = signature_of(odd_names_onnx)
    assert [spec.name for spec in odd.inputs] == ["in/x:0"]
    assert [str(spec) for spec in odd.outputs] == [
        "a/b:0: float32[2, 3]",
        "../c: float32[2, 3]",
        "d e: float32[]",
    ]
    assert [str(spec) for spec in signature_of(integers_onnx).inputs] == [
        "index: int64[2]",
        "offset: int32[3]",
    ]


GUESSES = [
    ([("x", ["n", 3])], {}, [(1, 3)]),
    ([("x", [None, 3])], {}, [(1, 3)]),
    ([("x", ["?", 3, "?", "?"])], {}, [(1, 3, 224, 224)]),
    ([("x", [1, "length"])], {}, [(1, 128)]),
    ([("x", [1, "n"]), ("y", ["n", 1])], {}, [(1, 1), (1, 1)]),
    ([("x", ["n", 3]), ("y", ["n", 3])], {"y": (4, 3)}, [(4, 3), (4, 3)]),
    ([("x", ["n", "t"]), ("y", ["n", "t"])], {"x": (2, 7)}, [(2, 7), (2, 7)]),
    ([("x", [1, "t"]), ("y", [1, "t"])], {}, [(1, 128), (1, 128)]),
    # A recurrent state: [layers, batch, features].
    ([("x", ["n", 5]), ("h", [2, None, 5])], {}, [(1, 5), (2, 1, 5)]),
    ([("x", ["t", "batch_size", 5])], {}, [(1, 1, 5)]),
    ([("x", [1, None, 5])], {}, [(1, 128, 5)]),
]


@pytest.mark.parametrize(("declared", "given_shapes", "fixed"), GUESSES)
def test_dynamic_axes_are_guessed_and_symbols_agree(
    tmp_path: Path,
    declared: list[tuple[str, Shape]],
    given_shapes: dict[str, tuple[int, ...]],
    fixed: list[tuple[int, ...]],
) -> None:
    nodes = [NODE("Neg", [name], [f"{name}_out"]) for name, _ in declared]
    outputs = [value(f"{name}_out", shape) for name, shape in declared]
    path = write(tmp_path / "m.onnx", nodes, [value(*one) for one in declared], outputs)
    model = import_model(path, ImportOptions(shapes=given_shapes))
    assert [spec.shape for spec in model.signature.inputs] == fixed
    assert [spec.shape for spec in model.signature.outputs] == fixed
    changes = model.provenance.changes
    told = [change for change in changes if "fixed to" in change or GUESSED in change]
    assert len(told) == len(declared)
    # What was not given is a guess, unless only the batch was open.
    for (name, shape), change in zip(declared, told, strict=True):
        state = name == "h" or "batch_size" in shape
        beyond_batch = any(not isinstance(axis, int) for axis in shape[1:]) and not state
        assert change.startswith(f"input {name} ")
        assert (GUESSED in change) == (name not in given_shapes and beyond_batch)


BAD_OPTIONS = [
    (
        {"shapes": {"a": (2, 7)}},
        r"input 'a' cannot have shape \[2, 7\] \(the model declares \[\?, ",
    ),
    ({"shapes": {"a": (2,)}}, r"cannot have shape \[2\]"),
    ({"shapes": {"a": (0, 6)}}, r"cannot have shape \[0, 6\]"),
    ({"shapes": {"a": (-1, 6)}}, r"cannot have shape \[-1, 6\]"),
    ({"shapes": {"a": (2, 6), "b": (3, 3)}}, r"input 'b' has 3 for the axis 'batch' that is 2"),
    ({"shapes": {"aa": (2, 6)}}, r"the model has no input 'aa' \(its inputs are a, b\)"),
    ({"shapes": {"a": (1 << 62, 6)}}, r"input 'a' of shape \[\d+, 6\] is larger than any board"),
    (
        {"shapes": {"a": (1, 6)}, "bindings": {"a": [[1] * 6]}},
        "input 'a' is given a shape and a value",
    ),
    ({"bindings": {"weights": 1}}, "the model has no input 'weights'"),
    ({"bindings": {"b": [[1, 2]]}}, r"input 'b' cannot be \[\[1, 2\]\] \(it is float32\[\?, 3\]\)"),
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS)
def test_options_that_do_not_fit_are_refused(
    dynamic_onnx: Path, options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        signature_of(dynamic_onnx, **options)
    assert caught.value.where == str(dynamic_onnx)


@pytest.mark.parametrize(
    ("dtype", "shape", "bound", "fits"),
    [
        ("INT64", [], 3, True),
        ("INT64", [], [3], True),
        ("INT64", [1], 3, True),
        ("INT64", [], 0.5, False),
        ("INT64", [], 10**30, False),
        ("INT64", [], [1, 2], False),
        ("UINT8", [1], 300, False),
        ("UINT8", [1], -1, False),
        ("INT32", [2], [1, 2], True),
        ("INT32", [2], 1, False),
        ("INT32", [2], [[1], [2, 3]], False),
        ("FLOAT", [], 0.1, True),
        ("FLOAT", [], 2, True),
    ],
)
def test_a_bound_input_becomes_a_constant_or_is_refused(
    tmp_path: Path, dtype: str, shape: list[int], bound: object, fits: bool
) -> None:
    path = write(
        tmp_path / "m.onnx",
        [NODE("Mul", ["x", "s"], ["y"])],
        [value("x", [4, 2], dtype), value("s", shape, dtype)],
        [value("y", [4, 2], dtype)],
    )
    options = ImportOptions(bindings={"s": bound})  # type: ignore[dict-item]
    if not fits:
        with pytest.raises(InputError, match="input 's' cannot be"):
            import_model(path, options)
        return
    model = import_model(path, options)
    assert [spec.name for spec in model.signature.inputs] == ["x"]
    assert f"input s became the constant {bound}" in model.provenance.changes


def test_states_are_checked(stateful_onnx: Path) -> None:
    assert signature_of(stateful_onnx, states={"sum": "total"}).states == (State("sum", "total"),)
    with pytest.raises(UsageError, match=r"sum -> nothing.*inputs: chunk, sum; outputs: doubled"):
        signature_of(stateful_onnx, states={"sum": "nothing"})
    with pytest.raises(UsageError, match="names no input and output"):
        signature_of(stateful_onnx, states={"total": "sum"})


def test_a_state_must_keep_its_shape(tiny_onnx: Path) -> None:
    with pytest.raises(UsageError, match=r"image is image: float32\[1, 3, 8, 8\], and scores is"):
        signature_of(tiny_onnx, states={"image": "scores"})


def test_inputs_are_checked_by_name_shape_and_dtype(dynamic_onnx: Path) -> None:
    signature = signature_of(dynamic_onnx)
    a, b = np.zeros((1, 6), np.float32), np.zeros((1, 3), np.float32)
    signature.check_inputs({"b": b, "a": a})
    for arrays, said in (
        ({"a": a}, r"input 'b' is missing \(the inputs are a: float32\[1, 6\], b: float32\[1, 3\]"),
        ({"a": a, "b": b, "c": b}, "there is no input 'c'"),
        ({"a": a, "b": a}, r"input 'b' is float32\[1, 6\] \(it should be b: float32\[1, 3\]\)"),
        ({"a": a, "b": b.astype(np.float64)}, r"input 'b' is float64\[1, 3\]"),
        ({"a": a, "b": b[0]}, r"input 'b' is float32\[3\]"),
    ):
        with pytest.raises(InputError, match=said):
            signature.check_inputs(arrays)


def test_all_unsupported_operators_stand_in_one_message(unsupported_onnx: Path) -> None:
    with pytest.raises(UnsupportedOperatorsError) as caught:
        import_model(unsupported_onnx)
    assert caught.value.what == (
        "2 unsupported operators: maker.one.Warp (2x: warp-1, warp-2); maker.two.Fold (1x: y)"
    )


def test_an_unsupported_operator_in_a_branch_is_found(tmp_path: Path) -> None:
    branches = [
        helper.make_graph(
            [NODE("Warp", ["x"], [name], name, domain="maker.one")], name, [], [value(name, [2])]
        )
        for name in ("then", "else")
    ]
    node = NODE("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    path = write(
        tmp_path / "m.onnx",
        [node],
        [value("c", [], "BOOL"), value("x", [2])],
        [value("y", [2])],
        domains=["maker.one"],
    )
    with pytest.raises(UnsupportedOperatorsError, match=r"maker.one.Warp \(2x: "):
        import_model(path)


X, Y = [value("x", [3])], [value("y", [3])]
REFUSED = [
    ([NODE("Relu", ["x"], ["y"])], X, [*Y, *Y], "'y' names 2 tensors"),
    ([], [], [], "it has no outputs"),
    (
        [NODE("NonZero", ["x"], ["y"])],
        X,
        [value("y", [1, None], "INT64")],
        "NonZero 'y' gives a tensor whose size depends on the data",
    ),
    ([NODE("Relu", ["z"], ["y"])], X, Y, "tensor 'z' depends on itself, or nothing makes it"),
    (
        [NODE("Add", ["x", "b"], ["a"]), NODE("Neg", ["a"], ["b"]), NODE("Neg", ["a"], ["y"])],
        X,
        Y,
        "tensor 'b' depends on itself",
    ),
    ([NODE("Relu", ["x"], ["y"])], [value("x", None)], Y, "not a valid ONNX model"),
    ([NODE("Identity", ["x"], ["y"])], [value("x", [3], "STRING")], Y, "'x' is string"),
    (
        [NODE("Neg", ["x"], ["y"])],
        [value("x", [3], "COMPLEX64")],
        [value("y", [3], "COMPLEX64")],
        r"'x' is complex64 \(export it with inputs of float16, float32",
    ),
    ([NODE("Reshape", ["x", "x"], ["y"])], X, Y, "not a valid ONNX model|converter stopped"),
]


@pytest.mark.parametrize(("nodes", "inputs", "outputs", "said"), REFUSED)
def test_a_model_that_cannot_be_is_refused(
    tmp_path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    said: str,
) -> None:
    path = write(tmp_path / "m.onnx", nodes, inputs, outputs)
    with pytest.raises(ModelUnreadableError, match=said) as caught:
        import_model(path)
    assert caught.value.mend


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, content, said in (
        ("missing.onnx", None, "no such file"),
        ("empty.onnx", b"", "the file is empty"),
        ("text.onnx", b"hello, world", "not an ONNX file, or cut off"),
        ("m.h5", b"x", r"no importer reads .h5 \(known suffixes: .onnx, .tflite, .lite, .pt2, "),
        ("m", b"x", "no importer reads files without a suffix"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelUnreadableError, match=said) as caught:
            import_model(path)
        assert caught.value.where == str(path)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelUnreadableError, match="is a folder"):
        import_model(tmp_path / "folder.onnx")


def test_the_suffix_may_be_upper_case(tiny_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "TINY.ONNX"
    path.write_bytes(tiny_onnx.read_bytes())
    assert import_model(path).name == "TINY"


@pytest.mark.parametrize("sixteenth", range(1, 16))
def test_a_cut_off_file_is_refused(tiny_onnx: Path, tmp_path: Path, sixteenth: int) -> None:
    data = tiny_onnx.read_bytes()
    path = tmp_path / "m.onnx"
    path.write_bytes(data[: len(data) * sixteenth // 16])
    with pytest.raises(ModelUnreadableError):
        import_model(path)


def with_external_data(path: Path, location: str) -> Path:
    model = onnx.load(write_tiny(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_is_read_from_the_models_own_folder(tmp_path: Path, tiny_onnx: Path) -> None:
    kernel = onnx.load(tiny_onnx).graph.initializer[0].raw_data
    (tmp_path / "kernel.bin").write_bytes(kernel)
    path = with_external_data(tmp_path / "m.onnx", "kernel.bin")
    assert import_model(path).parameter_count == import_model(tiny_onnx).parameter_count


@pytest.mark.parametrize(
    "location", ["../kernel.bin", "/etc/hostname", "a/../../kernel.bin", "a\0b"]
)
def test_external_data_that_leaves_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    inside = tmp_path / "model"
    (inside / "a").mkdir(parents=True)
    (tmp_path / "kernel.bin").write_bytes(bytes(4 * 4 * 3 * 9))
    path = with_external_data(inside / "m.onnx", location)
    with pytest.raises(ModelUnreadableError):
        import_model(path)


def test_external_data_behind_a_link_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "kernel.bin").write_bytes(bytes(4 * 4 * 3 * 9))
    (inside / "kernel.bin").symlink_to(tmp_path / "kernel.bin")
    with pytest.raises(ModelUnreadableError):
        import_model(with_external_data(inside / "m.onnx", "kernel.bin"))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_garbage_gives_an_edgetvm_error(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "m.onnx"
    make = data.draw(st.sampled_from([write_tiny, write_integers]))
    path.write_bytes(data.draw(mutated(make(path).read_bytes())))
    try:
        import_model(path)
    except EdgetvmError as error:
        str(error).encode()
        assert error.mend


def test_a_file_under_the_name_of_another_format(tmp_path: Path) -> None:
    lite = write_dense(tmp_path / "dense.tflite").rename(tmp_path / "dense.onnx")
    with pytest.raises(ModelUnreadableError, match=r"a TensorFlow Lite model \(call it \.tflite"):
        import_model(lite)
    keras = tmp_path / "model.h5"
    keras.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ModelUnreadableError, match=r"HDF5.*model\.export"):
        import_model(keras)


def test_an_operators_name_cannot_break_the_message() -> None:
    error = unsupported(Path("m.onnx"), {"Bad\nline" + "x" * 500: ["a\x1b[2J"]})
    assert "\n" not in error.what and "\x1b" not in error.what
    assert len(error.what) < 250
