"""Signatures checked on the board: `edgetvm-run --key`, beside OpenSSL's Ed25519."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from built_runtime import Builds
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from real_board import packaged

from edgetvm.package.archive import verify_package
from edgetvm.package.container import unzipped, zipped
from edgetvm.package.signing import new_key, public_path, signed

# The number of points that the base point generates: RFC 8032, 5.1.
_ORDER = 2**252 + 27742317777372353535851937790883648493
_NOT_TRUSTED = 21


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _cases(count: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Signatures that are right, each with a bit turned somewhere, and one in a second form."""
    draw = random.Random(7)
    for _ in range(count):
        key = Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        public, message = _raw(key.public_key()), draw.randbytes(32)
        signature = key.sign(message)
        whole = public + message + signature
        yield public, message, signature
        for place in (draw.randrange(32), 32 + draw.randrange(32), 64 + draw.randrange(64)):
            turned = bytearray(whole)
            turned[place] ^= 1 << draw.randrange(8)
            yield bytes(turned[:32]), bytes(turned[32:64]), bytes(turned[64:])
        again = int.from_bytes(signature[32:], "little") + _ORDER
        yield public, message, signature[:32] + again.to_bytes(32, "little")


def _openssl(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_signatures_are_judged_as_by_openssl(builds: Builds) -> None:
    cases = list(_cases(12))
    done = subprocess.run(
        [builds.signatures()], input=b"".join(map(b"".join, cases)), capture_output=True, check=True
    )
    wanted = "".join("01"[_openssl(*case)] for case in cases)
    assert done.stdout.decode() == wanted
    assert wanted.count("1") == 12


@dataclass(frozen=True)
class Signed:
    """A package, signed; and the public halves of the key that did so and of another."""

    data: bytes
    program: bytes
    key: Path
    other: Path


@pytest.fixture(scope="module")
def made(tiny_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("keys")
    key = new_key(folder / "mine.pem")
    new_key(folder / "other.pem")
    package = packaged(tiny_onnx)
    behind = verify_package(b"#!/bin/false\n" + bytes(4083) + package.data, "m")
    return Signed(
        signed(package, key),
        signed(behind, key),
        public_path(folder / "mine.pem"),
        public_path(folder / "other.pem"),
    )


def test_what_the_key_has_signed_is_run(builds: Builds, made: Signed, tmp_path: Path) -> None:
    path = tmp_path / "m.edgetvm"
    for data in (made.data, made.program):
        path.write_bytes(data)
        run = builds.sanitized()
        assert ", signed by the key\n" in run(path, "--key", made.key).stdout
        told = json.loads(run(path, "--key", made.key, "--self-test", "--json").stdout)
        assert told["signed"] == "checked"
        assert json.loads(run(path, "--json").stdout)["signed"] == "not checked"
    static = builds.static("aarch64")
    assert "not for this machine" in static(path, "--key", made.key, "--info").stdout
    assert "signed by another key" in static(path, "--key", made.other, "--info", code=21).stderr


def _with(part: str, change: Callable[[bytes], bytes]) -> Callable[[Signed], bytes]:
    def build(made: Signed) -> bytes:
        _, parts = unzipped(made.data, "m")
        parts[part] = change(parts[part])
        return zipped(parts)

    return build


def _without_signature(made: Signed) -> bytes:
    _, parts = unzipped(made.data, "m")
    del parts["signature.json"]
    return zipped(parts)


def _told(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **changes}).encode()


REFUSED: dict[str, tuple[Callable[[Signed], bytes], str]] = {
    "no signature": (_without_signature, "it is not signed"),
    "another name": (
        _with("manifest.json", lambda data: data.replace(b'"name":"tiny"', b'"name":"tidy"')),
        "altered after it was signed",
    ),
    "another program": (lambda made: b"#!/bin/falsE" + made.program[12:], "altered after"),
    "no program": (lambda made: made.program[4096:], "altered after"),
    "a program before": (lambda made: bytes(4096) + made.data, "altered after"),
    "another algorithm": (_with("signature.json", _told(algorithm="rsa")), "is no signature"),
    "a short key": (_with("signature.json", _told(public_key="00")), "is no signature"),
    "no hexadecimal": (_with("signature.json", _told(signature="x" * 128)), "is no signature"),
    "an open text": (_with("signature.json", lambda data: data[:-2]), "is no signature"),
    "nothing": (_with("signature.json", lambda _: b""), "is no signature"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_key_has_not_signed_is_refused(
    name: str, builds: Builds, made: Signed, tmp_path: Path
) -> None:
    build, words = REFUSED[name]
    path = tmp_path / "m.edgetvm"
    path.write_bytes(build(made))
    assert words in builds.sanitized()(path, "--key", made.key, code=_NOT_TRUSTED).stderr


def test_what_is_no_key_is_refused(builds: Builds, made: Signed, tmp_path: Path) -> None:
    run, path, key = builds.sanitized(), tmp_path / "m.edgetvm", tmp_path / "key.pem"
    path.write_bytes(made.data)
    assert "No such file" in run(path, "--key", key, code=6).stderr
    whole = made.key.read_text()
    for text in ("", whole.replace("MCow", "MCox"), whole[:60], whole.replace("AyEA", "AyEA*")):
        key.write_text(text)
        assert "is no public Ed25519 key" in run(path, "--key", key, code=2).stderr
    key.write_text("x" * 5000)
    assert "too large" in run(path, "--key", key, code=10).stderr
    assert "cut off" in run(made.key, "--key", made.key, code=8).stderr
