"""`edgetvm completion`: shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", short_help="Print a shell completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script.

    \b
    bash:  edgetvm completion bash >> ~/.bashrc
    zsh:   edgetvm completion zsh >> ~/.zshrc
    fish:  edgetvm completion fish > ~/.config/fish/completions/edgetvm.fish
    """
    from edgetvm.cli.root import root

    script = get_completion_class(shell)
    if script is not None:
        click.echo(script(root, {}, "edgetvm", "_EDGETVM_COMPLETE").source())
