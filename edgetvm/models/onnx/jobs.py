"""What is done to a graph in a process of its own: `python -m edgetvm.models.onnx.jobs`.

onnxsim, onnxslim, ONNX's version converter and what makes its functions are native code, or
evaluate what they find: on a graph that is not what they expect they may crash, or never end. See
`apart` for the other side.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from edgetvm.models.onnx.order import sort

if TYPE_CHECKING:
    import onnx

# Of computing, for one job: real models take one to five.
LIMIT_CPU_S = 40
# Constants that a graph of a few bytes makes may not fill the machine's memory.
_BASE_BYTES = 4 << 30
_COPIES = 10

HEADER = struct.Struct("<QQ")

Sizes = Mapping[str, list[int]]


def _by_onnxsim(model: onnx.ModelProto, shapes: Sizes) -> onnx.ModelProto:
    import onnxsim

    simple, _ = onnxsim.simplify(model, overwrite_input_shapes=dict(shapes))
    return cast("onnx.ModelProto", simple)


def _by_onnxslim(model: onnx.ModelProto, shapes: Sizes) -> onnx.ModelProto:
    import onnxslim

    given = [f"{name}:{','.join(map(str, shape))}" for name, shape in shapes.items() if shape]
    return cast("onnx.ModelProto", onnxslim.slim(model, input_shapes=given or None))


def _upgraded(model: onnx.ModelProto, target: Sizes) -> onnx.ModelProto:
    from onnx import version_converter

    return version_converter.convert_version(model, target["opset"][0])


def _defined(model: onnx.ModelProto, _: Sizes) -> onnx.ModelProto:
    """The function by which ONNX defines the one node of the graph, for its inputs' types."""
    import onnx
    from onnx import defs

    (node,) = model.graph.node
    (opset,) = (entry.version for entry in model.opset_import)
    types = {entry.name: entry.type for entry in model.graph.value_info}
    schema: Any = defs.get_schema(node.op_type, opset, node.domain)
    versions = schema.context_dependent_function_opset_versions
    body = schema.get_context_dependent_function_with_opset_version(
        max((one for one in versions if one <= opset), default=min(versions)),
        node.SerializeToString(),
        [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input],
    )
    return onnx.ModelProto(functions=[onnx.FunctionProto.FromString(body)])


JOBS: dict[str, Callable[[Any, Sizes], Any]] = {
    "onnxsim": _by_onnxsim,
    "onnxslim": _by_onnxslim,
    "upgrade": _upgraded,
    "define": _defined,
}


def done(job: str, data: bytes, sizes: Sizes) -> bytes:
    """A job's graph: valid, in order, with the outputs of the one that was given; or nothing."""
    import onnx

    try:
        model = onnx.ModelProto.FromString(data)
        names = [one.name for one in model.graph.output]
        made = JOBS[job](model, sizes)
        if made.functions and not made.HasField("graph"):
            return cast("bytes", made.SerializeToString())
        sort(made.graph)
        onnx.checker.check_model(made)
        if [one.name for one in made.graph.output] != names:
            return b""
        return cast("bytes", made.SerializeToString())
    except Exception:  # they raise whatever their parts raise: then the caller does without
        return b""


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    while header := requests.read(HEADER.size):
        words, content = HEADER.unpack(header)
        asked = json.loads(requests.read(words))
        data = requests.read(content)
        used_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        _limit(resource.RLIMIT_CPU, int(used_s) + LIMIT_CPU_S)
        _limit(resource.RLIMIT_AS, _BASE_BYTES + _COPIES * content)
        result = done(asked["job"], data, asked["sizes"])
        answers.write(struct.pack("<Q", len(result)) + result)
        answers.flush()


def _limit(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    if most == resource.RLIM_INFINITY or value <= most:
        resource.setrlimit(kind, (value, most))


def main() -> None:
    """Serve until stdin closes."""
    # What the tools print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit(resource.RLIMIT_CORE, 0)
    # onnxsim imports them where it can and needs neither here: they take seconds.
    sys.modules["torch"] = sys.modules["sympy"] = None  # type: ignore[assignment]
    with suppress(ImportError):  # then the jobs that need it fail
        import onnxsim  # noqa: F401  # it takes long, and is asked first
    del sys.modules["sympy"]  # onnxslim needs it
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
