"""Python's reader and C's: what one takes, the other takes, and both read the same."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from mutations import mutated

from edgetvm.base.errors import PackageError
from edgetvm.package.archive import verify_package
from edgetvm.package.binding import edgetvm_lite
from edgetvm.package.crossbuild import LIBRARY_FILE, build_runtime

KEPT = Path(__file__).with_name("data") / "0.1.0-tiny.edgetvm"
Refusal = Callable[[bytes], str]


@pytest.fixture(scope="module")
def refusal(shared_cache: Path) -> Iterator[Refusal]:
    """Why the C library refuses a package, all members verified; empty where it takes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        path = build_runtime("x86_64", "glibc").folder / LIBRARY_FILE
    library = edgetvm_lite.load_library(path)
    config = edgetvm_lite._Config(threads=1)

    def refused(data: bytes) -> str:
        model, error = ctypes.c_void_p(), edgetvm_lite._Error()
        size = ctypes.c_size_t(len(data))
        opened = (ctypes.byref(config), ctypes.byref(model), ctypes.byref(error))
        if library.edgetvm_open_memory(data, size, *opened):
            return str(error.text.decode(errors="replace"))
        library.edgetvm_verify(model)
        text = str(library.edgetvm_error_text(model).decode(errors="replace"))
        library.edgetvm_close(model)
        return text

    yield refused


def check(data: bytes, refusal: Refusal) -> None:
    said = refusal(data)
    try:
        verify_package(data, "m")
    except PackageError as error:
        # C leaves to others what it does not use: a signature, and most of the manifest.
        assert said or "signature" in error.what or "manifest is wrong" in error.what, error
        return
    assert said == ""


def test_both_read_what_was_kept(refusal: Refusal) -> None:
    assert refusal(KEPT.read_bytes()) == ""


def test_both_refuse_the_same_damage(refusal: Refusal) -> None:
    whole = KEPT.read_bytes()

    @settings(max_examples=300, deadline=None)
    @given(mutated(whole))
    def damage(changed: bytes) -> None:
        check(changed, refusal)

    damage()


def test_both_refuse_the_same_damage_to_the_directory(refusal: Refusal) -> None:
    whole = KEPT.read_bytes()
    start = whole.index(b"PK\x01\x02")

    @settings(max_examples=300, deadline=None)
    @given(mutated(whole[start:]))
    def damage(changed: bytes) -> None:
        check(whole[:start] + changed, refusal)

    damage()
