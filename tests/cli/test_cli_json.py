"""`--json`: exactly one document on standard output, and plain words elsewhere."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import value, write
from onnx import helper
from real_board import onnx_runtime
from real_command import COMMAND, Home, edgetvm


def ask(home: Home, *arguments: str | Path, **options: object) -> Any:
    """The document of a command that ends well."""
    done = home.edgetvm(*arguments, "--json", **options)
    assert done.code == 0, done.err
    assert done.is_clean()
    return done.document


def test_boards(home: Home) -> None:
    names = [board["name"] for board in ask(home, "profiles", "list")]
    assert {"local", "rpi4", "rpi5"} <= set(names)
    shown = ask(home, "profiles", "show", "rpi4")
    assert (shown["name"], shown["cpu"], shown["cache"]["l2_shared"]) == (
        "rpi4",
        "cortex-a72",
        True,
    )


def test_recipes(home: Home) -> None:
    names = [recipe["name"] for recipe in ask(home, "recipes", "list")]
    assert "vision/ppocr-det" in names
    shown = ask(home, "recipes", "show", "speech/silero-vad")
    assert shown["stream"]["states"] == {"state": "stateN"}


def test_import(home: Home, tiny_onnx: Path) -> None:
    plain = ask(home, "import", tiny_onnx, cold=True)
    assert plain["checks"] == []
    assert plain["operators"] == {
        "Conv": 1,
        "Flatten": 1,
        "Gemm": 1,
        "GlobalAveragePool": 1,
        "Relu": 1,
    }
    # 4*3*3*3 + 4 + 4*5 + 5 weights.
    assert plain["parameter_count"] == 137
    checked = ask(home, "import", tiny_onnx, "--check", cold=True)
    (check,) = checked["checks"]
    assert check["inputs"] == "random, seed 0"
    assert check["max_relative_error"] < 1e-4


def test_import_checks_on_given_inputs(home: Home, tiny_onnx: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", image=np.ones((1, 3, 8, 8), np.float32))
    found = ask(home, "import", tiny_onnx, "--check", "--inputs", tmp_path / "in.npz")
    assert [check["inputs"] for check in found["checks"]] == ["random, seed 0", "given"]
    assert found["multiply_adds"] == {"float32": 4 * 8 * 8 * 27 + 4 * 5}
    assert found["parameters"] == {"float32": 137}


def test_import_with_a_shape(home: Home, dynamic_onnx: Path) -> None:
    found = ask(home, "import", dynamic_onnx, "--shape", "a=7,6", "--shape", "b=7,3")
    assert [spec["shape"] for spec in found["signature"]["inputs"]] == [[7, 6], [7, 3]]


def test_compile_for_another_board(home: Home, tiny_onnx: Path, tmp_path: Path) -> None:
    library = tmp_path / "tiny.so"
    found = ask(home, "compile", tiny_onnx, "--device", "rpi4", "-o", library, cold=True)
    assert found["profile"] == "rpi4"
    assert found["path"] == str(library)
    data = library.read_bytes()
    assert len(data) == found["library_size_bytes"]
    # ELF, 64 bits, and machine 183: AArch64.
    assert data[:5] == b"\x7fELF\x02"
    assert int.from_bytes(data[18:20], "little") == 183
    assert found["kernels"]


def test_package_names_its_file(home: Home, tiny_onnx: Path, tmp_path: Path) -> None:
    found = ask(home, "package", tiny_onnx, "--device", "rpi4", folder=tmp_path)
    assert found["path"] == "tiny-rpi4.edgetvm"
    assert (tmp_path / found["path"]).stat().st_size == found["size_bytes"]
    assert [one["architecture"] for one in found["manifest"]["targets"]] == ["aarch64"]


def test_a_package_for_several_boards_is_signed_verified_and_compared(
    home: Home, tiny_onnx: Path, tmp_path: Path
) -> None:
    both = ask(
        home, "package", tiny_onnx, *("--device", "rpi3-32", "--device", "local"), folder=tmp_path
    )
    path, key = tmp_path / both["path"], tmp_path / "k.pem"
    assert path.name == "tiny-rpi3-32-local.edgetvm"
    shown = ask(home, "package", "inspect", path)
    assert [one["profile"] for one in shown["manifest"]["targets"]] == ["rpi3-32", "local"]
    path.chmod(0o755)
    signed = ask(home, "package", "sign", path, "--key", key, "--new-key")
    assert path.stat().st_mode & 0o777 == 0o755
    public = tmp_path / "k.pub.pem"
    assert ask(home, "package", "verify", path, "--key", public)["signed_by"] == signed["signed_by"]
    done = home.edgetvm("package", "verify", home.package, "--key", public)
    assert done.code == 7
    assert "is not signed" in done.err
    done = home.edgetvm("package", "diff", home.package, path, "--json")
    assert done.code == 1
    parts = [change["part"] for change in done.document["changes"]]
    assert parts[-1] == "signature"
    assert "target rpi3-32" in parts
    assert ask(home, "package", "diff", path, path) == {"equal": True, "changes": []}


def test_a_package_comes_with_its_runtime_without_and_as_one_program(
    home: Home, tiny_onnx: Path, tmp_path: Path
) -> None:
    whole = ask(home, "package", tiny_onnx, folder=tmp_path)
    (target,) = whole["manifest"]["targets"]
    assert target["runtime"] == "local/edgetvm-run"
    bare = ask(home, "package", tiny_onnx, "--no-runtime", "-o", tmp_path / "bare.edgetvm")
    assert bare["manifest"]["targets"][0]["runtime"] is None
    assert bare["size_bytes"] < whole["size_bytes"] - 100_000
    ask(home, "package", tiny_onnx, "--executable", folder=tmp_path)
    done = subprocess.run(
        [tmp_path / "tiny-local", "--self-test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "self-test passed" in done.stdout
    kit = ask(home, "package", "runtime", tmp_path / "kit", "--device", "rpi3-32")
    assert (kit["architecture"], kit["libc"]) == ("armv7l", "glibc")
    assert kit["sizes_bytes"]["lib/libedgetvm.so"] <= 40 << 10


@pytest.mark.board
def test_run_with_inputs_of_one_s_own(home: Home, tiny_onnx: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(2).standard_normal((1, 3, 8, 8), np.float32)
    np.savez(tmp_path / "in.npz", image=image)
    words = ["--inputs", tmp_path / "in.npz", "-o", tmp_path / "out.npz", "--top", "2"]
    found = ask(home, "run", home.package, *words, cold=True)
    expected = onnx_runtime(tiny_onnx, {"image": image})["scores"]
    with np.load(tmp_path / "out.npz") as archive:
        np.testing.assert_allclose(archive["scores"], expected, rtol=1e-3, atol=1e-4)
    assert found["duration_ns"] > 0
    assert found["outputs"]["scores"]["shape"] == [1, 5]
    assert found["outputs"]["scores"]["max"] == pytest.approx(float(expected.max()), rel=1e-3)
    places, values = zip(*found["outputs"]["scores"]["top"], strict=True)
    assert list(places) == np.argsort(-expected[0])[:2].tolist()
    assert list(values) == pytest.approx(np.sort(expected[0])[:-3:-1].tolist(), rel=1e-3)


@pytest.mark.board
def test_answers_that_json_has_no_number_for(home: Home, tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.onnx",
        [helper.make_node("Log", ["x"], ["y"])],
        [value("x", [3])],
        [value("y", [3])],
    )
    np.savez(tmp_path / "in.npz", x=np.array([0, -1, 1], np.float32))
    found = ask(home, "run", path, "--inputs", tmp_path / "in.npz")
    assert found["outputs"]["y"]["max"] == "nan"
    zeros = ask(home, "run", path, "--fill", "zeros")
    assert zeros["outputs"]["y"]["min"] == "-inf"


@pytest.mark.board
def test_bench_and_report_tell_the_same(home: Home, tiny_onnx: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    arguments = ["bench", tiny_onnx, "--runs", "7", "--warmup", "1", "--threads", "1"]
    benched = ask(home, *arguments, "--report", report)
    assert benched.pop("failures") == []
    reported = ask(home, "report", "--last", "1", cold=True)
    assert benched == reported
    assert "tiny" in report.read_text()
    assert ask(home, "report", home.measurement) != benched


@pytest.mark.board
def test_one_bad_model_does_not_cost_the_others_their_rows(
    home: Home, tiny_onnx: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_text("no model")
    arguments = ("bench", "gone", tiny_onnx, bad, "--runs", "5")
    done = home.edgetvm(*arguments)
    # That of the first which could not be measured.
    assert done.code == 3
    assert done.is_clean()
    assert "onnxruntime" in done.out
    assert done.out.count("✗ not measured") == 2
    told = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(told) == 2
    assert str(bad) in told[1]
    document = home.edgetvm(*arguments, "--json").document
    assert [one["measurement"]["model"] for one in document["measurements"]] == ["tiny"]
    assert [one["exit_code"] for one in document["failures"]] == [3, 4]
    assert {one["ending"] for one in document["failures"]} == {"failed"}
    alone = home.edgetvm("bench", bad, "gone")
    assert (alone.code, alone.out) == (4, "")


def test_report_of_nothing(isolated_home: Path) -> None:
    assert isolated_home
    done = edgetvm("report")
    assert done.is_clean()
    assert done.code == 2
    assert "edgetvm bench" in done.err


def test_cache(home: Home, tiny_onnx: Path, tmp_path: Path) -> None:
    variables = {**home.variables, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    output = ["--no-runtime", "-o", tmp_path / "t.edgetvm"]
    made = edgetvm("package", tiny_onnx, *output, environment=variables)
    assert made.code == 0
    listed = edgetvm("cache", "list", "--json", environment=variables).document
    assert [entry["kind"] for entry in listed] == ["packages"]
    assert edgetvm("cache", "clear", "models", environment=variables).code == 2
    freed = edgetvm("cache", "clear", "--json", environment=variables).document
    assert freed["freed_bytes"] == sum(entry["size_bytes"] for entry in listed) > 0
    assert edgetvm("cache", "list", "--json", environment=variables).document == []


def test_doctor_is_content_here(home: Home) -> None:
    findings = ask(home, "doctor")
    assert len(findings) > 8
    assert "failed" not in {finding["state"] for finding in findings}
    assert all(finding["mend"] for finding in findings if finding["state"] == "absent")


PLAIN = [
    ("profiles", "list"),
    ("profiles", "show", "local"),
    ("recipes", "list"),
    ("recipes", "show", "vision/ppocr-cls"),
    ("cache", "list"),
    ("doctor",),
    ("report",),
    ("schema", "profile"),
]


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_words_for_people_are_plain_in_a_pipe(home: Home, arguments: tuple[str, ...]) -> None:
    done = home.edgetvm(*arguments)
    assert done.code == 0, done.err
    assert done.is_clean()
    assert done.out


@pytest.mark.board
def test_steps_are_plain_lines_in_a_pipe(home: Home, tiny_onnx: Path) -> None:
    done = home.edgetvm("bench", tiny_onnx, "--runs", "5")
    assert done.code == 0
    assert done.is_clean()
    assert "tiny" in done.out
    assert "✓" not in done.out.splitlines()[0]
    assert "is taken from the cache" in done.err
    assert "✓ " in done.err


def test_another_encoding_is_no_reason_to_fail(home: Home) -> None:
    done = edgetvm("doctor", environment={**home.variables, "PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    assert done.is_clean()
    assert "Python" in done.out


@pytest.mark.parametrize("arguments", [("profiles", "list"), ("profiles", "list", "--json")])
def test_a_reader_that_goes_away_is_no_error(home: Home, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **home.variables},
    ) as process:
        os.close(writer)
        os.close(reader)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("profiles list >/dev/full", 10, "error: stdout: no space left on device"),
        ("profiles list --json >/dev/full", 10, "error: stdout: no space left on device"),
        ("profiles list <&- >&-", 0, ""),
    ],
)
def test_a_stdout_that_takes_nothing_is_told(home: Home, words: str, code: int, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(COMMAND)} {words}"],
        capture_output=True,
        text=True,
        env={**os.environ, **home.variables},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said) and len(done.stderr.splitlines()) == bool(said)


def test_inputs_bound_to_several_numbers(home: Home, tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "size"], ["y"])]
    inputs = [value("x", [2, 5]), value("size", [2], "INT64")]
    path = write(tmp_path / "m.onnx", nodes, inputs, [value("y", [None, None])])
    found = ask(home, "import", path, "--bind", "size=5,2")
    assert found["signature"]["outputs"][0]["shape"] == [5, 2]


def test_states_of_a_run_begin_as_in_a_stream(
    home: Home, stateful_onnx: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "sum.yaml"
    recipe.write_text(
        "name: sum\ntask: t\ndescription: d\nlicence: MIT\n"
        f"model: {{path: {stateful_onnx}}}\n"
        "inputs: {chunk: {shape: [1, 4]}, sum: {shape: [1, 4]}}\n"
        "stream: {sample_rate_hz: 8000, window_samples: 4, hop_samples: 4, input: chunk,"
        " states: {sum: total}}\n"
    )
    np.savez(tmp_path / "in.npz", chunk=np.ones((1, 4), np.float32))
    found = ask(home, "run", recipe, "--inputs", tmp_path / "in.npz")
    assert found["outputs"]["doubled"]["mean"] == 2


def test_a_program_with_a_package_in_it_is_a_package_too(home: Home, tmp_path: Path) -> None:
    program = tmp_path / "tiny"
    program.write_bytes(bytes(4096) + home.package.read_bytes())
    assert home.edgetvm("inspect", program, "--json").document["name"] == "tiny"
    assert "its program was not checked" in " ".join(
        home.edgetvm("package", "verify", program).out.split()
    )
    key = tmp_path / "k.pem"
    assert home.edgetvm("package", "sign", program, "--key", key, "--new-key").code == 0
    told = home.edgetvm("package", "verify", program, "--key", tmp_path / "k.pub.pem").out
    assert "whole and unaltered, its program too, signed by" in told
    program.write_bytes(b"x" + program.read_bytes()[1:])
    done = home.edgetvm("package", "verify", program)
    assert done.code == 7 and "altered after it was signed" in done.err


def test_the_cache_tells_what_its_entries_are_of(home: Home) -> None:
    told = home.edgetvm("cache", "list").out
    assert any(line.startswith("packages") and "tiny, local" in line for line in told.splitlines())
