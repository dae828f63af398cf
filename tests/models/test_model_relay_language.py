"""The language around the operators: bindings, functions, branches, tuples, types, metadata."""

from pathlib import Path

import numpy as np
import pytest
from made_relay import metadata, params_bytes, run, write

from edgetvm.base.errors import InputError, ModelUnreadableError, UnsupportedOperatorsError
from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import ImportOptions, import_model
from edgetvm.package import Executor

X = np.array([[1.0, -2.0, 3.0]], "float32")
T = "Tensor[(1, 3), float32]"


def text(folder: Path, content: str) -> Path:
    path = folder / "model.relay"
    path.write_text(content)
    return path


def outputs(folder: Path, content: str) -> list[np.ndarray]:
    return run(text(folder, content), {"x": X})


def main(body: str) -> str:
    return f'#[version = "0.0.5"]\ndef @main(%x: {T}) -> {T} {{\n{body}\n}}\n'


def test_graph_bindings_lets_and_comments(tmp_path: Path) -> None:
    (found,) = outputs(
        tmp_path,
        main("""
      %0 = add(%x, 1f /* ty=float32 */) /* ty=Tensor[(1, 3), float32] span=a;b/c:0:0 */;
      // a line
      let %y: Tensor[(1, 3), float32] /* ty=Tensor[(1, 3), float32] */ = multiply(%0, 2f);
      let %y = add(%y, %y);
      %1 = subtract(%y, %0);
      %1"""),
    )
    np.testing.assert_allclose(found, 3 * (X + 1))


def test_names_as_frameworks_have_them(tmp_path: Path) -> None:
    content = f"def @main(%a/b:0: {T}, %v_c@1;d.2: {T}, %in (1): {T}, %e.0: ({T},)) {{ %a/b:0 }}"
    with pytest.raises(ModelUnreadableError, match=r"input 'e\.0' is a tuple"):
        import_model(text(tmp_path, content))
    content = (
        f"def @main(%a/b:0: {T}, %v_c@1;d.2: {T}, %in (1): {T}) {{\n"
        " %0 = (%a/b:0, %v_c@1;d.2);\n %1 = add(%0.0, %0.1);\n subtract(%1, %in (1))\n}"
    )
    path = text(tmp_path, content)
    given = {"a/b:0": X, "v_c@1;d.2": 2 * X, "in (1)": 5 * X}
    (found,) = run(path, given)
    np.testing.assert_allclose(found, -2 * X)


def test_functions_closures_and_tuples(tmp_path: Path) -> None:
    content = f"""
def @twice(%f: fn ({T}) -> {T}, %v: {T}) -> {T} {{ %f(%f(%v)) }}
def @pair[A](%v: {T}) {{ (%v, (add(%v, 1f), %v)) }}
def @main(%x: {T}) {{
  let %k = 3f;
  %0 = fn (%v: {T}, Primitive=1) -> {T} {{ multiply(%v, %k) }} /* ty=fn ({T}) -> {T} */;
  let %g = fn (%p: ({T}, ({T}, {T}))) {{ %p.1.0 }};
  %1 = @pair(%x);
  (@twice(%0, %x), %g(%1), (%1, fn (%z: {T}) {{ negative(%z) }}(%x)))
}}"""
    found = outputs(tmp_path, content)
    for got, wanted in zip(found, [9 * X, X + 1, X, X + 1, X, -X], strict=True):
        np.testing.assert_allclose(got, wanted)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_is_taken_at_run_time_to_the_end(tmp_path: Path, sign: int) -> None:
    content = main("""
      %0 = sum(%x);
      %1 = greater(%0, 0f);
      %2 = if (%1) {
        let %a = tanh(%x);
        %3 = greater(%0, 100f);
        if (%3) { (%a, %x) } else { (add(%a, %x), %a) }
      } else {
        (nn.relu(%x), %x)
      };
      %2.0""")
    path = text(tmp_path, content)
    given = X * sign
    wanted = np.tanh(given) + given if sign > 0 else np.maximum(given, 0)
    np.testing.assert_allclose(run(path, {"x": given})[0], wanted, rtol=1e-6)
    artifact = compile_model(import_model(path), load_profile("local"))
    (found,) = Executor(artifact.library, artifact.signature).run({"x": given}).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_branch_that_is_known_leaves_no_trace(tmp_path: Path) -> None:
    path = text(tmp_path, main("if (True) { %x } else { match (%x) { _ => %x } }"))
    with pytest.raises(UnsupportedOperatorsError, match="match"):
        import_model(path)
    module = import_model(text(tmp_path, main("if (True) { %x } else { negative(%x) }"))).module
    assert "negative" not in module.script()


