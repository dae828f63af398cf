"""A board profile as TVM's target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetvm.boards.profile import BoardProfile

if TYPE_CHECKING:
    from tvm.target import Target


def target_for(profile: BoardProfile) -> Target:
    """The LLVM target of a profile."""
    from tvm.target import Target

    description: dict[str, object] = {
        "kind": "llvm",
        "mtriple": profile.triple,
        "mcpu": profile.cpu,
        "num-cores": profile.cores,
    }
    if profile.features:
        description["mattr"] = list(profile.features)
    if profile.float_abi:
        description["mfloat-abi"] = profile.float_abi
    return Target(description)
