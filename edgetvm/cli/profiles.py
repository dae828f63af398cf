"""`edgetvm profiles`: what is known of each kind of board."""

from __future__ import annotations

from dataclasses import asdict

import click

from edgetvm.cli.options import json_option


@click.group("profiles")
def command() -> None:
    """Board profiles: what the compiler knows of each kind of board."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """All board profiles."""
    from edgetvm.boards import list_profiles
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import profiles_view

    profiles = list_profiles()
    Terminal(as_json).result([asdict(profile) for profile in profiles], profiles_view(profiles))


@command.command("show")
@click.argument("name")
@json_option
def show_command(name: str, as_json: bool) -> None:
    """One board profile, every value."""
    from edgetvm.boards import load_profile
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import record_view

    profile = asdict(load_profile(name))
    Terminal(as_json).result(profile, record_view(profile))
