"""Damaged and hostile Relay files: one clear error, "
"in little time and memory, whatever they hold."""

import base64
import json
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_relay import metadata, params_bytes, save_json, tensor_bytes

from edgetvm.base.errors import ModelError, ModelUnreadableError
from edgetvm.models import import_model
from edgetvm.models.relay import lower, savejson, text
from edgetvm.models.relay.params import parameters_from, tensor_from

CORPUS = sorted((Path(__file__).parent / "relay_fixtures").glob("*/model.relay"))
TEXTS = [path.read_text() for path in CORPUS]
JSONS = [path.with_name("model.json").read_text() for path in CORPUS]
PARAMS = [path.with_name("model.params").read_bytes() for path in CORPUS]
T = "Tensor[(1, 3), float32]"
# Pieces of the grammar, and what breaks careless readers of it.
_PIECES = r"""( ) [ ] { } , ; : = -> => . ? % %0 %x %x.0 @f @main def fn if else let match True meta
    meta[relay.Constant][0] meta[relay.Constant][9] Tensor[ (1, float32 1f -1 1e400f 9999999999
    0.5f64 1i7 3u9 5i128 " "a" /* */ // #[metadata] ty= span= nn.relu add( axis=[ dtype="int8" inf
    nan \ é 𝄞 ٣ ² type free_var ref extern"""
PIECES = [*_PIECES.split(), "\x00", "\n"]
_JSON_PIECES = """"0" "1" "3" "-1" "99999" "1e9" "²" "x" null [] {} "" "data" "attrs" "type_key"
    "span" "Array" "Map" "DictAttrs" "IntImm" "FloatImm" "Op" "IRModule" "relay.Call" "relay.Let"
    "relay.Function" "relay.Var" "relay.Tuple" "relay.TensorType" "TupleType"
    "relay.attrs.ReduceAttrs" 7 -5 1e999 [0] [1,2,3] 99999999999999999999"""
JSON_PIECES = _JSON_PIECES.split()


def mutated(source: str, chance: random.Random, pieces: list[str]) -> str:
    """A text with a few of its places cut, doubled, moved or replaced."""
    for _ in range(chance.randint(1, 4)):
        a, b = sorted(chance.randrange(len(source) + 1) for _ in range(2))
        b = min(b, a + chance.choice((1, 3, 10, 200)))
        match chance.randrange(5):
            case 0:
                source = source[:a] + source[b:]
            case 1:
                source = source[:a] + chance.choice(pieces) + source[b:]
            case 2:
                source = source[:b] + source[a:]
            case 3:
                source = source[:a]
            case _:
                digit = chance.choice("0123456789")
                source = source[:a] + digit + source[a + 1 :]
    return source


def mutated_bytes(source: bytes, chance: random.Random) -> bytes:
    """The same for bytes, with numbers that are too large."""
    data = bytearray(source)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 8] = struct.pack(
                    "<Q", chance.choice((0, 1, 2**31, 2**40, 2**63, 2**64 - 1))
                )
            case 1:
                del data[at : at + chance.choice((1, 8, 100))]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                data = data[:at]
    return bytes(data)


def tries(read: Callable[[], object]) -> None:
    """Read something that may be anything: either it is read, or it is a ModelError."""
    try:
        read()
    except ModelError as error:
        assert str(error) and len(str(error)) < 1000


# The same inputs every time. More were tried once: a million and more, of all kinds.
FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@FUZZ
@given(st.integers(0, 2**32))
def test_text_that_was_altered(seed: int) -> None:
    chance = random.Random(seed)
    source = mutated(chance.choice(TEXTS), chance, PIECES)
    tries(lambda: text.program_from(source))


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=60), st.sampled_from(["", " "]))
def test_text_of_random_pieces(pieces: list[str], between: str) -> None:
    tries(lambda: text.program_from(between.join(pieces)))
    tries(lambda: text.program_from(f"def @main(%x: {T}) {{ {between.join(pieces)} }}"))


@FUZZ
@given(st.text(max_size=200))
def test_text_of_anything(content: str) -> None:
    tries(lambda: text.program_from(content))
    tries(lambda: savejson.program_from(content))


