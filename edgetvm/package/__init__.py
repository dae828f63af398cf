"""The package file: checked against the reference, written whole, verified before it is loaded."""

from edgetvm.package.archive import Package, read_package, write_package
from edgetvm.package.executor import Executor
from edgetvm.package.gate import TOLERANCE, check
from edgetvm.package.manifest import FORMAT_VERSION, Manifest

__all__ = [
    "FORMAT_VERSION",
    "TOLERANCE",
    "Executor",
    "Manifest",
    "Package",
    "check",
    "read_package",
    "write_package",
]
