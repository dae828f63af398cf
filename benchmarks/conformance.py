"""ONNX's own backend tests: `python -m benchmarks.conformance`.

Every node test that the onnx package generates is imported, compiled for this machine and run, and
so are its bundled light models. A test passes when all outputs have the expected shape and dtype
and lie within the test's own tolerances.

What is left out, and nothing else:
  - models of an opset below 7;
  - models of a training domain, or that train: a node with `training_mode`, or an operator of
    ai.onnx.preview.training;
  - models with a string, sequence or optional anywhere among their inputs and outputs, or an
    operator of sequences, optionals or strings among their nodes (expanded functions included).
Everything else counts, whatever its type or domain.

A test feeds what is a constant in real models (shapes, axes, counts, k) as inputs. The importer
fixes shapes, so each test is tried first as it is; where the importer refuses that, again with the
inputs of `PARAMETERS` bound as constants: never its data. A pass with bound inputs counts, and is
counted apart.

Inputs and outputs of 2- and 4-bit integers, 4- and 8-bit floats and bfloat16 are carried in 8- and
16-bit integers, one an element (edgetvm/models/onnx/narrow.py): what a model takes and gives there
is those bits, and they are what is compared.

Workers are processes of their own, since some inputs crash TVM: a crash or a timeout is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

_OLDEST_OPSET = 7
_LIGHT_TIMEOUT_S = 600

# By operator, the positions of inputs that are parameters: they decide shapes or how it computes.
PARAMETERS = {
    "AffineGrid": (1,),
    "ArrayFeatureExtractor": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "CumProd": (1,),
    "CumSum": (1,),
    "DFT": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "Loop": (0, 1),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "NonMaxSuppression": (2, 3, 4),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "ReduceL1": (1,),
    "ReduceL2": (1,),
    "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceProd": (1,),
    "ReduceSum": (1,),
    "ReduceSumSquare": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}


def _nodes(graph: Any) -> list[Any]:
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                found += _nodes(below)
    return found


def exclusion(model: Any) -> str | None:
    """Why a test is left out, or None for one that counts."""
    from onnx import TensorProto

    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if "" in opsets and opsets[""] < _OLDEST_OPSET:
        return f"opset below {_OLDEST_OPSET}"
    nodes = _nodes(model.graph)
    values = (*model.graph.input, *model.graph.output)
    kinds = {entry.type.WhichOneof("value") for entry in values}
    operators = {node.op_type for node in nodes}
    trains = any("training" in domain for domain in opsets) or any(
        attribute.name == "training_mode" and attribute.i
        for node in nodes
        for attribute in node.attribute
    )
    reasons = {
        "training": trains or any(_drops(node, model) for node in nodes),
        "sequence": "sequence_type" in kinds
        or any("Sequence" in name for name in operators - {"ReverseSequence"}),
        "optional": "optional_type" in kinds
        or any(name.startswith("Optional") for name in operators),
        "string": any(name.startswith(("String", "Regex")) for name in operators)
        or any(entry.type.tensor_type.elem_type == TensorProto.STRING for entry in values),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _drops(node: Any, model: Any) -> bool:
    """Whether a Dropout takes the input that turns training on."""
    return (
        node.op_type == "Dropout"
        and len(node.input) > 2
        and bool(node.input[2])
        and (
            node.input[2] in {entry.name for entry in model.graph.input}
            or "training" in node.input[2]
        )
    )


def _array(value: Any) -> Any:
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _parameters(model: Any) -> list[int]:
    """Positions of the model's inputs that are parameters of a node."""
    positions = {entry.name: index for index, entry in enumerate(model.graph.input)}
    return [
        positions[node.input[place]]
        for node in model.graph.node
        for place in PARAMETERS.get(node.op_type, ())
        if place < len(node.input) and node.input[place] in positions
    ]


