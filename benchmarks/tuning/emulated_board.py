"""A board that is none: edgetvm's server, where every candidate sleeps for as long as any other.

    python -m benchmarks.tuning.emulated_board --sleeper FILE --fd N --tracker HOST:PORT --key KEY

Sessions, uploads and timing are real. What is loaded in a candidate's place needs no processor, so
that many such boards run beside each other on one machine.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgetvm.base.errors import TrackerUnreachableError
from edgetvm.farm.listening import LOOPBACK, address, listener_of, listening_socket, parser_for
from edgetvm.farm.server import serve
from edgetvm.farm.tracker_client import Address, registered_keys

_SOURCE = Path(__file__).with_name("sleeper.c")
_START_DEADLINE_S = 120.0


def built_sleeper(folder: Path, sleep_ms: float) -> Path:
    """The kernel that sleeps, as a library for this machine."""
    path = folder / "sleeper.so"
    command = [sys.executable, "-m", "ziglang", "cc", "-O1", "-shared", "-fPIC", "-nostdlib"]
    command += [f"-DSLEEP_NS={round(sleep_ms * 1e6)}L", str(_SOURCE), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@contextlib.contextmanager
def emulated_boards(count: int, key: str, sleeper: Path) -> Iterator[Address]:
    """So many servers and the tracker that they register with; gives the tracker's address.

    Raises:
        TimeoutError: they did not come up.
    """
    with contextlib.ExitStack() as up:
        with listening_socket() as listener:
            tracker = Address(LOOPBACK, listener.getsockname()[1])
            up.enter_context(_process("edgetvm.farm.tracker", "--fd", listener.fileno()))
        for _ in range(count):
            with listening_socket() as listener:
                up.enter_context(
                    _process(
                        *(__spec__.name, "--fd", listener.fileno()),
                        *("--tracker", tracker, "--key", key, "--sleeper", sleeper),
                    )
                )
        _wait_until_all_stand(tracker, key, count)
        yield tracker


def _wait_until_all_stand(tracker: Address, key: str, count: int) -> None:
    """A client gives a tracker seconds to greet him; where all cores are wanted it needs longer
    than that to start."""
    until_s = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < until_s:
        with contextlib.suppress(TrackerUnreachableError):
            if registered_keys(tracker).count(key) == count:
                return
        time.sleep(0.05)
    raise TimeoutError(f"{count} emulated boards did not come up in {_START_DEADLINE_S:g} s")


@contextlib.contextmanager
def _process(module: str, option: str, listener: int, *more: object) -> Iterator[None]:
    """A process that ends with its input, and has an inherited socket."""
    with subprocess.Popen(
        [sys.executable, "-m", module, option, str(listener), *map(str, more)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[listener],
        start_new_session=True,
    ):
        yield


def main() -> None:
    """Serve until the parent ends."""
    parser = parser_for(__spec__.name, "Serve a board whose kernels sleep.")
    parser.add_argument("--tracker", type=address, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--sleeper", type=Path, required=True)
    arguments = parser.parse_args()
    listener = listener_of(parser, arguments)
    from tvm.rpc import server

    load = server._load_module

    def load_sleeper(_candidate: str) -> Any:
        return load(str(arguments.sleeper))

    server._load_module = load_sleeper
    serve(listener, arguments.tracker, arguments.key)


if __name__ == "__main__":
    main()
