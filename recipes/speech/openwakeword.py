"""openWakeWord's three networks, from sound to the wake word, as one that runs as a stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.recipes import MODELS, fetch_members

Floats = NDArray[np.float32]

_SAMPLES = 1760  # 80 ms that are new, and 30 ms before them
_FRAMES, _MELS, _NEW_FRAMES = 76, 32, 8
_EMBEDDINGS, _FEATURES = 16, 96
_FULL_SCALE = 32767.0


_PACKAGE = "pyopen-wakeword==1.1.0"
_FILES = "pyopen_wakeword/models/*.tflite"
_SHA256 = "77578f174b8386131874125acb6ec76c3ea4729dd0190da27995a5f8f7b5e1b4"


def network(name: str) -> Path:
    """`melspectrogram`, sound to frames of 32 bands; `embedding_model`, 76 frames to 96 numbers.

    All others are words: 16 times 96 numbers to a probability.
    """
    paths = fetch_members(_PACKAGE, _FILES, _SHA256)
    return next(path for path in paths if path.stem == name)


@MODELS.register("openwakeword-alexa.tflite")
def openwakeword_alexa(target: Path) -> None:
    """From sound to "Alexa"."""
    target.write_bytes(joined_with("alexa"))


@MODELS.register("openwakeword-okay-nabu.tflite")
def openwakeword_okay_nabu(target: Path) -> None:
    """From sound to "Okay Nabu"."""
    target.write_bytes(joined_with("okay_nabu"))


def joined_with(word: str) -> bytes:
    """`sound` [1, 1760] to `probability` [1, 1]; what was heard before is kept in two states.

    The states are distances from silence: a stream that begins with zeros begins as after a pause.
    """
    silent_frame, silent_embedding = _silence()
    joined = _Joined()
    quiet_frame, quiet_embedding = map(joined.constant, (silent_frame, silent_embedding))
    sound = joined.tensor("sound", (1, _SAMPLES))
    frames = joined.tensor("frames", (1, _FRAMES - _NEW_FRAMES, _MELS, 1))
    embeddings = joined.tensor("embeddings", (1, _EMBEDDINGS - 1, _FEATURES))

    loud = joined.scaled(sound, _FULL_SCALE)
    (bands,) = joined.network(network("melspectrogram"), [loud])
    tenth = joined.scaled(bands, 0.1)
    fitted = joined.binary("ADD", tenth, joined.constant(np.array(2, np.float32)))
    new_frames = joined.reshaped(fitted, (1, _NEW_FRAMES, _MELS, 1))
    heard_frames = joined.binary("ADD", frames, quiet_frame)
    all_frames = joined.appended(heard_frames, new_frames, (1, _FRAMES, _MELS, 1))
    (found,) = joined.network(network("embedding_model"), [all_frames])
    new_embedding = joined.reshaped(found, (1, 1, _FEATURES))
    heard_embeddings = joined.binary("ADD", embeddings, quiet_embedding)
    all_embeddings = joined.appended(heard_embeddings, new_embedding, (1, _EMBEDDINGS, _FEATURES))
    (probability,) = joined.network(network(word), [all_embeddings])

    kept_frames = (1, _FRAMES - _NEW_FRAMES, _MELS, 1)
    last_frames = joined.without_first(all_frames, _NEW_FRAMES, kept_frames)
    last_embeddings = joined.without_first(all_embeddings, 1, (1, _EMBEDDINGS - 1, _FEATURES))
    outputs = {
        "probability": probability,
        "frames_next": joined.binary("SUB", last_frames, quiet_frame),
        "embeddings_next": joined.binary("SUB", last_embeddings, quiet_embedding),
    }
    return joined.packed([sound, frames, embeddings], outputs)


def _silence() -> tuple[Floats, Floats]:
    """A frame and an embedding of digital silence."""
    bands = _answer(network("melspectrogram"), np.zeros((1, _SAMPLES), np.float32))
    frame = bands.reshape(-1, _MELS)[-1].reshape(1, 1, _MELS, 1) * np.float32(0.1) + np.float32(2)
    frames = np.repeat(frame, _FRAMES, axis=1)
    return frame, _answer(network("embedding_model"), frames).reshape(1, 1, _FEATURES)


def _answer(path: Path, given: Floats) -> Floats:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    number = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(number, given.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(number, given)
    interpreter.invoke()
    answer: Floats = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return answer


class _Joined:
    """A TFLite file that grows: networks of other files, and operators between them.

    Tensors are known by their number.
    """

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.operatorCodes = []
        self._model.buffers = [schema.BufferT()]  # the first is that of what has no data
        self._graph = schema.SubGraphT()
        self._graph.name = b"main"
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]

    def tensor(self, name: str, shape: tuple[int, ...], kind: str = "FLOAT32") -> int:
        made = self._schema.TensorT()
        made.name, made.shape, made.buffer = name.encode(), list(shape), 0
        made.type = getattr(self._schema.TensorType, kind)
        return self._added(made)

    def constant(self, data: NDArray[Any]) -> int:
        kind = "FLOAT32" if data.dtype == np.float32 else "INT32"
        number = self.tensor(f"constant_{len(self._graph.tensors)}", data.shape, kind)
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        self._graph.tensors[number].buffer = len(self._model.buffers) - 1
        return number

    def network(self, path: Path, inputs: list[int]) -> list[int]:
        """All of a file's only graph, `inputs` in the place of its own."""
        other = self._schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        (graph,) = other.subgraphs
        codes, buffers = len(self._model.operatorCodes), len(self._model.buffers)
        self._model.operatorCodes += other.operatorCodes
        self._model.buffers += other.buffers
        numbers = dict(zip(map(int, graph.inputs), inputs, strict=True))
        for number, tensor in enumerate(graph.tensors):
            tensor.buffer += buffers
            tensor.name = path.stem.encode() + b"/" + (tensor.name or b"")
            if number not in numbers:
                numbers[number] = self._added(tensor)
        for operator in graph.operators:
            operator.opcodeIndex += codes
            operator.inputs = [numbers.get(int(one), -1) for one in operator.inputs]
            operator.outputs = [numbers[int(one)] for one in operator.outputs]
            self._graph.operators.append(operator)
        return [numbers[int(one)] for one in graph.outputs]

    def scaled(self, number: int, factor: float) -> int:
        return self.binary("MUL", number, self.constant(np.array(factor, np.float32)))

    def binary(self, name: str, one: int, other: int) -> int:
        shape = tuple(self._graph.tensors[one].shape)
        options = getattr(self._schema, f"{name.capitalize()}OptionsT")
        return self._operator(name, [one, other], shape, options)

    def reshaped(self, number: int, shape: tuple[int, ...]) -> int:
        wanted = self.constant(np.array(shape, np.int32))
        return self._operator("RESHAPE", [number, wanted], shape, self._schema.ReshapeOptionsT)

    def appended(self, before: int, after: int, shape: tuple[int, ...]) -> int:
        """Both along their second axis."""

        def options() -> Any:
            made = self._schema.ConcatenationOptionsT()
            made.axis = 1
            return made

        return self._operator("CONCATENATION", [before, after], shape, options)

    def without_first(self, number: int, count: int, shape: tuple[int, ...]) -> int:
        """Without its first places along its second axis."""
        begin = np.array([count if axis == 1 else 0 for axis in range(len(shape))], np.int32)
        places = [self.constant(begin), self.constant(np.array(shape, np.int32))]
        return self._operator("SLICE", [number, *places], shape, self._schema.SliceOptionsT)

    def packed(self, inputs: list[int], outputs: dict[str, int]) -> bytes:
        """The file's bytes."""
        import flatbuffers

        for name, number in outputs.items():
            self._graph.tensors[number].name = name.encode()
        self._graph.inputs, self._graph.outputs = inputs, list(outputs.values())
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _added(self, tensor: Any) -> int:
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operator(
        self, name: str, inputs: list[int], shape: tuple[int, ...], options: Callable[[], Any]
    ) -> int:
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self._schema.BuiltinOperator, name)
        code.version = 1
        self._model.operatorCodes.append(code)
        output = self.tensor(f"{name.lower()}_{len(self._graph.operators)}", shape)
        made = self._schema.OperatorT()
        made.opcodeIndex = len(self._model.operatorCodes) - 1
        made.inputs, made.outputs = inputs, [output]
        made.builtinOptions = options()
        kind = type(made.builtinOptions).__name__.removesuffix("T")
        made.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
        self._graph.operators.append(made)
        return output
