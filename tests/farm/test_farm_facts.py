"""Facts: answers of strange boards in `facts/`, and this machine's own against other sources.

`facts/NAME.txt` is what `on_board/facts.sh` said there (as kernels and systems of that kind are
documented to answer), `facts/NAME.json` what must be read from it. A board that is read wrongly
becomes a case by saving its answer: `edgetvm devices facts NAME --raw`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import BoardError, BoardTimeoutError, ConfigurationError, UsageError
from edgetvm.boards import load_profile
from edgetvm.boards.detect import profile_of
from edgetvm.boards.profile import list_profiles, read_profile
from edgetvm.boards.writing import profile_text, write_profile
from edgetvm.farm import asking
from edgetvm.farm.contradictions import contradictions
from edgetvm.farm.facts import Facts, facts_script, parse_facts
from edgetvm.farm.inventory import LOCAL

FOLDER = Path(__file__).parent / "facts"
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))


def case(name: str) -> tuple[Facts, dict[str, Any]]:
    facts = parse_facts((FOLDER / f"{name}.txt").read_text())
    return facts, json.loads((FOLDER / f"{name}.json").read_text())


def as_json(record: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(record), default=sorted))


@pytest.mark.parametrize("name", CASES)
def test_facts_are_read(name: str) -> None:
    facts, expected = case(name)
    found = as_json(facts)
    assert {key: found[key] for key in expected["facts"]} == expected["facts"]
    assert facts.machine.architecture == expected["architecture"]
    assert len(facts.machine.cores) == expected["cores"]


@pytest.mark.parametrize("name", CASES)
def test_a_profile_is_made(name: str) -> None:
    facts, expected = case(name)
    if "refused" in expected:
        with pytest.raises(ConfigurationError, match=expected["refused"]):
            profile_of(facts.machine, name, "x", "x")
        return
    found = as_json(profile_of(facts.machine, name, "x", "x"))
    assert {key: found[key] for key in expected["profile"]} == expected["profile"]


@pytest.mark.parametrize("name", CASES)
def test_contradictions_are_told(name: str) -> None:
    facts, expected = case(name)
    for profile, told in expected["against"].items():
        assert [str(one) for one in contradictions(facts.machine, load_profile(profile))] == told


@pytest.mark.parametrize("name", [name for name in CASES if "refused" not in case(name)[1]])
def test_a_profile_made_of_a_board_does_not_contradict_it(name: str, tmp_path: Path) -> None:
    facts, _ = case(name)
    profile = profile_of(facts.machine, name, "x: y", "the board's own answer")
    path = tmp_path / "devices" / f"{name}.yaml"
    write_profile(profile, path)
    assert read_profile(path) == profile
    assert contradictions(facts.machine, profile) == []
    with pytest.raises(UsageError, match="is there already"):
        write_profile(profile, path)


def test_every_shipped_profile_is_written_as_it_is_read(tmp_path: Path) -> None:
    for profile in list_profiles():
        if profile.name != "local":
            path = tmp_path / f"{profile.name}.yaml"
            path.write_text(profile_text(profile))
            assert read_profile(path) == profile


SHELLS = [["sh"], ["dash"], ["busybox", "sh"]]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_this_machine_tells_what_others_say_of_it(shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    done = subprocess.run([*shell, "-s"], input=facts_script(), capture_output=True, check=True)
    assert done.stderr == b""
    facts = parse_facts(done.stdout.decode())
    assert facts.machine.architecture == facts.kernel_architecture == platform.machine()
    assert facts.kernel == platform.release()
    assert " ".join(platform.libc_ver()) in ("glibc " + facts.libc.split(" ")[-1], " ")
    assert facts.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert facts.machine.memory_bytes == psutil.virtual_memory().total
    assert len(facts.machine.cores) == psutil.cpu_count()
    assert facts.root == (os.getuid() == 0)
    assert facts.home is not None
    assert facts.home.free_bytes == pytest.approx(shutil.disk_usage(Path.home()).free, rel=0.1)
    assert facts.uptime_s > 0
    local = load_profile("local")
    made = profile_of(facts.machine, "local", local.description, local.source)
    assert dataclasses.replace(made, cores=local.cores) == local


def test_a_machine_that_does_not_say_what_it_is_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_FACTS_DEADLINE_S", 0.2)
    monkeypatch.setattr(asking, "facts_script", lambda: b"exec sleep 60")
    with pytest.raises(BoardTimeoutError, match=r"board local: this machine did not say .*0\.2 s"):
        asking.ask(LOCAL)


@pytest.mark.parametrize("text", ["", "This account is not available.\n", "== edgetvm-facts\n2\n"])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(BoardError, match="answers with something else than its facts"):
        parse_facts(text)


def test_a_part_of_an_answer_is_refused() -> None:
    whole = (FOLDER / "alpine.txt").read_text()
    with pytest.raises(BoardError, match="something else than its facts: 'Welcome to Alpine!"):
        parse_facts(whole[: len(whole) // 2])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_answer_is_facts_or_refused(data: st.DataObject) -> None:
    """Lines dropped, doubled, cut and replaced: a board's figures are never trusted."""
    lines = (FOLDER / f"{data.draw(st.sampled_from(CASES))}.txt").read_text().splitlines()
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(
            st.sampled_from(["", lines[at][: len(lines[at]) // 2], "processor : 9999999", "== x"])
            | st.text(max_size=12)
        )
    try:
        facts = parse_facts("\n".join(lines))
        profile_of(facts.machine, "x", "x", "x")
    except (BoardError, ConfigurationError) as error:
        assert error.mend
        return
    contradictions(facts.machine, load_profile("rpi4"))
