"""Variables, control flow and recurrent layers of TFLite files against LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litert import Built, by_edgetvm, by_litert, furthest, streams_agree
from made_operators import Op, Sub, T, const, write_graphs
from mutations import mutated

from edgetvm.base.errors import EdgetvmError, ModelUnreadableError, UnsupportedOperatorsError
from edgetvm.models import import_model
from edgetvm.models.model import State
from edgetvm.models.reference import Source, reference_for
from edgetvm.recipes import ModelFile, fetch

HANDLE = ("VarHandleOptions", {"container": b"", "sharedName": b"line"})


def write_line(path: Path, begins: Any = -128) -> Path:
    """A delay line: the last three chunks' `x` and this one's, each variable's start `begins`."""
    more = {"scale": 0.1, "zero": -128}
    main = Sub(
        [
            T((1, 2), "int8", name="x", **more),
            T((), "resource"),
            T((1, 6), "int8", **more),
            T((1, 8), "int8", name="y", **more),
            const([0, 2]),
            const([1, 6]),
            T((1, 6), "int8", **more),
            T((1, 6), "int8", **more),
            T((1, 14), "int8", name="both", **more),
        ],
        [
            Op("CALL_ONCE", [], [], ("CallOnceOptions", {"initSubgraphIndex": 1})),
            Op("VAR_HANDLE", [], [1], HANDLE),
            Op("READ_VARIABLE", [1], [2]),
            Op("CONCATENATION", [2, 0], [3], ("ConcatenationOptions", {"axis": 1})),
            Op("SLICE", [3, 4, 5], [6]),
            Op("ASSIGN_VARIABLE", [1, 6], []),
            Op("READ_VARIABLE", [1], [7]),
            Op("CONCATENATION", [3, 7], [8], ("ConcatenationOptions", {"axis": 1})),
        ],
        [0],
        [3, 8],
    )
    first = Sub(
        [T((), "resource"), const(np.full((1, 6), begins), "int8", **more)],
        [Op("VAR_HANDLE", [], [0], HANDLE), Op("ASSIGN_VARIABLE", [0, 1], [])],
        [],
        [],
    )
    return write_graphs(path, main, first)


def test_a_variable_becomes_a_state(tmp_path: Path) -> None:
    path = write_line(tmp_path / "m.tflite")
    model = import_model(path)
    assert model.signature.states == (State("line", "line/next", -128.0),)
    assert [spec.name for spec in model.signature.inputs] == ["x", "line"]
    assert [spec.name for spec in model.signature.outputs] == ["y", "both", "line/next"]
    assert model.provenance.changes == ("variable line became a state",)
    streams_agree(path, 10)


def test_the_reference_takes_any_state(tmp_path: Path) -> None:
    path = write_line(tmp_path / "m.tflite")
    model = import_model(path)
    random = np.random.default_rng(1)
    inputs = {
        spec.name: random.integers(-128, 128, spec.shape).astype(np.int8)
        for spec in model.signature.inputs
    }
    expected = reference_for(Source.of(model)).run(inputs)
    found = Built(model).run(list(inputs.values()))
    assert furthest(found, list(expected.values())) == 0


def test_a_state_that_begins_with_different_numbers_is_refused(tmp_path: Path) -> None:
    path = write_line(tmp_path / "m.tflite", begins=np.arange(6))
    with pytest.raises(ModelUnreadableError, match="'line' begins with different numbers"):
        import_model(path)


MICRO = {
    "alexa": "9011a8155b04de858c48038529235cbc0e42e9fca05a55bf588cb80a653a723b",
    "okay_nabu": "d89128c4d16a72de429119fb2254ce46649553c2a24f5dd840175c80d7b9d094",
}


