"""Signatures of packages: Ed25519 (RFC 8032), by the `cryptography` package.

What is signed is the SHA-256 of the manifest, which holds the SHA-256 of every other member.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from edgetvm.base.errors import PackageError, UsageError
from edgetvm.base.files import read_errors, write_bytes
from edgetvm.package.container import zipped
from edgetvm.package.manifest import MANIFEST_NAME, SIGNATURE_NAME

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edgetvm.package.archive import Package

_NEW_KEY = "make one with: edgetvm package sign FILE --key KEY.pem --new-key"


@dataclass(frozen=True)
class _Signed:
    """The content of `signature.json`."""

    algorithm: Literal["ed25519"]
    public_key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(pattern="^[0-9a-f]{128}$")]


_ADAPTER = TypeAdapter(_Signed)


def signer_of(signature_json: bytes, manifest_json: bytes, where: str) -> str:
    """The public key that signed a manifest, in hexadecimal.

    Raises:
        PackageError: no signature, or of something else.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        told = _ADAPTER.validate_json(signature_json, strict=True)
        public_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told.public_key))
        public_key.verify(bytes.fromhex(told.signature), sha256(manifest_json).digest())
    except (ValidationError, ValueError) as error:
        raise PackageError(
            "its signature.json is no signature", where=where, mend="sign it again"
        ) from error
    except InvalidSignature as error:
        raise PackageError(
            "its signature is not of this content: it was altered after it was signed",
            where=where,
            mend="get it again from whom it is, or sign it again",
        ) from error
    return told.public_key


def signed(package: Package, key: Ed25519PrivateKey) -> bytes:
    """The file with a signature, in the place of the one that it may have."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = key.sign(sha256(package.manifest_json).digest())
    told = json.dumps(asdict(_Signed("ed25519", public_key.hex(), signature.hex())))
    parts = {
        MANIFEST_NAME: package.manifest_json,
        **package.members,
        SIGNATURE_NAME: told.encode(),
    }
    return package.data[: package.begin] + zipped(parts)


def new_key(path: Path) -> Ed25519PrivateKey:
    """Make a key: the private one at `path`, for its owner's eyes only, the public one beside it.

    Raises:
        UsageError: the file exists.
        StorageError: it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    for there in (path, public_path(path)):
        if there.exists():
            raise UsageError(
                "it exists", where=str(there), mend="leave --new-key out, or choose another --key"
            )
    write_bytes(public_path(path), public)
    write_bytes(path, private, 0o600)
    return key


def public_path(path: Path) -> Path:
    """Where the public half of a new key is written: `KEY.pub.pem` beside `KEY.pem`."""
    return path.with_name(f"{path.name.removesuffix('.pem')}.pub.pem")


def read_key(path: Path) -> Ed25519PrivateKey:
    """A private key from a PEM file.

    Raises:
        UsageError: no Ed25519 key, locked by a password, or others may read it.
        StorageError: it cannot be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with read_errors(path):
        if path.stat().st_mode & 0o077:
            raise UsageError("others may read this key", where=str(path), mend=f"chmod 600 {path}")
        data = path.read_bytes()
    key = _loaded(load_pem_private_key, path, data, None)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("no private Ed25519 key", where=str(path), mend=_NEW_KEY)
    return key


def read_public_key(path: Path) -> str:
    """A public key from a PEM file, in hexadecimal.

    Raises:
        UsageError: no Ed25519 key.
        StorageError: it cannot be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    with read_errors(path):
        data = path.read_bytes()
    key = _loaded(load_pem_public_key, path, data)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("no public Ed25519 key", where=str(path), mend=_NEW_KEY)
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def _loaded(load: Any, path: Path, *arguments: Any) -> Any:
    """What `load` makes of a PEM file."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(*arguments)
    except TypeError as error:
        raise UsageError(
            "this key is locked by a password", where=str(path), mend="sign with one that is not"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError("no key in PEM form", where=str(path), mend=_NEW_KEY) from error


def check_signer(package: Package, public_key: str, where: str) -> None:
    """Refuse a package that was not signed by that key.

    Raises:
        PackageError: signed by another, or not at all.
    """
    if package.signed_by != public_key:
        what = "it is not signed" if package.signed_by is None else "it is signed by another key"
        raise PackageError(what, where=where, mend="take it only from whom you trust")