def test_what_the_true_branch_binds_may_be_used_after_it(tmp_path: Path) -> None:
    # TVM's printer puts `%1 = …` where it is first needed, and uses it anywhere.
    content = main("""
      %0 = greater(sum(%x), 0f);
      %2 = if (%0) { %1 = exp(%x); add(%1, 1f) } else { %1 };
      add(%2, %1)""")
    (found,) = outputs(tmp_path, content)
    np.testing.assert_allclose(found, 2 * np.exp(X) + 1, rtol=1e-6)


def test_metadata_constants_and_attributes(tmp_path: Path) -> None:
    weights = np.arange(6, dtype="float32").reshape(2, 3)
    yes = np.array([True, False])
    path = write(
        tmp_path,
        "(nn.dense(%x, meta[relay.Constant][0], units=2), meta[relay.Constant][1])",
        {"x": X},
        constants=[weights, yes],
    )
    dense, flags = run(path, {"x": X})
    np.testing.assert_allclose(dense, X @ weights.T)
    assert flags.tolist() == [True, False]


def test_metadata_that_were_left_out_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnreadableError, match="show_meta_data=True"):
        import_model(text(tmp_path, main("add(%x, meta[relay.Constant][0])")))


def test_an_expression_alone_is_a_program(tmp_path: Path) -> None:
    (found,) = outputs(tmp_path, f"fn (%x: {T}) {{ negative(%x) }}")
    np.testing.assert_allclose(found, -X)
    (found,) = outputs(tmp_path, f"free_var %x: {T};\n%0 = negative(%x);\nexp(%0)")
    np.testing.assert_allclose(found, np.exp(-X), rtol=1e-6)


def test_types_that_no_tensor_program_needs_are_read_and_left(tmp_path: Path) -> None:
    content = f"""type List[A] {{
  Cons(A, List[A]),
  Nil,
}}
def @map[A, B](%f: fn (A) -> B, %xs: List[A]) -> List[B] {{
  match (%xs) {{
    Cons(%y, %ys) => Cons(%f(%y), @map(%f, %ys)),
    Nil => Nil,
  }}
}}
def @main(%x: {T}) {{ negative(%x) }}"""
    np.testing.assert_allclose(outputs(tmp_path, content)[0], -X)


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    content = main("""
      %0 = vision.proposal(%x);
      %1 = my.op(%0);
      %2 = my.op(%x);
      let %r = ref(%x);
      Cons(%1, %2, %r, Nil)""")
    with pytest.raises(UnsupportedOperatorsError) as caught:
        import_model(text(tmp_path, content))
    message = str(caught.value)
    for part in (
        "vision.proposal (1x: proposal_0 at line 4",
        "my.op (2x: op_1 at line 5, op_2",
        "Nil (1x: line 8",
    ):
        assert part in message
    assert caught.value.exit_code == 4


def test_a_loop_of_unknown_length_is_refused(tmp_path: Path) -> None:
    content = f"""def @main(%x: {T}) {{
      let %loop = fn (%v: {T}) {{
        if (greater(sum(%v), 9f)) {{ %v }} else {{ %loop(add(%v, 1f)) }}
      }};
      %loop(%x)
    }}"""
    with pytest.raises(ModelUnreadableError, match="calls itself"):
        import_model(text(tmp_path, content))


