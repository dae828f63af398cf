"""The root command: the table of commands, and what happens when one fails."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.version import __version__
from edgetvm.cli.streams import give_up_stdout, open_closed

# Name on the command line to module in this room; each holds a click command called `command`.
COMMANDS = {
    "bench": "bench",
    "run": "run",
    "serve": "serve",
    "import": "import_",
    "compile": "compile_",
    "inspect": "inspect",
    "estimate": "estimate",
    "quantize": "quantize",
    "package": "package",
    "tune": "tune",
    "records": "records",
    "report": "report",
    "results": "results",
    "compare": "compare",
    "gate": "gate",
    "experiment": "experiment",
    "devices": "devices",
    "provision": "provision",
    "farm": "farm",
    "lease": "lease",
    "profiles": "profiles",
    "recipes": "recipes",
    "pipelines": "pipelines",
    "passes": "passes",
    "doctor": "doctor",
    "cache": "cache",
    "schema": "schema",
    "completion": "completion",
}

_EPILOG = """
\b
Exit codes: 0 done, 1 goal missed, 2 wrong option, 3 YAML file, 4 model,
5 compiler, 6 wrong answers, 7 package, 8 board, 9 missing tool, 10 storage,
130 Ctrl-C.
"""


class _Root(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"edgetvm.cli.{COMMANDS[cmd_name]}").command
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Root, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgetvm")
def root() -> None:
    """Compile, tune, package and measure trained models on the boards you own.

    \b
    A first number:  edgetvm bench model.onnx
    On a board:      edgetvm bench model.onnx --device NAME
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with a documented exit code."""
    open_closed()
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: list[str] | None) -> int:
    try:
        result: Any = root.main(arguments, prog_name="edgetvm", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except EdgetvmError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped by Ctrl-C; nothing is left half-written", err=True)
        return 130
    except BrokenPipeError:
        # The reader of stdout (head, less) has gone.
        give_up_stdout()
        return 0
    return result if isinstance(result, int) else 0
