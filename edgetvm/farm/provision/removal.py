"""What a board is wished to be without edgetvm: nothing of it is there."""

from __future__ import annotations

from edgetvm.base.errors import BoardError
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision.found import Found
from edgetvm.farm.provision.steps import Command, Step, commands

_STOP_DEADLINE_S = 60.0


def removal_plan(found: Found) -> tuple[Step, ...]:
    """All steps from what was found to a board without edgetvm.

    Raises:
        BoardError: whoever logs in is not root there, and may not become it.
    """
    if found.rights != "root":
        raise BoardError(
            f"to remove it needs root there, and sudo says: {found.rights}",
            mend="log in as root, or let the account run sudo without a password",
        )
    return (_server(found), _boot(found), _files(found), _account(found))


def _server(found: Found) -> Step:
    title = "no server runs"
    running = found.serving | found.watching
    if not running and not found.groups:
        return Step(title)
    release = next(iter(running & set(found.releases)), found.current)
    if not release:
        raise BoardError(
            "a server runs there whose files are gone", mend="restart the board, and try again"
        )
    stop = Command((f"{LAYOUT.releases}/{release}/server", "stop"), deadline_s=_STOP_DEADLINE_S)
    return Step(title, "one does", (stop,))


def _boot(found: Found) -> Step:
    title, init = "nothing starts with the board", found.init
    is_there = init.hook in found.hooks if init.hook else found.is_enabled
    if not is_there or not init.leave_alone:
        return Step(title)
    return Step(title, f"{init.hook or init.sign} does", commands(*init.leave_alone))


def _files(found: Found) -> Step:
    title = "no files are there"
    there = [path for path in (LAYOUT.folder, LAYOUT.state) if path in found.heads]
    if not there:
        return Step(title)
    return Step(title, f"{' and '.join(there)}", commands(("rm", "-rf", "--", *there)))


def _account(found: Found) -> Step:
    title, name = f"no account {LAYOUT.account}", LAYOUT.account
    shadow = "useradd" in found.tools
    if not found.account and not found.has_group:
        return Step(title)
    if found.account and not found.account.is_for_service:
        return Step(f"account {name} is somebody's, and stays")
    # Most systems remove the group with the account.
    group = f"! grep -q '^{name}:' /etc/group || {'groupdel' if shadow else 'delgroup'} {name}"
    user = (("userdel" if shadow else "deluser", name),) if found.account else ()
    return Step(title, "there is one", commands(*user, ("sh", "-c", group)))