def test_parameters_lie_beside_the_file(tmp_path: Path) -> None:
    weights = np.arange(6, dtype="float32").reshape(2, 3)
    path = text(
        tmp_path,
        f"def @main(%x: {T}, %v_w.1: Tensor[(2, 3), float32]) {{ nn.dense(%x, %v_w.1, units=2) }}",
    )
    with pytest.raises(InputError, match=r"1 parameter without a value: v_w\.1.*model\.params"):
        import_model(path)
    (tmp_path / "model.params").write_bytes(params_bytes({"_w.1": weights, "unused": X}))
    model = import_model(path)
    assert [spec.name for spec in model.signature.inputs] == ["x"]
    assert "1 parameter of the file not used" in model.provenance.changes
    np.testing.assert_allclose(run(path, {"x": X})[0], X @ weights.T)
    (tmp_path / "model.params").write_bytes(params_bytes({"_w.1": weights.T.copy()}))
    with pytest.raises(
        InputError,
        match=r"parameter 'v_w\.1' is float32\[3, 2\], and the model declares float32\[2, 3\]",
    ):
        import_model(path)


def test_several_missing_parameters_are_named_and_one_may_be_an_input(tmp_path: Path) -> None:
    content = f"""def @main(%x: {T}, %w: Tensor[(2, 3), float32], %b: Tensor[(2), float32],
                              %layer.scale: {T}) {{
      nn.bias_add(nn.dense(multiply(%x, %layer.scale), cast(%w, dtype="float32"), units=2), %b)
    }}"""
    path = text(tmp_path, content)
    with pytest.raises(InputError, match="2 parameters without a value: w, b"):
        import_model(path)
    (tmp_path / "model.params").write_bytes(params_bytes({"b": np.zeros(2, "float32")}))
    with pytest.raises(InputError, match="1 parameter without a value: w "):
        import_model(path)
    model = import_model(path, ImportOptions(shapes={"w": (2, 3)}))
    assert [spec.name for spec in model.signature.inputs] == ["x", "w", "layer.scale"]


