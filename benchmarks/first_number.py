"""How long a newcomer waits for the first number: `python -m benchmarks.first_number`.

A small real model goes through `edgetvm bench` as a fresh process, first with an empty cache
(import, compile, check, package, deploy, measure), then with a warm one. The reference runtime
measures the same model in its own process, for the ratio of latencies. Prints a table, writes JSON
with --json FILE, and ends with one line of figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

RECIPE = "vision/ppocr-cls"

_PEER = """
import sys, time, json
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feed = {"x": np.random.default_rng(0).random((1, 3, 48, 192), dtype=np.float32)}
for _ in range(20):
    session.run(None, feed)
samples = []
for _ in range(200):
    began = time.perf_counter_ns()
    session.run(None, feed)
    samples.append(time.perf_counter_ns() - began)
print(json.dumps(samples))
"""


def _timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    began_s = time.monotonic()
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    elapsed_s = time.monotonic() - began_s
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return elapsed_s, result.stdout


def measure(rounds: int) -> dict[str, Any]:
    """All figures of one run."""
    edgetvm = [sys.executable, "-m", "edgetvm"]
    bench = [*edgetvm, "bench", RECIPE, "--runs", "200", "--json"]
    figures: dict[str, Any] = {"rounds": rounds}
    colds, warms, helps, ratios = [], [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="edgetvm-benchmark-") as home:
            environment = {**os.environ, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
            # The download of the model is the network's time, not edgetvm's.
            _, _ = _timed([*edgetvm, "import", RECIPE, "--json"], environment)
            helps.append(_timed([*edgetvm, "--help"], environment)[0])
            colds.append(_timed(bench, environment)[0])
            warm_s, printed = _timed(bench, environment)
            warms.append(warm_s)
            samples = json.loads(printed)["measurements"][0]["measurement"]["samples_ns"]
            (model,) = Path(home).rglob("*cls_infer.onnx")
            _, peer = _timed([sys.executable, "-c", _PEER, str(model)], environment)
            ratios.append(median(samples) / median(json.loads(peer)))
    figures |= {
        "cold_s": median(colds),
        "warm_s": median(warms),
        "help_s": median(helps),
        "latency_ratio_to_onnxruntime": median(ratios),
    }
    return figures


def main() -> None:
    """Measure, print, and end with the result line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args()
    figures = measure(options.rounds)
    print(f"{'cold: import to number':32}{figures['cold_s']:8.1f} s")
    print(f"{'warm: straight to the board':32}{figures['warm_s']:8.1f} s")
    print(f"{'edgetvm --help':32}{figures['help_s']:8.2f} s")
    print(f"{'p50 / ONNX Runtime p50':32}{figures['latency_ratio_to_onnxruntime']:8.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))
    print("result: " + " ".join(f"{name}={value:.3g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
