"""Reference runtimes: what a compiled model's answers are compared with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import InputError
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.pins import installed_version
from edgetvm.base.steps import warn
from edgetvm.models.imported import bound_array
from edgetvm.models.importers import import_model, importer_for
from edgetvm.models.model import Arrays, ImportOptions, Model, Signature
from edgetvm.models.onnx.scales import is_quantised, with_moved_steps

if TYPE_CHECKING:
    import onnx

# Answers of a graph with moved steps that its rounding noise is measured by.
_DRAWS = 4


@dataclass(frozen=True)
class Source:
    """What a reference runtime needs: the model file, what was fixed, and the signature."""

    path: Path
    options: ImportOptions
    signature: Signature

    @classmethod
    def of(cls, model: Model) -> Source:
        """The source of an imported model."""
        return cls(model.source, model.options, model.signature)


class Runner(Protocol):
    """Whatever answers for a model."""

    @abstractmethod
    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        """One run: arrays by input name in, arrays by output name out."""


class Reference(Runner, Protocol):
    """Runs the model's own source file, not what edgetvm made of it.

    Attributes:
        name: with its version.
        shaken: the same with the steps of its quantisers moved by next to nothing, where other
            orders of sums may give another answer, because the graph rounds to 8 bits between its
            operators (see `edgetvm.models.rounding`); else empty.

    Raises:
        InputError: from `run`, where the runtime refuses the inputs.
    """

    name: str

    @property
    @abstractmethod
    def shaken(self) -> Sequence[Runner]: ...


def _shaken_models(path: Path) -> list[onnx.ModelProto]:
    """A quantised file's graph with moved steps, once for each draw; none of another file."""
    import onnx

    if not is_quantised(path):
        return []
    return [with_moved_steps(onnx.load(path), seed) for seed in range(_DRAWS)]


class _OnnxRuntime:
    def __init__(self, source: Source, model: onnx.ModelProto | None = None) -> None:
        import onnxruntime

        self._source = source
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its errors arrive as exceptions
        if is_quantised(source.path):
            # As the operators are defined: fused 8-bit kernels round otherwise, and on some CPUs
            # their sums saturate.
            off = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = off
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self._session = onnxruntime.InferenceSession(
            str(source.path) if model is None else model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._bound = {
            entry.name: bound_array(
                entry.name, entry.shape, _ORT_DTYPES[entry.type], source.options, source.path
            )
            for entry in self._session.get_inputs()
            if entry.name in source.options.bindings
        }
        self._outputs = [entry.name for entry in self._session.get_outputs()]

    @cached_property
    def shaken(self) -> Sequence[Runner]:
        return [_OnnxRuntime(self._source, model) for model in _shaken_models(self._source.path)]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        results = self._session.run(None, {**inputs, **self._bound})
        return dict(zip(self._outputs, results, strict=True))


_ORT_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint64)": "uint64",
    "tensor(uint32)": "uint32",
    "tensor(uint16)": "uint16",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class _OnnxEvaluator:
    """The onnx package's own evaluator: plain numpy, slow, and always there."""

    def __init__(self, source: Source, model: onnx.ModelProto | None = None) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        from edgetvm.models.onnx.importer import bound_inputs

        self._source = source
        model = onnx.load(source.path) if model is None else model
        self.name = f"onnx.reference {onnx.__version__}"
        self._evaluator = ReferenceEvaluator(model)
        self._bound = bound_inputs(model, source.options, source.path)

    @cached_property
    def shaken(self) -> Sequence[Runner]:
        return [_OnnxEvaluator(self._source, model) for model in _shaken_models(self._source.path)]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        results: list[NDArray[np.generic]] = self._evaluator.run(None, {**inputs, **self._bound})  # type: ignore[assignment]
        return dict(zip(self._evaluator.output_names, results, strict=True))


class _LiteRT:
    def __init__(self, source: Source) -> None:
        with native_words_kept_back():
            from ai_edge_litert.interpreter import Interpreter

            from edgetvm.models.tflite.explicit import with_explicit_variables
            from edgetvm.models.tflite.importer import variable_names

            self._path = source.path
            signature, data = source.signature, source.path.read_bytes()
            variables = variable_names(source.path)
            if variables:
                data = with_explicit_variables(data, variables)
            self._interpreter = Interpreter(model_content=data)
            self.name = f"ai-edge-litert {installed_version('ai-edge-litert')}"
            names = [spec.name for spec in signature.inputs]
            specs = {spec.name: spec for spec in signature.inputs}
            details = self._interpreter.get_input_details()
            # Variables became the last inputs, under the names of tensors that read them.
            given = [detail["name"] for detail in details[: len(details) - len(variables)]]
            self._inputs = [*given, *variables]
            self._bound = {}
            for name, detail in zip(self._inputs, details, strict=True):
                if name in names:
                    self._interpreter.resize_tensor_input(detail["index"], specs[name].shape)
                else:
                    self._bound[name] = bound_array(
                        name,
                        detail["shape"].tolist(),
                        detail["dtype"].__name__,
                        source.options,
                        source.path,
                    )
            self._interpreter.allocate_tensors()
        self._names = [spec.name for spec in signature.outputs]

    @cached_property
    def shaken(self) -> Sequence[Runner]:
        # Its rounding is ours, bit for bit, but for steps that come from sums of floats.
        from edgetvm.models.tflite.file import is_hybrid, read_file

        return [self] * _DRAWS if is_hybrid(read_file(self._path)) else []

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        # Variable tensors (a recurrent layer's) would keep what the last run left.
        self._interpreter.reset_all_variables()
        arrays = {**inputs, **self._bound}
        for name, detail in zip(self._inputs, self._interpreter.get_input_details(), strict=True):
            self._interpreter.set_tensor(detail["index"], arrays[name])
        self._interpreter.invoke()
        details = self._interpreter.get_output_details()
        return {
            name: self._interpreter.get_tensor(detail["index"])
            for name, detail in zip(self._names, details, strict=True)
        }


