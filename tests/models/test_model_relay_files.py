"""What belongs to a model, what is none, and where its operators and errors point to."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_relay import metadata, params_bytes, save_json

from edgetvm.base.errors import InputError, ModelError, ModelUnreadableError
from edgetvm.models import Model, import_model
from edgetvm.models.importers import source_digest

T = "Tensor[(1, 3), float32]"
NAMED = f"""#[version = "0.0.5"]
def @main(%x: {T}, output_tensor_names=["probabilities"]) -> {T} {{
  %0 = add(%x, 1f) /* ty={T} span=model/first;Add:0:0 */;
  %1 = multiply(%0, 2f /* ty=float32 */) /* span=from_string:7:3 */;
  let %third: {T} = tanh(%1);
  %2 = (%third + %0) /* a word */;
  nn.relu(%2)
}}
"""


def bindings(model: Model) -> dict[str, str]:
    """Name and operator of each binding."""
    (block,) = model.module["main"].body.blocks
    return {
        model.nodes[binding.var.name]: binding.value.op.name.removeprefix("relax.")
        for binding in block.bindings
        if hasattr(binding.value, "op")
    }


def test_operators_keep_the_name_of_their_layer_or_variable(tmp_path: Path) -> None:
    (tmp_path / "model.relay").write_text(NAMED)
    (tmp_path / "model.json").write_text(save_json(NAMED))
    text = import_model(tmp_path / "model.relay")
    assert bindings(text) == {
        "model/first;Add": "add",
        "multiply_1": "multiply",
        "third": "tanh",
        "add_2": "add",
        "relu": "nn.relu",
    }
    assert [spec.name for spec in text.signature.outputs] == ["probabilities"]
    assert bindings(import_model(tmp_path / "model.json")) == bindings(text)


def test_a_let_names_its_operator_in_json(tmp_path: Path) -> None:
    content = save_json(f"def @main(%x: {T}) {{ let %y = tanh(%x); negative(%y) }}")
    document = json.loads(content)
    for node in document["nodes"]:
        if node["type_key"] == "relay.Call":
            node["attrs"]["span"] = "0"
    (tmp_path / "model.json").write_text(json.dumps(document))
    assert list(bindings(import_model(tmp_path / "model.json"))) == ["y", "negative"]


def test_an_error_says_which_line_or_node_it_is_about(tmp_path: Path) -> None:
    content = NAMED.replace("multiply(%0, 2f /* ty=float32 */)", "reshape(%0, newshape=[7])")
    path = tmp_path / "model.relay"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"reshape_1 at line 4: reshape: \[1, 3\] cannot be"):
        import_model(path)
    path.write_text(content.replace("%0 = add(%x, 1f)", "%0 = my.op(%x)"))
    with pytest.raises(ModelError, match=r"my\.op \(1x: model/first;Add at line 3\)"):
        import_model(path)
    written = save_json(content)
    path = tmp_path / "model.json"
    path.write_text(written)
    nodes = json.loads(written)["nodes"]
    number = next(
        number
        for number, node in enumerate(nodes)
        if node["type_key"] == "relay.Call"
        and nodes[int(node["attrs"]["op"])]["repr_str"] == "reshape"
    )
    with pytest.raises(ModelError, match=rf"reshape_1 at node {number}: reshape: "):
        import_model(path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"nodes": [{"op": "null", "name": "x"}], "arg_nodes": [0], "heads": [[0, 0, 0]]},
            r"a graph-executor JSON.*save_json\(mod\).*before relay\.build",
        ),
        ({"root_index": 0, "nodes": [{"type": "ir.IRModule"}]}, "Relax and not Relay"),
        (
            {"root": 1, "nodes": [{"type_key": ""}, {"type_key": "relax.expr.Function"}]},
            "Relax and not Relay",
        ),
        ({"name": "package", "version": 1}, "no module that TVM saved"),
        ([1, 2], "no module that TVM saved"),
    ],
)
def test_other_json_is_told_from_a_relay_module(
    tmp_path: Path, document: object, message: str
) -> None:
    path = tmp_path / "deploy_graph.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ModelUnreadableError, match=message):
        import_model(path)


def test_either_form_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.relay").write_text(save_json(NAMED))
    (tmp_path / "b.json").write_text(NAMED)
    for name in ("a.relay", "b.json"):
        assert import_model(tmp_path / name).operators == {
            "add": 2,
            "multiply": 1,
            "tanh": 1,
            "nn.relu": 1,
        }


WITH_WEIGHTS = f"def @main(%x: {T}, %w: Tensor[(2, 3), float32]) {{ nn.dense(%x, %w) }}"


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("net.relay", "net.params"),
        ("net.relay", "net.relay.params"),
        ("net.relay.json", "net.relay.params"),
        ("net.relay.json", "net.params"),
    ],
)
def test_parameters_belong_to_the_model_and_its_digest(
    tmp_path: Path, model: str, parameters: str
) -> None:
    path = tmp_path / model
    path.write_text(save_json(WITH_WEIGHTS) if model.endswith("json") else WITH_WEIGHTS)
    with pytest.raises(InputError, match="1 parameter without a value: w "):
        import_model(path)
    digests = {source_digest(path)}
    for value in (1, 2):
        weights = np.full((2, 3), value, "float32")
        (tmp_path / parameters).write_bytes(params_bytes({"w": weights}))
        digests.add(source_digest(path))
        assert import_model(path).provenance.sha256 == source_digest(path)
    assert len(digests) == 3


def test_a_name_that_another_function_has_used_before_is_found(tmp_path: Path) -> None:
    path = tmp_path / "net.relay"
    path.write_text(
        f"def @f(%w: {T}) {{ negative(%w) }}\n"
        + WITH_WEIGHTS.replace("%w", "%w1").replace("nn.dense(%x", "nn.dense(@f(%x)")
    )
    (tmp_path / "net.params").write_bytes(params_bytes({"w": np.ones((2, 3), "float32")}))
    assert [spec.name for spec in import_model(path).signature.inputs] == ["x"]


def test_damaged_parameters_are_named_by_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "net.relay").write_text(WITH_WEIGHTS)
    (tmp_path / "net.params").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ModelUnreadableError, match=r"net\.params: not a file of relay\.save_param"):
        import_model(tmp_path / "net.relay")


def test_constants_may_not_unfold_into_gigabytes(tmp_path: Path) -> None:
    weights = np.ones((1000, 1000), "float32")
    lines = "\n".join(f"  %{n} = transpose(meta[relay.Constant][0]);" for n in range(300))
    chosen = ", ".join(f"%{n}" for n in range(300))
    path = tmp_path / "model.relay"
    path.write_text(f"def @main(%x: {T}) {{\n{lines}\n  ({chosen}, %x)\n}}" + metadata([weights]))
    with pytest.raises(ModelUnreadableError, match="its constants unfold into more than"):
        import_model(path)
