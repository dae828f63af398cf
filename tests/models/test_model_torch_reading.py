"""What is checked of a .pt2 file before PyTorch sees it; PyTorch is not needed for that."""

from __future__ import annotations

import copy
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetvm.base.errors import InputError, ModelError
from edgetvm.models import ImportOptions, import_model
from edgetvm.models.torch.description import describe
from edgetvm.models.torch.sizes import evaluate, solve, symbols_in

_BATCH = "Symbol('s0', positive=True, integer=True)"


def _meta(*sizes: Any) -> dict[str, Any]:
    return {
        "dtype": 7,
        "sizes": list(sizes),
        "requires_grad": False,
        "device": {"type": "cuda", "index": 0},
        "strides": [{"as_int": 1}] * len(sizes),
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def _program() -> dict[str, Any]:
    """One addition of a parameter to an input of open length, as torch.export.save describes it."""
    open_axis = {"as_expr": {"expr_str": _BATCH, "hint": {"as_int": 4}}}
    leaf = {"type": None, "context": None, "children_spec": []}
    tree = {"type": "builtins.dict", "context": '["sum"]', "children_spec": [leaf]}
    node = {
        "target": "torch.ops.aten.add.Tensor",
        "inputs": [
            {"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1},
            {"name": "other", "arg": {"as_tensor": {"name": "p"}}, "kind": 1},
        ],
        "outputs": [{"as_tensor": {"name": "add"}}],
        "metadata": {"nn_module_stack": "L__self__,,M;L__self___layers_0,layers.0,Add"},
        "name": "add",
    }
    graph = {
        "inputs": [{"as_tensor": {"name": "p"}}, {"as_tensor": {"name": "x"}}],
        "outputs": [{"as_tensor": {"name": "add"}}],
        "nodes": [node],
        "tensor_values": {
            "p": _meta({"as_int": 1}),
            "x": _meta(open_axis),
            "add": _meta(open_axis),
        },
        "sym_int_values": {},
        "sym_bool_values": {},
    }
    signature = {
        "input_specs": [
            {"parameter": {"arg": {"name": "p"}, "parameter_name": "p"}},
            {"user_input": {"arg": {"as_tensor": {"name": "x"}}}},
        ],
        "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "add"}}}}],
    }
    call = {"inputs": [], "outputs": [], "in_spec": "", "out_spec": json.dumps([1, tree])}
    return {
        "graph_module": {
            "graph": graph,
            "signature": signature,
            "module_call_graph": [{"fqn": "", "signature": call}],
        },
        "range_constraints": {"s0": {"min_val": 3, "max_val": 9}},
        "schema_version": {"major": 8, "minor": 20},
        "guards_code": ["__import__('os').abort()"],
    }


def _payload(**changes: Any) -> dict[str, Any]:
    meta = _meta({"as_int": 1})
    entry = {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": meta}
    return {"config": {"p": {**entry, **changes}}}


def _files(
    program: Mapping[str, Any] | None = None, weights: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    return {
        "m/models/model.json": json.dumps(program or _program()).encode(),
        "m/data/weights/model_weights_config.json": json.dumps(weights or _payload()).encode(),
        "m/data/weights/weight_0": b"\0" * 4,
        "m/data/constants/model_constants_config.json": b'{"config": {}}',
        "m/archive_version": b"0",
    }


def _write(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _refused(path: Path, options: ImportOptions | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        import_model(path, options)
    return str(caught.value)


# Unpickling this makes a folder: the proof that somebody unpickled it.
def _trap(folder: Path) -> bytes:
    return b"cos\nmkdir\n(V" + str(folder).encode() + b"\ntR."


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["m/code/__torch__.py", "m/data.pkl", "m/constants.pkl"], "TorchScript"),
        (["m/data.pkl", "m/data/0"], "a pickled PyTorch file"),
        (["version", "serialized_exported_program.json"], "older PyTorch"),
        (["m/models/model.json", "m/data/weights/model.pt"], "older PyTorch"),
        (["m/data/aotinductor/model/a.so"], "AOTInductor"),
        (["readme.txt"], "no exported PyTorch program"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".pth"])
def test_another_kind_of_file_is_called_by_its_name(
    tmp_path: Path, names: list[str], what: str, suffix: str
) -> None:
    trap = tmp_path / "unpickled"
    path = _write(tmp_path / f"m{suffix}", dict.fromkeys(names, _trap(trap)))
    message = _refused(path)
    assert what in message and "torch.export.save(torch.export.export(" in message
    assert not trap.exists()


def test_a_bare_pickle_is_not_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "unpickled"
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02" + _trap(trap))
    assert "a pickled PyTorch file" in _refused(path)
    assert not trap.exists()
    pickle.loads(_trap(trap))  # noqa: S301 - the trap does work
    assert trap.is_dir()


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        (_payload(use_pickle=True), "'p' in it is a Python object"),
        (_payload(path_name="custom_obj_0"), "'p' in it is a Python object"),
        (_payload(path_name="../weight_0"), "'p' in it is a Python object"),
        (_payload(path_name="weight_1"), "data/weights/weight_1"),
        (_payload(tensor_meta=_meta({"as_int": 1 << 40})), "'p' is larger than what is kept of it"),
        (_payload(tensor_meta=_meta({"as_int": -1})), "shape"),
        (_payload(tensor_meta=None), "not a whole exported PyTorch program"),
    ],
)
def test_parameters_that_are_no_plain_tensors_are_refused(
    tmp_path: Path, weights: dict[str, Any], what: str
) -> None:
    assert what in _refused(_write(tmp_path / "m.pt2", _files(weights=weights)))


def test_a_bomb_is_refused_unopened(tmp_path: Path) -> None:
    files = _files() | {"m/data/weights/weight_0": b"\0" * (1 << 24)}
    path = _write(tmp_path / "m.pt2", files, zipfile.ZIP_DEFLATED)
    assert "is compressed" in _refused(path)


def test_a_file_that_is_in_it_twice_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name, content in [*_files().items(), ("m/models/model.json", b"{}")]:
            archive.writestr(name, content)
    path = tmp_path / "m.pt2"
    path.write_bytes(buffer.getvalue())
    assert "'models/model.json' is in it twice" in _refused(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b"9" * 5_000, b"\xff"])
def test_a_damaged_description_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = _write(tmp_path / "m.pt2", _files() | {"m/models/model.json": content})
    message = _refused(path)
    assert "not a whole exported PyTorch program" in message and "\n" not in message


@pytest.mark.parametrize(
    "target", ["torch.os.system", "torch.ops.aten.from_file.default", "_operator.methodcaller"]
)
def test_what_is_no_operator_is_named_with_its_module(tmp_path: Path, target: str) -> None:
    program = _program()
    program["graph_module"]["graph"]["nodes"][0]["target"] = target
    message = _refused(_write(tmp_path / "m.pt2", _files(program)))
    assert "1 unsupported operator" in message and "(1x: layers.0)" in message


def test_every_unknown_operator_is_in_one_message(tmp_path: Path) -> None:
    program = _program()
    nodes = program["graph_module"]["graph"]["nodes"]
    for index, target in enumerate(("mine.nms.default", "mine.nms.default", "yours.op")):
        node = copy.deepcopy(nodes[0])
        node |= {"target": f"torch.ops.{target}", "name": f"n{index}", "metadata": {}}
        nodes.append(node)
    message = _refused(_write(tmp_path / "m.pt2", _files(program)))
    assert "2 unsupported operators: mine.nms.default (2x: n0, n1); yours.op (1x: n2)" in message


def test_the_static_form_has_numbers_only() -> None:
    description = describe(_program())
    assert description.axes == {"x": (_BATCH,)} and description.outputs == ("sum",)
    static = description.static({"s0": 5})
    values = static["graph_module"]["graph"]["tensor_values"]
    assert values["x"]["sizes"] == [{"as_int": 5}]
    assert values["p"]["device"] == {"type": "cpu", "index": None}
    assert static["guards_code"] == [] and "Symbol" not in json.dumps(static)


@pytest.mark.parametrize("text", ["__import__('os').abort()", "Pow(9, Pow(9, 9))", "().__class__"])
def test_a_size_is_never_evaluated_as_python(tmp_path: Path, text: str) -> None:
    program = _program()
    sizes = program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = text
    assert "a size is" in _refused(_write(tmp_path / "m.pt2", _files(program)))


def test_a_size_beyond_the_limits_of_the_export_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "m.pt2", _files())
    with pytest.raises(InputError, match=r"an axis of 'x' cannot be 12 .*exported for 3 to 9"):
        import_model(path, ImportOptions(shapes={"x": (12,)}))


def test_expressions_of_sizes() -> None:
    text = "Add(Mul(Integer(2), Symbol('s0', integer=True)), Integer(-1))"
    assert symbols_in(text) == {"s0"}
    assert evaluate(text, {"s0": 7}) == 13
    assert solve(text, "s0", 13) == 7 and solve(text, "s0", 12) is None
    assert evaluate("CeilDiv(Symbol('a'), Integer(4))", {"a": 9}) == 3
    assert evaluate("FloorDiv(a + 2, 2) % 4", {"a": 11}) == 2
