"""Other runtimes on the same model, each with its best settings: one module a peer.

Importing this imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from edgetvm.measure.peers.case import Case, Loaded, Task, Unavailable


@dataclass(frozen=True)
class Peer:
    """Another runtime.

    Attributes:
        name: on the command line and in reports.
        module: of this package, with `settings(case, threads)`, `prepare(task)` and `load(task)`;
            none imports the runtime before it is called.
        package: that must be installed.
    """

    name: str
    module: str
    package: str


PEERS = (
    Peer("onnxruntime", "onnxruntime_", "onnxruntime"),
    Peer("litert", "litert", "ai-edge-litert"),
    Peer("openvino", "openvino_", "openvino"),
    Peer("ncnn", "ncnn_", "ncnn"),
    Peer("mnn", "mnn", "MNN"),
)


def peer_called(name: str) -> Peer:
    """The peer of that name.

    Raises:
        Unavailable: there is none.
    """
    for peer in PEERS:
        if peer.name == name:
            return peer
    known = ", ".join(peer.name for peer in PEERS)
    raise Unavailable(f"no peer is called {name!r}; there are {known}")


def settings(peer: Peer, case: Case, threads: int) -> tuple[str, ...]:
    """The peer's settings worth trying, of which the fastest counts; empty if it cannot read it.

    The first is tried everywhere; a peer with one sensible setting calls it by no name.
    """
    found: tuple[str, ...] = import_module(f"{__name__}.{peer.module}").settings(case, threads)
    return found


def prepare(task: Task) -> None:
    """Have what the peer reads of a task made beside the case's file, where it converts models.

    Raises:
        Unavailable: it cannot be made.
    """
    import_module(f"{__name__}.{peer_called(task.engine).module}").prepare(task)


def load(task: Task) -> Loaded:
    """The task's model in its peer, inputs set.

    Raises:
        Unavailable: the peer cannot run it.
    """
    module = import_module(f"{__name__}.{peer_called(task.engine).module}")
    loaded: Loaded = module.load(task)
    return loaded
