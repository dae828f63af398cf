"""A board profile as TVM's target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.native import native_words_kept_back
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS, CompileOptions

if TYPE_CHECKING:
    from tvm.target import Target


def target_for(profile: BoardProfile, options: CompileOptions = DEFAULTS) -> Target:
    """The LLVM target of a profile, with what LLVM may do at a level.

    Raises:
        ConfigurationError: LLVM knows no such core; it would make code for any other in silence.
    """
    from tvm.target import Target, codegen

    with native_words_kept_back():
        known = codegen.llvm_is_valid_cpu(profile.cpu, profile.triple)
    if not known:
        raise ConfigurationError(
            f"LLVM knows no core {profile.cpu!r} of {profile.triple}",
            where=f"board profile {profile.name}",
            mend="correct `cpu` or `triple` there; LLVM's names are those of GCC's -mcpu",
        )
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
    return Target({**description, **options.level.llvm})