@FUZZ
@given(st.integers(0, 2**32))
def test_json_that_was_altered(seed: int) -> None:
    chance = random.Random(seed)
    source = chance.choice(JSONS)
    if chance.random() < 0.5:
        document = json.loads(source)
        for _ in range(chance.randint(1, 5)):
            node = chance.choice(document["nodes"])
            fields = node.get("attrs") or node
            key = chance.choice(sorted(fields))
            fields[key] = json.loads(chance.choice(JSON_PIECES))
        source = json.dumps(document)
    else:
        source = mutated(source, chance, JSON_PIECES)
    tries(lambda: savejson.program_from(source))


@FUZZ
@given(st.integers(0, 2**32))
def test_parameters_that_were_altered(seed: int) -> None:
    chance = random.Random(seed)
    data = mutated_bytes(chance.choice(PARAMS), chance)
    tries(lambda: parameters_from(data))
    tries(lambda: tensor_from(data[40:]))


@settings(FUZZ, max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_whole_imports_of_what_was_altered(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chance = random.Random(seed)
    number = chance.randrange(len(TEXTS))
    folder = tmp_path_factory.mktemp("altered")
    (folder / "model.params").write_bytes(PARAMS[number])
    if chance.random() < 0.5:
        path = folder / "model.relay"
        path.write_text(mutated(TEXTS[number], chance, PIECES), errors="replace")
    else:
        path = folder / "model.json"
        path.write_text(mutated(JSONS[number], chance, JSON_PIECES))
    tries(lambda: import_model(path))


DEEP = 100_000
BOMBS = {
    "brackets": "(" * DEEP,
    "calls": "add(" * DEEP + "%x" + ", %x)" * DEEP,
    "tuples": "(" * DEEP + "%x" + ",)" * DEEP,
    "blocks": "{" * DEEP + "%x" + "}" * DEEP,
    "branches": "if (True) {" * DEEP + "%x" + "} else { %x }" * DEEP,
    "functions": "fn (%x: float32) {" * DEEP + "%x" + "}" * DEEP,
    "attributes": "zeros(shape=" + "[" * DEEP + "1" + "]" * DEEP + ")",
    "types": "fn (%a: " + "(" * DEEP + "float32" + ",)" * DEEP + ") { %a }",
    "operators": "%x" + " + %x" * DEEP,
    "parts": "%x" + ".0" * DEEP,
    "names": "%x" + "a" * DEEP,
    "numbers": "1" * DEEP,
    "comments": "/* " * DEEP,
    "quotes": '"' * DEEP,
    "matches": "match (%x) { _ => " * DEEP,
}


@pytest.mark.parametrize("name", BOMBS)
def test_nesting_is_bounded(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.relay"
    path.write_text(f"def @main(%x: {T}) {{ {BOMBS[name]} }}")
    if name == "operators":  # one after the other is no nesting, and may be long
        text.program_from(path.read_text())
    else:
        with pytest.raises(ModelError) as caught:
            import_model(path)
        assert len(str(caught.value)) < 500


def test_long_chains_are_no_nesting(tmp_path: Path) -> None:
    lines = "\n".join(f"%{n + 1} = add(%{n}, %x);" for n in range(3000))
    lets = "\n".join(f"let %a{n + 1} = add(%a{n}, %x);" for n in range(3000))
    content = (
        f"def @main(%x: {T}) {{ %0 = negative(%x);\n{lines}\nlet %a0 = %3000;\n{lets}\n%a3000 }}"
    )
    path = tmp_path / "model.relay"
    path.write_text(content)
    assert import_model(path).operators["add"] == 6000


def test_a_deep_graph_in_json_is_read(tmp_path: Path) -> None:
    nodes: list[dict[str, object]] = json.loads(
        save_json(f"def @main(%x: {T}) {{ negative(%x) }}")
    )["nodes"]
    call = next(n for n in nodes if n["type_key"] == "relay.Call")
    body = nodes.index(call)
    function = next(n for n in nodes if n["type_key"] == "relay.Function")
    for _ in range(2000):
        nodes.append({"type_key": "Array", "data": [body]})
        nodes.append(
            {"type_key": "relay.Call", "attrs": {**call["attrs"], "args": str(len(nodes) - 1)}}
        )  # type: ignore[dict-item]
        body = len(nodes) - 1
    function["attrs"]["body"] = str(body)  # type: ignore[index]
    root = next(i for i, n in enumerate(nodes) if n["type_key"] == "IRModule")
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"root": root, "nodes": nodes, "b64ndarrays": []}))
    assert import_model(path).operators == {"negative": 2001}


