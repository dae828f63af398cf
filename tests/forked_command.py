"""`edgetvm` commands as forks of a process in which its modules are imported already.

Each is a process of its own, with its own folder, variables and streams, and ends as any other. It
only lacks the start of Python and the imports: two seconds of computing, for hundreds of commands.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

_MOST_BYTES = 1 << 17
# None of them starts a thread of ours or of TVM's, which a fork would lack.
_MODULES = ("edgetvm.cli.root", "edgetvm.workflow", "edgetvm.tune", "tvm.relax.frontend.onnx")


def run(
    arguments: Sequence[str], folder: Path | None, variables: Mapping[str, str], timeout_s: float
) -> tuple[int, str, str]:
    """A command's exit code and what was written to its streams, until all had closed them.

    Raises:
        TimeoutError: it took longer, and was killed.
    """
    request = json.dumps([list(arguments), str(folder or Path.cwd()), dict(variables)]).encode()
    answers, reply = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    with answers, os.fdopen(out, "rb") as out_file, os.fdopen(err, "rb") as err_file:
        with reply, os.fdopen(out_end, "wb"), os.fdopen(err_end, "wb"):
            _, requests = _server()
            socket.send_fds(requests, [request], [out_end, err_end, reply.fileno()])
        pid = int(answers.recv(_MOST_BYTES))
        try:
            said = _read([out_file.fileno(), err_file.fileno()], time.monotonic() + timeout_s)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
        return int(answers.recv(_MOST_BYTES)), said[0].decode(), said[1].decode()


def _read(streams: Sequence[int], until_s: float) -> tuple[bytes, bytes]:
    """What comes until all are closed."""
    said = dict.fromkeys(streams, b"")
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(until_s - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, _MOST_BYTES)
                said[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
    out, err = said.values()
    return out, err


@cache
def _server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process that forks, and the way to it. It ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
    return process, ours


def _next(requests: socket.socket) -> bool:
    """Fork for each request. Returns True in the forks, where a command shall run, else at last."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        request, handed, _, _ = socket.recv_fds(requests, _MOST_BYTES, 3)
        if not request:
            return False
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            if (pid := os.fork()) == 0:
                _become(handed, *json.loads(request))
                return True
            _tell_the_end(pid, handed)
        for one in handed:
            os.close(one)


def _become(
    handed: Sequence[int], arguments: list[str], folder: str, variables: dict[str, str]
) -> None:
    """Give this process what a command that was just started has."""
    for stream, one in zip((1, 2), handed, strict=False):
        os.dup2(one, stream)
    for one in handed:
        os.close(one)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv = ["edgetvm", *arguments]


def _tell_the_end(pid: int, handed: Sequence[int]) -> None:
    """Say the number of a process and, in the end, its exit code, as `subprocess` gives it."""
    out, err, reply = handed
    os.close(out)
    os.close(err)
    with socket.socket(fileno=reply) as answers:
        answers.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        answers.send(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def main() -> None:
    """Serve until the socket closes whose number is the argument."""
    sys.path[0] = str(Path.cwd())
    for name in _MODULES:
        import_module(name)
    gc.freeze()
    if _next(socket.socket(fileno=int(sys.argv[1]))):
        import_module("edgetvm.cli").main()


if __name__ == "__main__":
    main()
