"""The Open Inference Protocol: requests read, answers and metadata written.

Version 2 over REST, with the extension for tensors in binary. A request is untrusted: it either
becomes arrays that fit the model's signature, or an InputError that its sender can act on.

Source: https://github.com/kserve/open-inference-protocol, and the extension in KServe's and
Triton's documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import InputError
from edgetvm.models.model import Arrays, Signature, TensorSpec

Array = NDArray[np.generic]

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ("binary_tensor_data",)
# Longer JSON takes longer than a thread may hold the interpreter.
LONG_BYTES = 1 << 18
_PIECE = 1 << 12
_SIZE, _WANTED, _ALL_WANTED = "binary_data_size", "binary_data", "binary_data_output"
_DATATYPES = {
    "bool": "BOOL",
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}
# What JSON may give for each kind of tensor.
_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}


@dataclass(frozen=True)
class _Input:
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = field(default_factory=dict)
    data: Any = None


@dataclass(frozen=True)
class _Output:
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Request:
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    outputs: list[_Output] | None = None


_ADAPTER = TypeAdapter(_Request)


@dataclass(frozen=True, config={"arbitrary_types_allowed": True})
class InferRequest:
    """What a client wants to know.

    Attributes:
        id: that the answer repeats; None where the client gave none.
        inputs: arrays by name, as the model's signature has them.
        outputs: whether each output that is wanted is sent in binary, by name.
    """

    id: str | None
    inputs: dict[str, Array]
    outputs: dict[str, bool]


def read_request(body: bytes, header_length: str | None, signature: Signature) -> InferRequest:
    """Read and check a request.

    Args:
        body: JSON, and the binary tensors one after the other behind it.
        header_length: the header of that name: how many bytes of the body are JSON; all without.
        signature: of the model. States may be left out: they are then as at a stream's begin.

    Raises:
        InputError: the request cannot be read, or does not fit the model.
    """
    text, binary = _parted(body, header_length)
    request = _parsed(text)
    specs = {spec.name: spec for spec in signature.inputs}
    arrays: dict[str, Array] = {}
    for one in request.inputs:
        if one.name not in specs or one.name in arrays:
            problem = "stands twice" if one.name in arrays else "is none of the model's"
            known = ", ".join(f"{known.name}: {_told(known)}" for known in signature.inputs)
            raise InputError(f"input {one.name!r} {problem}", mend=f"the inputs are {known}")
        arrays[one.name], binary = _array(one, specs[one.name], binary)
    if len(binary):
        raise InputError(
            f"{len(binary)} bytes follow the last tensor", mend=f"give each tensor its {_SIZE}"
        )
    inputs = {**signature.initial_states(), **arrays}
    signature.check_inputs(inputs)
    return InferRequest(request.id, inputs, _wanted(request, signature))


def _parted(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    digits = header_length.isascii() and header_length.isdigit() and len(header_length) < 20
    if not digits or int(header_length) > len(body):
        raise InputError(
            f"{HEADER_LENGTH} is {header_length!r}, and the body has {len(body)} bytes",
            mend="let it be the number of bytes of the JSON object",
        )
    return body[: int(header_length)], memoryview(body)[int(header_length) :]


def _parsed(text: bytes) -> _Request:
    of_float, of_int = (_float, _int) if len(text) > LONG_BYTES else (None, None)
    try:
        document = json.loads(text, parse_float=of_float, parse_int=of_int, parse_constant=_refused)
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, told = ".".join(map(str, first["loc"])), first["msg"]
        # Pydantic's own words name our classes there.
        told = "it should be an object" if first["type"] == "dataclass_type" else told
        place = f" at {key}" if key else ""
        raise InputError(f"the request is wrong{place}: {told[0].lower()}{told[1:]}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request is not JSON: {error}") from error


def _told(spec: TensorSpec) -> str:
    """Datatype and shape, as the protocol calls them."""
    return f"{_DATATYPES[spec.dtype]}{list(spec.shape)}"


# Functions of our own, between which Python lets other threads run: `json` alone does not.
def _float(digits: str) -> float:
    return float(digits)


def _int(digits: str) -> int:
    return int(digits)


def _refused(name: str) -> float:
    raise ValueError(f"it holds {name}: send that tensor in binary")


def _array(one: _Input, spec: TensorSpec, binary: memoryview) -> tuple[Array, memoryview]:
    """A tensor of the request, and the binary tensors behind it."""
    if (one.datatype, tuple(one.shape)) != (_DATATYPES[spec.dtype], spec.shape):
        raise InputError(
            f"input {one.name!r} is {one.datatype}{one.shape}",
            mend=f"it should be {_told(spec)}",
        )
    if _SIZE not in one.parameters:
        return _from_json(one, spec), binary
    size = one.parameters[_SIZE]
    if one.data is not None or type(size) is not int or size != spec.size_bytes:
        told = "has `data` too" if one.data is not None else f"of {size} bytes"
        raise InputError(
            f"input {one.name!r} is in binary and {told}", mend=f"it has {spec.size_bytes} bytes"
        )
    if len(binary) < size:
        raise InputError(f"the body ends within input {one.name!r}")
    little = np.dtype(spec.dtype).newbyteorder("<")
    if spec.dtype == "bool" and np.frombuffer(binary[:size], np.uint8).max(initial=0) > 1:
        raise InputError(f"input {one.name!r} has bytes that are neither 0 nor 1")
    array = np.frombuffer(binary[:size], little).astype(spec.dtype).reshape(spec.shape)
    return array, binary[size:]


def _from_json(one: _Input, spec: TensorSpec) -> Array:
    dtype = np.dtype(spec.dtype)
    try:
        given = _gathered(one.data)
    except (ValueError, OverflowError) as error:
        raise InputError(f"the data of input {one.name!r} are no rows of equal length") from error
    if given.shape not in (spec.shape, (int(np.prod(spec.shape)),)):
        raise InputError(
            f"the data of input {one.name!r} have shape {list(given.shape)}",
            mend=f"give them in shape {list(spec.shape)}, or in one row",
        )
    if dtype.kind == "u" and given.dtype.kind == "f":
        given = _whole(one.data, given)
    if given.dtype.kind not in _KINDS[dtype.kind]:
        raise InputError(f"the data of input {one.name!r} are not {one.datatype}")
    if dtype.kind in "iu" and given.size:
        limits = np.iinfo(dtype)
        if int(given.min()) < limits.min or int(given.max()) > limits.max:
            raise InputError(f"the data of input {one.name!r} do not fit into {one.datatype}")
    with np.errstate(over="ignore"):  # infinite, as the network would have it
        return given.astype(dtype).reshape(spec.shape)


def _gathered(data: object) -> Array:
    """As NumPy reads it; one long row in pieces, between which other threads run."""
    if not isinstance(data, list) or len(data) <= _PIECE:
        return np.asarray(data)
    return np.concatenate(
        [np.asarray(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE)]
    )


def _whole(data: object, given: Array) -> Array:
    """Numbers from 2**63 on, which NumPy takes for floats where smaller ones stand beside them."""
    exact = np.asarray(data, object)
    if all(type(item) is int for item in exact.flat):
        with suppress(OverflowError):
            return exact.astype(np.uint64)
    return given


def _wanted(request: _Request, signature: Signature) -> dict[str, bool]:
    known = [spec.name for spec in signature.outputs]
    usual = request.parameters.get(_ALL_WANTED) is True
    if not request.outputs:
        return dict.fromkeys(known, usual)
    for one in request.outputs:
        if one.name not in known:
            raise InputError(
                f"there is no output {one.name!r}", mend=f"the outputs are {', '.join(known)}"
            )
    return {one.name: one.parameters.get(_WANTED, usual) is True for one in request.outputs}


def written(
    answer: Mapping[str, Any], outputs: Arrays, wanted: Mapping[str, bool]
) -> tuple[bytes, int | None]:
    """The body of an answer, and how many bytes of it are JSON; None where all of it is.

    Args:
        answer: what stands beside the outputs.
        outputs: arrays by name.
        wanted: see `InferRequest.outputs`.

    Raises:
        InputError: an output that is wanted in JSON holds what JSON does not have.
    """
    told, binary = [], []
    for name, is_binary in wanted.items():
        array = outputs[name]
        one: dict[str, Any] = {
            "name": name,
            "shape": list(array.shape),
            "datatype": _DATATYPES[str(array.dtype)],
        }
        if is_binary:
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            one["parameters"] = {_SIZE: len(data)}
            binary.append(data)
            told.append(_text(one))
        else:
            told.append(_with(one, "data", _numbers(name, array)))
    text = _with(answer, "outputs", told).encode()
    return b"".join((text, *binary)), len(text) if binary else None


def _numbers(name: str, array: Array) -> Iterator[str]:
    """JSON of an array's numbers, in pieces, between which other threads run."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"output {name!r} holds NaN or infinity, which JSON does not have",
            mend="ask for it in binary",
        )
    flat = array.reshape(-1)
    for at in range(0, flat.size, _PIECE):
        yield _text(flat[at : at + _PIECE].tolist())[1:-1]


def _with(document: Mapping[str, Any], key: str, items: Iterable[str]) -> str:
    """JSON of an object that is not empty, and of one more list in it."""
    return f'{_text(document)[:-1]},"{key}":[{",".join(items)}]}}'


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


def described(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    """Inputs or outputs, as a model's metadata name them."""
    return [
        {"name": one.name, "datatype": _DATATYPES[one.dtype], "shape": list(one.shape)}
        for one in specs
    ]
