"""Every benchmark is a command: `python -m benchmarks.NAME`."""

from __future__ import annotations

import ast
from pathlib import Path

import benchmarks

_FOLDER = Path(benchmarks.__file__).parent


def _defines(tree: ast.Module, name: str) -> bool:
    return any(isinstance(one, ast.FunctionDef) and one.name == name for one in tree.body)


def test_a_module_with_a_main_runs_it() -> None:
    trees = {path: ast.parse(path.read_text()) for path in _FOLDER.rglob("*.py")}
    commands = {path: tree for path, tree in trees.items() if _defines(tree, "main")}
    assert _FOLDER / "recipes.py" in commands
    idle = [path for path, tree in commands.items() if "__main__" not in ast.unparse(tree.body[-1])]
    assert idle == []
