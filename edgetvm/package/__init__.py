"""The package file: checked against the reference, written whole, verified before it is loaded."""

from edgetvm.package.archive import Package, is_package, read_package
from edgetvm.package.assembly import Notes, joined, write_package
from edgetvm.package.crossbuild import BuiltRuntime, build_runtime
from edgetvm.package.difference import Change, differences
from edgetvm.package.executor import Executor
from edgetvm.package.gate import TOLERANCE, check
from edgetvm.package.kit import write_kit
from edgetvm.package.manifest import FORMAT_VERSION, Manifest
from edgetvm.package.signing import check_signer, new_key, read_key, read_public_key, signed

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
