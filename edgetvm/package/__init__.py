"""The package file: checked against the reference, written whole, verified before it is loaded."""

from edgetvm.package.archive import Package, read_package
from edgetvm.package.assembly import Notes, joined, write_package
from edgetvm.package.executor import Executor
from edgetvm.package.gate import TOLERANCE, check
from edgetvm.package.manifest import FORMAT_VERSION, Manifest

__all__ = [
    "FORMAT_VERSION",
    "TOLERANCE",
    "Executor",
    "Manifest",
    "Notes",
    "Package",
    "check",
    "joined",
    "read_package",
    "write_package",
]
