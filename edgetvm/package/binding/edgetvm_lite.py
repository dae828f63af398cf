"""Runs `.edgetvm` packages by libedgetvm.so. Copy this file and the library: it needs only numpy.

    import edgetvm_lite

    with edgetvm_lite.Model("model.edgetvm") as model:
        answers = model.run({"image": image})

The library is found by its path or folder, by `$EDGETVM_LIBRARY`, beside this file, in the kit that
this file lies in, or by the system's loader. Python 3.8 and later.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from ctypes import POINTER, byref, c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LIBRARY = "libedgetvm.so"
# The file, and how programs that link it ask for it.
_NAMES = (LIBRARY, f"{LIBRARY}.1")
SYSTEM_ERROR = 6
_MAX_RANK = 16


class EdgetvmError(Exception):
    """One clear sentence of the runtime.

    Attributes:
        status: its number, as `edgetvm.h` lists them.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Tensor(NamedTuple):
    """An input or output.

    Attributes:
        scale, zero_point: integers stand for `scale * (integer - zero_point)`; None where they
            stand for themselves.
        state: carried by the runtime from one run to the next.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float | None
    zero_point: int | None
    state: bool


class _Config(ctypes.Structure):
    _fields_ = [
        ("threads", ctypes.c_uint32),
        ("spin_us", ctypes.c_uint32),
        ("unpinned", c_bool),
        ("late_arena", c_bool),
        ("arena", c_void_p),
        ("arena_bytes", c_size_t),
        ("target", c_char_p),
        ("reserved", ctypes.c_uint64 * 4),
    ]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("dtype", c_int),
        ("rank", ctypes.c_uint32),
        ("shape", c_int64 * _MAX_RANK),
        ("size_bytes", c_size_t),
        ("quantised", c_bool),
        ("scale", c_double),
        ("zero_point", c_int64),
        ("state", c_bool),
    ]


class _Info(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("edgetvm_version", c_char_p),
        ("target", c_char_p),
        ("architecture", c_char_p),
        ("reference", c_char_p),
        ("labels", c_char_p),
        ("tolerance", c_double),
        ("emulated", c_bool),
        ("is_signed", c_bool),
        ("threads", ctypes.c_uint32),
        ("arena_bytes", c_size_t),
        ("library_bytes", c_size_t),
        ("kernels", c_size_t),
    ]


class _Error(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char * 320)]


# Of each function that is called: what it answers with, and what it takes.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "edgetvm_version": (c_char_p, []),
    "edgetvm_dtype_name": (c_char_p, [c_int]),
    "edgetvm_open": (c_int, [c_char_p, POINTER(_Config), POINTER(c_void_p), POINTER(_Error)]),
    "edgetvm_close": (None, [c_void_p]),
    "edgetvm_error_text": (c_char_p, [c_void_p]),
    "edgetvm_get_info": (POINTER(_Info), [c_void_p]),
    "edgetvm_input_count": (c_size_t, [c_void_p]),
    "edgetvm_output_count": (c_size_t, [c_void_p]),
    "edgetvm_input": (POINTER(_Tensor), [c_void_p, c_size_t]),
    "edgetvm_output": (POINTER(_Tensor), [c_void_p, c_size_t]),
    "edgetvm_set_input_at": (c_int, [c_void_p, c_size_t, c_void_p, c_size_t]),
    "edgetvm_get_output_at": (c_int, [c_void_p, c_size_t, c_void_p, c_size_t]),
    "edgetvm_run": (c_int, [c_void_p]),
    "edgetvm_reset_state": (c_int, [c_void_p]),
    "edgetvm_read_member": (c_int, [c_void_p, c_char_p, c_void_p, POINTER(c_size_t)]),
}


def _library_in(place: Path) -> str:
    """A library, or the one in a folder; with a path in any case: the loader asks for one."""
    if place.is_dir():
        found = [place / name for name in _NAMES if (place / name).exists()]
        place = found[0] if found else place / LIBRARY
    return str(place.absolute())


def _library_nearby() -> str:
    """Beside this file, in the `lib` of the kit that it lies in, or wherever the loader looks."""
    here = Path(__file__).resolve()
    folders = [here.parent, *(folder / "lib" for folder in here.parents[3:4])]
    found = [folder for folder in folders if any((folder / name).exists() for name in _NAMES)]
    return _library_in(found[0]) if found else _NAMES[1]


def load_library(path: str | os.PathLike[str] | None = None) -> ctypes.CDLL:
    """libedgetvm.so.

    Args:
        path: of the library; see above for where it is looked for without it.

    Raises:
        EdgetvmError: it is not found, or not for this machine.
    """
    place = path or os.environ.get("EDGETVM_LIBRARY")
    named = _library_in(Path(place)) if place else _library_nearby()
    try:
        library = ctypes.CDLL(named)
    except OSError as error:
        text = f"{named}: {error} (name the library with $EDGETVM_LIBRARY, or copy it beside "
        raise EdgetvmError(f"{text}{__file__})", SYSTEM_ERROR) from error
    for name, (answer, takes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = answer, takes
    return library


class Model:
    """An opened package. For one thread at a time.

    Attributes:
        inputs, outputs: in the order of the signature; those that the runtime carries from run to
            run have `state`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        threads: int = 0,
        target: str | None = None,
        library: str | os.PathLike[str] | None = None,
    ) -> None:
        """Check a package and load its model.

        Args:
            path: of the package, or of a program that one was appended to.
            threads: that share a run; one for each core without it.
            target: name of the board profile to take; the first that fits without it.
            library: path of libedgetvm.so, or its folder.

        Raises:
            EdgetvmError: the package is damaged, or not for this machine; or see `load_library`.
        """
        self._library = load_library(library)
        self._run = self._library.edgetvm_run
        self._model = c_void_p()
        config = _Config(threads=threads, target=target.encode() if target else None)
        error = _Error()
        status = self._library.edgetvm_open(
            os.fsencode(path), byref(config), byref(self._model), byref(error)
        )
        if status:
            raise EdgetvmError(error.text.decode(errors="replace"), status)
        of, model = self._library, self._model
        count, found = of.edgetvm_input_count(model), of.edgetvm_input
        self.inputs = [self._tensor(found(model, index).contents) for index in range(count)]
        count, found = of.edgetvm_output_count(model), of.edgetvm_output
        self.outputs = [self._tensor(found(model, index).contents) for index in range(count)]

    @property
    def info(self) -> dict[str, Any]:
        """What the package tells of itself: name, target, architecture, threads, memory."""
        told = self._library.edgetvm_get_info(self._opened()).contents
        values = {field[0]: getattr(told, field[0]) for field in _Info._fields_}
        return {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in values.items()
        }

    @property
    def labels(self) -> list[str]:
        """Names of the classes; none where the package has none."""
        member = self.info["labels"]
        return self.read(member).decode().splitlines() if member else []

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One run.

        Args:
            inputs: arrays by name, all but states. A state that is given replaces what is carried.

        Returns:
            arrays by name, all outputs.

        Raises:
            ValueError: an input of no such name, of another shape or dtype.
            EdgetvmError: an input is missing, or a kernel refused its work.
        """
        self.set_inputs(inputs)
        self.invoke()
        return self.outputs_now()

    def set_inputs(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Set what the next run takes; see `run`."""
        for name, array in inputs.items():
            self._set(name, np.asarray(array))

    def outputs_now(self) -> dict[str, np.ndarray]:
        """What the last run gave: arrays by name."""
        return {spec.name: self._get(index, spec) for index, spec in enumerate(self.outputs)}

    def invoke(self) -> None:
        """One run on the inputs that were set last and the states that are carried.

        Raises:
            EdgetvmError: an input is missing, or a kernel refused its work.
        """
        status = self._run(self._model)
        if status:
            self._opened()
            self._check(status)

    def reset_state(self) -> None:
        """Begin the stream anew."""
        self._check(self._library.edgetvm_reset_state(self._opened()))

    def read(self, member: str) -> bytes:
        """A member of the package, such as `sample/input-0.bin`, checked again.

        Raises:
            EdgetvmError: there is none of that name.
        """
        size = c_size_t()
        ask, name = self._library.edgetvm_read_member, member.encode()
        self._check(ask(self._opened(), name, None, byref(size)))
        data = ctypes.create_string_buffer(max(size.value, 1))
        self._check(ask(self._model, name, data, byref(size)))
        return data.raw[: size.value]

    def close(self) -> None:
        """Give the model's memory back. A closed model is closed already."""
        self._library.edgetvm_close(self._model)
        self._model = c_void_p()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self.close()

    def _opened(self) -> c_void_p:
        if not self._model:
            raise ValueError("the model is closed")
        return self._model

    def _check(self, status: int) -> None:
        if status:
            text = self._library.edgetvm_error_text(self._model)
            raise EdgetvmError(text.decode(errors="replace"), status)

    def _tensor(self, told: _Tensor) -> Tensor:
        return Tensor(
            told.name.decode(),
            tuple(told.shape[: told.rank]),
            np.dtype(self._library.edgetvm_dtype_name(told.dtype).decode()),
            told.scale if told.quantised else None,
            told.zero_point if told.quantised else None,
            told.state,
        )

    def _set(self, name: str, array: np.ndarray) -> None:
        names = [spec.name for spec in self.inputs]
        if name not in names:
            raise ValueError(f"no input {name!r}: there are {', '.join(names)}")
        spec = self.inputs[names.index(name)]
        if array.shape != spec.shape or array.dtype != spec.dtype:
            raise ValueError(
                f"input {name!r} is {array.dtype}{list(array.shape)}: "
                f"it should be {spec.dtype}{list(spec.shape)}"
            )
        given = np.ascontiguousarray(array)
        self._check(
            self._library.edgetvm_set_input_at(
                self._opened(), names.index(name), given.ctypes.data, given.nbytes
            )
        )

    def _get(self, index: int, spec: Tensor) -> np.ndarray:
        array = np.empty(spec.shape, spec.dtype)
        self._check(
            self._library.edgetvm_get_output_at(self._model, index, array.ctypes.data, array.nbytes)
        )
        return array
