"""What is told of leases: who has a board, who waits for one, and how the boards are."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
from dataclasses import dataclass, field
from typing import Literal

from edgetvm.base.errors import LeaseLostError, UsageError
from edgetvm.farm.tracker_client import Address

# `good` is proven by a session with the board's server. Only an admin ends `maintenance`.
Verdict = Literal["good", "unknown", "bad", "maintenance"]

# A holder that was killed is missed after this.
TTL_S = 30.0
LONGEST_S = 24 * 3600.0
# A board that was proven good longer ago is given to nobody.
PROOF_AGE_S = 60.0
# A daemon that has been silent for so long serves no more.
DAEMON_AGE_S = 10.0
# A lease by its words: what commands inside `edgetvm lease run` find.
VARIABLE = "EDGETVM_LEASE"


def whoever_asks() -> str:
    """USER@HOST of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@dataclass(frozen=True)
class Request:
    """What somebody wants.

    Attributes:
        boards: names, any of which will do; the first that is free is given.
        owner: who asks, in words.
        purpose: what for, in words.
        priority: the larger goes first; what waits gains one for every minute.
        ttl_s: seconds after the last heartbeat that the lease is held.
        longest_s: seconds that it is held at most.
        secret: proves that a later question is of the same asker.
    """

    boards: tuple[str, ...]
    owner: str = field(default_factory=whoever_asks)
    purpose: str = ""
    priority: int = 0
    ttl_s: float = TTL_S
    longest_s: float = LONGEST_S
    secret: str = field(default_factory=lambda: secrets.token_hex(16))

    def waiting(self, number: int) -> Waiting:
        """The request as it stands in the queue, from now on."""
        return Waiting(number, self.boards, self.owner, self.purpose, self.priority, 0.0)


@dataclass(frozen=True)
class Lease:
    """A board in somebody's hands.

    Attributes:
        token: number of the lease; a later one of any board has a larger one.
        board: its name.
        owner, purpose, secret, ttl_s, longest_s: of the request.
        granted_at: seconds since 1970, for people; no decision rests on it.
        age_s: seconds since it was granted.
        silent_s: seconds since the last heartbeat.
        tracker: where the board's server is registered.
        key: that the server is registered under for this lease only.
            Both are None only for a lease that is over.
    """

    token: int
    board: str
    owner: str
    purpose: str
    secret: str
    ttl_s: float
    longest_s: float
    granted_at: float
    age_s: float
    silent_s: float
    tracker: Address | None
    key: str | None

    @property
    def left_s(self) -> float:
        """Seconds that it is held without another heartbeat; 0 and less once it is over."""
        return min(self.ttl_s - self.silent_s, self.longest_s - self.age_s)

    @property
    def server(self) -> tuple[Address, str]:
        """Tracker and key of the board's server.

        Raises:
            LeaseLostError: the board has none for this lease.
        """
        if self.tracker is None or self.key is None:
            raise LeaseLostError("its server is gone", where=f"board {self.board}")
        return self.tracker, self.key

    @property
    def words(self) -> str:
        """For `$EDGETVM_LEASE`: whoever has them has the lease."""
        return json.dumps([self.token, self.board, self.secret])


@dataclass(frozen=True)
class Ended:
    """A lease that is over.

    Attributes:
        token, board, owner, purpose: of the lease.
        granted_at, ended_at: seconds since 1970, for people.
        held_s: seconds.
        reason: `released`, `expired`, `over its longest life`, `kicked by …`, `board lost: …`.
    """

    token: int
    board: str
    owner: str
    purpose: str
    granted_at: float
    ended_at: float
    held_s: float
    reason: str


@dataclass(frozen=True)
class Waiting:
    """Somebody in the queue.

    Attributes:
        number: of the request; a later one has a larger one.
        boards, owner, purpose, priority: of it.
        waited_s: so far.
    """

    number: int
    boards: tuple[str, ...]
    owner: str
    purpose: str
    priority: int
    waited_s: float


@dataclass(frozen=True)
class Offer:
    """A board of the farm, and how it is.

    Attributes:
        board: its name.
        profile: name of its board profile.
        daemon: that serves it.
        verdict: of its health.
        revision: another one after each change of it.
        detail: why, in words.
        age_s: seconds since it was last proven good; None if it never was.
        temperature_c: at that time.
        tracker, key: of the server that waits for the next holder; None where there is none.
    """

    board: str
    profile: str
    daemon: str
    verdict: Verdict
    revision: int = 0
    detail: str = ""
    age_s: float | None = None
    temperature_c: float | None = None
    tracker: Address | None = None
    key: str | None = None

    @property
    def health(self) -> tuple[Verdict, str]:
        """The verdict as it counts now for a board that nobody has, and why: proofs grow old."""
        if self.verdict == "good" and (self.age_s is None or self.age_s > PROOF_AGE_S):
            return "unknown", "not proven for long: is its daemon up?"
        return self.verdict, self.detail


@dataclass(frozen=True)
class Daemon:
    """A process that serves the farm.

    Attributes:
        name: of it.
        host: that it runs on.
        tracker: of its boards, on that host's loopback.
        pid: on that host.
        silent_s: since its last sign of life.
    """

    name: str
    host: str
    tracker: Address
    pid: int
    silent_s: float

    @property
    def is_up(self) -> bool:
        """Whether it has given a sign of life lately."""
        return self.silent_s < DAEMON_AGE_S

    @property
    def is_here(self) -> bool:
        """Whether its tracker can be reached from this host."""
        return self.host == socket.gethostname()


@dataclass(frozen=True)
class Proof:
    """That a board is good: a session with its server came and went.

    Attributes:
        tracker, key: that the server is registered with.
        temperature_c: that it told; None where it has no sensor.
    """

    tracker: Address
    key: str
    temperature_c: float | None = None


@dataclass(frozen=True)
class Overview:
    """The farm at one moment: daemons, boards by name, open leases, who waits, what ended last."""

    daemons: tuple[Daemon, ...]
    boards: tuple[Offer, ...]
    leases: tuple[Lease, ...]
    waiting: tuple[Waiting, ...]
    ended: tuple[Ended, ...]


def lease_of_words(words: str) -> tuple[int, str, str]:
    """Token, board and secret of `Lease.words`.

    Raises:
        UsageError: they are not of that form.
    """
    try:
        token, board, secret = json.loads(words)
        return int(token), str(board), str(secret)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"${VARIABLE} is {words!r}, and no lease is written so",
            mend="take what edgetvm lease take prints, or unset it",
        ) from error