def write_cases(folder: Path) -> dict[str, int]:
    """Write each test that counts as a file. Answers with how many were left out, and why."""
    from onnx.backend.test.loader import load_model_tests

    left: Counter[str] = Counter()
    cases = load_model_tests(kind="node")
    parameters = {case.name: _parameters(case.model) for case in cases}
    for case in cases:
        reason = exclusion(case.model)
        if reason:
            left[reason] += 1
            continue
        sets = [
            ([_array(value) for value in inputs], [_array(value) for value in outputs])
            for inputs, outputs in case.data_sets
        ]
        nodes = case.model.graph.node
        # A test of an expanded function has the inputs of the test of its operator.
        base = re.sub(r"_expanded(_ver\d+)?$", "", case.name)
        expanded = base != case.name
        record = {
            "name": case.name,
            "operator": "(expanded)" if expanded else nodes[0].op_type,
            "parameters": parameters.get(base, parameters[case.name]),
            "model": case.model.SerializeToString(),
            "sets": sets,
            "rtol": case.rtol,
            "atol": case.atol,
        }
        (folder / f"{case.name}.pkl").write_bytes(pickle.dumps(record))
    (folder / "left_out.json").write_text(json.dumps(left))
    return dict(left)


def light_models() -> list[Path]:
    """The light models of the onnx package."""
    import onnx.backend.test

    return sorted(Path(onnx.backend.test.__file__).parent.glob("data/light/light_*.onnx"))


def _bound(model: Any, arrays: dict[str, Any], positions: list[int]) -> tuple[Any, list[str]]:
    """The model with its parameters as constants, and their names."""
    import onnx
    from onnx import numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(model)
    names = [entry.name for i, entry in enumerate(model.graph.input) if i in positions]
    for entry in list(made.graph.input):
        if entry.name in names:
            made.graph.initializer.append(numpy_helper.from_array(arrays[entry.name], entry.name))
            # Before version 4, a parameter had to be an input as well.
            if made.ir_version >= 4:
                made.graph.input.remove(entry)
    return made, names


def _attempt(model: Any, arrays: dict[str, Any], folder: Path) -> dict[str, Any]:
    from edgetvm.boards.profile import load_profile
    from edgetvm.compile import compile_model
    from edgetvm.models import ImportOptions, import_model
    from edgetvm.models.onnx.narrow import carried
    from edgetvm.package.executor import Executor

    path = folder / "case.onnx"
    path.write_bytes(model.SerializeToString())
    free = [entry.name for entry in model.graph.input if entry.name in arrays]
    shapes = {name: arrays[name].shape for name in free}
    # Narrow types are carried in ordinary ones, as the importer documents.
    arrays = {name: carried(array) for name, array in arrays.items()}
    imported = import_model(path, ImportOptions(shapes=shapes))
    artifact = compile_model(imported, load_profile("local"))
    executor = Executor(artifact.library, artifact.signature)
    return executor.run(
        {name: np.ascontiguousarray(arrays[name]).reshape(shapes[name]) for name in free}
    )


def _compare(found: list[Any], wanted: list[Any], rtol: float, atol: float) -> str | None:
    from edgetvm.models.onnx.narrow import carrier, uncarried

    if len(found) != len(wanted):
        return f"{len(found)} outputs for {len(wanted)}"
    for index, (a, b) in enumerate(zip(found, wanted, strict=True)):
        if a.shape != b.shape or a.dtype != carrier(b.dtype.name):
            return f"output {index} is {a.dtype}{list(a.shape)}, not {b.dtype}{list(b.shape)}"
        if carrier(b.dtype.name) != b.dtype.name:
            a = uncarried(a, b.dtype.name)  # noqa: PLW2901
        x, y = (v.astype(np.float64) if v.dtype.kind not in "c" else v for v in (a, b))
        if not np.allclose(x, y, rtol=rtol, atol=atol, equal_nan=True):
            return f"output {index} differs by up to {np.abs(x - y).max():.3g}"
    return None


