"""Clock governors: set for as long as somebody measures, and put back whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from far_board import FarBoard, far_board
from real_sshd import until

from edgetvm.base.steps import StepEvent, listening
from edgetvm.farm.governing import governed

SCRIPT = (
    Path(__file__).parents[2].joinpath("edgetvm", "farm", "on_board", "governor.sh").read_text()
)


class Cores:
    """Files as the kernel shows them for its cores."""

    def __init__(self, folder: Path, governors: str = "ondemand powersave") -> None:
        self.folder, self.note = folder / "cpu", folder / "note"
        self.folder.mkdir()
        for core, governor in enumerate(governors.split()):
            (self.folder / f"cpu{core}" / "cpufreq").mkdir(parents=True)
            self.file(core, "scaling_governor").write_text(f"{governor}\n")
            offered = "ondemand powersave performance"
            self.file(core, "scaling_available_governors").write_text(f"{offered}\n")

    def file(self, core: int, name: str) -> Path:
        return self.folder / f"cpu{core}" / "cpufreq" / name

    @property
    def now(self) -> str:
        files = sorted(self.folder.glob("cpu*/cpufreq/scaling_governor"))
        return " ".join(file.read_text().strip() for file in files)

    def set(self, governor: str = "performance", seconds: int = 60) -> subprocess.Popen[str]:
        words = ["set", governor, str(seconds), str(self.note), str(self.folder)]
        return subprocess.Popen(
            ["sh", "-c", SCRIPT, "governor.sh", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def restore(self) -> None:
        subprocess.run(["sh", "-c", SCRIPT, "governor.sh", "restore", str(self.note)], check=True)


@pytest.fixture
def cores(tmp_path: Path) -> Cores:
    return Cores(tmp_path)


def test_it_is_put_back_when_the_input_ends(cores: Cores) -> None:
    with cores.set() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["before", "ondemand", "powersave"]
        assert cores.now == "performance performance"
        process.stdin.write("on\n")
        process.stdin.flush()
        process.stdin.close()
        assert process.wait(10) == 0
    assert cores.now == "ondemand powersave"
    assert not cores.note.exists()


def test_it_is_put_back_when_the_host_is_silent(cores: Cores) -> None:
    with cores.set(seconds=1) as process:
        assert process.wait(10) == 0
        assert cores.now == "ondemand powersave"


def test_it_is_put_back_when_it_is_ended(cores: Cores) -> None:
    with cores.set(seconds=1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 129
    assert cores.now == "ondemand powersave"


@pytest.mark.parametrize("again", [True, False])
def test_what_a_killed_one_left_is_put_back(cores: Cores, again: bool) -> None:
    with cores.set() as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert cores.now == "performance performance"
    if again:
        with cores.set() as process:
            assert process.stdout is not None
            assert process.stdout.readline().split() == ["before", "ondemand", "powersave"]
            assert process.stdin is not None
            process.stdin.close()
    else:
        cores.restore()
    assert cores.now == "ondemand powersave"


def test_a_kernel_without_governors(tmp_path: Path) -> None:
    with Cores(tmp_path, "").set() as process:
        assert process.wait(10) == 3
    assert not (tmp_path / "note").exists()


def test_a_governor_that_there_is_not(cores: Cores) -> None:
    with cores.set("schedutil") as process:
        assert process.wait(10) == 4
    assert cores.now == "ondemand powersave"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can take itself the right")
def test_a_kernel_that_refuses(cores: Cores) -> None:
    cores.file(1, "scaling_governor").unlink()
    cores.file(1, "scaling_governor").symlink_to("/proc/version")
    with cores.set() as process:
        assert process.wait(10) == 5
    assert cores.now.startswith("ondemand ")


# --- Over SSH -------------------------------------------------------------------------------------


@pytest.fixture
def far(tmp_path: Path, session_cache: Path) -> Iterator[FarBoard]:
    """A provisioned board that the test may break."""
    with far_board(tmp_path / "far") as board:
        yield board


def heard_while(far: FarBoard) -> list[StepEvent]:
    heard: list[StepEvent] = []
    with listening(heard.append), governed([far.board()]):
        pass
    return heard


def test_a_board_s_governor_is_set_and_put_back(far: FarBoard) -> None:
    heard: list[StepEvent] = []
    with listening(heard.append), governed([far.board()]):
        assert far.governors == {"performance"}
    assert far.governors == {"ondemand"}
    assert heard[-1].title == f"set the clock governor of {far.name}"
    assert heard[-1].detail == "performance; ondemand before, and put back afterwards"


def test_it_is_put_back_when_the_connection_breaks(far: FarBoard) -> None:
    with governed([far.board()]):
        assert far.governors == {"performance"}
        far.sshd.kill_sessions()
        assert until(lambda: far.governors == {"ondemand"})
    assert far.governors == {"ondemand"}


def test_what_raises_meanwhile_is_raised_and_it_is_put_back(far: FarBoard) -> None:
    with pytest.raises(ZeroDivisionError), governed([far.board()]):
        raise ZeroDivisionError
    assert until(lambda: far.governors == {"ondemand"})


def test_a_board_where_it_cannot_be_set_is_told(far: FarBoard) -> None:
    for file in far.path("/sys").rglob("scaling_available_governors"):
        file.write_text("ondemand\n")
    words = [one.detail for one in heard_while(far)]
    assert (
        f"{far.name}: its clock governor stays as it is: its kernel does not have performance"
        in words
    )
    far.sshd.stop()
    (told,) = [one.detail for one in heard_while(far) if one.state == "warning"]
    assert "no SSH server listens" in told


def test_a_board_without_governors_is_left_alone(far: FarBoard) -> None:
    for file in far.path("/sys").rglob("scaling_governor"):
        file.unlink()
    assert heard_while(far)[-1].detail == "its kernel has none"