def _doubling(count: int) -> str:
    functions = "\n".join(
        f"def @f{n + 1}(%v: {T}) {{ add(@f{n}(%v), @f{n}(%v)) }}" for n in range(count)
    )
    return (
        f"def @f0(%v: {T}) {{ negative(%v) }}\n{functions}\ndef @main(%x: {T}) {{ @f{count}(%x) }}"
    )


def _tuples(count: int) -> str:
    lines = "\n".join(f"%{n + 1} = (%{n}, %{n});" for n in range(count))
    return f"def @main(%x: {T}) {{ %0 = (%x, %x);\n{lines}\n%{count} }}"


@pytest.mark.parametrize(
    "content",
    [
        _doubling(40),
        _tuples(60),
        f'def @main(%x: {T}) {{ full(1f, shape=[2000000000, 2000000000], dtype="float32") }}',
        f'def @main(%x: {T}) {{ arange(0f, 1e30f, 1f, dtype="float32") }}',
        f"def @main(%x: {T}) {{ repeat(%x, repeats=2000000000) }}",
        "def @main(%x: Tensor[(2000000000), int8]) { reverse(%x, axis=0) }",
        "def @main(%x: Tensor[(2000000000), int8]) { split(%x, indices_or_sections=1000000000) }",
        "def @main(%x: Tensor[(2000000000), int8]) { nn.mirror_pad(%x, pad_width=[[1, 1]]) }",
        "def @main(%x: Tensor[(2000000000), int8]) { nn.pad(%x, 0i8, pad_width=[[-1, 0]]) }",
        f"def @main(%x: {T}) {{ nn.pad(%x, 0f, pad_width=[[0, 0], [0, 2000000000]]) }}",
        f'def @main(%x: {T}) {{ one_hot(cast(%x, dtype="int32"), 1f, 0f, depth=2000000000) }}',
        f"def @main(%x: {T}) {{ image.resize2d(reshape(%x, "
        "newshape=[1, 1, 1, 3]), size=[999999999, 9]) }}",
        f"def @main(%x: {T}) {{ tile(%x, reps=[99999, 99999, 99999]) }}",
        "def @main(%x: Tensor[(99999999999, 99999999999), float32]) { negative(%x) }",
        f"def @main(%x: {T}) {{ reshape(%x, newshape=[-5, 0, -4]) }}",
        f"def @main(%x: {T}) {{ split(%x, indices_or_sections=0, axis=0) }}",
        f'def @main(%x: {T}) {{ nn.dense(%x, cast(zeros(shape=[0, 0]), dtype="float32")) }}',
        f'def @main(%x: {T}) {{ cast(%x, dtype="float1000") }}',
        f'def @main(%x: {T}) {{ layout_transform(%x, src_layout="NC0c", dst_layout="CN") }}',
    ],
)
def test_small_files_of_large_tensors_are_refused(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lower, "_LEAST_LIMIT", 500)
    path = tmp_path / "model.relay"
    path.write_text(content)
    tracemalloc.start()
    with pytest.raises(ModelError):
        import_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 << 20


