"""Messages between host and board, and addresses: read back as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_models import value, write
from numpy.typing import NDArray
from onnx import helper
from real_board import onnx_runtime, packaged

from edgetvm.base.errors import UsageError
from edgetvm.farm import Address, Board, connect
from edgetvm.farm.board_service import FUNCTIONS, decode, encode
from edgetvm.package.arrays import DTYPES, pack, unpack

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    )
)


@given(header=st.dictionaries(st.text(), JSON, max_size=5), payload=st.binary(max_size=500))
def test_messages_survive(header: dict[str, Any], payload: bytes) -> None:
    assert decode(encode(header, payload)) == (header, payload)


@given(arrays=st.dictionaries(st.text(), ARRAYS, max_size=4))
def test_arrays_of_every_dtype_and_shape_survive(arrays: dict[str, NDArray[Any]]) -> None:
    described, payload = pack(arrays)
    header, data = decode(encode({"arrays": described}, payload))
    found = unpack(header["arrays"], data)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        # Bit by bit: NaN and minus zero too.
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes()


@given(array=ARRAYS)
def test_arrays_in_any_order_of_memory_survive(array: NDArray[Any]) -> None:
    turned = array.T[::-1] if array.ndim else array
    swapped = turned.astype(turned.dtype.newbyteorder(">"))
    for one in (turned, np.asfortranarray(turned), swapped):
        (found,) = unpack(*pack({"x": one})).values()
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, turned)


@given(
    host=st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True) | st.just("::1"),
    port=st.integers(1, 65535),
)
def test_an_address_is_read_as_it_is_written(host: str, port: int) -> None:
    assert Address.parse(f"{host}:{port}") == Address(host, port)
    assert str(Address.parse(f"{host}:{port}")) == f"{host}:{port}"


@given(text=st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except UsageError as error:
        assert "HOST:PORT" in str(error)
    else:
        assert address.host
        assert 0 < address.port < 65536


@pytest.mark.parametrize(
    "text", ["", "host", ":9190", "host:", "host:0", "host:65536", "host:-1", "host:²", "host:1.5"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no address.*write HOST:PORT"):
        Address.parse(text)


ONNX_TYPES = {
    "float16": "FLOAT16",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "bool": "BOOL",
    **{
        f"{sign}int{bits}": f"{sign}int{bits}".upper()
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


@pytest.mark.board
def test_a_model_of_every_dtype_gives_back_what_the_board_was_sent(
    board: Board, tmp_path: Path
) -> None:
    assert set(ONNX_TYPES) == set(DTYPES)
    # One model whose every output is its input turned round; the values are the extreme ones.
    shapes = ([2, 3], [1], [3, 1, 2], [4])
    nodes, inputs, outputs = [], [], []
    arrays: dict[str, NDArray[Any]] = {}
    random = np.random.default_rng(0)
    for index, (dtype, kind) in enumerate(sorted(ONNX_TYPES.items())):
        shape = shapes[index % len(shapes)]
        nodes.append(helper.make_node("Transpose", [f"in_{dtype}"], [f"out_{dtype}"]))
        inputs.append(value(f"in_{dtype}", shape, kind))
        outputs.append(value(f"out_{dtype}", shape[::-1], kind))
        size = np.dtype(dtype).itemsize
        if dtype == "bool":
            array = random.integers(0, 2, shape).astype(bool)
        elif "float" in dtype:
            array = random.standard_normal(shape).astype(dtype)
            array.flat[0] = np.finfo(dtype).max
        else:
            array = np.frombuffer(random.bytes(size * int(np.prod(shape))), dtype).reshape(shape)
        arrays[f"in_{dtype}"] = array
    path = write(tmp_path / "dtypes.onnx", nodes, inputs, outputs)
    package = packaged(path)
    with connect(board) as session:
        session.open(package.data, None)
        _, found = session.run(arrays)
    expected = onnx_runtime(path, arrays)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array)
        np.testing.assert_array_equal(found[name], arrays[name.replace("out", "in")].T)


def test_every_function_of_the_board_has_words_for_errors() -> None:
    from edgetvm.farm.session import _DOING

    assert set(_DOING) == set(FUNCTIONS)
