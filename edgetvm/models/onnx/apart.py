"""Jobs on graphs in a process of their own, which may crash or hang without harm to this one."""

from __future__ import annotations

import atexit
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

from edgetvm.models.onnx.jobs import HEADER

if TYPE_CHECKING:
    import onnx

# The job's own limit counts computing; this one is for a job that sleeps.
_LIMIT_S = 300.0
# Beyond it, copies would take more memory than is saved: such models are mostly weights.
MOST_BYTES = 1 << 30
_SIZE = struct.Struct("<Q")


class Worker:
    """One process, started when it is first needed and renewed after it died."""

    def __init__(self) -> None:
        self._forget()
        atexit.register(self.stop)
        # A fork has neither the process nor the thread that may hold the lock.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, so that it is ready by the time it is asked."""
        with self._lock, suppress(OSError):  # then jobs are done without, as if they failed
            self._started()

    def stop(self) -> None:
        """End it. The next job starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def run(
        self, job: str, model: onnx.ModelProto, sizes: Mapping[str, Sequence[int]]
    ) -> onnx.ModelProto | None:
        """The graph that a job of `jobs.JOBS` makes, or None where it fails in any way."""
        import onnx
        from google.protobuf.message import EncodeError

        if _bytes(model) > MOST_BYTES:
            return None
        # Protocol Buffers gives a name that is not UTF-8 as bytes; then no job finds it.
        asked = {"job": job, "sizes": {str(name): list(shape) for name, shape in sizes.items()}}
        words = json.dumps(asked).encode()
        try:
            data = model.SerializeToString()
        except (EncodeError, ValueError):  # more than Protocol Buffers' 2 GB
            return None
        result = None
        with self._lock:
            try:
                result = self._asked(HEADER.pack(len(words), len(data)), words, data)
            finally:
                if result is None:  # a process that died, or whose answer was not waited for
                    self.stop()
        return onnx.ModelProto.FromString(result) if result else None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._process = subprocess.Popen(
                # -P: what lies in the current folder is not on this process's path either.
                [sys.executable, "-P", "-m", "edgetvm.models.onnx.jobs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("EDGETVM_NATIVE_LOG") else subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
            )
        return self._process

    def _asked(self, *parts: bytes) -> bytes | None:
        """The answer; None if the process ends before it is complete."""
        try:
            process = self._started()
        except OSError:
            return None
        limit = threading.Timer(_LIMIT_S, process.kill)
        limit.start()
        try:
            questions, answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            for part in parts:
                questions.write(part)
            questions.flush()
            return _answer(answers)
        except OSError:  # it died while it was written to
            return None
        finally:
            limit.cancel()


def _answer(stream: IO[bytes]) -> bytes | None:
    header = stream.read(_SIZE.size)
    if len(header) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(header)
    data = stream.read(size)
    return data if len(data) == size else None


def _bytes(model: onnx.ModelProto) -> int:
    """About how large a model is; asking Protocol Buffers would make the bytes."""
    return sum(len(one.raw_data) for one in model.graph.initializer)


WORKER = Worker()
