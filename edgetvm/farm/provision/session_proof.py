"""A session with a board's server: it tells its version, and a kernel that is sent there runs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from edgetvm.base.errors import BoardError, BoardTimeoutError
from edgetvm.base.words import printable
from edgetvm.farm.bare_session import BareSession, Handle
from edgetvm.farm.listening import LOOPBACK
from edgetvm.farm.probing import facts_told
from edgetvm.farm.ssh import Connection, NobodyListensError
from edgetvm.package.crossbuild import build_kernel

_DEADLINE_S = 30.0
_NUMBER = 1 << 40


def prove_session(connection: Connection, port: int, key: str, kernel: bytes) -> str:
    """Begin a session with a board's server, over SSH, and try it.

    Args:
        connection: to the board.
        port: of the server, on the board's loopback.
        key: that lets clients in.
        kernel: `probe.c` for the board's architecture.

    Returns:
        the version of edgetvm that the server is.

    Raises:
        BoardError: it does not run, or answers otherwise than it should; and what `Connection`
            raises.
    """
    where = f"board {connection.board.name}"
    try:
        with (
            closing(connection.open_stream(LOOPBACK, port)) as stream,
            BareSession(stream, key, _DEADLINE_S) as session,
        ):
            try_kernel(session, kernel)
            return printable(str(facts_told(session).get("version")))
    except NobodyListensError as error:
        raise BoardError(
            f"its server does not run: {error.what}",
            where=where,
            mend="run the same command again",
        ) from error
    except BoardError:
        raise
    except TimeoutError as error:
        raise BoardTimeoutError(
            f"its server did not answer within {_DEADLINE_S:g} s",
            where=where,
            mend="is it overloaded? run the same command again",
        ) from error
    except (EOFError, OSError, ValueError) as error:
        connection.see_that_it_holds("proving its server")
        raise BoardError(
            f"a session with its server fails: {printable(str(error))}",
            where=where,
            mend=f"does another program have port {port} there? give it another `server_port`",
        ) from error


def probe_kernel(architecture: str) -> Path:
    """`probe.c` for an architecture: a shared object, built or taken from the cache.

    Raises:
        NotFoundError, CompileError, MissingToolError, StorageError: as `board_program`.
    """
    return build_kernel("probe.so", Path(__file__).with_name("probe.c"), architecture)


def try_kernel(session: BareSession, kernel: bytes) -> None:
    """Have a kernel loaded and run, which a system that is locked down may forbid.

    Raises:
        ValueError: it is not, or computes something else.
    """
    file = "probe.so"
    session.call(session.function("tvm.rpc.server.upload"), file, kernel)
    module = session.call(session.function("tvm.rpc.server.load_module"), file)
    if not isinstance(module, Handle):
        raise ValueError("it loads no code that is sent to it")
    of_module = session.function("tvm.rpc.server.ModuleGetFunction")
    probe = session.call(of_module, "probe", 0, module=module)
    if not isinstance(probe, Handle) or session.call(probe, _NUMBER) != 3 * _NUMBER + 1:
        raise ValueError("code that is sent to it does not compute what it should")