def run_case(path: Path) -> dict[str, Any]:
    """Import, compile, run and compare one test: as it is, then with its parameters bound."""
    import onnx

    from edgetvm.base.errors import EdgetvmError, ModelError, UnsupportedOperatorsError

    record = pickle.loads(path.read_bytes())  # noqa: S301
    model = onnx.ModelProto.FromString(record["model"])
    answer: dict[str, Any] = {}
    for positions in ([], record["parameters"]):
        if answer and not positions:
            break
        try:
            wrong, bound = _run_sets(model, record, positions)
        except UnsupportedOperatorsError as error:
            return {"status": "unsupported", "why": str(error.what)}
        except EdgetvmError as error:
            answer = {"status": "failed", "why": f"{type(error).__name__}: {error.what}"}
            if isinstance(error, ModelError):
                continue
            return answer
        except Exception as error:  # a failure whatever it is
            lines = str(error).strip().splitlines() or [""]
            return {"status": "failed", "why": f"{type(error).__name__}: {lines[-1]}"}
        if wrong:
            return {"status": "failed", "why": f"wrong: {wrong}"}
        whole = bool(bound) and len(bound) == len(model.graph.input)
        return {"status": "passed", "bound": bound, "whole": whole}
    return answer


def _run_sets(
    model: Any, record: dict[str, Any], positions: list[int]
) -> tuple[str | None, list[str]]:
    """What is wrong with any of a test's data sets, and the inputs that were bound."""
    names = [entry.name for entry in model.graph.input]
    bound: list[str] = []
    for inputs, outputs in record["sets"]:
        arrays = dict(zip(names, inputs, strict=False))
        tried, bound = _bound(model, arrays, positions)
        arrays = {name: array for name, array in arrays.items() if name not in bound}
        with tempfile.TemporaryDirectory() as folder:
            results = _attempt(tried, arrays, Path(folder))
        wrong = _compare(list(results.values()), outputs, record["rtol"], record["atol"])
        if wrong:
            return wrong, bound
    return None, bound


