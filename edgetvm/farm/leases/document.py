"""The farm as one JSON document: of `--json`, and of the web page. It holds no secret."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgetvm.farm.leases.lease import Lease, Offer, Overview


def farm_document(farm: Overview) -> dict[str, Any]:
    """Daemons, boards with their leases, who waits, and what ended last; seconds and °C."""
    holders = {lease.board: lease for lease in farm.leases}
    return {
        "daemons": [
            {"name": one.name, "tracker": str(one.tracker), "pid": one.pid,
             "silent_s": one.silent_s, "is_up": one.is_up}
            for one in farm.daemons
        ],
        "boards": [_board(offer, holders.get(offer.board)) for offer in farm.boards],
        "waiting": [asdict(one) for one in farm.waiting],
        "ended": [asdict(one) for one in farm.ended],
    }  # fmt: skip


def _board(offer: Offer, lease: Lease | None) -> dict[str, Any]:
    health, detail = offer.health if lease is None else (offer.verdict, offer.detail)
    return {
        "board": offer.board,
        "profile": offer.profile,
        "health": health,
        "detail": detail,
        "proven_age_s": offer.age_s,
        "temperature_c": offer.temperature_c,
        "lease": None if lease is None else _lease(lease),
    }


def _lease(lease: Lease) -> dict[str, Any]:
    return {
        "token": lease.token,
        "owner": lease.owner,
        "purpose": lease.purpose,
        "granted_at": lease.granted_at,
        "age_s": lease.age_s,
        "silent_s": lease.silent_s,
        "left_s": lease.left_s,
    }
