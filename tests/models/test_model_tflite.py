"""TFLite files: what is imported, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litert import by_edgetvm, by_litert, furthest
from made_tflite import Operator, Tensor, write, write_custom, write_quantised
from mutations import mutated

from edgetvm.base.errors import (
    EdgetvmError,
    InputError,
    ModelUnreadableError,
    UnsupportedOperatorsError,
)
from edgetvm.models import ImportOptions, Signature, TensorSpec, import_model
from edgetvm.models.model import Quantisation
from edgetvm.models.reference import Source, reference_for


def test_a_model_is_told_as_the_file_tells_it(dense_tflite: Path) -> None:
    model = import_model(dense_tflite)
    assert model.signature == Signature(
        (TensorSpec("x", (1, 6), "float32"),), (TensorSpec("y", (1, 4), "float32"),)
    )
    assert model.operators == {"FULLY_CONNECTED": 1, "TANH": 1}
    assert model.parameter_count == 4 * 6 + 4
    assert model.provenance.importer == "tflite"
    assert model.provenance.changes == ()


def test_a_real_model_has_the_signature_that_litert_sees(okay_nabu_tflite: Path) -> None:
    interpreter = Interpreter(model_path=str(okay_nabu_tflite))
    signature = import_model(okay_nabu_tflite).signature
    for specs, details in (
        (signature.inputs, interpreter.get_input_details()),
        (signature.outputs, interpreter.get_output_details()),
    ):
        assert [(spec.name, list(spec.shape), spec.dtype) for spec in specs] == [
            (one["name"], one["shape"].tolist(), one["dtype"].__name__) for one in details
        ]


def test_a_shape_that_does_not_fit_is_refused(dense_tflite: Path) -> None:
    with pytest.raises(InputError, match=r"input 'x' cannot have shape \[2, 6\]"):
        import_model(dense_tflite, ImportOptions(shapes={"x": (2, 6)}))
    with pytest.raises(InputError, match="the model has no input 'z'"):
        import_model(dense_tflite, ImportOptions(shapes={"z": (2, 6)}))


def test_unsupported_operators_stand_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperatorsError, match=r"CUSTOM Warp \(2x: #0 a, #1 b\)"):
        import_model(write_custom(tmp_path / "m.tflite"))


def test_a_quantised_model_tells_its_quantisation(tmp_path: Path) -> None:
    path = write_quantised(tmp_path / "m.tflite")
    model = import_model(path)
    assert model.signature.inputs == (
        TensorSpec("x", (1, 6), "int8", Quantisation(pytest.approx(0.1), 0)),
    )
    assert model.signature.quanta == {"y": 1.0}
    assert model.parameter_count == 4 * 6 + 4
    x = np.array([[-128, 127, 3, 0, 50, -9]], np.int8)
    assert furthest(by_edgetvm(path, [x]), by_litert(path, [x])) == 0
    assert not reference_for(Source.of(model)).shaken


def test_int8_weights_of_float_activations(tmp_path: Path) -> None:
    tensors = [
        Tensor("x", (1, 6)),
        Tensor("weights", (4, 6), "int8", np.ones((4, 6), np.int8), 0.1),
        Tensor("bias", (4,), data=np.zeros(4, np.float32)),
        Tensor("y", (1, 4)),
    ]
    path = write(
        tmp_path / "m.tflite", tensors, [Operator("FULLY_CONNECTED", (0, 1, 2), (3,))], [0], [3]
    )
    x = np.array([[0.1, -0.7, 2.3, 0, 1, 0.04]], np.float32)
    assert furthest(by_edgetvm(path, [x]), by_litert(path, [x])) < 1e-6
    # Its steps come from floats, so a last bit may make another integer: that is allowed for.
    assert reference_for(Source.of(import_model(path))).shaken


def test_an_operator_whose_number_stands_in_the_newer_field_alone(tmp_path: Path) -> None:
    """As in the files of Google's quantiser for LiteRT, whose DEQUANTIZE was taken for an ADD."""
    tensors = [Tensor("x", (1, 6), "int8", scale=0.1), Tensor("y", (1, 6))]
    path = write(
        tmp_path / "m.tflite", tensors, [Operator("DEQUANTIZE", (0,), (1,), new=True)], [0], [1]
    )
    x = np.array([[-128, 127, 3, 0, 50, -9]], np.int8)
    assert furthest(by_edgetvm(path, [x]), by_litert(path, [x])) == 0


def test_an_input_of_text_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.tflite",
        [Tensor("x", (1,), "string"), Tensor("y", (1,), "string")],
        [Operator("RESHAPE", (0,), (1,))],
        [0],
        [1],
    )
    with pytest.raises(ModelUnreadableError):
        import_model(path)


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    tensors = [Tensor("x", (2,)), Tensor("y", (2,)), Tensor("y", (2,))]
    operators = [Operator("TANH", (0,), (1,)), Operator("LOGISTIC", (0,), (2,))]
    path = write(tmp_path / "m.tflite", tensors, operators, [0], [1, 2])
    with pytest.raises(ModelUnreadableError, match="'y' names 2 tensors"):
        import_model(path)


def test_another_file_is_refused(tmp_path: Path, tiny_onnx: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_onnx.read_bytes())
    with pytest.raises(ModelUnreadableError, match="not a TFLite file"):
        import_model(path)


@pytest.mark.parametrize("sixteenth", range(1, 16, 2))
def test_a_cut_off_file_is_refused(
    okay_nabu_tflite: Path, dense_tflite: Path, tmp_path: Path, sixteenth: int
) -> None:
    for source in (okay_nabu_tflite, dense_tflite):
        data = source.read_bytes()
        path = tmp_path / "m.tflite"
        path.write_bytes(data[: len(data) * sixteenth // 16])
        with pytest.raises(ModelUnreadableError):
            import_model(path)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_garbage_gives_an_edgetvm_error(
    tmp_path: Path, dense_tflite: Path, data: st.DataObject
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(data.draw(mutated(dense_tflite.read_bytes())))
    try:
        import_model(path)
    except EdgetvmError as error:
        str(error).encode()
        assert error.mend
