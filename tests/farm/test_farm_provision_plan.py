"""Provisioning's plans: what boards answered, and what must be sent to them.

`provision/NAME.yaml` is a case: `facts` names what the board is (`facts/NAME.txt`), `answer` is
what it told of provisioning, `sent` the commands that are missing there, or `refused` the sentence.
In these `@release@` stands for the name of this version's release, `@sums@` for the lines of its
files' sums. A board that is provisioned wrongly becomes a case by saving its answer, which
`recorded` names in the place of both: `edgetvm provision NAME --record FILE`.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import BoardError
from edgetvm.farm.inventory import Board
from edgetvm.farm.inventory_file import Limits
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision.found import Found, parse_found
from edgetvm.farm.provision.inits import init_of
from edgetvm.farm.provision.release import Release, make_release
from edgetvm.farm.provision.removal import removal_plan
from edgetvm.farm.provision.running import before, go_back
from edgetvm.farm.provision.steps import Step
from edgetvm.farm.provision.wishes import plan

FOLDER = Path(__file__).parent / "provision"
FACTS = Path(__file__).parent / "facts"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PROGRAM = b"what runs on the board"
BOARD = Board("kitchen", "rpi4")


def case(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return read


def release_for(answer: str) -> Release:
    """This version's release for the board that gave the answer."""
    return make_release(BOARD, PROGRAM, parse_found(filled(answer, None)).init)


def filled(text: str, release: Release | None) -> str:
    """With what stands for this version's release written out."""
    if release is None:
        return text.replace("@sums@\n", "")
    sums = "".join(f"{one}  ./{release.name}/{file}\n" for file, one in release.sums.items())
    hook = release.sums["at-boot"]
    return (
        text.replace("@sums@\n", sums).replace("@at-boot@", hook).replace("@release@", release.name)
    )


def answer_of(read: dict[str, Any]) -> str:
    if "recorded" in read:
        return (FOLDER / read["recorded"]).read_text()
    return (FACTS / f"{read['facts']}.txt").read_text() + str(read["answer"])


def found_in(name: str) -> tuple[Found, Release]:
    answer = answer_of(case(name))
    release = release_for(answer)
    return parse_found(filled(answer, release)), release


def sent(steps: tuple[Step, ...]) -> list[str]:
    return [
        word
        for step in steps
        for word in [*(["a session"] if step.state == "unknown" else []), *map(str, step.commands)]
    ]


@pytest.mark.parametrize("name", CASES)
def test_what_is_missing_is_sent(name: str) -> None:
    expected = case(name)
    found, release = found_in(name)

    def steps() -> tuple[Step, ...]:
        return removal_plan(found) if expected.get("remove") else plan(found, release)

    if "refused" in expected:
        with pytest.raises(BoardError, match=expected["refused"]):
            steps()
        return
    assert sent(steps()) == [filled(line, release) for line in expected["sent"]]
    reasons = [step.why for step in steps() if step.why]
    assert all(bool(step.why) == bool(step.commands) for step in steps())
    assert reasons == [filled(line, release) for line in expected.get("why", reasons)]
    if "goes_back" in expected:
        assert list(map(str, go_back(found, release))) == [
            filled(line, release) for line in expected["goes_back"]
        ]


@pytest.mark.parametrize("name", CASES)
def test_an_answer_that_is_cut_is_refused(name: str) -> None:
    answer = answer_of(case(name))
    release = release_for(answer)
    whole = filled(answer, release)
    with pytest.raises(BoardError, match="provisioned, or not to the end"):
        parse_found(whole[: whole.index("== provisioned-end")])


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_answers_of_any_kind_give_a_plan_or_a_sentence(data: st.DataObject) -> None:
    answer = answer_of(case(data.draw(st.sampled_from(CASES))))
    release = release_for(answer)
    lines = filled(answer, release).splitlines()
    begins = lines.index("== edgetvm-provisioned")
    at = data.draw(st.integers(begins, len(lines) - 1))
    words = st.text(max_size=30) | st.sampled_from(lines[begins:])
    lines[at] = data.draw(words)
    try:
        found = parse_found("\n".join(lines))
        for steps in (plan(found, release), removal_plan(found)):
            assert all(step.commands for step in steps if step.why)
    except BoardError as error:
        assert error.mend