def test_open_sizes_are_fixed_and_inputs_bound(tmp_path: Path) -> None:
    path = text(
        tmp_path,
        "def @main(%x: Tensor[(?, 3), float32], "
        "%k: float32) { multiply(reshape(%x, newshape=[-1]), %k) }",
    )
    model = import_model(path, ImportOptions(shapes={"x": (2, 3)}, bindings={"k": 2.0}))
    assert [str(spec) for spec in model.signature.inputs] == ["x: float32[2, 3]"]
    assert [str(spec) for spec in model.signature.outputs] == ["output_0: float32[6]"]
    with pytest.raises(InputError, match="no input 'nope'"):
        import_model(path, ImportOptions(shapes={"nope": (1,)}))


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("1f", np.float32(1)),
        ("1.5f64", 1.5),
        ("2i64", np.int64(2)),
        ("-3", np.int32(-3)),
        ("True", np.bool_(True)),
        ("1e-05f", np.float32(1e-5)),
        ("-inff", np.float32(-np.inf)),
        ("3f16", np.float16(3)),
        ("7u8", np.uint8(7)),
        ("5 /* ty=int8 */", np.int8(5)),
        ("-3.40282e+38f", np.float32(-3.40282e38)),
        ("2h", np.float16(2)),
    ],
)
def test_numbers(tmp_path: Path, literal: str, value: np.generic) -> None:
    # Beside an input, for a program without one is refused.
    _, found = outputs(tmp_path, main(f"(%x, {literal})"))
    assert found.dtype == np.asarray(value).dtype and found == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("def @main(", "line 1"),
        (main("add(%x, %y)"), "%y is used and defined nowhere"),
        (main("add(%x, 1f"), r"line 4: '\)' expected"),
        (main("/* no end"), "a comment has no end"),
        (main('cast(%x, dtype="float32)'), "is no Relay"),
        (main("@f(%x)"), "@f is called and defined nowhere"),
        (main("%x.1"), "there is no field 1"),
        (main("%x(%x)"), "called as if it were a function"),
        (main("fn (%a: float32) { %a }"), "a result that is a function"),
        (main("reshape(%x, newshape=[7])"), r"reshape: \[1, 3\] cannot be reshaped to \[7\]"),
        (main("nn.conv2d(%x, add(%x, %x))"), "nn.conv2d: "),
        (
            main("nn.max_pool2d(reshape(%x, newshape=[1,1,1,3]), pool_size=[1,1], strides=[0, 0])"),
            "strides",
        ),
        (main("add(%x)"), "add: "),
        (main("concatenate(%x)"), "concatenate: "),
        (main("sum(%x, axis=[9])"), "no axis 9"),
        (main("zeros(shape=[99999999, 99999999])"), "a tensor of shape"),
        (main("add(%x, 99999999999)"), "does not fit int32"),
        ("def @other(%x: float32) { %x }", "no function @main"),
        ("def @main() { 1f }", "it takes no inputs"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises((ModelUnreadableError, InputError), match=message) as caught:
        import_model(text(tmp_path, content))
    assert "model.relay" in str(caught.value) and "\n" not in str(caught.value)


def test_metadata_writer_and_reader_agree(tmp_path: Path) -> None:
    from edgetvm.models.relay.savejson import ObjectGraph

    arrays = [
        np.arange(3).astype(dtype) for dtype in ("int8", "uint16", "float64", "bool", "float16")
    ]
    graph = ObjectGraph(metadata(arrays).partition("]\n")[2])
    for array, found in zip(arrays, graph.metadata()["relay.Constant"], strict=True):
        assert found.dtype == array.dtype and (found == array).all()


def test_a_loop_whose_length_is_known_is_unrolled(tmp_path: Path) -> None:
    content = f"""def @main(%x: {T}) {{
      let %loop = fn (%i: int32, %v: {T}) {{
        if (less(%i, 3)) {{ %loop(add(%i, 1), multiply(%v, 2f)) }} else {{ (%i, %v) }}
      }};
      %0 = %loop(0, %x);
      %0.1
    }}"""
    np.testing.assert_allclose(outputs(tmp_path, content)[0], 8 * X)


@pytest.mark.parametrize("condition", ["True", "greater(sum(%v), 0f)"])
def test_a_loop_without_an_end_is_refused(tmp_path: Path, condition: str) -> None:
    content = f"""
def @f(%v: {T}) {{ if ({condition}) {{ @g(%v) }} else {{ %v }} }}
def @g(%v: {T}) {{ @f(tanh(%v)) }}
def @main(%x: {T}) {{ @f(%x) }}"""
    with pytest.raises(ModelUnreadableError, match=r"line 3: (a function calls itself|functions)"):
        import_model(text(tmp_path, content))


def test_lets_within_expressions(tmp_path: Path) -> None:
    # TVM's printer wraps a `let` that is used twice, and nests one that is used once.
    content = main("""
      %1 = (
        let %a = add(%x, 1f);
        %0 = multiply(%a, %a);
        add(%0, %a)
      );
      let %b = let %c = negative(%1); add(%c, %1);
      (%b, %1)""")
    zero, found = outputs(tmp_path, content)
    np.testing.assert_allclose(zero, 0 * X)
    np.testing.assert_allclose(found, (X + 1) ** 2 + X + 1)


def test_what_passes_leave_in_a_program(tmp_path: Path) -> None:
    # Devices, partitioned and fused functions, attributes of every kind.
    device = "virtual_device=meta[VirtualDevice][0]"
    content = f"""#[version = "0.0.5"]
def @dnnl_0(%a: {T}, Inline=1, Compiler="dnnl", global_symbol="dnnl_0", hash="1f", {device}) {{
  nn.relu(%a)
}}
def @main(%x {{{device}}}: {T}, param_device_types=[], result_device_type=1, o=None) -> {T} {{
  let %y {{{device}}}: {T} = @dnnl_0(%x);
  %1 = fn (%p0: {T}, Primitive=1, relay.reshape_only=True) -> {T} {{ add(%p0, 0.5f) }};
  %1(on_device(%y, {device}, constrain_result=True))
}}
#[metadata]
{{"root": 1, "nodes": [{{"type_key": ""}}, {{"type_key": "Map", "keys": ["VirtualDevice"],
"data": [2]}}, {{"type_key": "Array", "data": [3]}}, {{"type_key": "VirtualDevice"}}]}}"""
    np.testing.assert_allclose(outputs(tmp_path, content)[0], np.maximum(X, 0) + 0.5)
