"""Ten million samples stored, summarised, exported and imported: how long, in how much memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgetvm.measure import Measurement, Store, summarise
from edgetvm.measure.exchange import exported, imported, read_measurements
from edgetvm.measure.measurement import from_json, to_json
from edgetvm.measure.samples import CHUNK, Chunk, Samples

_STORE = """
import sys
from benchmarks.measuring.many import store
store(*sys.argv[1:])
"""


def stored(template: Measurement, count: int) -> dict[str, float]:
    """Seconds and peak memory of a process that stores so many samples, summarises them, writes
    them to a file, and reads them into another store.

    Args:
        template: a measurement, whose samples are put in others' place.
    """
    with tempfile.TemporaryDirectory(prefix="edgetvm-many-") as folder:
        Path(folder, "template.json").write_bytes(to_json(template))
        return _stored(folder, count)


def _stored(folder: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-c", _STORE, folder, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    names = ("save_s", "summarise_s", "export_s", "import_s", "grown_mb", "p99_ms")
    return dict(zip(names, map(float, done.stdout.split()), strict=True))


def store(folder: str, count: str) -> None:
    """Print what it took; run in a process of its own."""
    template = from_json(Path(folder, "template.json").read_bytes(), "template.json")
    total = int(count)

    def chunks() -> Iterator[Chunk]:
        draw = np.random.default_rng(5)
        for begin in range(0, total, CHUNK):
            size = min(CHUNK, total - begin)
            yield np.asarray(draw.lognormal(13.8, 0.2, size), np.int64)

    made = replace(template, samples_ns=Samples(total, chunks), windows=())
    results = Store(f"sqlite:///{folder}/many.sqlite")
    summarise(
        replace(template, samples_ns=Samples.of(range(1, 1001)), windows=())
    )  # all modules are loaded
    # The high-water mark of resident memory begins anew: see proc(5), clear_refs.
    Path("/proc/self/clear_refs").write_text("5")
    before_mb = _status_mb("VmRSS")
    began_s = time.monotonic()
    results.save(made)
    saved_s = time.monotonic()
    summary = summarise(results.load(made.id))
    summarised_s = time.monotonic()
    path = Path(folder, "many.jsonl")
    with path.open("wb") as written:
        written.writelines(exported(results.load(made.id)))
    exported_s = time.monotonic()
    with path.open("rb") as file:
        imported(Store(f"sqlite:///{folder}/other.sqlite"), read_measurements(file, path.name))
    stamps = (began_s, saved_s, summarised_s, exported_s, time.monotonic())
    print(*np.diff(stamps), _status_mb("VmHWM") - before_mb, summary.p99_ms)


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (one for one in lines if one.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024
