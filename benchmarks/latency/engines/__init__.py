"""The engines: one module each, in the order of the tables."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from benchmarks.latency.case import Case, Loaded, Task, Unavailable


@dataclass(frozen=True)
class Engine:
    """One column of the tables.

    Attributes:
        name: on the command line and in the results.
        module: of this package, with `settings(case, threads)` and `load(task)`; neither imports
            the engine before it is called.
        package: that must be installed.
        peer: whether it may be the fastest peer.
        short: its name above a column.
    """

    name: str
    module: str
    package: str
    peer: bool
    short: str


ENGINES = (
    Engine("edgetvm", "edgetvm_", "edgetvm", False, "edgetvm"),
    Engine("edgetvm-tuned", "edgetvm_tuned", "edgetvm", False, "tuned"),
    Engine("onnxruntime", "onnxruntime_", "onnxruntime", True, "ort"),
    Engine("litert", "litert", "ai-edge-litert", True, "litert"),
    Engine("openvino", "openvino_", "openvino", True, "openvino"),
    Engine("ncnn", "ncnn_", "ncnn", True, "ncnn"),
    Engine("mnn", "mnn", "MNN", True, "mnn"),
    # What TVM's own pipeline makes of the same import: a yardstick, not a peer.
    Engine("tvm", "naive_tvm", "apache-tvm", False, "tvm"),
)
PEERS = tuple(engine.name for engine in ENGINES if engine.peer)
YARDSTICKS = ("tvm",)


def engine_called(name: str) -> Engine:
    """The engine of that name.

    Raises:
        Unavailable: there is none.
    """
    for engine in ENGINES:
        if engine.name == name:
            return engine
    raise Unavailable(f"no engine is called {name}; there are {', '.join(e.name for e in ENGINES)}")


def settings(engine: Engine, case: Case, threads: int) -> tuple[str, ...]:
    """The engine's settings worth trying, of which the fastest counts; empty if it cannot read it.

    The first is tried everywhere; an engine with one sensible setting calls it by no name.
    """
    module = import_module(f"{__name__}.{engine.module}")
    found: tuple[str, ...] = module.settings(case, threads)
    return found


def load(task: Task) -> Loaded:
    """The task's model in its engine, inputs set."""
    module = import_module(f"{__name__}.{engine_called(task.engine).module}")
    loaded: Loaded = module.load(task)
    return loaded
