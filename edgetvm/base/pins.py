"""Version pairs that crash are refused before they do."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from edgetvm.base.errors import MissingToolError

# Why these and no others: see the comments beside the pins in pyproject.toml.
PINNED = {"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post0"}


def installed_version(package: str) -> str | None:
    """The installed version of a Python package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_pins() -> None:
    """Refuse to go on with a TVM and ffi package that do not belong together.

    TVM does not check this itself: a mismatched pair imports, then dies in tuning.

    Raises:
        MissingToolError: with the command that mends it.
    """
    for package, wanted in PINNED.items():
        found = installed_version(package)
        if found != wanted:
            raise MissingToolError(
                f"{package} is {found or 'not installed'}, and edgetvm needs exactly {wanted}",
                mend="run: pip install "
                + " ".join(f"{name}=={pin}" for name, pin in PINNED.items()),
            )
