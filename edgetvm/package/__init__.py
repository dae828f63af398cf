"""The package file: checked against the reference, written whole, verified before it is loaded.

Each name is imported when it is first used: what builds a program for a board needs no compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetvm.package.archive import Package, is_package, read_package
    from edgetvm.package.assembly import Notes, joined, write_package
    from edgetvm.package.crossbuild import BuiltRuntime, build_runtime
    from edgetvm.package.difference import Change, differences
    from edgetvm.package.executor import Executor
    from edgetvm.package.gate import TOLERANCE, check
    from edgetvm.package.kit import write_kit
    from edgetvm.package.manifest import FORMAT_VERSION, Manifest
    from edgetvm.package.signing import check_signer, new_key, read_key, read_public_key, signed

_MODULE_OF = {
    "FORMAT_VERSION": "manifest",
    "TOLERANCE": "gate",
    "BuiltRuntime": "crossbuild",
    "Change": "difference",
    "Executor": "executor",
    "Manifest": "manifest",
    "Notes": "assembly",
    "Package": "archive",
    "build_runtime": "crossbuild",
    "check": "gate",
    "check_signer": "signing",
    "differences": "difference",
    "is_package": "archive",
    "joined": "assembly",
    "new_key": "signing",
    "read_key": "signing",
    "read_package": "archive",
    "read_public_key": "signing",
    "signed": "signing",
    "write_kit": "kit",
    "write_package": "assembly",
}

__all__ = [
    "FORMAT_VERSION",
    "TOLERANCE",
    "BuiltRuntime",
    "Change",
    "Executor",
    "Manifest",
    "Notes",
    "Package",
    "build_runtime",
    "check",
    "check_signer",
    "differences",
    "is_package",
    "joined",
    "new_key",
    "read_key",
    "read_package",
    "read_public_key",
    "signed",
    "write_kit",
    "write_package",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'edgetvm.package' has no attribute {name!r}")
    return getattr(import_module(f"edgetvm.package.{_MODULE_OF[name]}"), name)
