"""Numbers as people read them, folders, errors, and native words."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetvm.base import errors
from edgetvm.base.errors import EdgetvmError, StorageError
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.paths import (
    cache_folder,
    config_folder,
    data_folder,
    model_folders,
    search_folders,
    shipped_folder,
)
from edgetvm.base.units import format_bytes, format_count, format_duration, format_ms

WORDS = [
    (format_ms, 0.0874, "0.0874 ms"),
    (format_ms, 0.5, "0.500 ms"),
    (format_ms, 1, "1.00 ms"),
    (format_ms, 9.996, "10.0 ms"),
    (format_ms, 12.34, "12.3 ms"),
    (format_ms, 99.96, "100 ms"),
    (format_ms, 999.4, "999 ms"),
    (format_ms, 999.7, "1 000 ms"),
    (format_ms, 1340, "1 340 ms"),
    (format_ms, 1234567, "1 234 567 ms"),
    (format_ms, 0, "0 ms"),
    (format_bytes, 0, "0 B"),
    (format_bytes, 812, "812 B"),
    (format_bytes, 1023, "1023 B"),
    (format_bytes, 1024, "1.0 kB"),
    (format_bytes, 1536, "1.5 kB"),
    (format_bytes, (1 << 20) - 1, "1.0 MB"),
    (format_bytes, 4718592, "4.5 MB"),
    (format_bytes, (1 << 30) - 1, "1.0 GB"),
    (format_bytes, 3 << 40, "3072.0 GB"),
    (format_count, 0, "0"),
    (format_count, 999, "999"),
    (format_count, 1000, "1.0 k"),
    (format_count, 999_949, "999.9 k"),
    (format_count, 999_999, "1.0 M"),
    (format_count, 4_510_000, "4.5 M"),
    (format_count, 2.5e9, "2.5 G"),
    (format_duration, 0, "0.0 s"),
    (format_duration, 0.44, "0.4 s"),
    (format_duration, 9.97, "10 s"),
    (format_duration, 12.3, "12 s"),
    (format_duration, 99.4, "99 s"),
    (format_duration, 99.8, "1 min 40 s"),
    (format_duration, 119.7, "2 min 00 s"),
    (format_duration, 185, "3 min 05 s"),
    (format_duration, 3600, "60 min 00 s"),
]


@pytest.mark.parametrize(("words", "value", "text"), WORDS)
def test_numbers_in_words(words: object, value: float, text: str) -> None:
    assert callable(words)
    assert words(value) == text


@given(st.floats(1e-6, 1e9))
def test_milliseconds_keep_three_digits(value_ms: float) -> None:
    read_back = float(format_ms(value_ms).removesuffix(" ms").replace(" ", ""))
    assert read_back == pytest.approx(value_ms, rel=0.00501)


@given(st.floats(0, 1e6))
def test_seconds_never_reach_sixty(value_s: float) -> None:
    minutes, _, seconds = format_duration(value_s).removesuffix(" s").rpartition(" min ")
    assert float(seconds) < (60 if minutes else 100)
    assert 60 * float(minutes or 0) + float(seconds) == pytest.approx(value_s, abs=0.5001)


def test_folders_follow_xdg(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == isolated_home / ".cache" / "edgetvm"
    assert config_folder() == isolated_home / ".config" / "edgetvm"
    assert data_folder() == isolated_home / ".local" / "share" / "edgetvm"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/edgetvm")
    for ignored in ("relative/path", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder() == isolated_home / ".cache" / "edgetvm"


def test_the_search_goes_from_near_to_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_folder("devices")
    assert (shipped / "local.yaml").is_file()
    assert search_folders("devices") == [shipped]
    named = [tmp_path / "b", tmp_path / "a"]
    expected = [*named, tmp_path / "devices", config_folder() / "devices", shipped]
    for folder in expected:
        folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("EDGETVM_DEVICES", f"{tmp_path / 'b'}:{tmp_path / 'no'}::{tmp_path / 'a'}")
    assert search_folders("devices") == expected
    # A folder that is named twice is looked into once, at its first place.
    monkeypatch.setenv("EDGETVM_DEVICES", f"{shipped}:{tmp_path / 'devices'}")
    assert search_folders("devices") == [shipped, tmp_path / "devices", expected[3]]
    assert tmp_path / "b" not in search_folders("recipes")


def test_model_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_folders() == []
    monkeypatch.setenv("EDGETVM_MODELS", "/a::/b/c")
    assert model_folders() == [Path("/a"), Path("/b/c")]


def test_an_error_is_one_sentence() -> None:
    assert str(EdgetvmError("it broke")) == "it broke"
    assert str(EdgetvmError("it broke", where="a.yaml:3")) == "a.yaml:3: it broke"
    assert str(EdgetvmError("it broke", where="a", mend="mend it")) == "a: it broke (mend it)"
    assert str(StorageError("full", where="/a", mend="free it")) == "/a: full (free it)"


def every_error(base: type[EdgetvmError] = EdgetvmError) -> list[type[EdgetvmError]]:
    return [base, *(kind for below in base.__subclasses__() for kind in every_error(below))]


def test_every_error_stands_in_the_tree_with_its_exit_code() -> None:
    code = {}
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("├──", "").replace("└──", "").replace("│", "").split()
        if words and words[0].endswith("Error"):
            code[words[0]] = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    mine = [kind for kind in every_error() if kind.__module__ == errors.__name__]
    assert {kind.__name__ for kind in mine} == set(code)
    for kind in mine:
        assert code[kind.__name__] in (None, kind.exit_code)
        # A worker process hands its errors over by pickle.
        error = kind("what", where="where", mend="mend")
        assert str(pickle.loads(pickle.dumps(error))) == "where: what (mend)"  # noqa: S301


def test_native_words_are_kept_back(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak() -> None:
        os.write(2, b"native")
        print("python")

    with native_words_kept_back():
        speak()
    os.write(2, b"later")
    assert capfd.readouterr() == ("", "later")
    with pytest.raises(ValueError, match="mine"), native_words_kept_back():
        raise ValueError("mine")
    os.write(2, b"after an error")
    assert capfd.readouterr().err == "after an error"
    monkeypatch.setenv("EDGETVM_NATIVE_LOG", "1")
    with native_words_kept_back():
        speak()
    assert capfd.readouterr() == ("python\n", "native")