def run_light(path: Path) -> dict[str, Any]:
    """A light model against its expected output, on the inputs that ONNX's own runner makes."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    parameters = {one.name for one in model.graph.initializer}
    arrays = {}
    # As onnx.backend.test.runner does: one ramp over [0, 1) for every input.
    for entry in model.graph.input:
        if entry.name not in parameters:
            shape = tuple(axis.dim_value for axis in entry.type.tensor_type.shape.dim)
            count = int(np.prod(shape))
            arrays[entry.name] = (np.arange(count).reshape(shape) / count).astype(np.float32)
    wanted = onnx.TensorProto.FromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        results = _attempt(model, arrays, Path(folder))
    wrong = _compare(list(results.values()), [numpy_helper.to_array(wanted)], 1e-3, 1e-7)
    return {"status": "failed", "why": f"wrong: {wrong}"} if wrong else {"status": "passed"}


def _work() -> None:
    """A worker: paths come in on stdin, one a line; answers go out as JSON lines."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        path = Path(line.strip())
        try:
            answer = run_light(path) if path.suffix == ".onnx" else run_case(path)
        except Exception as error:  # a mistake in here is a failure too, not the end of the worker
            answer = {"status": "failed", "why": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    path: Path | None = None
    since: float = 0.0
    heard: IO[str] | None = field(default=None)


def _started() -> _Worker:
    environment = {**os.environ, "TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.conformance", "--worker"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    return _Worker(process)


def run_all(
    paths: list[Path], jobs: int, timeout_s: float, keep: Path | None
) -> dict[str, dict[str, Any]]:
    """The answers by test name; those that are there already are kept in a file as well."""
    results: dict[str, dict[str, Any]] = {}
    left = list(reversed(paths))
    with selectors.DefaultSelector() as selector:

        def start() -> None:
            worker = _started()
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            give(worker)

        def give(worker: _Worker) -> None:
            if not left:
                stop(worker)
                return
            worker.path, worker.since = left.pop(), time.monotonic()
            worker.process.stdin.write(f"{worker.path}\n")
            worker.process.stdin.flush()

        def stop(worker: _Worker) -> None:
            selector.unregister(worker.process.stdout)
            worker.process.kill()
            worker.process.wait()

        for _ in range(min(jobs, len(paths))):
            start()
        while selector.get_map():
            for key, _ in selector.select(timeout=1):
                worker = key.data
                line = worker.process.stdout.readline()
                if line:
                    results[worker.path.stem] = json.loads(line)
                    give(worker)
                else:
                    results[worker.path.stem] = {"status": "failed", "why": "the process died"}
                    stop(worker)
                    if left:
                        start()
            for key in list(selector.get_map().values()):
                worker = key.data
                limit = _LIGHT_TIMEOUT_S if worker.path.suffix == ".onnx" else timeout_s
                if time.monotonic() - worker.since > limit:
                    results[worker.path.stem] = {"status": "failed", "why": "timeout"}
                    stop(worker)
                    if left:
                        start()
            if keep is not None:
                keep.write_text(json.dumps(results, indent=1))
    return results


def main() -> None:
    """Run, print the table, and end with the result line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--cases", type=Path, metavar="FOLDER", help="keep the tests here")
    parser.add_argument("--filter", default="", metavar="REGEX", help="only tests so named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each test's result here")
    parser.add_argument("--no-light", action="store_true", help="leave the light models out")
    parser.add_argument("--failures", action="store_true", help="print why each test failed")
    options = parser.parse_args()
    if options.worker:
        _work()
        return
    with tempfile.TemporaryDirectory(prefix="edgetvm-conformance-") as made:
        folder = options.cases or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "left_out.json").exists():
            write_cases(folder)
        left = json.loads((folder / "left_out.json").read_text())
        paths = sorted(p for p in folder.glob("*.pkl") if re.search(options.filter, p.stem))
        operators = {p.stem: pickle.loads(p.read_bytes())["operator"] for p in paths}  # noqa: S301
        lights = [] if options.no_light else light_models()
        began = time.monotonic()
        results = run_all([*lights, *paths], options.jobs, options.timeout, options.json)
        print(f"took {time.monotonic() - began:.0f} s with {options.jobs} workers")
    _print(results, operators, left, [path.stem for path in lights], options.failures)


def _print(
    results: dict[str, dict[str, Any]],
    operators: dict[str, str],
    left: dict[str, int],
    lights: list[str],
    failures: bool,
) -> None:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for name, operator in operators.items():
        table[operator][results[name]["status"]] += 1
    print(f"{'operator':32}{'passed':>8}{'failed':>8}{'unsupported':>13}")
    for operator, counts in sorted(table.items()):
        row = "".join(
            f"{counts[status]:>{width}}"
            for status, width in (("passed", 8), ("failed", 8), ("unsupported", 13))
        )
        print(f"{operator:32}{row}")
    if failures:
        for name in sorted(results):
            if results[name]["status"] != "passed":
                print(f"{name}: {results[name]['status']}: {results[name].get('why', '')[:200]}")
    nodes = [results[name] for name in operators]
    passed = [one for one in nodes if one["status"] == "passed"]
    print(f"left out: {', '.join(f'{count} {why}' for why, count in sorted(left.items()))}")
    print(
        f"node tests: {len(passed)} of {len(nodes)} passed; "
        f"{sum(bool(one['bound']) for one in passed)} of those with inputs bound as constants, "
        f"{sum(one['whole'] for one in passed)} with all inputs bound (the answer is folded)"
    )
    failed = [name for name in lights if results[name]["status"] != "passed"]
    for name in lights:
        print(f"{name}: {results[name]['status']} {results[name].get('why', '')}")
    share = 100 * len(passed) / len(nodes) if nodes else 0.0
    print(f"result: node_pass_pct={share:.2f} light_models_failed={len(failed)}")


if __name__ == "__main__":
    main()