@pytest.mark.parametrize("place", [16, 24, 80])
@pytest.mark.parametrize("number", [2**31, 2**40, 2**63 - 1, 2**64 - 1])
def test_lengths_that_promise_gigabytes_allocate_nothing(place: int, number: int) -> None:
    data = bytearray(params_bytes({"w": np.zeros((2, 3), "float32")}))
    data[place : place + 8] = struct.pack("<Q", number)
    tracemalloc.start()
    with pytest.raises(ModelUnreadableError):
        parameters_from(bytes(data))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_every_cut_of_a_file_of_parameters_is_noticed() -> None:
    data = params_bytes({"w": np.zeros((2, 3), "float32"), "b": np.zeros(2, "int8")})
    assert list(parameters_from(data)) == ["w", "b"]
    for length in range(len(data)):
        with pytest.raises(ModelUnreadableError):
            parameters_from(data[:length])


def test_tensors_that_cannot_be() -> None:
    good = bytearray(tensor_bytes(np.zeros(4, "float32")))
    for place, value in (
        (24, b"\xff\xff\xff\xff"),
        (24, b"\x40\0\0\0"),
        (28, b"\x04"),
        (29, b"\x07"),
        (30, b"\x02"),
        (32, b"\xff" * 8),
    ):
        bad = bytearray(good)
        bad[place : place + len(value)] = value
        with pytest.raises(ModelUnreadableError):
            tensor_from(bytes(bad))
    empty = struct.pack("<QQiiiBBH", 0xDD5E40F096B4A13F, 0, 1, 0, 2, 2, 32, 1)
    with pytest.raises(ModelUnreadableError, match="damaged"):
        tensor_from(empty + struct.pack("<qqq", 0, 2**62, 0))
    with pytest.raises(ModelUnreadableError, match="4 bytes follow"):
        tensor_from(bytes(good) + b"\0\0\0\0")


def _document(nodes: list[dict[str, object]], root: int = 1) -> str:
    return json.dumps({"root": root, "nodes": [{"type_key": ""}, *nodes], "b64ndarrays": []})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "[" * DEEP,
        '{"a":' * DEEP,
        "1" * 10_000,
        '{"nodes": 7}',
        '{"nodes": [1]}',
        _document([], root=5),
        _document(
            [
                {"type_key": "relay.Tuple", "attrs": {"fields": "2"}},
                {"type_key": "Array", "data": [1]},
            ]
        ),
        _document([{"type_key": "relay.Function", "attrs": {"params": "0", "body": "1"}}]),
        _document(
            [
                {"type_key": "IRModule", "attrs": {"functions": "2"}},
                {"type_key": "Map", "data": [2, 2]},
            ]
        ),
        _document([{"type_key": "relay.Let", "attrs": {"var": "1", "value": "1", "body": "1"}}]),
        _document([{"type_key": "relax.expr.Function"}]),
        metadata([np.zeros(2)]).partition("]\n")[2],
        _document([], root=1e999),  # type: ignore[arg-type]
        _document([{"type_key": "IRModule", "attrs": {"functions": 1e999}}]),
        _document([{"type_key": "IRModule", "attrs": {"functions": "9" * 5000}}]),
        _document([{"type_key": "relay.Constant", "attrs": {"data": 1e999}}]),
        _document([{"type_key": "relay.TupleGetItem", "attrs": {"tuple_value": "²"}}]),
    ],
)
def test_json_that_is_no_relay_module(content: str) -> None:
    with pytest.raises(ModelUnreadableError):
        assert savejson.program_from(content).main


def test_a_circle_of_attributes_ends() -> None:
    nodes: list[dict[str, object]] = [{"type_key": "Array", "data": [1, 1]}]
    with pytest.raises(ModelUnreadableError, match="circle"):
        savejson.ObjectGraph(_document(nodes)).value(1)


def test_metadata_that_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "model.relay"
    whole = f"def @main(%x: {T}) {{ add(%x, meta[relay.Constant][0]) }}" + metadata(
        [np.zeros(3, "float32")]
    )
    for bad in (
        whole[:-30],
        whole.replace('"data": "0"', '"data": "7"'),
        whole.replace("P6G0", "!!!!"),
    ):
        path.write_text(bad)
        with pytest.raises(ModelUnreadableError):
            import_model(path)
    assert base64.b64encode(b"") == b""


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "model.relay"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelUnreadableError, match="not text"):
        import_model(path)
