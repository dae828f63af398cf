"""Leases: one holder of a board, proven by one compare-and-set in a database that outlives all."""

from edgetvm.farm.leases.holding import Held, held, take
from edgetvm.farm.leases.lease import Ended, Lease, Offer, Overview, Proof, Request, Waiting
from edgetvm.farm.leases.store import LeaseStore

__all__ = [
    "Ended",
    "Held",
    "Lease",
    "LeaseStore",
    "Offer",
    "Overview",
    "Proof",
    "Request",
    "Waiting",
    "held",
    "take",
]
