"""The C runtime under sanitizers and fuzzers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from built_runtime import RUNTIME, Builds

FUZZ_SECONDS = 2


def run(command: list[str], **environment: str) -> None:
    """It must end well, and say nothing of its own."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_misuse_is_answered_and_models_are_independent(
    sanitizers: str, builds: Builds, tiny: Any, stream: Any, shared: Any
) -> None:
    checks = builds.checks(sanitizers)
    run([str(checks), *(str(one.path) for one in (tiny, stream, shared))])


def fuzz(fuzzer: Path, corpus: Path, *flags: str, **environment: str) -> None:
    command = [str(fuzzer), str(corpus), f"-max_total_time={FUZZ_SECONDS}", "-seed=7", *flags]
    run([*command, f"-artifact_prefix={corpus.parent}/"], **environment)


def test_no_bytes_break_the_reader(builds: Builds, tiny: Any, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "tiny").write_bytes(tiny.path.read_bytes())
    fuzz(builds.fuzzer("package", "-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"), corpus)


def test_no_order_of_calls_breaks_the_api(builds: Builds, stream: Any, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "run").write_bytes(bytes([1, 0, 1, 1, 0, 0, 2, 0, 7, 0, 0, 0, 2, 1]))
    fuzz(builds.fuzzer("calls"), corpus, EDGETVM_FUZZ_PACKAGE=str(stream.path))


def test_no_text_breaks_the_readers_of_texts(builds: Builds, tiny: Any, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "json").write_text('{"a": [1, -2.5e3, "\\u00e9\\ud83d\\ude00", null, true]}')
    (corpus / "npy").write_text("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n")
    fuzz(builds.fuzzer("texts", str(RUNTIME / "runner" / "npy.c")), corpus)
