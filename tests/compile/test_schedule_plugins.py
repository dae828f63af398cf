"""Schedule rules that other packages bring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from brought_rules import MODULE, bring, forgotten  # noqa: F401 - a fixture
from made_models import value, write
from onnx import helper

from edgetvm.base.errors import CompileError
from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.compile.schedules import all_rules
from edgetvm.models import import_model
from edgetvm.package.executor import Executor

_RULE = """
from tvm import s_tir

def first(function, profile, decisions):
    decisions.choose("nothing", ("a", "b"), "a")
    return s_tir.Schedule(function)
"""


pytestmark = pytest.mark.usefixtures("forgotten")


def test_a_rule_of_a_package_is_asked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, monkeypatch, "brought", f"{MODULE}:first", _RULE)
    node = helper.make_node("Relu", ["x"], ["y"])
    model = write(tmp_path / "relu.onnx", [node], [value("x", [3, 5])], [value("y", [3, 5])], {})
    artifact = compile_model(import_model(model), load_profile("local"))
    assert [(one.rule, dict(one.decisions)) for one in artifact.kernels] == [
        ("brought", {"nothing": "a"})
    ]
    x = np.linspace(-1, 1, 15, dtype="float32").reshape(3, 5)
    found = Executor(artifact.library, artifact.signature).run({"x": x})["y"]
    np.testing.assert_array_equal(found, np.maximum(x, 0))


@pytest.mark.parametrize(
    ("title", "value", "words"),
    [
        ("rows", f"{MODULE}:first", "one of edgetvm's own"),
        ("brought", f"{MODULE}:missing", "cannot be loaded"),
        ("brought", "no_such_module:rule", "no_such_module"),
    ],
)
def test_a_rule_that_cannot_be_is_told_with_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str, value: str, words: str
) -> None:
    bring(tmp_path, monkeypatch, title, value, _RULE)
    with pytest.raises(CompileError, match=words) as caught:
        all_rules()
    assert value in str(caught.value)