def test_a_release_is_named_after_all_that_is_in_it() -> None:
    systemd, openrc = init_of({"systemd"}), init_of({"rc-update"})
    releases = [
        make_release(BOARD, PROGRAM, systemd),
        make_release(BOARD, PROGRAM + b"!", systemd),
        make_release(BOARD, PROGRAM, openrc),
        make_release(replace(BOARD, server_port=9091), PROGRAM, systemd),
        make_release(replace(BOARD, limits=Limits(memory="512M")), PROGRAM, systemd),
        make_release(replace(BOARD, limits=Limits(time="5m")), PROGRAM, systemd),
    ]
    assert len({release.name for release in releases}) == len(releases)
    assert make_release(BOARD, PROGRAM, systemd) == releases[0]
    assert b"--memory 512" in releases[4].files["at-boot"]
    assert b"--session-limit 300" in releases[5].files["settings"]


def test_an_archive_holds_the_release_and_its_sums() -> None:
    release = make_release(BOARD, PROGRAM, init_of({"systemd"}))
    with tarfile.open(fileobj=io.BytesIO(release.archive())) as tar:
        files = {one.name: (one.mode, tar.extractfile(one)) for one in tar}
    read = {name: file.read() for name, (_, file) in files.items() if file}
    assert read == dict(release.files)
    assert {name for name, (mode, _) in files.items() if mode == 0o755} == {
        "edgetvm-board",
        "server",
    }
    listed = dict(reversed(line.split("  ")) for line in read["sums"].decode().splitlines())
    assert listed == {
        name: hashlib.sha256(data).hexdigest() for name, data in read.items() if name != "sums"
    }


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze (apt-get install systemd)")
    release = make_release(BOARD, PROGRAM, init_of({"systemd"}))
    text = release.files["at-boot"].decode()
    assert f"ExecStart={release.folder}/edgetvm-board serve --port 9090 " in text
    program = tmp_path / "edgetvm-board"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / f"{LAYOUT.service}.service"
    unit.write_text(
        text.replace(f"{release.folder}/edgetvm-board", str(program)).replace(
            "=edgetvm\n", "=root\n"
        )
    )
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    unit.write_text(text)
    # Systemd's own judgement of what a service may still do: 0 is the best there is, 10 the worst.
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=33", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_unit_that_is_enabled_is_seen_where_systemd_says_so(tmp_path: Path) -> None:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        pytest.skip("there is no systemctl (apt-get install systemd)")
    release = make_release(BOARD, PROGRAM, init_of({"systemd"}))
    unit = tmp_path / LAYOUT.unit_file.lstrip("/")
    unit.parent.mkdir(parents=True)
    unit.write_bytes(release.files["at-boot"])
    subprocess.run(
        [systemctl, f"--root={tmp_path}", "enable", "--quiet", LAYOUT.service], check=True
    )
    link = unit.parent / "multi-user.target.wants" / unit.name
    assert link.is_symlink()
    asked = (resources.files("edgetvm.farm") / "on_board/provisioned.sh").read_text()
    told = asked.replace("$service", LAYOUT.service)
    assert f"/{link.relative_to(tmp_path)}" in told


def test_of_other_releases_the_one_in_use_is_gone_back_to_if_it_ever_went_well() -> None:
    found, release = found_in("older-release")
    assert before(found, release) == "aaaaaaaaaaaa"
    assert before(replace(found, current="bbbbbbbbbbbb"), release) == "bbbbbbbbbbbb"
    # The newest of those that went well, where the one in use did not.
    assert before(replace(found, current="cccccccccccc"), release) == "aaaaaaaaaaaa"
    assert before(replace(found, files=()), release) == ""
