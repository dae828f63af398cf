"""Help, completion and schemas: quick, quiet and complete."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest
import yaml
from real_command import edgetvm

from edgetvm.base.paths import shipped_folder
from edgetvm.cli.root import COMMANDS, root
from edgetvm.workflow.schemas import FORMATS, REPORTS


def every_command(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The root, every group and every command below."""
    found = [path]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += every_command(child, (*path, name))
    return found


ALL = every_command(root)


def test_the_table_of_commands_is_whole() -> None:
    assert {path[0] for path in ALL if path} == set(COMMANDS)
    assert {("profiles", "show"), ("recipes", "new"), ("cache", "clear")} <= set(ALL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    done = edgetvm(*path, "--help")
    assert done.code == 0
    assert done.err == ""
    assert done.is_clean()
    assert done.out.startswith(f"Usage: edgetvm {' '.join(path)}".rstrip())
    assert "Options:" in done.out
    assert "--help" in done.out


def test_every_option_has_words() -> None:
    for path in ALL:
        command: click.Command = root
        for name in path:
            assert isinstance(command, click.Group)
            child = command.get_command(click.Context(command), name)
            assert child is not None
            command = child
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_is_whole_in_80_columns(path: tuple[str, ...]) -> None:
    context = click.Context(root, info_name="edgetvm", terminal_width=80)
    for name in path:
        assert isinstance(context.command, click.Group)
        child = context.command.get_command(context, name)
        assert child is not None
        context = click.Context(child, context, name, terminal_width=80)
    told = context.get_help().splitlines()
    assert [line for line in told if len(line) > 80] == []
    assert [line for line in told[1:] if line.endswith("...")] == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_imports_nothing_heavy(path: tuple[str, ...]) -> None:
    code = f"""
import sys
from edgetvm.cli.root import _exit_code
assert _exit_code({[*path, "--help"]!r}) == 0
heavy = ["tvm", "tvm_ffi", "numpy", "onnx", "onnxruntime", "rich", "pydantic", "scipy", "yaml"]
found = [name for name in heavy if name in sys.modules]
sys.exit(f"imported: {{found}}" if found else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_command_shows_the_help() -> None:
    done = edgetvm()
    assert done.is_clean()
    assert "Usage: edgetvm" in done.out + done.err
    assert edgetvm("--version").out.startswith("edgetvm, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = edgetvm("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_EDGETVM_COMPLETE" in done.out
    assert "edgetvm" in done.out


def test_the_bash_script_parses_and_completes() -> None:
    script = edgetvm("completion", "bash").out
    checked = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
    assert checked.returncode == 0
    done = edgetvm(
        environment={
            "_EDGETVM_COMPLETE": "bash_complete",
            "COMP_WORDS": "edgetvm be",
            "COMP_CWORD": "1",
        }
    )
    assert "bench" in done.out


# A schema knows no functions that recipes bring themselves.
WITHOUT_CODE = [
    path
    for path in shipped_folder("recipes").rglob("*.yaml")
    if "module" not in yaml.safe_load(path.read_text())
]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("profile", sorted(shipped_folder("devices").glob("*.yaml"))),
        ("recipe", sorted(WITHOUT_CODE)),
    ],
)
def test_a_schema_is_one_and_takes_what_is_shipped(name: str, files: list[Path]) -> None:
    done = edgetvm("schema", name)
    assert done.code == 0
    schema = done.document
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    validator = jsonschema.Draft202012Validator(schema)
    checked = [path for path in files if path.stem != "local"]
    assert len(checked) >= 5
    for path in checked:
        document = yaml.safe_load(path.read_text())
        assert [error.message for error in validator.iter_errors(document)] == [], path
        assert list(validator.iter_errors({**document, "no-such-key": 1}))


def test_every_published_schema_can_be_printed() -> None:
    command = root.get_command(click.Context(root), "schema")
    assert command is not None
    (name,) = [one for one in command.params if isinstance(one, click.Argument)]
    assert isinstance(name.type, click.Choice)
    assert set(name.type.choices) == {*FORMATS, *REPORTS}


def test_the_schema_of_the_inventory() -> None:
    schema = json.loads(edgetvm("schema", "inventory").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = {"boards": {"kitchen": {"profile": "rpi4", "tracker": "h:1", "key": "k"}}}
    assert validator.is_valid(good)
    in_groups = {"groups": {"a": {"groups": {"b": {"boards": {"kitchen": {"port": 22}}}}}}}
    assert validator.is_valid(in_groups)
    for bad in ({"port": 70000}, {"hots": "x"}, {"password": "hunter2"}, {"host": "-oX"}):
        assert not validator.is_valid({"boards": {"kitchen": bad}}), bad
        assert not validator.is_valid({"defaults": bad}), bad


@pytest.mark.parametrize(
    ("given", "meant"), [("nhwc", "NHWC"), ("nchw", "NCHW"), ("nchwC", "NCHWc"), ("AUTO", "auto")]
)
def test_layouts_may_be_written_in_any_case(given: str, meant: str) -> None:
    done = edgetvm("passes", "--layout", given, "--precision", "FP16", "--json")
    assert done.code == 0, done.err
    options = done.document["options"]
    assert (options["layout"], options["precision"]) == (meant, "fp16")