@pytest.mark.parametrize("name", MICRO)
def test_wake_words_that_keep_a_state(name: str, session_cache: Path) -> None:
    package, file = "pymicro-wakeword==2.5.0", f"pymicro_wakeword/models/{name}.tflite"
    path = fetch(ModelFile(package=package, file=file, sha256=MICRO[name]))
    streams_agree(path, 30)


def write_if(path: Path, condition: T, shapes: tuple[int, int] = (3, 3)) -> Path:
    """`condition ? x + 1 : x * x`."""
    x, y = T((shapes[0],)), T((shapes[1],))
    main = Sub(
        [condition, T((3,), name="x"), T((3,), name="y")],
        [Op("IF", [0, 1], [2], ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}))],
        [1] if condition.data is not None else [0, 1],
        [2],
    )
    then = Sub(
        [x, const([1.0], "float32"), x], [Op("ADD", [0, 1], [2], ("AddOptions", {}))], [0], [2]
    )
    other = Sub([y, y], [Op("SQUARE", [0], [1])], [0], [1])
    return write_graphs(path, main, then, other)


@pytest.mark.parametrize("truth", [True, False])
def test_branches(tmp_path: Path, truth: bool) -> None:
    x = np.array([-2, 0.5, 3], np.float32)
    expected = x + 1 if truth else x * x
    path = write_if(tmp_path / "known.tflite", const([truth], "bool"))
    np.testing.assert_array_equal(by_edgetvm(path, [x])[0], expected)
    assert len(import_model(path).signature.inputs) == 1
    path = write_if(tmp_path / "computed.tflite", T((1,), "bool", name="c"))
    arrays = [np.array([truth]), x]
    assert furthest(by_edgetvm(path, arrays), by_litert(path, arrays)) == 0
    np.testing.assert_array_equal(by_edgetvm(path, arrays)[0], expected)


def test_bindings_are_named_after_the_tensors_of_the_file(tmp_path: Path) -> None:
    path = write_if(tmp_path / "computed.tflite", T((1,), "bool", name="c"))
    model = import_model(path)
    (block,) = model.module["main"].body.blocks
    # Each branch by its own tensors, the choice between them by the result's.
    found = [model.nodes[binding.var.name] for binding in block.bindings]
    assert found == ["t2", "t1", "y", "y", "y"]


def test_a_graph_that_is_called_twice_is_counted_once(tmp_path: Path) -> None:
    fields = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 1}
    operator = Op("IF", [0, 1], [2], ("IfOptions", fields))
    main = Sub([T((1,), "bool"), T((3,)), T((3,))], [operator], [0, 1], [2])
    body = Sub(
        [T((3,)), const(np.ones(3), "float32"), T((3,))],
        [Op("ADD", [0, 1], [2], ("AddOptions", {}))],
        [0],
        [2],
    )
    model = import_model(write_graphs(tmp_path / "m.tflite", main, body))
    assert model.operators == {"IF": 1, "ADD": 1}
    assert model.parameter_count == 3


def test_a_graph_that_calls_itself_is_refused(tmp_path: Path) -> None:
    fields = {"thenSubgraphIndex": 0, "elseSubgraphIndex": 0}
    graph = Sub(
        [T((1,), "bool"), T((1,), "bool")],
        [Op("IF", [0, 0], [1], ("IfOptions", fields))],
        [0],
        [1],
    )
    with pytest.raises(ModelUnreadableError, match="IF #0 t1 stopped: graph 0 calls itself"):
        import_model(write_graphs(tmp_path / "m.tflite", graph))


def test_what_the_exporter_named_is_lowered_by_its_parts(tmp_path: Path) -> None:
    x, y = T((3,), name="x"), T((3,), name="y")
    attributes = list(flexbuffers.Dumps({"epsilon": 0.5}))
    options = {
        "name": "odml.rms",
        "decompositionSubgraphIndex": 1,
        "compositeAttributes": attributes,
    }
    operator = Op("STABLEHLO_COMPOSITE", [0], [1], ("StableHLOCompositeOptions", options))
    parts = Sub([x, T((3,))], [Op("SQUARE", [0], [1])], [0], [1])
    path = write_graphs(tmp_path / "m.tflite", Sub([x, y], [operator], [0], [1]), parts)
    arrays = [np.array([1, -2, 0.5], np.float32)]
    assert furthest(by_edgetvm(path, arrays), by_litert(path, arrays)) == 0


