"""The wishes about what runs: a release in use, its server up, a session that went well.

They go back together: where one fails, the release before is brought into use again.
"""

from __future__ import annotations

from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision.found import Found
from edgetvm.farm.provision.inits import AT_BOOT
from edgetvm.farm.provision.release import CHECKED, PROGRAM, SERVER, Release
from edgetvm.farm.provision.steps import Command, Step, commands

_RESTART_DEADLINE_S = 60.0

_BOOT = "starts with the board"
_SERVER = "server runs"
_PROOF = "a session with it goes well"


def running_plan(found: Found, release: Release, *, is_new: bool) -> tuple[Step, ...]:
    """The steps to a board that runs a release.

    Args:
        found: how it stands.
        release: to run.
        is_new: whether a server that runs has not read all that there will be.
    """
    boot = _boot(found, release)
    server = _server(found, release, anew=is_new or bool(boot.why))
    return (_current(found, release), boot, server, _proof(found, release, anew=bool(server.why)))


def before(found: Found, release: Release) -> str:
    """The release to go back to; empty where there is none that ever went well."""
    others = [name for name in found.releases if name != release.name]
    others.sort(key=lambda name: name != found.current)
    return next((name for name in others if is_checked(found, name)), "")


def go_back(found: Found, release: Release) -> tuple[Command, ...]:
    """Commands that bring the release before into use, and its server up; or have none up."""
    old = before(found, release)
    if old:
        return (*_link(old), *commands(*found.init.start_with_board), *_restart())
    stop = (f"{release.folder}/{SERVER}", "stop")
    return commands(stop, *found.init.leave_alone, ("rm", "-f", LAYOUT.current))


def _restart() -> tuple[Command, ...]:
    return (Command((LAYOUT.server, "restart"), deadline_s=_RESTART_DEADLINE_S),)


def _current(found: Found, release: Release) -> Step:
    title = f"release {release.name} is in use"
    if found.current == release.name:
        return Step(title)
    why = f"{found.current} is" if found.current else "none is"
    return Step(title, why, _link(release.name), goes_back=True)


def _link(release: str) -> tuple[Command, ...]:
    return commands(("ln", "-sfn", f"releases/{release}", LAYOUT.current))


def _boot(found: Found, release: Release) -> Step:
    init = release.init
    if not init.start_with_board:
        return Step(f"{_BOOT}: not known how with its init; provision it after each restart")
    is_right = not init.hook or found.hooks.get(init.hook) == release.sums[AT_BOOT]
    if is_right and (found.is_enabled or not init.enable):
        return Step(_BOOT)
    why = "it does not" if is_right or init.hook not in found.hooks else "not in this way"
    return Step(_BOOT, why, commands(*init.start_with_board), goes_back=True)


def _server(found: Found, release: Release, *, anew: bool) -> Step:
    is_watched = release.init.sign == "systemd" or found.watching == {release.name}
    if found.serving == {release.name} and is_watched and not anew:
        return Step(_SERVER)
    others = sorted(found.serving - {release.name})
    why = f"that of release {others[0]} does" if others else "it does not"
    if found.serving == {release.name}:
        why = "with what is new it starts anew" if anew else "nothing watches over it"
    return Step(_SERVER, why, _restart(), goes_back=True)


def _proof(found: Found, release: Release, *, anew: bool) -> Step:
    if is_checked(found, release.name) and not anew:
        return Step(_PROOF)
    why = "the server starts anew" if anew else "none was tried yet"
    mark = ("touch", f"{release.folder}/{CHECKED}")
    return Step(_PROOF, why, commands(mark), proof=True, goes_back=True)


def is_checked(found: Found, release: str) -> bool:
    """Whether a session with the server of a release went well."""
    names = {f"{LAYOUT.releases}/{release}/{file}" for file in (CHECKED, PROGRAM)}
    return names <= set(found.files)
