"""The Open Inference Protocol, beside the bodies that NVIDIA's client writes and reads."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype
from numpy.typing import NDArray

from edgetvm.base.errors import InputError
from edgetvm.models.model import DTYPES, Signature, TensorSpec
from edgetvm.workflow.serving.protocol import LONG_BYTES, read_request, written

Array = NDArray[np.generic]
DATATYPES = {
    "bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8", "uint16": "UINT16",
    "uint32": "UINT32", "uint64": "UINT64",
}  # fmt: skip
ANSWER = {"model_name": "m", "model_version": "1"}


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Array]:
    """Arrays of any dtype by name."""
    names = draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3, unique=True))
    found = {}
    for name in names:
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        finite = from_dtype(dtype, allow_nan=False, allow_infinity=False)
        found[name] = draw(arrays(dtype, array_shapes(max_dims=4, max_side=3), elements=finite))
    return found


def specs(tensors: dict[str, Array]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, one.shape, str(one.dtype)) for name, one in tensors.items())


def same(found: dict[str, Array], expected: dict[str, Array]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == one.dtype
        and found[name].shape == one.shape
        and found[name].tobytes() == one.tobytes()
        for name, one in expected.items()
    )


@given(tensors(), st.data())
def test_what_the_client_writes_is_read(
    given_tensors: dict[str, Array], data: st.DataObject
) -> None:
    asked = []
    for name, array in given_tensors.items():
        one = triton.InferInput(name, list(array.shape), DATATYPES[str(array.dtype)])
        one.set_data_from_numpy(array, binary_data=data.draw(st.booleans()))
        asked.append(one)
    body, header = triton.InferenceServerClient.generate_request_body(asked, request_id="7")
    signature = Signature(specs(given_tensors), specs(given_tensors))
    request = read_request(body, None if header is None else str(header), signature)
    assert same(request.inputs, given_tensors)
    assert request.id == "7"
    assert set(request.outputs.values()) == {True}, "the client wants binary where it says nothing"


@given(tensors(), st.data())
def test_what_is_written_the_client_reads(
    given_tensors: dict[str, Array], data: st.DataObject
) -> None:
    wanted = {name: data.draw(st.booleans()) for name in given_tensors}
    body, header = written(ANSWER, given_tensors, wanted)
    assert (header is None) == (not any(wanted.values()))
    answer = triton.InferenceServerClient.parse_response_body(body, header_length=header)
    assert same({name: answer.as_numpy(name) for name in given_tensors}, given_tensors)
    assert answer.get_response()["model_name"] == "m"


X = TensorSpec("x", (2, 2), "float32")
SIGNATURE = Signature((X, TensorSpec("n", (1,), "int8")), (TensorSpec("y", (2,), "float32"),))
GOOD: dict[str, Any] = {
    "inputs": [
        {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [3, 4]]},
        {"name": "n", "shape": [1], "datatype": "INT8", "data": [-128]},
    ]
}


def changed(index: int, **keys: Any) -> bytes:
    inputs = [dict(one) for one in GOOD["inputs"]]
    inputs[index] |= keys
    return json.dumps({"inputs": inputs}).encode()


def test_rows_and_one_row_are_the_same() -> None:
    nested = read_request(json.dumps(GOOD).encode(), None, SIGNATURE)
    flat = read_request(changed(0, data=[1, 2.5, 3, 4]), None, SIGNATURE)
    assert same(nested.inputs, flat.inputs)
    assert nested.outputs == {"y": False}


@pytest.mark.parametrize(
    ("body", "header", "words"),
    [
        (b"{", None, "not JSON"),
        (b"\xff", None, "not JSON"),
        (b"[" * 100_000, None, "not JSON"),
        (b"[]", None, "it should be an object"),
        (b'{"inputs": 3}', None, "wrong at inputs"),
        (b'{"inputs": []}', None, "input 'x' is missing"),
        (changed(0, name="z"), None, "input 'z' is none of the model's"),
        (changed(1, name="x"), None, "input 'x' stands twice"),
        (changed(0, shape=[4]), None, "should be FP32[2, 2]"),
        (changed(0, datatype="FP64"), None, "should be FP32[2, 2]"),
        (changed(0, data=[1, 2, 3]), None, "have shape [3]"),
        (changed(0, data=[[1, 2], [3]]), None, "no rows of equal length"),
        (changed(0, data=["a", "b", "c", "d"]), None, "are not FP32"),
        (changed(0, data=None), None, "have shape []"),
        (changed(1, data=[128]), None, "do not fit into INT8"),
        (changed(1, data=[1.5]), None, "are not INT8"),
        (changed(1, data=[True]), None, "are not INT8"),
        (changed(1, data=[2**70]), None, "are not INT8"),
        (changed(0, data=[1, 2, 3, np.nan]), None, "it holds NaN: send that tensor in binary"),
        (changed(0, data=[1, 2, 3, -np.inf]), None, "it holds -Infinity"),
        (changed(0, parameters={"binary_data_size": 16}), None, "has `data` too"),
        (changed(0, data=None, parameters={"binary_data_size": 12}), None, "it has 16 bytes"),
        (changed(0, data=None, parameters={"binary_data_size": "16"}), None, "it has 16 bytes"),
        (changed(0, data=None, parameters={"binary_data_size": 16}), None, "ends within input 'x'"),
        (changed(0), "9999999", "the body has"),
        (changed(0), "-1", "the body has"),
        (changed(0), "²", "the body has"),
        (changed(0) + b"1234", str(len(changed(0))), "4 bytes follow the last tensor"),
        (json.dumps({**GOOD, "outputs": [{"name": "z"}]}).encode(), None, "there is no output 'z'"),
    ],
)
def test_what_is_wrong_is_told(body: bytes, header: str | None, words: str) -> None:
    with pytest.raises(InputError) as told:
        read_request(body, header, SIGNATURE)
    assert words in str(told.value)


def long_request(tensors: dict[str, Array]) -> tuple[bytes, Signature]:
    asked = [
        {"name": name, "shape": one.shape, "datatype": DATATYPES[str(one.dtype)],
         "data": one.tolist()}
        for name, one in tensors.items()
    ]  # fmt: skip
    body = json.dumps({"inputs": asked}).replace(".0,", ",").encode()
    assert len(body) > LONG_BYTES
    return body, Signature(specs(tensors), specs(tensors))


def test_long_json_is_read_and_written_as_short_is() -> None:
    """Rows, floats among whole numbers, and whole numbers that are beyond what NumPy expects."""
    chance = np.random.default_rng(0)
    tensors = {
        "rows": chance.normal(size=(3, 5000)),
        "row": chance.uniform(size=9000).round(1).astype(np.float32),
        "whole": chance.integers(2**64 - 1, size=9000, dtype=np.uint64),
    }
    body, signature = long_request(tensors)
    request = read_request(body, None, signature)
    assert same(request.inputs, tensors)
    text, _ = written(ANSWER, tensors, request.outputs)
    assert same(read_request(text.replace(b"outputs", b"inputs"), None, signature).inputs, tensors)


def test_other_threads_run_while_long_json_is_read_and_written() -> None:
    """`json` alone lets none run from begin to end."""
    tensors: dict[str, Array] = {"x": np.random.default_rng(0).normal(size=200_000)}
    body, signature = long_request(tensors)
    turns, ended = 0, threading.Event()

    def other() -> None:
        nonlocal turns
        while not ended.is_set():
            turns += 1
            time.sleep(0)

    def turns_in(work: Callable[[], object]) -> int:
        before = turns
        work()
        return turns - before

    beside, usual_s = threading.Thread(target=other), sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    beside.start()
    try:
        # Where the system takes this thread's core the other one runs as well, now and then.
        assert min(turns_in(lambda: json.loads(body)) for _ in range(5)) < 5
        assert turns_in(lambda: read_request(body, None, signature)) > 100
        request = read_request(body, None, signature)
        assert turns_in(lambda: written(ANSWER, tensors, request.outputs)) > 30
    finally:
        sys.setswitchinterval(usual_s)
        ended.set()
        beside.join()


@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 400))
def test_no_bytes_break_it(inserted: bytes, begin: int, end: int) -> None:
    """A request with something else in its midst is read, or refused in a sentence."""
    body = changed(0, data=None, parameters={"binary_data_size": 16}) + bytes(16)
    broken = body[:begin] + inserted + body[end:]
    try:
        request = read_request(broken, str(len(body) - 16), SIGNATURE)
    except InputError:
        return
    SIGNATURE.check_inputs(request.inputs)


def test_numbers_that_json_lacks_go_in_binary_only() -> None:
    outputs = {"y": np.array([np.nan, np.inf], np.float32)}
    with pytest.raises(InputError, match="ask for it in binary"):
        written(ANSWER, outputs, {"y": False})
    body, header = written(ANSWER, outputs, {"y": True})
    assert body[header:] == outputs["y"].tobytes()
