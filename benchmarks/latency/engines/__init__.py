"""The engines: edgetvm and TVM, each a module here, and the library's peers between them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from edgetvm.measure.peers import PEERS as LIBRARY_PEERS
from edgetvm.measure.peers.case import Case, Loaded, Task, Unavailable


@dataclass(frozen=True)
class Engine:
    """One column of the tables.

    Attributes:
        name: on the command line and in the results.
        module: with `settings(case, threads)` and `load(task)`; neither imports the engine before
            it is called.
        package: that must be installed.
        peer: whether it may be the fastest peer.
        short: its name above a column.
    """

    name: str
    module: str
    package: str
    peer: bool
    short: str


_SHORT = {"onnxruntime": "ort"}
ENGINES = (
    Engine("edgetvm", f"{__name__}.edgetvm_", "edgetvm", False, "edgetvm"),
    Engine("edgetvm-tuned", f"{__name__}.edgetvm_tuned", "edgetvm", False, "tuned"),
    *(
        Engine(
            peer.name,
            f"edgetvm.measure.peers.{peer.module}",
            peer.package,
            True,
            _SHORT.get(peer.name, peer.name),
        )
        for peer in LIBRARY_PEERS
    ),
    # What TVM's own pipeline makes of the same import: a yardstick, not a peer.
    Engine("tvm", f"{__name__}.naive_tvm", "apache-tvm", False, "tvm"),
)
# Whose `load` the processes call.
ENGINES_MODULE = __name__
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
    found: tuple[str, ...] = import_module(engine.module).settings(case, threads)
    return found


def load(task: Task) -> Loaded:
    """The task's model in its engine, inputs set."""
    loaded: Loaded = import_module(engine_called(task.engine).module).load(task)
    return loaded
