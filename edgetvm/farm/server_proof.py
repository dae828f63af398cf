"""Whether a board's server answers: by its greeting, for a port that is open proves nothing."""

from __future__ import annotations

from contextlib import closing

from edgetvm.base.errors import BoardError, BoardTimeoutError
from edgetvm.farm.bare_session import BareSession, KeyRefusedError
from edgetvm.farm.listening import LOOPBACK
from edgetvm.farm.ssh import Connection, NobodyListensError

# No board has this key: one that refuses it is there, and begins no session for it.
_NOBODY = "nobody"


def prove_server(connection: Connection, port: int) -> None:
    """Greet a board's server, which begins no session for it and waits for none to end.

    Args:
        connection: to the board.
        port: of the server, on the board's loopback.

    Raises:
        BoardError: nothing listens there, or something else than such a server; BoardTimeoutError
            where it is silent; and what `Connection` raises.
    """
    name = connection.board.name
    try:
        channel = connection.open_stream(LOOPBACK, port)
    except NobodyListensError as error:
        raise BoardError(
            f"its server does not run: {error.what}",
            where=f"board {name}",
            mend=f"start it: edgetvm provision {name}",
        ) from error
    with closing(channel):
        try:
            BareSession(channel, _NOBODY, connection.deadlines.proof_s)
        except KeyRefusedError:
            return
        except TimeoutError as error:
            raise BoardTimeoutError(
                "its server accepts connections and did not answer in time",
                where=f"board {name}",
                mend=f"is it frozen? start it again: edgetvm provision {name}",
            ) from error
        except (OSError, EOFError, ValueError):
            connection.see_that_it_holds("proving its server")
    raise BoardError(
        f"what answers at port {port} there is not its server",
        where=f"board {name}",
        mend="choose another `server_port` in the inventory, and provision it again",
    )