def write_while(path: Path, most: T) -> Path:
    """`x` doubled while a counter is below `most`."""
    number = T((1,), "int32")
    tensors = [const([0]), T((3,), name="x"), most, number, T((3,), name="y"), number]
    fields = {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}
    main = Sub(
        tensors,
        [Op("WHILE", [0, 1, 2], [3, 4, 5], ("WhileOptions", fields))],
        [1] if most.data is not None else [1, 2],
        [4],
    )
    going = Sub(
        [number, T((3,)), number, T((1,), "bool")], [Op("LESS", [0, 2], [3])], [0, 1, 2], [3]
    )
    body = Sub(
        [number, T((3,)), number, const([1]), number, T((3,))],
        [Op("ADD", [0, 3], [4], ("AddOptions", {})), Op("ADD", [1, 1], [5], ("AddOptions", {}))],
        [0, 1, 2],
        [4, 5, 2],
    )
    return write_graphs(path, main, going, body)


@pytest.mark.parametrize("rounds", [0, 5])
def test_loops_are_unrolled(tmp_path: Path, rounds: int) -> None:
    path = write_while(tmp_path / "m.tflite", const([rounds]))
    x = np.array([1, -2, 0.5], np.float32)
    np.testing.assert_array_equal(by_edgetvm(path, [x])[0], x * 2**rounds)
    assert furthest(by_edgetvm(path, [x]), by_litert(path, [x])) == 0


def test_loops_without_a_known_end_are_refused(tmp_path: Path) -> None:
    path = write_while(tmp_path / "m.tflite", T((1,), "int32"))
    with pytest.raises(UnsupportedOperatorsError, match=r"WHILE whose rounds are .* \(1x: #0 t3\)"):
        import_model(path)
    path = write_while(tmp_path / "m.tflite", const([100_000]))
    with pytest.raises(UnsupportedOperatorsError, match="WHILE of more than 1024 rounds"):
        import_model(path)


def test_forms_without_a_rule_stand_in_one_message(tmp_path: Path) -> None:
    graph = Sub(
        [T((3,)), T((1,), "int32"), T((3,)), T((3,)), T((2,), "int32"), T((3, 1)), T((3,))],
        [
            Op("RESHAPE", [0, 1], [2]),
            Op("ABS", [2], [3]),
            Op("REVERSE_V2", [0, 1], [6]),
            Op("RESHAPE", [0, 4], [5]),
        ],
        [0, 1, 4],
        [3, 5, 6],
    )
    with pytest.raises(UnsupportedOperatorsError) as caught:
        import_model(write_graphs(tmp_path / "m.tflite", graph))
    assert caught.value.what == (
        "2 unsupported operators: RESHAPE with a shape that is computed (2x: #0 t2, #3 t5); "
        "REVERSE_V2 with an axis that is computed (1x: #2 t6)"
    )


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damage_gives_an_edgetvm_error(tmp_path: Path, data: st.DataObject) -> None:
    sources = []
    for name, write in (
        ("line", write_line),
        ("if", lambda path: write_if(path, T((1,), "bool", name="c"))),
        ("loop", lambda path: write_while(path, const([3]))),
    ):
        path = tmp_path / f"{name}.tflite"
        sources.append(path if path.exists() else write(path))
    path = tmp_path / "m.tflite"
    path.write_bytes(data.draw(mutated(data.draw(st.sampled_from(sources)).read_bytes())))
    try:
        import_model(path)
    except EdgetvmError as error:
        str(error).encode()
        assert error.mend
