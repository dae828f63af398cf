"""`edgetvm doctor`: is this machine ready?"""

from __future__ import annotations

from dataclasses import asdict

import click

from edgetvm.cli.options import json_option


@click.command("doctor", short_help="Check this machine.")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this machine, and print the mend for each thing that fails."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import doctor_view
    from edgetvm.workflow.doctor import examine

    findings = examine()
    Terminal(as_json).result([asdict(finding) for finding in findings], doctor_view(findings))
    if any(finding.state == "failed" for finding in findings):
        ctx.exit(9)
