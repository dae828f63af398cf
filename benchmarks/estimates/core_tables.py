"""Our table of the Cortex-A76 beside LLVM's of the Neoverse N1.

    python -m benchmarks.estimates.core_tables

The two cores are the same but for their caches, and both tables were written from Arm's guides by
different people. LLVM's leaves out that sums are forwarded, and dispatches three instructions a
cycle where the core takes up four: our table is compared as it is and without forwarding, LLVM's as
it is or with `--dispatch 4`.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from unittest.mock import patch

from benchmarks.latency.prepare import prepared
from benchmarks.latency.suite import chosen
from edgetvm.boards.core import CoreModel
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.estimate import tables
from edgetvm.estimate.calibration import error_factor
from edgetvm.estimate.core_table import Table, load_table
from edgetvm.estimate.estimating import Code, core_of, estimate_model

_PROFILE = "rpi5"
_LLVM = "neoverse-n1"
_MODELS = ("tiny-kws", "tiny-vww", "tiny-kws-int8", "ppocr-cls", "oww-embedding")


def main() -> None:
    """Estimate each model by all three, and print how far apart they are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default=",".join(_MODELS), metavar="A,B")
    parser.add_argument("--dispatch", type=int, default=0, help="of LLVM's table; its own is 0")
    options = parser.parse_args()
    names = options.models.split(",")
    profile = load_profile(_PROFILE)
    own = core_of(profile)
    llvm = dataclasses.replace(own, table="", llvm=_LLVM, dispatch=options.dispatch)
    whole, without = list[float](), list[float]()
    for name in names:
        code = _code(name, profile)
        theirs = _cycles(code, profile, llvm)
        ours = _cycles(code, profile, own)
        with patch.object(tables, "load_table", _without_forwarding):
            apart = _cycles(code, profile, own)
        for kernel, cycles in theirs.items():
            whole.append(math.log(ours[kernel] / cycles))
            without.append(math.log(apart[kernel] / cycles))
            print(f"{ours[kernel] / cycles:5.2f} {apart[kernel] / cycles:5.2f} {name} {kernel}")
    print(
        f"result: kernels={len(whole)} factor={error_factor(whole):.3f} "
        f"without_forwarding={error_factor(without):.3f}"
    )


def _code(name: str, profile: BoardProfile) -> Code:
    from edgetvm.base.paths import cache_folder
    from edgetvm.compile.options import DEFAULTS
    from edgetvm.compile.tuned import UNTUNED
    from edgetvm.models import import_model
    from edgetvm.workflow.estimating import code_of

    (entry,) = chosen([name])
    model = import_model(prepared(entry, cache_folder() / "benchmarks").file)
    return code_of(model, profile, UNTUNED, DEFAULTS)


def _cycles(code: Code, profile: BoardProfile, core: CoreModel) -> dict[str, float]:
    """Of the core alone, by kernel."""
    found = estimate_model(code, dataclasses.replace(profile, core=core))
    return {one.name: one.estimate.cost.core_cycles for one in found.kernels}


def _without_forwarding(name: str) -> Table:
    table = load_table(name)
    kinds = tuple(
        dataclasses.replace(one, accumulate=one.latency if one.accumulate else 0)
        for one in table.kinds
    )
    return dataclasses.replace(table, kinds=kinds)


if __name__ == "__main__":
    main()