class _TorchProgram:
    shaken: Sequence[Runner] = ()

    def __init__(self, source: Source) -> None:
        import torch

        from edgetvm.models.torch.program import load_program

        self.name = f"torch {torch.__version__}"
        self._torch = torch
        program = load_program(source.path, source.options)
        self._module = program.exported.module()
        self._order, dtypes = program.inputs, program.input_dtypes()
        self._bound = {
            name: bound_array(name, program.axes[name], dtypes[name], source.options, source.path)
            for name in source.options.bindings
        }
        self._outputs = program.outputs

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        arrays = {**inputs, **self._bound}
        # Copies: a module may write into its inputs.
        tensors = [self._torch.from_numpy(arrays[name].copy()) for name in self._order]
        with self._torch.no_grad():
            results = self._module(*tensors)
        return dict(zip(self._outputs, (result.numpy() for result in results), strict=True))


class _ImportedModule:
    """The imported module itself, compiled without any optimisation, where nothing else is there.

    It cannot notice a mistake of the importer, and says so in its name.
    """

    shaken: Sequence[Runner] = ()

    def __init__(self, source: Source) -> None:
        import tvm
        from tvm import relax

        self.name = "the imported graph itself (importer unchecked)"
        self._tvm = tvm
        self._signature = source.signature
        with native_words_kept_back(), tvm.transform.PassContext(opt_level=0):
            module = import_model(source.path, source.options).module
            executable = relax.build(module, target="llvm")
        self._machine = relax.VirtualMachine(executable, tvm.cpu())

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        tensors = [self._tvm.runtime.tensor(inputs[spec.name]) for spec in self._signature.inputs]
        results = self._machine["main"](*tensors)
        if len(self._signature.outputs) == 1 and hasattr(results, "numpy"):
            results = [results]
        names = [spec.name for spec in self._signature.outputs]
        return dict(zip(names, (result.numpy() for result in results), strict=True))


class _Guarded:
    """A reference whose errors are edgetvm's."""

    def __init__(self, reference: Reference, path: Path) -> None:
        self.name = reference.name
        self._reference = reference
        self._path = path

    @property
    def shaken(self) -> Sequence[Runner]:
        return self._reference.shaken

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        try:
            return self._reference.run(inputs)
        except Exception as error:  # as above: an index beyond a table, no memory, no kernel
            raise InputError(
                f"{self.name} cannot run it on these inputs: {_reason(error)}",
                where=str(self._path),
                mend="give it inputs that it takes, with --inputs or a recipe's data",
            ) from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


# By importer, the best first; each with the package that it needs (None: always there).
_REFERENCES: dict[str, tuple[tuple[str | None, Callable[[Source], Reference]], ...]] = {
    "onnx": (("onnxruntime", _OnnxRuntime), (None, _OnnxEvaluator)),
    "tflite": (("ai-edge-litert", _LiteRT), (None, _ImportedModule)),
    "torch": (("torch", _TorchProgram),),
    "relay": ((None, _ImportedModule),),  # no release that still had Relay is left to install
}


def reference_for(source: Source) -> Reference:
    """The best reference runtime that is installed for the model's source format.

    Raises:
        InputError: the reference runtime itself refuses the model.
    """
    for package, make in _REFERENCES[importer_for(source.path).name]:
        if package is not None and installed_version(package) is None:
            warn(f"{package} is not installed: the result is checked with a slower or weaker one")
            continue
        try:
            return _Guarded(make(source), source.path)
        except Exception as error:  # each runtime has its own; all mean that it refuses the file
            raise InputError(
                f"{package or 'the reference evaluator'} refuses it: {_reason(error)}",
                where=str(source.path),
                mend="the model does not run in its own runtime: mend or export it again",
            ) from error
    raise AssertionError("every importer has a reference that is always there")


def named_outputs(results: Arrays, signature: Signature) -> dict[str, NDArray[np.generic]]:
    """A reference's answers under the signature's names.

    Runtimes may rename outputs; their order is the model's.
    """
    return {
        spec.name: np.asarray(value)
        for spec, value in zip(signature.outputs, results.values(), strict=True)
    }


def run_stream(
    runner: Runner, signature: Signature, chunks: Arrays
) -> dict[str, NDArray[np.generic]]:
    """Run chunk after chunk, the state carried.

    Args:
        runner: what to run.
        signature: with its states.
        chunks: `[chunks, *shape]` for each input that is not a state.

    Returns:
        `[chunks, *shape]` for each output that is not a state.
    """
    carried = signature.initial_states()
    kept = {spec.name for spec in signature.outputs} - {s.output for s in signature.states}
    count = len(next(iter(chunks.values())))
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in kept}
    for index in range(count):
        inputs = {name: np.asarray(array[index], order="C") for name, array in chunks.items()}
        outputs = runner.run({**inputs, **carried})
        for state in signature.states:
            carried[state.input] = np.asarray(outputs[state.output])
        for name in kept:
            rows[name].append(np.asarray(outputs[name]))
    return {name: np.stack(values) for name, values in rows.items()}
