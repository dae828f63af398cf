"""Signatures: of what was signed, by whom, and by keys that only their owner can read."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from mutations import mutated
from real_board import packaged

from edgetvm.base.errors import PackageError, StorageError, UsageError
from edgetvm.package.archive import Package, verify_package
from edgetvm.package.container import unzipped, zipped
from edgetvm.package.signing import (
    check_signer,
    new_key,
    public_path,
    read_key,
    read_public_key,
    signed,
)


@pytest.fixture(scope="module")
def package(tiny_onnx: Path) -> Package:
    return packaged(tiny_onnx)


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    # RFC 8032, 7.1, the first test's key: its public half is known.
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))


PRIVATE_PEM = Ed25519PrivateKey.generate().private_bytes(
    pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
)
PUBLIC_PEM = (
    Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
)
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def test_a_signature_is_added_and_changes_nothing_else(
    package: Package, key: Ed25519PrivateKey
) -> None:
    data = signed(package, key)
    found = verify_package(data, "m")
    assert found.signed_by == PUBLIC
    assert (found.manifest, found.members) == (package.manifest, package.members)
    assert list(unzipped(data, "m")[1])[-1] == "signature.json"
    assert signed(found, key) == data
    other = verify_package(signed(found, Ed25519PrivateKey.generate()), "m")
    assert other.signed_by not in (None, PUBLIC)


def test_a_single_executable_is_signed_too(package: Package, key: Ed25519PrivateKey) -> None:
    program = b"\x7fELF" + bytes(4092)
    data = signed(verify_package(program + package.data, "m"), key)
    found = verify_package(data, "m")
    assert (found.signed_by, found.begin) == (PUBLIC, len(program))
    assert data.startswith(program)
    # Neither another program, nor none, nor one before a package that was signed alone.
    for other in (
        data.replace(b"\x7fELF", b"\x7fELG", 1),
        data[len(program) :],
        program + signed(package, key),
    ):
        with pytest.raises(PackageError, match="altered after it was signed"):
            verify_package(other, "m")


def test_the_signer_is_asked_for(package: Package, key: Ed25519PrivateKey) -> None:
    mine = verify_package(signed(package, key), "m")
    check_signer(mine, PUBLIC, "m")
    with pytest.raises(PackageError, match="m: it is signed by another key"):
        check_signer(mine, "0" * 64, "m")
    with pytest.raises(PackageError, match="m: it is not signed"):
        check_signer(package, PUBLIC, "m")


def test_what_was_altered_after_signing_is_refused(
    package: Package, key: Ed25519PrivateKey
) -> None:
    _, parts = unzipped(signed(package, key), "m")
    parts["manifest.json"] = parts["manifest.json"].replace(b'"name":"tiny"', b'"name":"tidy"')
    with pytest.raises(PackageError, match="altered after it was signed"):
        verify_package(zipped(parts), "m")


Told = dict[str, object]
NO_SIGNATURES: dict[str, Callable[[Told], object]] = {
    "another algorithm": lambda told: told.update(algorithm="rsa"),
    "no algorithm": lambda told: told.pop("algorithm"),
    "a short key": lambda told: told.update(public_key="00"),
    "capital letters": lambda told: told.update(signature=str(told["signature"]).upper()),
    "a number": lambda told: told.update(signature=1),
}


@pytest.mark.parametrize("name", NO_SIGNATURES)
def test_what_is_no_signature_is_refused(
    name: str, package: Package, key: Ed25519PrivateKey
) -> None:
    _, parts = unzipped(signed(package, key), "m")
    told = json.loads(parts["signature.json"])
    NO_SIGNATURES[name](told)
    parts["signature.json"] = json.dumps(told).encode()
    with pytest.raises(PackageError, match=r"signature\.json is no signature"):
        verify_package(zipped(parts), "m")


def test_random_damage_to_a_signed_package_never_changes_what_is_read(
    package: Package, key: Ed25519PrivateKey
) -> None:
    whole = verify_package(signed(package, key), "m")

    @settings(max_examples=200, deadline=None)
    @given(mutated(whole.data))
    def damage(changed: bytes) -> None:
        try:
            found = verify_package(changed, "m")
        except PackageError:
            return
        assert (found.manifest, found.members) == (whole.manifest, whole.members)
        assert found.signed_by == PUBLIC

    damage()


def test_a_new_key_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "mine.pem"
    made = new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_path(path) == tmp_path / "mine.pub.pem"
    raw = (pem.Encoding.Raw, pem.PublicFormat.Raw)
    public = made.public_key().public_bytes(*raw).hex()
    assert read_public_key(tmp_path / "mine.pub.pem") == public
    assert read_key(path).public_key().public_bytes(*raw).hex() == public
    with pytest.raises(UsageError, match="it exists"):
        new_key(path)
    path.unlink()
    with pytest.raises(UsageError, match=r"mine\.pub\.pem: it exists"):
        new_key(path)
    assert not path.exists()


def written(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_keys_that_cannot_sign_are_refused_in_words(tmp_path: Path) -> None:
    locked = Ed25519PrivateKey.generate().private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret")
    )
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
    )
    path = tmp_path / "k.pem"
    for data, mode, said in (
        (locked, 0o600, "locked by a password"),
        (curve, 0o600, "no private Ed25519 key"),
        (b"words", 0o600, "no key in PEM form"),
        (b"", 0o600, "no key in PEM form"),
        (PRIVATE_PEM, 0o644, "others may read this key"),
        (PUBLIC_PEM, 0o644, "this is a public key .sign with its private half"),
        (b"words", 0o644, "no key in PEM form"),
    ):
        with pytest.raises(UsageError, match=said):
            read_key(written(path, data, mode))
    with pytest.raises(StorageError, match=r"there is no such key .make it with --new-key"):
        read_key(tmp_path / "gone.pem")
    with pytest.raises(UsageError, match=r"this is a private key .give k\.pub\.pem"):
        read_public_key(written(path, curve))
    with pytest.raises(UsageError, match="no key in PEM form"):
        read_public_key(written(path, b"words"))
    with pytest.raises(StorageError, match="check the path"):
        read_public_key(tmp_path / "gone.pem")
