"""Bad invocations: the documented exit code, one sentence, and no traceback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from made_models import write_cancelling
from real_command import Home, edgetvm, refused


@dataclass(frozen=True)
class Bad:
    """A command line with `{folder}` and the like, and what it must end with."""

    line: str
    code: int
    words: tuple[str, ...]


CASES = [
    # What the library refuses: the code of the error's class, and its one sentence.
    Bad("bench {folder}/gone.onnx", 4, ("no such file or directory",)),
    Bad("bench vision/ppocr-dett", 3, ("did you mean 'vision/ppocr-det'?",)),
    Bad("bench {tiny} --scenario server", 2, ("--qps",)),
    Bad("bench {folder}/gone.yaml", 3, ("gone.yaml", "check the path")),
    Bad("recipes show speech/silero", 3, ("did you mean", "silero-vad")),
    Bad("profiles show rpi44", 3, ("did you mean 'rpi4'?",)),
    Bad("compile {tiny} --device rpi44", 3, ("rpi44", "did you mean")),
    Bad(
        "bench {tiny} --device nowhere", 3, ("no board is called 'nowhere'", "known boards: local")
    ),
    Bad("bench {tiny} --device rpi9", 3, ("known boards: local", "rpi", "is a board profile")),
    Bad("bench {tiny} --device rpi4", 3, ("is a board profile", "boards.yaml")),
    Bad("bench {tiny} --peer tensorrt", 2, ("no peer is called 'tensorrt'", "onnxruntime")),
    Bad("bench {tiny} --real-time", 2, ("nothing says how often it runs", "--frame-rate 30")),
    Bad("bench {tiny} --against {tiny}", 2, ("no decisions", "postprocess")),
    Bad("run {tiny} --device lokal", 3, ("did you mean 'local'?",)),
    Bad("import {folder}/empty.onnx", 4, ("empty",)),
    Bad("import {folder}/text.onnx", 4, ("text.onnx",)),
    Bad("import {folder}/text.txt", 4, (".txt", ".onnx")),
    Bad("import {folder}", 4, ("folder",)),
    Bad("import {tiny} --shape picture=1,2", 4, ("no input 'picture'", "image")),
    Bad("import {tiny} --shape image=1,3,9,9", 4, ("cannot have shape",)),
    Bad("import {tiny} --shape image=0,3,8,8", 4, ("cannot have shape",)),
    Bad("import {tiny} --shape image=", 4, ("cannot have shape",)),
    Bad("run {package} --inputs {folder}/wrong.npz", 4, ("no input 'picture'", "image")),
    Bad("run {package} --inputs {folder}/shape.npz", 4, ("input 'image' is", "it should be")),
    Bad("run {package} --inputs {folder}/text.txt", 4, ("not an .npz file",)),
    Bad("run {package} --inputs {folder}/gone.npz", 10, ("gone.npz",)),
    Bad("run {folder}/cut.edgetvm", 7, ("cut.edgetvm", "copy it again")),
    Bad("run {folder}/altered.edgetvm", 7, ("altered",)),
    Bad("run {folder}/text.edgetvm", 7, ("not an .edgetvm package",)),
    Bad("run {folder}/gone.edgetvm", 10, ("gone.edgetvm",)),
    Bad("package {folder}/gone.onnx", 4, ("no such file or directory",)),
    Bad("package write verify", 3, ("neither a model file nor a recipe",)),
    Bad("package {tiny} --device rpi4 --device rpi4", 2, ("rpi4 is named twice",)),
    Bad("package verify {folder}/altered.edgetvm", 7, ("altered",)),
    Bad("package verify {package} --key {folder}/text.txt", 2, ("no key in PEM form",)),
    Bad("package verify {package} --key {folder}/gone.pem", 10, ("gone.pem",)),
    Bad("package inspect {folder}/text.edgetvm", 7, ("not an .edgetvm package",)),
    Bad("package diff {package} {folder}/gone.edgetvm", 10, ("gone.edgetvm",)),
    Bad("package sign {folder}/cut.edgetvm --key {folder}/k.pem --new-key", 7, ("copy it again",)),
    Bad("package sign {package} --key {folder}/text.txt", 2, ("no key in PEM form",)),
    Bad("package sign {package} --key {folder}/gone.pem", 10, ("--new-key",)),
    Bad("package verify {folder}/gone.edgetvm", 10, ("gone.edgetvm", "check the path")),
    Bad("package inspct {package}", 2, ("inspct", "did you mean 'inspect'")),
    Bad("package {tiny} -o {folder}/text.txt", 2, ("it exists and is no package", "--output")),
    Bad("package {tiny} -o {tiny}", 2, ("it exists and is no package", "--output")),
    Bad("run {package} --shape a=1", 2, ("--shape", "this is a package")),
    Bad("package sign {package} --key {folder}/text.txt --new-key", 2, ("it exists",)),
    Bad("package {tiny} --device local --device rpi4 --executable", 2, ("name one --device",)),
    Bad("package runtime {folder}", 2, ("the folder is not empty",)),
    Bad("package runtime {folder}/no/kit", 10, ("make it first",)),
    Bad("package runtime {folder}/kit --device rpi44", 3, ("did you mean 'rpi4'?",)),
    Bad("inspect {package} --device rpi4", 7, ("holds nothing for rpi4", "it is for local")),
    Bad("bench {tiny} --report {folder}/r.pdf", 2, ("pdf", "html")),
    Bad("bench {tiny} --report {folder}/no/r.html", 2, ("folder does not exist",)),
    Bad("report --output {folder}/r.doc", 2, ("html",)),
    Bad("experiment compiler-lab --report {folder}/r.gbench.json", 2, ("html, md, csv, json",)),
    Bad("pipelines run vision/read-text -o {folder}/r.pdf", 2, ("html",)),
    Bad("serve {folder}/gone.edgetvm --host 203.0.113.7", 2, ("203.0.113.7", "--host")),
    Bad("report 20990101T000000-ffffffff", 3, ("no measurement has the id",)),
    Bad("cache clear nonsense", 2, ("nonsense",)),
    Bad("recipes new {tiny} -o {folder}/text.yaml", 2, ("it exists", "--output")),
    Bad("recipes new {tiny} --name Not/A/Name!", 3, ("cannot be a recipe's name",)),
    Bad("recipes new {folder}/gone.onnx", 4, ("no such file or directory",)),
    Bad("bench {folder}/text.yaml", 3, ("text.yaml",)),
    Bad("compile {tiny} --database {folder}/gone", 10, ("no such tuning database",)),
    Bad("bench {tiny} --database {folder}/text.txt", 3, ("no tuning database",)),
]

OPTIONS = [
    # What click refuses: code 2, its usage and one sentence.
    Bad("import {tiny} --shape 1,3,8,8", 2, ("write NAME=1,3,224,224",)),
    Bad("import {tiny} --shape image=1,x", 2, ("write NAME=1,3,224,224",)),
    Bad("import {tiny} --bind sr", 2, ("write NAME=16000",)),
    Bad("bench {tiny} --runs 0", 2, ("--runs",)),
    Bad("bench {tiny} --runs many", 2, ("--runs",)),
    Bad("bench {tiny} --threads 0", 2, ("--threads",)),
    Bad("bench {tiny} --max-time 0", 2, ("--max-time",)),
    Bad("bench {tiny} --qps most", 2, ("--qps goes with --scenario server",)),
    Bad("bench {tiny} --bound 5 --scenario offline", 2, ("--bound goes with",)),
    Bad("bench {tiny} --streams 2", 2, ("--streams goes with --real-time",)),
    Bad("bench {tiny} --real-time --streams none", 2, ("'none' is no number", "most")),
    Bad("bench", 2, ("missing argument",)),
    Bad("bench {tiny} --rnus 5", 2, ("--rnus",)),
    Bad("bnech {tiny}", 2, ("no such command",)),
    Bad("run {package} --fill twos", 2, ("twos",)),
    Bad("schema nothing", 2, ("nothing",)),
    Bad("completion tcsh", 2, ("tcsh",)),
    Bad("tune {tiny} --trials 0", 2, ("--trials",)),
    Bad("tune {tiny} --time 30", 2, ("write 90s, 30m or 2h",)),
    Bad("tune {tiny} --time 0s", 2, ("write 90s, 30m or 2h",)),
    Bad("tune {tiny} --time -1m", 2, ("write 90s, 30m or 2h",)),
    Bad("tune {tiny} --boards 0", 2, ("--boards",)),
    Bad("tune {tiny} --builders 0", 2, ("dask://HOST:PORT",)),
    Bad("tune {tiny} --builders dask://nowhere", 2, ("dask://HOST:PORT",)),
    Bad("tune {tiny} --from {folder}/gone", 2, ("--from", "does not exist")),
    Bad("tune {tiny} --database {folder}", 2, ("--database", "is a directory")),
    Bad("compile {tiny} -o {folder}/no/x.so", 2, ("folder does not exist",)),
    Bad("package {tiny} -o {folder}/no/x.edgetvm", 2, ("folder does not exist",)),
    Bad("package sign {package}", 2, ("--key",)),
    Bad("package sign {package} --key {folder}/no/k.pem --new-key", 2, ("folder does not exist",)),
    Bad("package diff {package}", 2, ("second",)),
    Bad("package {tiny} -o {folder}", 2, ("is a directory",)),
    Bad("run {package} -o {folder}/no/x.npz", 2, ("folder does not exist",)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, home: Home) -> Path:
    """A folder of damaged and wrong files."""
    root = tmp_path_factory.mktemp("bad")
    data = home.package.read_bytes()
    middle = len(data) // 2
    (root / "cut.edgetvm").write_bytes(data[:middle])
    altered = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    (root / "altered.edgetvm").write_bytes(altered)
    for name in ("text.edgetvm", "text.onnx", "text.txt", "text.yaml"):
        (root / name).write_text("only words")
    (root / "empty.onnx").write_bytes(b"")
    np.savez(root / "wrong.npz", picture=np.zeros((1, 3, 8, 8), np.float32))
    np.savez(root / "shape.npz", image=np.zeros((1, 3, 8, 8), np.float64))
    return root


def words_of(bad: Bad, folder: Path, tiny_onnx: Path, home: Home) -> list[str]:
    return bad.line.format(folder=folder, tiny=tiny_onnx, package=home.package).split()


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.line)
def test_a_mistake_ends_in_one_sentence(
    bad: Bad, folder: Path, tiny_onnx: Path, home: Home
) -> None:
    before = sorted(folder.iterdir())
    done = home.edgetvm(*words_of(bad, folder, tiny_onnx, home), folder=folder)
    assert refused(done, bad.code, *bad.words)
    assert sum(line.startswith("error: ") for line in done.err.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("bad", OPTIONS, ids=lambda bad: bad.line)
def test_a_wrong_option_is_named_before_any_work(
    bad: Bad, folder: Path, tiny_onnx: Path, home: Home
) -> None:
    done = home.edgetvm(*words_of(bad, folder, tiny_onnx, home), folder=folder)
    assert (done.code, done.out) == (2, "")
    assert done.is_clean()
    assert "✓" not in done.err
    last = done.err.strip().splitlines()[-1].lower()
    assert last.startswith("error: ")
    assert [word for word in bad.words if word.lower() not in done.err.lower()] == []


@pytest.mark.parametrize("name", ["r.pdf", "r", "no/r.html"])
def test_a_report_that_cannot_be_is_refused_before_the_work(
    tiny_onnx: Path, tmp_path: Path, name: str
) -> None:
    cache = tmp_path / "cache"
    variables = {"XDG_CACHE_HOME": str(cache)}
    done = edgetvm("bench", tiny_onnx, "--report", tmp_path / name, environment=variables)
    assert refused(done, 2)
    assert "✓" not in done.err
    assert not cache.exists()


def test_a_broken_inventory_names_file_and_line(isolated_home: Path, tiny_onnx: Path) -> None:
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("boards:\n  a: {profile: rpi4, tracker: nowhere, key: k}\n")
    done = edgetvm("bench", tiny_onnx, "--device", "a")
    assert refused(done, 3, f"{path}:2", "boards.a.tracker", "host:port")


def test_a_board_whose_tracker_is_away(isolated_home: Path, tiny_onnx: Path) -> None:
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("boards: {a: {profile: local, tracker: '127.0.0.1:1', key: k}}")
    done = edgetvm("bench", tiny_onnx, "--device", "a")
    assert refused(done, 8, "127.0.0.1:1", "refused", "start it")


def test_a_package_for_another_board_is_refused_by_this_one(
    tiny_onnx: Path, tmp_path: Path, home: Home
) -> None:
    package = tmp_path / "t.edgetvm"
    assert home.edgetvm("package", tiny_onnx, "--device", "rpi4", "-o", package).code == 0
    assert refused(home.edgetvm("run", package), 7, "compiled for aarch64", "board local")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 64 kB on it (this needs root, which tests in CI are)."""
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_nothing_behind(full_disk: Path, home: Home, tiny_onnx: Path) -> None:
    assert home.package.stat().st_size > 8 * 1024
    (full_disk / "filler").write_bytes(b"x" * 56 * 1024)
    done = home.edgetvm("package", tiny_onnx, "-o", full_disk / "t.edgetvm")
    assert refused(done, 10, "no space left", "free some space")
    assert [path.name for path in full_disk.iterdir()] == ["filler"]


def test_a_full_disk_below_the_cache_is_told_too(
    full_disk: Path, home: Home, tiny_onnx: Path, tmp_path: Path
) -> None:
    (full_disk / "filler").write_bytes(b"x" * 60 * 1024)
    variables = {**home.variables, "XDG_CACHE_HOME": str(full_disk)}
    done = edgetvm("package", tiny_onnx, "-o", tmp_path / "t.edgetvm", environment=variables)
    assert refused(done, 10, "no space left")
    assert not (tmp_path / "t.edgetvm").exists()
    # Below edgetvm's own folder: ONNX Runtime puts its telemetry's files beside it.
    left = [path for path in (full_disk / "edgetvm").rglob("*") if path.is_file()]
    assert [path for path in left if "locks" not in path.parts] == []


def test_a_model_that_differs_is_shown_and_refused(tmp_path: Path) -> None:
    path = write_cancelling(tmp_path / "cancelling.onnx")
    done = edgetvm("import", path, "--check", "--json")
    assert done.code == 6
    (check,) = json.loads(done.out)["checks"]
    assert check["max_relative_error"] > check["tolerance"]
    assert "differs from onnxruntime" in done.err
    assert "report it" in done.err
    assert "--allow-mismatch" not in done.err
