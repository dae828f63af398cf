"""`edgetvm devices`: the boards of the inventory, as users meet them."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from real_command import edgetvm, refused
from real_sshd import PROGRAM, Sshd

from edgetvm.farm.facts import parse_facts

INVENTORY = """\
boards:
  kitchen: {profile: rpi4, host: 10.0.0.7, user: edge, tags: [lab]}
  far: {profile: rpi5, tracker: "127.0.0.1:9190", key: far}
groups:
  switched:
    defaults: {power: {command: {on: "true", off: "true"}}}
    boards: {kitchen: }
"""


@pytest.fixture
def inventory(isolated_home: Path) -> Path:
    """The user's inventory, with two boards."""
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(INVENTORY)
    return path


def test_boards_are_listed_and_selected(inventory: Path) -> None:
    listed = edgetvm("devices", "list")
    assert listed.code == 0
    for words in ("this machine", "ssh edge@10.0.0.7", "tracker 127.0.0.1:9190", "switched", "lab"):
        assert words in listed.out
    document = edgetvm("devices", "list", "arch=aarch64", "mem>=8G", "--json").document
    assert [board["name"] for board in document] == ["far"]
    assert refused(edgetvm("devices", "list", "arhc=x"), 2, "did you mean 'arch'?")


def test_a_board_is_shown_with_its_groups_words(inventory: Path) -> None:
    shown = edgetvm("devices", "show", "kitchen")
    assert shown.code == 0
    assert "by command" in shown.out
    document = edgetvm("devices", "show", "kitchen", "--json").document
    assert document["login"]["hop"] == {"host": "10.0.0.7", "port": None, "user": "edge"}
    assert document["power"]["command"]["on"] == "true"
    assert refused(edgetvm("devices", "show", "kitchn"), 3, "did you mean 'kitchen'?")


def test_a_board_is_added(inventory: Path) -> None:
    done = edgetvm(
        *("devices", "add", "attic", "--profile", "rpi5", "--host", "10.0.0.8"),
        *("--port", "2222", "--tag", "hot", "--tag", "lab"),
    )
    assert done.code == 0, done.err
    assert str(inventory) in done.out
    assert "it was not asked: edgetvm devices check attic" in done.out
    assert "needs a server" in done.out
    (board,) = edgetvm("devices", "list", "attic", "--json").document
    assert board["login"]["hop"] == {"host": "10.0.0.8", "port": 2222, "user": None}
    assert board["tags"] == ["hot", "lab"]
    again = edgetvm("devices", "add", "attic", "--profile", "rpi5", "--host", "10.0.0.9")
    assert refused(again, 2, "there is a board 'attic' already")
    assert edgetvm("devices", "remove", "attic").code == 0
    assert refused(edgetvm("devices", "remove", "attic"), 3, "attic")


def test_a_board_that_does_not_answer_is_no_success(isolated_home: Path) -> None:
    add = ("--profile", "rpi4", "--host", "127.0.0.1", "--port", "9")
    assert edgetvm("devices", "add", "silent", *add).code == 0
    for word in ("check", "facts"):
        done = edgetvm("devices", word, "silent")
        assert done.code == 8
        assert "✗" in done.err and "✓" not in done.err and "1 board failed" in done.err
        assert "board silent:" not in done.out and "no SSH server listens" in done.out
        (told,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
        assert told.startswith("error: board silent: it is there, and no SSH server listens")


def test_power(inventory: Path) -> None:
    assert edgetvm("devices", "power", "kitchen", "off", "--json").document == {
        "name": "kitchen",
        "power": "off",
    }
    assert refused(edgetvm("devices", "power", "far", "on"), 3, "board far", "add `power: …`")


def test_this_machine_is_checked_without_ssh(isolated_home: Path) -> None:
    (checked,) = edgetvm("devices", "check", "--json").document
    assert (checked["name"], checked["round_trip_ms"]) == ("local", None)
    facts = edgetvm("devices", "facts", "local", "--json").document["local"]
    assert facts["kernel"] == platform.release()
    assert facts["machine"]["architecture"] == platform.machine()
    raw = edgetvm("devices", "facts", "local", "--raw")
    assert parse_facts(raw.out).kernel == platform.release()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real OpenSSH server that lets this user in; its host key is not known."""
    if PROGRAM is None:
        pytest.skip("there is no sshd (apt-get install openssh-server)")
    server = Sshd(tmp_path / "sshd").start()
    yield server
    server.stop()


def test_a_board_joins_is_checked_and_is_installed_anew(sshd: Sshd, isolated_home: Path) -> None:
    way = ("--host", "127.0.0.1", "--port", str(sshd.port), "--key-file", str(sshd.user_key))
    assert refused(
        edgetvm("devices", "add", "Desk", *way), 8, "board Desk", "host key is not known"
    )
    done = edgetvm("devices", "add", "Desk", *way, "--accept-new-host-key")
    assert done.code == 0, done.err
    inventory = yaml.safe_load((isolated_home / ".config/edgetvm/boards.yaml").read_text())
    assert inventory["boards"]["Desk"]["port"] == sshd.port

    checked = edgetvm("devices", "check", "Desk", "--json")
    assert (checked.code, checked.document[0]["state"]) in [(0, "ok"), (0, "odd")]
    assert checked.document[0]["round_trip_ms"] > 0
    facts = edgetvm("devices", "facts", "Desk")
    assert facts.code == 0
    assert platform.release() in facts.out
    said = edgetvm("devices", "ssh", "Desk", "echo", "it is", "$((6*7))")
    assert (said.code, said.out) == (0, "it is 42\n"), said.err

    made = edgetvm("devices", "profile", "Desk", "--name", "my-desk", "--json")
    assert made.document["profile"] == "my-desk"
    shown = edgetvm("profiles", "show", "my-desk", "--json").document
    assert shown["cores"] == os.cpu_count()
    again = edgetvm("devices", "profile", "Desk", "--name", "my-desk")
    assert refused(again, 2, "is there already")
    wrong = edgetvm("devices", "profile", "Desk", "--name", "My Desk")
    assert refused(wrong, 2, "'My Desk' is no name for a profile")

    sshd.new_host_key()
    failed = edgetvm("devices", "check", "local", "Desk")
    assert failed.code == 8
    assert "edgetvm devices rekey Desk" in " ".join(failed.out.split())
    assert edgetvm("devices", "rekey", "Desk").code == 130  # nobody says yes
    assert edgetvm("devices", "rekey", "Desk", "--yes", "--json").document["changed"] is True
    assert edgetvm("devices", "check", "Desk").code == 0
    sshd.stop()
    failed = edgetvm("devices", "check", "--json")
    assert failed.code == 8
    states = {one["name"]: one["state"] for one in failed.document}
    assert states["local"] != "failed"
    assert states["Desk"] == "failed"
    assert getpass.getuser() not in failed.err
