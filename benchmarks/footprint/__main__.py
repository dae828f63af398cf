"""See `benchmarks.footprint`."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.footprint import __doc__ as told
from benchmarks.footprint.agreement import agreements
from benchmarks.footprint.as_onnx import as_onnx
from benchmarks.footprint.chain import LONG, SHORT, chain, kernel_ns
from benchmarks.footprint.peers import BINDING, PEERS, Opened, opened
from benchmarks.footprint.runner import opening, packaged
from benchmarks.footprint.sizes import Size, runtime_sizes, wheel_sizes
from benchmarks.footprint.small_model import TFLM_BYTES, SmallModel, small_model
from benchmarks.footprint.tflite_chain import as_tflite
from benchmarks.latency.prepare import prepared
from benchmarks.latency.suite import entry_called
from edgetvm.base.paths import cache_folder

_MODEL = "tiny-vww"
_SMALL = "tiny-vww-int8"
# The model is a TFLite file, the chain an ONNX file; who does not read one gets it as the other.
_READ_ONNX, _READ_TFLITE = ("onnxruntime", "ncnn"), ("litert",)
_FOLDER = cache_folder() / "benchmarks"


def main() -> None:
    """Measure, print tables, and end with the result line."""
    parser = argparse.ArgumentParser(
        description=told, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agreement", nargs="*", metavar="RECIPE", help="instead of all else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--wheels", type=Path, default=_FOLDER / "arm/wheels-aarch64")
    arguments = parser.parse_args()
    if arguments.agreement is not None:
        _agree(arguments.agreement)
    else:
        _measure(arguments.wheels, arguments.json)


def _agree(names: list[str]) -> None:
    wrong = 0
    for one in agreements(names):
        wrong += not one.agrees
        print(f"{one.recipe:28} {one.profile:14} {one.told}", flush=True)
    if wrong:
        raise SystemExit(f"{wrong} answers differ")


def _measure(wheels: Path, file: Path | None) -> None:
    sizes, peer_sizes = runtime_sizes(), wheel_sizes(wheels)
    _print_sizes(sizes, peer_sizes)
    small = small_model(prepared(entry_called(_SMALL), _FOLDER).file)
    _print_small(small, sizes)
    case = prepared(entry_called(_MODEL), _FOLDER)
    with tempfile.TemporaryDirectory() as folder:
        package = packaged(case.file, Path(folder, "model.edgetvm"))
        own, again = opening(package), opened(BINDING, replace(case, file=package))
        own_kernel_ns = kernel_ns(Path(folder))
        converted = as_onnx(case, Path(folder))
        peers = {name: opened(name, converted if name in _READ_ONNX else case) for name in PEERS}
        cases = [chain(length, Path(folder)) for length in (LONG, SHORT)]
        chains = {
            name: [opened(name, as_tflite(one) if name in _READ_TFLITE else one) for one in cases]
            for name in PEERS
        }
    print(f"\n{_MODEL}, one thread: from the path to the first result, and memory")
    print(f"{'':12} {'total ms':>9} {'a run ms':>9} {'beyond ms':>9} {'memory KB':>10}")
    _print_opening("edgetvm-run", Opened(own.total_ms, own.run_ms, own.peak_kb))
    _print_opening(BINDING, again)
    for name, found in peers.items():
        _print_opening(name, found)
    print(f"memory: the whole process of edgetvm-run, {own.model_kb:.0f} KB of it the model's;")
    print("in the other lines what is added to a Python process")
    print(f"\n{LONG} operators of one element against {SHORT}: ns for each further one")
    per_operator = {"edgetvm": own_kernel_ns, **_operator_ns(chains)}
    for name, ns in per_operator.items():
        print(f"{name:12} {ns:8.1f}")
    if file is not None:
        figures: dict[str, Any] = {
            "sizes": [asdict(one) for one in (*sizes, *peer_sizes)],
            "small": asdict(small),
            "edgetvm-run": asdict(own),
            "peers": {
                name: asdict(found) for name, found in {BINDING: again, **peers}.items() if found
            },
            "operator_ns": per_operator,
        }
        file.write_text(json.dumps(figures, indent=1))
    by_name = {one.name: one.file_bytes for one in sizes}
    print(
        f"result: runtime_aarch64_bytes={by_name['aarch64 glibc libedgetvm.so']} "
        f"runtime_armv7_bytes={by_name['armv7l glibc libedgetvm.so']} "
        f"open_to_first_result_ms={own.total_ms:.3f} "
        f"overhead_per_operator_ns={own_kernel_ns:.1f} "
        f"peak_rss_over_model_kb={own.over_model_kb:.0f} "
        f"vww_os_code_bytes={small.small_bytes}"
    )


def _print_sizes(own: list[Size], peers: list[Size]) -> None:
    print(f"{'stripped files':44} {'bytes':>10} {'text+data':>10} {'code':>10}")
    for one in (*own, *peers):
        print(f"{one.name:44} {one.file_bytes:10} {one.loaded_bytes:10} {one.code_bytes:10}")


def _print_small(small: SmallModel, sizes: list[Size]) -> None:
    library = next(one for one in sizes if one.name == "aarch64 glibc libedgetvm.so")
    whole = library.loaded_bytes + small.small_bytes
    print(f"\n{_SMALL} for aarch64: bytes of code beside the parameters")
    print(f"{'-Os':12} {small.small_bytes:10}  with the library (text+data) {whole}")
    print(f"{'-O3':12} {small.usual_bytes:10}")
    print(f"{'TFLM':12} {TFLM_BYTES:>10}  its core and six kernels, as issue 7 measured them")


def _print_opening(name: str, found: Opened | None) -> None:
    if found is None:
        print(f"{name:12} {'does not read it, or is not installed':>40}")
        return
    beyond_ms = found.total_ms - found.run_ms
    print(
        f"{name:12} {found.total_ms:9.3f} {found.run_ms:9.3f} {beyond_ms:9.3f} "
        f"{found.over_process_kb:10.0f}"
    )


def _operator_ns(chains: dict[str, list[Opened | None]]) -> dict[str, float]:
    return {
        name: (long.run_ms - short.run_ms) * 1e6 / (LONG - SHORT)
        for name, (long, short) in chains.items()
        if long is not None and short is not None
    }


if __name__ == "__main__":
    main()
